"""What every storage must do: one suite over all of them, real ones and fakes alike."""

import hashlib
import itertools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.storage.ports import (
    PRIORITIES,
    STATUSES,
    BlobNotFound,
    Dead,
    Elsewhere,
    ImageNotFound,
    ImageRecord,
    Job,
    JobNotFound,
    NewInput,
    NewJob,
    Query,
    Removed,
    StaleClaim,
    StorageError,
    WrongStatus,
)
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import (
    ANY,
    BLOBS,
    FETCHED,
    OUTPUT,
    RECEIPT,
    URL,
    Each,
    minute,
    names,
    new_image,
    new_job,
    output_of,
    some_id,
)
from tests.storage.memory.catalogue import MemoryCatalogue


@pytest.fixture
def add(each):
    """Add a job; each a minute after the one before."""
    minutes = itertools.count()

    def add_one(name, *arguments, **changes):
        return each.add(new_job(name, *arguments, **changes), minute(next(minutes)))

    return add_one


# --- Adding and finding -------------------------------------------------------------------------


def test_a_job_says_to_its_end_in_which_trace_it_was_submitted(each):
    each.add(replace(new_job("a"), trace='{"traceparent":"00-1-2-01"}'), minute(0))
    each.add(new_job("b"), minute(0))

    claimed = each.claim(2 * [("normal",)], minute(1))

    assert [job.trace for job in claimed] == ['{"traceparent":"00-1-2-01"}', None]
    assert each.find("a").trace == '{"traceparent":"00-1-2-01"}'


def test_an_added_job_is_pending_and_has_not_been_begun(each):
    job = each.add(new_job("a", "high", "thumbnail", max_attempts=2, preset="card"), minute(0))

    assert job == Job(
        id="a",
        status="pending",
        priority="high",
        operation="thumbnail",
        preset="card",
        recipe='{"outputs": []}',
        input_key="ab/a.jpg",
        input_size=123,
        input_sha256="1a",
        image_id=None,
        others={},
        outputs=(),
        receipt=None,
        error_code=None,
        error=None,
        attempts=0,
        attempts_allowed=2,
        max_attempts=2,
        spared=0,
        created_at=minute(0),
        started_at=None,
        updated_at=minute(0),
    )
    assert each.find("a") == job


def test_text_and_times_come_back_as_they_went_in(each):
    moment = NOON + timedelta(microseconds=1)
    new = NewJob(
        id="a",
        priority="low",
        operation="größer 🖼 '\"; --",
        preset="größer 🖼 '\"; --",
        recipe="{}\n\t\0",
        input=NewInput(key="ab/a", size_bytes=2**40, sha256="1a"),
        max_attempts=1,
    )

    job = each.add(new, moment)

    assert each.find("a") == job
    assert (job.operation, job.preset) == (new.operation, new.preset)
    assert (job.recipe, job.input_size) == (new.recipe, 2**40)
    assert job.created_at == moment


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.find("x"),
        lambda it: it.release("x", 1, "", NOON),
        lambda it: it.supply("x", 1, FETCHED, NOON),
        lambda it: it.complete("x", 1, [OUTPUT], RECEIPT, NOON),
        lambda it: it.fail("x", 1, "code", "", NOON),
        lambda it: it.cancel("x", NOON),
        lambda it: it.retry("x", 3, NOON),
        lambda it: it.delete("x", NOON),
    ],
    ids=["find", "release", "supply", "complete", "fail", "cancel", "retry", "delete"],
)
def test_what_is_asked_of_an_unknown_job_names_it(each, add, call):
    add("a")

    with pytest.raises(JobNotFound, match="x"):
        call(each)

    assert each.tally().count("pending") == 1


# --- Batches ------------------------------------------------------------------------------------


def test_a_batch_returns_the_value_of_each_call_in_order(catalogue):
    results = catalogue.batch([lambda _: 1, lambda _: None, lambda it: it.pending()])

    assert results == [1, None, 0]


def test_an_empty_batch_does_nothing(catalogue):
    assert catalogue.batch([]) == []


def test_a_call_sees_what_those_before_it_in_the_batch_did(catalogue):
    results = catalogue.batch(
        [lambda it: it.add(new_job("a"), NOON), lambda it: it.claim([ANY], minute(1))]
    )

    assert names(results[1]) == ["a"]


def test_a_failing_call_takes_back_what_it_did_and_spoils_no_other(catalogue, each):
    def add_then_fail(it):
        it.add(new_job("b"), NOON)
        it.claim([ANY, ANY], NOON)
        it.find("nowhere")

    results = catalogue.batch(
        [
            lambda it: it.add(new_job("a"), NOON),
            add_then_fail,
            lambda it: it.add(new_job("c"), NOON),
        ]
    )

    assert [type(result) for result in results] == [Job, JobNotFound, Job]
    assert names(each.page(Query(limit=9)).jobs) == ["c", "a"]
    assert each.tally().counts["pending", "normal"] == 2
    assert each.processing() == []


