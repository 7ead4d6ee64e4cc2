"""Errors, as clients are told of them."""

import json

import pytest
import trio

from actors import errors
from actors.imaging.errors import (
    ImageTooLarge,
    ImagingCrashed,
    ImpossibleRecipe,
    NotAnImage,
    UnsupportedFormat,
)
from actors.storage import ports
from actors.storage.usage import QuotaExceeded
from web.problems import KINDS, MAX_FAULTS, RETRY_AFTER, Fault, Problem, invalid, problem_of

# As the HTTP contract lists them, without those of parts that are not there yet.
CONTRACT = {
    400: {"malformed"},
    401: {"unauthenticated"},
    403: {"forbidden"},
    404: {"not_found"},
    405: {"method_not_allowed"},
    406: {"not_acceptable"},
    408: {"too_slow"},
    409: {"not_ready", "job_failed", "job_cancelled", "conflict"},
    410: {"gone"},
    413: {"too_large"},
    415: {"unsupported_media_type"},
    422: {"invalid", "idempotency_mismatch"},
    429: {"rate_limited", "quota_exceeded"},
    503: {"overloaded", "draining", "storage_unavailable"},
    507: {"storage_full"},
}


def test_the_codes_of_the_contract_have_their_statuses():
    for status, codes in CONTRACT.items():
        assert {code for code, kind in KINDS.items() if kind.status == status} == codes


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_has_the_form_of_rfc_9457_and_what_older_clients_read(code):
    problem = Problem(code, "Why.")

    members = json.loads(problem.body())

    kind = KINDS[code]
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert members == {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "Why.",
        "code": code,
        "error": kind.title,
    }


@pytest.mark.parametrize("code", KINDS)
def test_whoever_may_try_again_is_told_when(code):
    headers = Problem(code, "Why.").headers

    waiting_helps = code in {
        *("not_ready", "rate_limited", "quota_exceeded"),
        *("overloaded", "draining", "storage_unavailable"),
    }
    assert headers.get("Retry-After") == (str(RETRY_AFTER) if waiting_helps else None)


def test_a_problem_can_be_without_the_wish_to_come_back():
    assert "Retry-After" not in Problem("storage_unavailable", "Why.", retry=False).headers


def test_a_problem_is_written_compactly():
    assert b'"code":"gone"' in Problem("gone", "").body()


def test_headers_of_its_own_come_with_a_problem():
    problem = Problem("too_slow", "", headers={"Connection": "close"})

    assert problem.headers["Connection"] == "close"
    assert "Content-Type" in problem.headers


def test_each_fault_has_its_pointer():
    faults = [Fault("/width", "is missing"), Fault("", "must have one image")]

    members = json.loads(invalid(faults).body())

    assert members["status"] == 422
    assert members["errors"] == [
        {"pointer": "/width", "detail": "is missing"},
        {"pointer": "", "detail": "must have one image"},
    ]
    assert members["detail"] == "/width: is missing; The request: must have one image"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Problem("gone", ""), "gone"),
        (ports.JobNotFound("secret"), "not_found"),
        (ports.ImageNotFound("secret"), "not_found"),
        (errors.OutputNotFound("secret"), "not_found"),
        (ports.BlobNotFound("secret"), "gone"),
        (ports.StorageFull("secret"), "storage_full"),
        (ports.StorageUnavailable("secret"), "storage_unavailable"),
        (ports.StorageInDoubt("secret"), "storage_unavailable"),
        (errors.BacklogFull(1), "overloaded"),
        (errors.MailboxFull("secret"), "overloaded"),
        (errors.Draining(), "draining"),
        (errors.ActorStopped("secret"), "storage_unavailable"),
        (errors.HandlerCrashed("secret"), "internal"),
        (ImagingCrashed("secret"), "internal"),
        (trio.TooSlowError(), "overloaded"),
    ],
)
def test_an_expected_error_has_its_problem_and_tells_no_more(error, code):
    problem = problem_of(error)

    assert problem is not None
    assert problem.code == code
    assert b"secret" not in problem.body()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImpossibleRecipe("It does not fit."), "invalid"),
        (ImageTooLarge("It does not fit."), "too_large"),
        (UnsupportedFormat("It does not fit."), "unsupported_media_type"),
        (NotAnImage("It does not fit."), "unsupported_media_type"),
    ],
)
def test_what_is_wrong_with_an_image_says_so_itself(error, code):
    problem = problem_of(error)

    assert problem is not None
    assert (problem.code, problem.detail) == (code, "It does not fit.")


def test_whatever_is_invalid_lists_its_faults():
    problem = problem_of(ImpossibleRecipe("It does not fit."))

    assert problem is not None
    assert json.loads(problem.body())["errors"] == [{"pointer": "", "detail": "It does not fit."}]


@pytest.mark.parametrize("count", [MAX_FAULTS, MAX_FAULTS + 1])
def test_of_very_many_faults_the_first_are_told(count):
    faults = [Fault(f"/{number}", "is wrong") for number in range(count)]

    members = json.loads(invalid(faults).body())

    assert [each["pointer"] for each in members["errors"]] == [
        fault.pointer for fault in faults[:MAX_FAULTS]
    ]
    assert members["detail"].count("is wrong") == MAX_FAULTS


@pytest.mark.parametrize("error", [ValueError(), KeyError(), OSError(), RuntimeError(), EOFError()])
def test_what_nobody_expects_is_a_bug(error):
    assert problem_of(error) is None


@pytest.mark.parametrize(
    ("error", "standing", "wait", "word"),
    [
        (QuotaExceeded("jobs", 5, 0, 1.0), '"jobs";r=0;t=1', "1", "5 jobs"),
        (QuotaExceeded("jobs", 5, 0, 17.2), '"jobs";r=0;t=18', "18", "5 jobs"),
        (QuotaExceeded("pixels", 100, 40, 59.1), '"pixels";r=40;t=60', "60", "40 are left"),
        (QuotaExceeded("pixels", 100, 40, None), '"pixels";r=40', None, "alone"),
    ],
)
def test_a_quota_that_is_exceeded_says_what_is_left_and_when_to_come_back(
    error, standing, wait, word
):
    problem = problem_of(error)

    assert problem is not None
    assert (problem.code, problem.kind.status) == ("quota_exceeded", 429)
    assert problem.headers["RateLimit"] == standing
    assert problem.headers.get("Retry-After") == wait
    assert word in problem.detail
