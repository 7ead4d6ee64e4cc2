"""What clients are told of jobs."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from actors.storage.ports import Output, Page
from tests.conftest import make_job
from web.answers import Answers

OUTPUT = Output(
    key="00/a.png", media_type="image/png", width=16, height=12, size_bytes=99, sha256="abc"
)


@pytest.fixture
def answers():
    return Answers(lambda key: f"uploads/{key}", lambda key: f"outputs/{key}")


def test_a_submission_is_answered_in_the_words_that_scripts_look_for(answers):
    job = make_job(status="pending")

    assert answers.accepted(job).decode() == (
        f'{{"job_id":"{job.id}","status":"pending","message":"Image processing job submitted"}}'
    )


def test_a_submission_is_pending_even_if_the_job_has_begun_meanwhile(answers):
    assert b'"status":"pending"' in answers.accepted(make_job(status="processing"))


def test_a_job_has_the_members_that_it_always_had(answers):
    job = make_job(status="completed", output=OUTPUT)

    told = json.loads(answers.job(job))

    assert told["id"] == job.id
    assert told["status"] == "completed"
    assert told["input_path"] == f"uploads/{job.input_key}"
    assert told["output_path"] == "outputs/00/a.png"
    assert (told["operation"], told["width"], told["height"]) == ("thumbnail", 16, 16)
    assert told["output"] == {
        "media_type": "image/png",
        "width": 16,
        "height": 12,
        "size_bytes": 99,
        "sha256": "abc",
    }


def test_what_does_not_apply_is_null_or_absent(answers):
    told = json.loads(answers.job(make_job(status="pending", started_at=None)))

    assert told["output_path"] is None
    assert not {"output", "error", "error_code", "started_at"} & told.keys()


def test_a_failure_says_why(answers):
    told = json.loads(
        answers.job(make_job(status="failed", error="It is none.", error_code="not_an_image"))
    )

    assert (told["error"], told["error_code"]) == ("It is none.", "not_an_image")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_times_are_in_utc_and_always_with_microseconds(answers, moment):
    told = json.loads(answers.job(make_job(created_at=moment)))

    assert told["created_at"] == "2026-03-01T12:00:00.000000Z"


def test_a_page_is_jobs_and_where_it_goes_on(answers):
    last = json.loads(answers.page(Page(jobs=(make_job(1), make_job(2)), next=None)))
    first = json.loads(answers.page(Page(jobs=(), next=7)))

    assert [job["id"][:8] for job in last["jobs"]] == ["00000001", "00000002"]
    assert last["next"] is None
    assert first == {"jobs": [], "next": "7"}