def test_a_bug_in_a_call_is_no_storage_error_and_goes_up(catalogue):
    with pytest.raises(ZeroDivisionError):
        catalogue.batch([lambda _: 1 // 0])


# --- The queue ----------------------------------------------------------------------------------


def test_jobs_come_out_in_the_order_they_went_in(each, add):
    for name in "abcde":
        add(name)

    first, then = each.claim([ANY, ANY], minute(9)), each.claim([ANY] * 9, minute(9))

    assert names(first) == ["a", "b"]
    assert names(then) == ["c", "d", "e"]


def test_a_claim_begins_an_attempt(each, add):
    added = add("a")

    (job,) = each.claim([ANY], minute(7))

    assert (job.status, job.attempts) == ("processing", 1)
    assert (job.created_at, job.started_at, job.updated_at) == (
        added.created_at,
        minute(7),
        minute(7),
    )
    assert each.find("a") == job
    assert each.processing() == [job]


def test_nothing_to_claim_is_an_empty_list(each):
    assert each.claim([ANY, ANY], NOON) == []
    assert each.claim([], NOON) == []


def test_no_turn_claims_nothing(each, add):
    add("a")

    assert each.claim([], NOON) == []
    assert each.find("a").status == "pending"


def test_a_job_is_claimed_only_once(each, add):
    add("a")
    each.claim([ANY], NOON)

    assert each.claim([ANY], NOON) == []


def test_each_turn_takes_from_the_first_priority_that_has_any(each, add):
    for name, priority in (("l1", "low"), ("n1", "normal"), ("h1", "high"), ("n2", "normal")):
        add(name, priority)

    claimed = each.claim(
        [
            ("low", "normal", "high"),
            ("low", "normal", "high"),
            ("high", "normal", "low"),
            ("high", "normal", "low"),
        ],
        minute(9),
    )

    assert names(claimed) == ["l1", "n1", "h1", "n2"]


def test_a_claim_ends_with_the_first_turn_that_finds_nothing(each, add):
    add("a", "low")
    add("b", "low")

    claimed = each.claim([ANY, ("high",), ANY], minute(9))

    assert names(claimed) == ["a"]


# --- The end of an attempt ------------------------------------------------------------------------


def test_a_completed_job_knows_its_outputs_in_their_order_and_how_they_were_made(each, add):
    outputs = (
        replace(OUTPUT, name="wide", key="ab/wide.png", details='{"said": "größer \\"🖼\\""}\n'),
        replace(OUTPUT, name="small", key="ab/small.png", size_bytes=2**40),
    )
    receipt = '{"pillow":\t"13.0 🖼"}'
    add("a")
    each.claim([ANY], minute(1))

    job = each.complete("a", 1, outputs, receipt, minute(2))

    assert (job.status, job.outputs, job.receipt) == ("completed", outputs, receipt)
    assert (job.started_at, job.updated_at, job.attempts) == (minute(1), minute(2), 1)
    assert each.find("a") == job


def test_a_failed_job_knows_why(each, add):
    add("a")
    each.claim([ANY], minute(1))

    job = each.fail("a", 1, "not_an_image", "It is a song.", minute(2))

    assert (job.status, job.error_code, job.error) == ("failed", "not_an_image", "It is a song.")
    assert job.updated_at == minute(2)
    assert each.find("a") == job


@pytest.mark.parametrize("attempt", [0, 1, 3])
@pytest.mark.parametrize(
    "end",
    [
        lambda it, attempt: it.complete("a", attempt, [OUTPUT], RECEIPT, minute(5)),
        lambda it, attempt: it.fail("a", attempt, "code", "error", minute(5)),
        lambda it, attempt: it.release("a", attempt, "error", minute(5)),
    ],
    ids=["complete", "fail", "release"],
)
def test_a_result_of_another_attempt_is_refused_and_changes_nothing(each, add, end, attempt):
    add("a")
    each.claim([ANY], minute(1))
    each.release("a", 1, "", minute(2))
    (second,) = each.claim([ANY], minute(3))

    with pytest.raises(StaleClaim):
        end(each, attempt)

    assert each.find("a") == second
    assert second.attempts == 2


@pytest.mark.parametrize("status", ["pending", "completed", "failed", "cancelled"])
@pytest.mark.parametrize(
    "end",
    [
        lambda it, job: it.complete("a", job.attempts, [OUTPUT], RECEIPT, minute(5)),
        lambda it, job: it.fail("a", job.attempts, "code", "error", minute(5)),
        lambda it, job: it.release("a", job.attempts, "error", minute(5)),
    ],
    ids=["complete", "fail", "release"],
)
def test_only_a_job_that_is_processing_can_be_ended_by_a_result(each, add, end, status):
    add("a")
    each.claim([ANY], minute(1))
    match status:
        case "pending":
            before = each.release("a", 1, "", minute(2))
        case "completed":
            before = each.complete("a", 1, [OUTPUT], RECEIPT, minute(2))
        case "failed":
            before = each.fail("a", 1, "code", "error", minute(2))
        case _:
            before = each.cancel("a", minute(2))

    with pytest.raises(StaleClaim):
        end(each, before)

    assert each.find("a") == before


def test_a_claim_that_nobody_heard_of_was_never_made(each, add):
    add("a")
    add("b")
    each.claim([ANY], minute(2))

    each.unclaim("a", 1, minute(3))

    assert (each.find("a").status, each.find("a").attempts) == ("pending", 0)
    assert names(each.claim([ANY, ANY], minute(4))) == ["a", "b"]
    assert each.find("a").attempts == 1


def test_undoing_a_stale_claim_does_nothing(each, add):
    add("a")
    each.claim([ANY], minute(1))
    each.release("a", 1, "", minute(2))
    pending = each.find("a")
    each.unclaim("a", 1, minute(3))
    still_pending = each.find("a")
    (second,) = each.claim([ANY], minute(4))

    each.unclaim("a", 1, minute(5))
    each.unclaim("nowhere", 1, minute(5))

    assert still_pending == pending
    assert each.find("a") == second


def test_a_released_job_is_back_in_its_old_place_with_its_attempt_counted(each, add):
    add("a")
    add("b")
    each.claim([ANY], minute(2))

    released = each.release("a", 1, "interrupted", minute(3))
    again = each.claim([ANY, ANY], minute(4))

    assert (released.status, released.attempts, released.error) == ("pending", 1, None)
    assert names(again) == ["a", "b"]
    assert again[0].attempts == 2


def test_the_last_attempt_that_comes_to_nothing_is_a_crash(each, add):
    add("a", max_attempts=2)
    each.claim([ANY], minute(1))
    first = each.release("a", 1, "once", minute(2))
    each.claim([ANY], minute(3))

    last = each.release("a", 2, "twice", minute(4))

    assert first.status == "pending"
    assert (last.status, last.error_code, last.error) == ("failed", "crashed", "twice")
    assert last.attempts == 2
    assert each.claim([ANY], minute(5)) == []


def test_an_attempt_that_is_spared_is_made_good_for(each, add):
    add("a", max_attempts=1)
    each.claim([ANY], minute(1))

    spared = each.release("a", 1, "no fault of its own", minute(2), spare=True)
    each.claim([ANY], minute(3))
    last = each.release("a", 2, "its own fault", minute(4))

    assert (spared.status, spared.attempts, spared.attempts_allowed) == ("pending", 1, 2)
    assert (last.status, last.attempts, last.error) == ("failed", 2, "its own fault")
    assert (spared.spared, last.spared) == (1, 1)


def test_a_retry_counts_the_spared_attempts_anew(each, add):
    add("a", max_attempts=1)
    each.claim([ANY], minute(1))
    each.release("a", 1, "no fault of its own", minute(2), spare=True)
    each.cancel("a", minute(3))

    assert each.retry("a", 1, minute(4)).spared == 0


# --- Cancelling, retrying, deleting ---------------------------------------------------------------


def test_a_pending_job_can_be_cancelled_and_is_not_claimed_any_more(each, add):
    add("a")

    job = each.cancel("a", minute(1))

    assert (job.status, job.updated_at) == ("cancelled", minute(1))
    assert each.claim([ANY], minute(2)) == []


def test_a_job_that_is_processing_can_be_cancelled(each, add):
    add("a")
    each.claim([ANY], minute(1))

    assert each.cancel("a", minute(2)).status == "cancelled"
    assert each.processing() == []


def test_cancelling_twice_is_cancelling_once(each, add):
    add("a")
    once = each.cancel("a", minute(1))

    assert each.cancel("a", minute(2)) == once
    assert each.find("a") == once


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_a_job_that_has_ended_by_itself_cannot_be_cancelled(each, add, status):
    add("a")
    each.claim([ANY], minute(1))
    if status == "completed":
        before = each.complete("a", 1, [OUTPUT], RECEIPT, minute(2))
    else:
        before = each.fail("a", 1, "code", "error", minute(2))

    with pytest.raises(WrongStatus) as caught:
        each.cancel("a", minute(3))

    assert caught.value.status == status
    assert each.find("a") == before


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_retried_job_is_as_new_and_the_last_in_its_priority(each, add, status):
    add("a", max_attempts=1)
    each.claim([ANY], minute(1))
    if status == "failed":
        each.fail("a", 1, "code", "error", minute(2))
    else:
        each.cancel("a", minute(2))
    add("b")

    job = each.retry("a", 3, minute(5))

    assert (job.status, job.error_code, job.error) == ("pending", None, None)
    assert (job.started_at, job.updated_at, job.created_at) == (None, minute(5), minute(0))
    assert names(each.claim([ANY, ANY], minute(6))) == ["b", "a"]


def test_attempts_only_grow_so_that_an_old_result_stays_refused_after_a_retry(each, add):
    add("a", max_attempts=1)
    each.claim([ANY], minute(1))
    each.cancel("a", minute(2))
    retried = each.retry("a", 2, minute(3))
    (second,) = each.claim([ANY], minute(4))

    with pytest.raises(StaleClaim):
        each.complete("a", 1, [OUTPUT], RECEIPT, minute(5))
    released = each.release("a", 2, "", minute(6))
    each.claim([ANY], minute(7))
    crashed = each.release("a", 3, "", minute(8))

    assert (retried.attempts, retried.attempts_allowed) == (1, 3)
    assert second.attempts == 2
    assert (released.status, crashed.status) == ("pending", "failed")


@pytest.mark.parametrize("status", ["pending", "processing", "completed"])
def test_only_a_failed_or_cancelled_job_can_be_retried(each, add, status):
    add("a")
    if status != "pending":
        each.claim([ANY], minute(1))
    if status == "completed":
        each.complete("a", 1, [OUTPUT], RECEIPT, minute(2))
    before = each.find("a")

    with pytest.raises(WrongStatus) as caught:
        each.retry("a", 3, minute(3))

    assert caught.value.status == status
    assert each.find("a") == before


def test_a_deleted_job_is_returned_as_it_was_and_then_unknown(each, add):
    add("a")
    add("b")
    each.claim([ANY], minute(1))
    completed = each.complete("a", 1, [OUTPUT], RECEIPT, minute(2))

    removed = each.delete("a", NOON)

    assert removed.job == completed
    with pytest.raises(JobNotFound):
        each.find("a")
    with pytest.raises(JobNotFound):
        each.delete("a", NOON)
    assert names(each.page(Query(limit=9)).jobs) == ["b"]


def test_the_order_holds_when_the_last_jobs_are_deleted_and_others_come(each, add):
    for name in "abc":
        add(name)
    each.delete("c", NOON)
    each.delete("b", NOON)
    for name in "de":
        add(name)
    each.cancel("a", minute(8))
    each.retry("a", 3, minute(9))

    assert names(each.page(Query(limit=9)).jobs) == ["e", "d", "a"]
    assert names(each.claim([ANY] * 9, minute(9))) == ["d", "e", "a"]


def test_all_that_is_processing_is_listed(each, add):
    for name in "abcd":
        add(name)
    each.claim([ANY] * 3, minute(5))
    each.complete("b", 1, [OUTPUT], RECEIPT, minute(6))

    assert sorted(names(each.processing())) == ["a", "c"]


# --- Pages ----------------------------------------------------------------------------------------


def walk(each, **query) -> list[list[str]]:
    """The names on each page, from the first to the last."""
    pages = []
    cursor = None
    while True:
        page = each.page(Query(cursor=cursor, **query))
        pages.append(names(page.jobs))
        cursor = page.next
        if cursor is None:
            return pages


def test_pages_show_every_job_once_with_the_newest_first(each, add):
    for name in "abcde":
        add(name)

    assert walk(each, limit=2) == [["e", "d"], ["c", "b"], ["a"]]
    assert walk(each, limit=5) == [["e", "d", "c", "b", "a"]]


def test_a_page_of_nothing_is_the_last(each):
    page = each.page(Query(limit=5))

    assert page.jobs == ()
    assert page.next is None


def test_new_jobs_and_deleted_ones_do_not_shift_the_pages_that_follow(each, add):
    for name in "abcde":
        add(name)
    first = each.page(Query(limit=2))

    add("f")
    each.delete("d", NOON)
    second = each.page(Query(limit=2, cursor=first.next))

    assert names(first.jobs) == ["e", "d"]
    assert names(second.jobs) == ["c", "b"]


def test_pages_are_filtered_by_status(each, add):
    for name in "abcdef":
        add(name)
    each.claim([ANY] * 3, minute(8))
    each.cancel("b", minute(9))

    assert walk(each, limit=2, status="pending") == [["f", "e"], ["d"]]
    assert walk(each, limit=2, status="processing") == [["c", "a"]]
    assert walk(each, limit=2, status="cancelled") == [["b"]]
    assert walk(each, limit=2, status="completed") == [[]]


def test_pages_are_filtered_by_operation(each, add):
    for name, operation in zip("abcd", ["resize", "crop", "resize", "resize"], strict=True):
        add(name, operation=operation)

    assert walk(each, limit=2, operation="resize") == [["d", "c"], ["a"]]
    assert walk(each, limit=2, operation="blur") == [[]]


def test_pages_are_filtered_by_preset(each, add):
    for name, preset in zip("abcde", ["card", None, "avatar", "card", "card"], strict=True):
        add(name, preset=preset)

    assert walk(each, limit=2, preset="card") == [["e", "d"], ["a"]]
    assert walk(each, limit=2, preset="hero") == [[]]


def test_pages_are_filtered_by_the_time_of_acceptance_and_its_border_is_outside(each, add):
    for name in "abcd":
        add(name)

    assert walk(each, limit=9, created_after=minute(1)) == [["d", "c"]]
    assert walk(each, limit=9, created_after=minute(1) - timedelta(microseconds=1)) == [
        ["d", "c", "b"]
    ]
    assert walk(each, limit=9, created_after=minute(3)) == [[]]
    assert walk(each, limit=1, created_after=minute(1)) == [["d"], ["c"]]


def test_the_time_filter_holds_though_the_clock_was_set_back(each):
    for name, number in (("a", 0), ("b", 5), ("c", 1), ("d", 6)):
        each.add(new_job(name), minute(number))

    assert walk(each, limit=9, created_after=minute(4)) == [["d", "b"]]


def test_filters_hold_together(each, add):
    for number in range(8):
        add(
            str(number),
            operation="crop" if number % 2 else "resize",
            preset="card" if number % 3 else None,
        )
    each.claim([ANY] * 4, minute(9))

    pages = walk(each, limit=1, status="pending", operation="crop", created_after=minute(4))
    of_preset = walk(each, limit=1, status="pending", operation="resize", preset="card")

    assert pages == [["7"], ["5"]]
    assert of_preset == [["4"]]


# --- Tallies --------------------------------------------------------------------------------------


def all_jobs(each) -> list[Job]:
    pages = [each.page(Query(limit=1_000, tenant=tenant)) for tenant in ("", "acme")]
    return [job for page in pages for job in page.jobs]


def recount(each):
    counts = {(status, priority): 0 for status in STATUSES for priority in PRIORITIES}
    for job in all_jobs(each):
        counts[job.status, job.priority] += 1
    return counts


def test_the_tally_is_what_a_recount_finds_after_every_kind_of_change(each, add):
    def agree():
        tally = each.tally()
        return dict(tally.counts) == recount(each) and each.pending() == tally.count("pending")

    agreed = [agree()]
    for number in range(12):
        add(str(number), PRIORITIES[number % 3], max_attempts=1)
        agreed.append(agree())
    changes = [
        lambda: each.claim([ANY] * 6, minute(20)),
        lambda: each.complete("0", 1, [OUTPUT], RECEIPT, minute(21)),
        lambda: each.fail("3", 1, "code", "error", minute(21)),
        lambda: each.unclaim("6", 1, minute(21)),
        lambda: each.release("9", 1, "", minute(21)),
        lambda: each.cancel("2", minute(22)),
        lambda: each.retry("3", 3, minute(23)),
        lambda: each.delete("0", NOON),
        lambda: each.delete("11", NOON),
        lambda: each.delete("9", NOON),
    ]
    for change in changes:
        change()
        agreed.append(agree())

    assert all(agreed)
    assert each.tally().count("pending") == each.pending() == 6


def test_the_tally_tells_since_when_the_oldest_pending_job_waits(each, add):
    nobody = each.tally().oldest_pending
    for name, priority in (("a", "low"), ("b", "high"), ("c", "low")):
        add(name, priority)
    all_three = each.tally().oldest_pending
    each.claim([("low",)], minute(5))

    assert nobody is None
    assert all_three == minute(0)
    assert each.tally().oldest_pending == minute(1)


# --- Tenants ------------------------------------------------------------------------------------


def test_a_job_is_there_for_its_own_tenant_alone(each, add):
    job = add("a", tenant="acme")

    assert job.tenant == "acme"
    assert each.find_own("a", "acme") == each.find("a") == job
    for other in ("", "zenith", "acme2", "ACME"):
        with pytest.raises(JobNotFound, match=r"^a$"):
            each.find_own("a", other)


def test_a_job_stays_with_its_tenant_whatever_becomes_of_it(each, add):
    add("a", tenant="acme")

    (begun,) = each.claim([ANY], minute(1))
    failed = each.fail("a", 1, "code", "why", minute(2))
    retried = each.retry("a", 3, minute(3))
    cancelled = each.cancel("a", minute(4))
    removed = each.delete("a", NOON)

    jobs = [begun, failed, retried, cancelled, removed.job]
    assert [job.tenant for job in jobs] == ["acme"] * 5


def test_each_tenant_lists_its_own_jobs_and_pages_them_without_gaps(each, add):
    for number in range(9):
        add(f"{number}", tenant=("acme", "zenith", "")[number % 3], preset="card")

    for number, tenant in enumerate(("acme", "zenith", "")):
        expected = [str(each) for each in range(8, -1, -1) if each % 3 == number]
        first = each.page(Query(limit=2, tenant=tenant))
        rest = each.page(Query(limit=2, tenant=tenant, cursor=first.next))
        assert names([*first.jobs, *rest.jobs]) == expected
        assert rest.next is None
        assert names(each.page(Query(limit=9, tenant=tenant, preset="card")).jobs) == expected
        assert names(each.page(Query(limit=9, tenant=tenant, operation="x")).jobs) == []


def test_an_image_is_there_for_its_own_tenant_alone(each):
    image = each.add_image(new_image("i", "acme"), NOON)

    assert image.tenant == "acme"
    assert each.find_image("i", "acme") == image
    for other in ("", "zenith"):
        with pytest.raises(ImageNotFound, match=r"^i$"):
            each.find_image("i", other)
        with pytest.raises(ImageNotFound, match=r"^i$"):
            each.delete_image("i", other)
    assert each.find_image("i", "acme") == image
    assert each.delete_image("i", "acme") == ("cd/i.gif",)


def test_a_job_cannot_have_the_images_of_another_tenant(each, add):
    each.add_image(new_image("own", "acme"), NOON)
    each.add_image(new_image("other", "zenith"), NOON)

    for wanted in ({"image": "other"}, {"others": ("own", "other")}):
        with pytest.raises(ImageNotFound, match=r"^other$"):
            add("a", tenant="acme", **wanted)
    job = add("a", tenant="acme", image="own", others=("own",))

    assert job.images == ("own",)
    assert each.delete_image("other", "zenith") == ("cd/other.gif",)


# --- Images ---------------------------------------------------------------------------------------


@pytest.fixture
def add_image(each):
    def add_one(name):
        return each.add_image(new_image(name), NOON)

    return add_one


def test_an_image_is_found_as_it_was_added(each):
    image = each.add_image(new_image("i"), minute(1))

    assert image == ImageRecord(
        id="i",
        key="cd/i.gif",
        format="gif",
        width=64,
        height=48,
        frames=3,
        size_bytes=456,
        sha256="2b",
        facts='{"colour":\t"größer 🖼"}',
        created_at=minute(1),
    )
    assert each.find_image("i") == image


USES: dict[str, Callable[[str], NewJob]] = {
    "input": lambda image: new_job("b", image=image),
    "other": lambda image: new_job("b", others=(image,)),
}


@pytest.mark.parametrize("gone", [False, True], ids=["unknown", "deleted"])
@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.find_image("i"),
        lambda it: it.delete_image("i"),
        *[lambda it, use=use: it.add(use("i"), NOON) for use in USES.values()],
    ],
    ids=["find", "delete", *USES],
)
def test_what_is_asked_of_an_image_that_is_not_there_names_it(each, add, add_image, call, gone):
    add_image("j")
    if gone:
        add_image("i")
        each.add(new_job("a", image="i"), NOON)  # So that it is still needed.
        each.delete_image("i")
    before = each.page(Query(limit=9)), each.tally()

    with pytest.raises(ImageNotFound, match="i"):
        call(each)

    assert (each.page(Query(limit=9)), each.tally()) == before


def test_a_job_that_is_refused_for_one_of_its_images_does_not_use_the_rest(each, add_image):
    add_image("i")
    with pytest.raises(ImageNotFound, match="nowhere"):
        each.add(new_job("a", image="i", others=("nowhere",)), NOON)

    assert each.delete_image("i") == ("cd/i.gif",)


def test_a_job_of_an_image_has_its_file_and_its_digest(each, add_image):
    image = add_image("i")

    job = each.add(new_job("a", image="i"), NOON)

    assert (job.input_key, job.input_size, job.input_sha256) == ("cd/i.gif", 456, "2b")
    assert (job.image_id, job.others, job.images) == ("i", {}, ("i",))
    assert each.find("a") == job
    assert each.find_image("i") == image


def test_a_job_knows_the_files_of_the_other_images_it_needs(each, add_image):
    for name in ("i", 'größer "🖼"'):
        add_image(name)

    job = each.add(new_job("a", others=("i", 'größer "🖼"')), NOON)

    assert job.others == {"i": "cd/i.gif", 'größer "🖼"': 'cd/größer "🖼".gif'}
    assert (job.input_key, job.input_sha256, job.image_id) == ("ab/a.jpg", "1a", None)
    assert each.find("a") == job
    assert each.claim([ANY], minute(1))[0].others == job.others


def test_an_image_that_nobody_uses_goes_with_its_file(each, add_image):
    add_image("i")
    add_image("j")

    assert each.delete_image("i") == ("cd/i.gif",)
    assert each.delete_image("j") == ("cd/j.gif",)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_deleted_image_keeps_its_file_until_its_last_job_is_deleted(each, add_image, use):
    add_image("i")
    each.add(use("i"), NOON)
    each.add(new_job("c", image="i"), NOON)

    with_the_image = each.delete_image("i")
    with_the_first = each.delete("c", NOON)
    with_the_last = each.delete("b", NOON)

    assert with_the_image == with_the_first.inputs == ()
    assert "cd/i.gif" in with_the_last.inputs


def test_an_image_that_was_not_deleted_outlives_its_jobs(each, add_image):
    image = add_image("i")
    each.add(new_job("a", image="i"), NOON)

    assert each.delete("a", NOON).inputs == ()
    assert each.find_image("i") == image
    assert each.delete_image("i") == ("cd/i.gif",)


def test_an_image_that_a_job_needs_more_than_once_is_handed_back_once(each, add_image):
    add_image("i")
    each.add(new_job("a", image="i", others=("i", "i")), NOON)
    each.delete_image("i")

    assert each.delete("a", NOON).inputs == ("cd/i.gif",)


def test_a_deleted_job_hands_back_all_that_only_it_needed(each, add, add_image):
    for name in "ijkl":
        add_image(name)
    each.add(new_job("a", others=("i", "j", "k")), NOON)
    add("b", others=("j",))
    for name in "ijl":
        each.delete_image(name)
    each.claim([ANY], minute(1))
    outputs = [output_of("a", 1, number) for number in range(3)]
    completed = each.complete("a", 1, outputs, RECEIPT, minute(2))

    removed = each.delete("a", NOON)

    assert removed.job == completed
    assert sorted(removed.inputs) == ["ab/a.jpg", "cd/i.gif"]
    assert removed.outputs == tuple(output.key for output in outputs)


def test_a_retried_job_still_has_its_images_though_they_were_deleted(each, add_image):
    add_image("i")
    add_image("j")
    each.add(new_job("a", image="i", others=("j",)), NOON)
    each.cancel("a", minute(1))
    handed_back = [*each.delete_image("i"), *each.delete_image("j")]

    each.retry("a", 3, minute(2))
    (job,) = each.claim([ANY], minute(3))

    assert handed_back == []
    assert (job.input_key, job.image_id, job.others) == ("cd/i.gif", "i", {"j": "cd/j.gif"})
    assert each.delete("a", NOON).inputs == ("cd/i.gif", "cd/j.gif")


def test_the_next_job_does_not_use_the_images_of_one_that_was_deleted(each, add, add_image):
    add_image("i")
    each.add(new_job("a", image="i"), NOON)
    each.delete("a", NOON)
    add("b")

    assert each.delete_image("i") == ("cd/i.gif",)


def test_a_failing_call_takes_back_what_it_did_to_images(catalogue, each, add_image):
    def change_then_fail(it):
        it.delete("a", NOON)
        it.delete_image("i")
        it.add_image(new_image("j"), NOON)
        it.find("nowhere")

    image = add_image("i")
    each.add(new_job("a", image="i"), NOON)

    (error,) = catalogue.batch([change_then_fail])

    assert isinstance(error, JobNotFound)
    assert each.find_image("i") == image
    assert each.delete_image("i") == ()
    with pytest.raises(ImageNotFound):
        each.find_image("j")


# --- Images that are elsewhere --------------------------------------------------------------------


@pytest.fixture
def begun(each):
    """A job with nothing but an address, in its first attempt."""
    each.add(new_job("a", image=Elsewhere(URL)), NOON)
    (job,) = each.claim([ANY], minute(1))
    return job


def test_a_job_may_be_accepted_with_nothing_but_an_address(each, begun):
    assert begun.image_url == URL
    assert (begun.input_key, begun.input_size, begun.input_sha256) == (None, None, None)
    assert (begun.image_id, begun.images) == (None, ())
    assert each.find("a") == begun


def test_the_address_of_a_job_is_in_no_representation_of_it(begun):
    assert "example" not in repr((begun, new_job("a", image=Elsewhere(URL))))


def test_what_was_fetched_for_a_job_is_its_input_from_then_on(each, begun):
    job = each.supply("a", 1, FETCHED, minute(2))

    assert job == each.find("a")
    assert job == replace(
        begun, input_key="ab/a-1.png", input_size=2**40, input_sha256="3c", updated_at=minute(2)
    )


def test_what_was_fetched_outlives_a_retry_and_goes_with_its_job(each, begun):
    each.supply("a", 1, FETCHED, minute(2))
    each.fail("a", 1, "code", "why", minute(3))
    each.retry("a", 3, minute(4))
    (again,) = each.claim([ANY], minute(5))

    assert (again.input_key, again.image_url) == ("ab/a-1.png", URL)
    assert each.delete("a", NOON).inputs == ("ab/a-1.png",)


def test_a_job_that_was_never_fetched_leaves_no_file(each, begun):
    assert each.delete("a", NOON).inputs == ()


@pytest.mark.parametrize(
    ("attempt", "before"),
    [
        (0, lambda _: None),
        (2, lambda _: None),
        (1, lambda it: it.cancel("a", minute(2))),
        (1, lambda it: it.release("a", 1, "", minute(2))),
        (1, lambda it: it.supply("a", 1, replace(FETCHED, key="ab/first.png"), minute(2))),
    ],
    ids=["older", "newer", "cancelled", "released", "twice"],
)
def test_what_was_fetched_for_another_attempt_is_refused(each, begun, attempt, before):
    before(each)
    job = each.find("a")

    with pytest.raises(StaleClaim):
        each.supply("a", attempt, FETCHED, minute(3))

    assert each.find("a") == job


def test_the_file_that_was_fetched_is_known_and_before_it_there_is_none(each):
    job_id = some_id(1)
    key = f"00/{job_id}-1-0a0b0c0d.png"
    each.add(new_job(job_id, image=Elsewhere(URL)), NOON)
    each.claim([ANY], minute(1))
    before = each.known({key})

    each.supply(job_id, 1, replace(FETCHED, key=key), minute(2))

    assert (before, each.known({key})) == (set(), {key})


# --- Keys -----------------------------------------------------------------------------------------


def test_the_keys_that_are_known_are_those_of_files_that_somebody_needs(each, add):
    jobs, images = [some_id(number) for number in range(3)], [some_id(number) for number in (8, 9)]
    each.add_image(new_image(images[0]), NOON)
    each.add_image(new_image(images[1]), NOON)
    add(jobs[0])
    add(jobs[1], image=images[0], others=(images[1],))
    each.claim([ANY], minute(4))
    outputs = [output_of(jobs[0], 1, number) for number in range(2)]
    each.complete(jobs[0], 1, outputs, RECEIPT, minute(5))
    each.delete_image(images[0])
    needed = {
        *(f"ab/{jobs[0]}.jpg", f"cd/{images[0]}.gif", f"cd/{images[1]}.gif"),
        *(output.key for output in outputs),
    }
    others = {
        # The like of these is there, but not they.
        *(f"ab/{jobs[0]}.png", f"ab/{jobs[1]}.jpg", f"cd/{images[0]}.png"),
        *(output_of(jobs[0], 1, 2).key, output_of(jobs[1], 1, 0).key),
        *(f"ab/{jobs[2]}.jpg", "ab/readme.txt", ""),
    }

    assert each.known(needed | others) == needed
    assert each.known(others) == each.known(set()) == set()
    assert each.known([outputs[1].key]) == {outputs[1].key}


def test_a_thousand_keys_can_be_asked_for(catalogue, each):
    names = [some_id(number) for number in range(1_000)]
    catalogue.batch([lambda it, name=name: it.add(new_job(name), NOON) for name in names])
    keys = {f"ab/{name}.jpg" for name in names}

    assert each.known(keys) == keys


# --- Blobs ----------------------------------------------------------------------------------------


@pytest.fixture(params=BLOBS)
def blobs(request, tmp_path):
    return BLOBS[request.param](tmp_path)


def test_bytes_come_back_as_they_went_in_with_their_digest(blobs):
    data = bytes(range(256)) * 1_000

    digest = blobs.put("3f/a.jpg", data)

    assert blobs.get("3f/a.jpg") == data
    assert digest == hashlib.sha256(data).hexdigest()


def test_bytes_can_be_had_as_an_open_file_that_outlives_the_key(blobs):
    blobs.put("3f/a.jpg", b"picture")

    with blobs.open("3f/a.jpg") as file:
        blobs.delete("3f/a.jpg")
        data = os.pread(file.fileno(), 100, 0)

    assert data == b"picture"
    with pytest.raises(BlobNotFound):
        blobs.open("3f/a.jpg")


def test_nothing_at_all_can_be_kept(blobs):
    blobs.put("3f/a", b"")

    assert blobs.get("3f/a") == b""


def test_the_same_name_under_other_digits_is_another_key(blobs):
    blobs.put("00/a", b"one")
    blobs.put("ff/a", b"two")

    assert (blobs.get("00/a"), blobs.get("ff/a")) == (b"one", b"two")


def test_what_is_kept_twice_is_what_was_kept_last(blobs):
    blobs.put("3f/a", b"a long first version")
    blobs.put("3f/a", b"second")

    assert blobs.get("3f/a") == b"second"


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (0, None, b"0123456789"),
        (4, None, b"456789"),
        (0, 3, b"012"),
        (4, 3, b"456"),
        (8, 5, b"89"),
        (10, 5, b""),
        (11, 5, b""),
        (11, None, b""),
        (3, 0, b""),
    ],
)
def test_a_part_can_be_read_and_is_shorter_at_the_end(blobs, offset, length, expected):
    blobs.put("3f/a", b"0123456789")

    assert blobs.get("3f/a", offset, length) == expected


def test_size_and_digest_are_those_of_the_bytes(blobs):
    data = bytes(range(256)) * 2_000
    blobs.put("3f/a.jpg", data)

    assert blobs.size("3f/a.jpg") == len(data)
    assert blobs.sha256("3f/a.jpg") == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("look", ["size", "sha256"])
def test_what_is_not_there_has_neither(blobs, look):
    with pytest.raises(BlobNotFound):
        getattr(blobs, look)("3f/a.jpg")


def test_a_copy_is_the_same_and_needs_the_original_no_more(blobs):
    blobs.put("3f/a.jpg", b"data")

    size = blobs.copy("3f/a.jpg", "00/b.jpg")
    blobs.put("3f/a.jpg", b"another")
    copied = blobs.get("00/b.jpg")
    blobs.delete("3f/a.jpg")

    assert (size, copied, blobs.get("00/b.jpg")) == (4, b"data", b"data")
    blobs.delete("00/b.jpg")
    assert not any(list(blobs.shards()))


def test_what_is_not_there_cannot_be_copied(blobs):
    with pytest.raises(BlobNotFound, match="3f/nowhere"):
        blobs.copy("3f/nowhere", "00/b")

    assert not any(list(blobs.shards()))


def test_an_unknown_key_is_named(blobs):
    with pytest.raises(BlobNotFound, match="3f/nowhere"):
        blobs.get("3f/nowhere")


def test_what_is_deleted_is_unknown_and_deleting_again_does_nothing(blobs):
    blobs.put("3f/a", b"data")
    blobs.put("3f/b", b"other")

    blobs.delete("3f/a")
    blobs.delete("3f/a")
    blobs.delete("3f/nowhere")

    with pytest.raises(BlobNotFound):
        blobs.get("3f/a")
    assert blobs.get("3f/b") == b"other"


def test_a_key_can_be_located_whether_it_is_there_or_not(blobs):
    assert blobs.locate("3f/a.jpg").endswith("3f/a.jpg")


def test_shards_tell_every_key_and_no_shard_comes_twice(blobs):
    keys = {"00/a", "3f/b", "3f/c", "ff/d"}
    for key in keys | {"3f/gone"}:
        blobs.put(key, b"data")
    blobs.delete("3f/gone")

    shards = list(blobs.shards())

    assert {key for shard in shards for key in shard} == keys
    fanned = [{key[:2] for key in shard} for shard in shards if shard]
    assert sorted(fanned, key=min) == [{"00"}, {"3f"}, {"ff"}]


def test_several_threads_may_put_and_get_at_once(blobs):
    start = threading.Barrier(8)

    def work(number: int) -> bool:
        start.wait()
        own = bytes([number]) * 10_000
        for turn in range(10):
            blobs.put(f"{number:02x}/{turn}", own)
            blobs.put("ee/shared", own)
        return all(blobs.get(f"{number:02x}/{turn}") == own for turn in range(10))

    with ThreadPoolExecutor(8) as threads:
        fine = list(threads.map(work, range(8)))

    assert all(fine)
    shared = blobs.get("ee/shared")
    assert shared == shared[:1] * 10_000


# --- The verified fake ----------------------------------------------------------------------------

JOBS = st.integers(0, 6)
IMAGES = st.integers(0, 4)
ATTEMPTS = st.integers(0, 3)
ADD = st.tuples(
    st.just("add"),
    st.sampled_from(PRIORITIES),
    st.sampled_from(("resize", "crop")),
    st.integers(1, 2),
    st.none() | IMAGES | st.just("elsewhere"),
    st.lists(IMAGES, max_size=2),
    st.sampled_from((None, "card")),
    st.sampled_from(("", "acme")),
    st.none() | st.integers(-1, 9),
)
ADD_IMAGE = st.tuples(st.just("add_image"))
DELETE = st.tuples(st.just("delete"), JOBS)
DELETE_IMAGE = st.tuples(st.just("delete_image"), IMAGES)
CALLS = st.one_of(
    ADD,
    st.tuples(
        st.just("claim"),
        st.lists(st.permutations(PRIORITIES), min_size=1, max_size=3),
        st.none() | st.integers(0, 2),
    ),
    st.tuples(st.just("wake"), st.integers(1, 3)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("dead"), st.sampled_from((None, "code", "crashed")), st.none() | st.just(5)),
    st.tuples(st.sampled_from(("find", "cancel")), JOBS),
    st.tuples(st.just("retry"), JOBS, st.integers(1, 2)),
    st.tuples(st.sampled_from(("unclaim", "fail")), JOBS, ATTEMPTS),
    st.tuples(st.just("complete"), JOBS, ATTEMPTS, st.integers(1, 3)),
    st.tuples(st.just("supply"), JOBS, ATTEMPTS),
    st.tuples(st.just("release"), JOBS, ATTEMPTS, st.booleans(), st.none() | st.integers(0, 3)),
    st.tuples(st.just("postpone"), JOBS, ATTEMPTS, st.integers(0, 3), st.booleans()),
    DELETE,
    ADD_IMAGE,
    st.tuples(st.just("find_image"), IMAGES),
    DELETE_IMAGE,
)
# Among all calls these would seldom meet.
CALLS_ABOUT_FILES = st.one_of(ADD, DELETE, ADD_IMAGE, DELETE_IMAGE)
QUERIES: st.SearchStrategy[dict[str, object]] = st.builds(
    dict,
    limit=st.integers(1, 4),
    status=st.sampled_from((None, *STATUSES)),
    operation=st.sampled_from((None, "resize", "crop")),
    preset=st.sampled_from((None, "card")),
    created_after=st.none() | st.integers(-5, 60).map(minute),
)


def latest(ids: list[str], number: int) -> str:
    """One of the latest of these, or one that never was."""
    candidates = [*ids[-6:], "nowhere"]
    return candidates[number % len(candidates)]


def files_of(result: object) -> set[str]:
    """The keys of the files that what a call returned is about."""
    match result:
        case Job():
            outputs = (output.key for output in result.outputs)
            own = () if result.input_key is None else (result.input_key,)
            return {*own, *result.others.values(), *outputs}
        case ImageRecord():
            return {result.key}
    return set()


def handed_back_by(result: object) -> tuple[str, ...]:
    """The keys of the files that a deletion says are not needed any more."""
    match result:
        case Removed():
            return result.inputs + result.outputs
        case tuple():
            return result
    return ()


class SameOnBoth(RuleBasedStateMachine):
    """Does the same to SQLite and to memory, and compares all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.sqlite = SqliteCatalogue(self.directory / "calotype.db")
        self.memory = MemoryCatalogue()
        self.jobs: list[str] = []
        self.images: list[str] = []
        self.keys: set[str] = set()
        self.needed: set[str] = set()
        self.told: dict[str, str] = {}
        self.heard = 0
        self.numbers = itertools.count()
        self.now = NOON

    def teardown(self) -> None:
        self.sqlite.close()
        shutil.rmtree(self.directory)

    def both(self, calls):
        return self.sqlite.batch(calls), self.memory.batch(calls)

    @rule(
        calls=st.lists(CALLS, min_size=1, max_size=4)
        | st.lists(CALLS_ABOUT_FILES, min_size=1, max_size=8),
        minutes=st.integers(-1, 3),
    )
    def change(self, calls, minutes):
        self.now += timedelta(minutes=minutes)

        on_sqlite, in_memory = self.both([self.prepare(*call) for call in calls])

        for one, other in zip(on_sqlite, in_memory, strict=True):
            assert type(one) is type(other)
            assert str(one) == str(other) if isinstance(one, StorageError) else one == other
        self.account_for(on_sqlite)

    def account_for(self, results):
        """Every file that is not needed any more was handed back once, and no other was."""
        came = {key for result in results for key in files_of(result)}
        handed_back = [key for result in results for key in handed_back_by(result)]
        before, self.needed = self.needed, self.look_for_needs()
        self.keys |= came

        assert sorted(handed_back) == sorted((before | came) - self.needed)

    def look_for_needs(self) -> set[str]:
        """The keys of all files that a client could still ask for, or a Worker."""
        each = Each(self.sqlite)
        needed = {key for job in all_jobs(each) for key in files_of(job)}
        for image in self.images:
            with suppress(ImageNotFound):
                needed.add(each.find_image(image).key)
        return needed

    def prepare(self, name, *chosen):  # noqa: C901, PLR0912, PLR0915 (a case for each call)
        now = self.now
        arguments: tuple[object, ...]
        named: dict[str, object] = {}
        match name, chosen:
            case "add", (priority, operation, attempts, image, others, preset, tenant, minutes):
                if image == "elsewhere":
                    image = Elsewhere(URL)
                elif image is not None:
                    image = latest(self.images, image)
                others = tuple(latest(self.images, other) for other in others)
                job = self.new_id(self.jobs)
                if image is not None or others:
                    tenant = ""  # Whose images they are.
                run_at = self.later(minutes)
                arguments = (
                    new_job(
                        *(job, priority, operation, attempts, image),
                        *(others, preset, tenant, run_at),
                    ),
                    now,
                )
            case "claim", (turns, fetching):
                arguments = turns, now
                named = {"fetching": fetching}
            case "wake", (limit,):
                arguments = now, limit
            case "pause", (paused,):
                arguments = ()
                named = {"paused": paused}
            case "dead", (code, minutes):
                before = self.later(minutes)
                arguments = (Dead(limit=3, code=code, failed_before=before),)
            case "find", (job,):
                arguments = (latest(self.jobs, job),)
            case "cancel" | "delete", (job,):
                arguments = latest(self.jobs, job), now
            case "retry" | "unclaim", (job, number):
                arguments = latest(self.jobs, job), number, now
            case "release", (job, attempt, spare, minutes):
                arguments = latest(self.jobs, job), attempt, "why", now
                named = {"spare": spare, "run_at": self.later(minutes)}
            case "postpone", (job, attempt, minutes, spare):
                arguments = latest(self.jobs, job), attempt, "gone", "away", now
                named = {"run_at": self.later(minutes), "spare": spare}
            case "complete", (job, attempt, count):
                job_id = latest(self.jobs, job)
                outputs = [output_of(job_id, attempt, next(self.numbers)) for _ in range(count)]
                arguments = job_id, attempt, outputs, RECEIPT, now
            case "supply", (job, attempt):
                job_id = latest(self.jobs, job)
                key = f"ab/{job_id}-{attempt}-{next(self.numbers):08x}.png"
                arguments = job_id, attempt, replace(FETCHED, key=key), now
            case "fail", (job, attempt):
                arguments = latest(self.jobs, job), attempt, "code", "why", now
            case "add_image", ():
                arguments = new_image(self.new_id(self.images)), now
            case "find_image" | "delete_image", (image,):
                arguments = (latest(self.images, image),)
            case _:
                raise AssertionError(name)
        return lambda it: getattr(it, name)(*arguments, **named)

    def later(self, minutes):
        return None if minutes is None else self.now + timedelta(minutes=minutes)

    def new_id(self, ids: list[str]) -> str:
        ids.append(some_id(next(self.numbers)))
        return ids[-1]

    @rule(kept=st.integers(0, 20), minutes=st.integers(0, 20), step=st.integers(1, 9))
    def trim_events(self, kept, minutes, step):
        since = self.now - timedelta(minutes=minutes)
        on_sqlite, in_memory = self.both([lambda it: it.events.trim(kept, since, step)])
        assert on_sqlite == in_memory

    @invariant()
    def events_tell_of_every_change(self):
        """Whoever has listened from the beginning knows the status of every job."""
        looks = [
            lambda it: it.events.bounds(),
            lambda it: it.events.read(0, 2**62, None, 1_000),
            lambda it: it.events.read(self.heard, 2**62, None, 1_000),
        ]
        on_sqlite, in_memory = self.both(looks)
        assert on_sqlite == in_memory
        for event in on_sqlite[2]:
            assert event.number == self.heard + 1
            self.heard = event.number
            self.told[event.job_id] = event.status
        each = Each(self.sqlite)
        pages = [each.page(Query(limit=1_000, tenant=tenant)) for tenant in ("", "acme")]
        jobs = [job for page in pages for job in page.jobs]
        present = {job_id: how for job_id, how in self.told.items() if how != "deleted"}
        assert present == {job.id: job.status for job in jobs}

    @rule(query=QUERIES)
    def walk_pages(self, query):
        assert walk(Each(self.sqlite), **query) == walk(Each(self.memory), **query)

    @invariant()
    def all_that_can_be_seen_is_the_same(self):
        looks = [
            lambda it: it.page(Query(limit=1_000)).jobs,
            lambda it: it.page(Query(limit=1_000, tenant="acme")).jobs,
            lambda it: it.processing(),
            lambda it: it.pending(),
            lambda it: dict(it.tally().counts),
            lambda it: replace(it.tally(), counts={}),
            lambda it: it.known(self.keys),
        ]
        on_sqlite, in_memory = self.both(looks)
        assert on_sqlite == in_memory
        assert on_sqlite[4] == recount(Each(self.sqlite))
        assert on_sqlite[6] == self.needed


TestSameOnBoth = SameOnBoth.TestCase
TestSameOnBoth.settings = settings(
    max_examples=50, stateful_step_count=25, deadline=None, derandomize=True
)
