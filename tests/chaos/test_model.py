"""The model finds what is wrong: histories that are made up, each with one fault in it."""

from dataclasses import replace

import pytest

from tests.chaos.history import (
    BatchSubmission,
    Death,
    Event,
    Fault,
    History,
    Hook,
    Order,
    Picture,
    Remains,
    Request,
    Sight,
    Submission,
)
from tests.chaos.model import check

JOB, OTHER = "job-1", "job-2"
NOON = 1_772_366_400.0


def an_event(number, status, attempt, reason=None, **more):
    return Event(number, status, more.pop("job_id", JOB), attempt, reason, None, NOON + number)


def a_record(**changes):
    record = {
        "id": JOB,
        "status": "completed",
        "attempts": 1,
        "max_attempts": 3,
        "callback_url": "http://127.0.0.1:9/hook/1-1",
        "outputs": [{"name": "output", "sha256": "aa"}],
    }
    return record | changes


COURSE = [
    an_event(1, "pending", 0, "submitted"),
    an_event(2, "processing", 1),
    an_event(3, "completed", 1),
]
HOOK = Hook(NOON + 4, "msg_1", JOB, "job.completed", "completed", is_genuine=True, taken=True)


def tell(history, *events):
    """Let these be the events, as they were heard and as they are told at the end."""
    history.heard = list(events)
    history.remains.replay = list(events)


@pytest.fixture
def history():
    """One job that went as it should."""
    history = History(
        submissions={
            "1-1": Submission("1-1", "picture", {"output": (9, 9)}, "key", True, job_ids=[JOB])
        },
        requests=[Request(NOON, NOON + 1, "POST", "/jobs", 202)],
        sights=[Sight(NOON + 1, JOB, "pending", 0), Sight(NOON + 4, JOB, "completed", 1)],
        hooks=[HOOK],
        remains=Remains(jobs={JOB: a_record()}, results={JOB: {"output": Picture("aa", (9, 9))}}),
    )
    tell(history, *COURSE)
    return history


@pytest.fixture
def broken(history):
    """Return the rules that the history breaks."""
    return lambda: {violation.rule for violation in check(history)}


def fail(history, code):
    """Let the job have failed with this code in its only attempt."""
    history.remains.jobs[JOB] = a_record(status="failed", error_code=code, error="…")
    del history.remains.jobs[JOB]["outputs"]
    history.remains.results = {}
    tell(history, *COURSE[:2], an_event(3, "failed", 1))
    history.sights = []
    history.hooks = [replace(HOOK, type="job.failed", status="failed")]


def test_what_went_as_it_should_breaks_nothing(broken):
    assert not broken()


def test_a_job_that_was_accepted_and_is_not_there_is_lost(history, broken):
    history.remains.jobs.clear()

    assert broken() == {"lost"}


def test_a_job_that_a_client_wanted_deleted_is_not_lost(history, broken):
    history.remains.jobs.clear()
    history.orders.append(Order(NOON + 4, "delete", JOB, done=True))
    tell(history, *COURSE, an_event(4, "deleted", 1))

    assert not broken()


def test_a_job_without_an_event_is_lost(history, broken):
    tell(history)
    history.sights, history.hooks = [], []

    assert "lost" in broken()


def test_a_deleted_job_does_not_come_back(history, broken):
    history.orders.append(Order(NOON + 4, "delete", JOB, done=True))

    assert broken() == {"undeleted"}


def test_a_job_that_nobody_asked_for_is_made_up(history, broken):
    history.submissions.clear()

    assert broken() == {"made up"}


def test_an_id_is_of_one_job(history, broken):
    history.submissions["1-2"] = replace(history.submissions["1-1"], mark="1-2")

    assert "id" in broken()


def test_under_a_key_there_is_one_job(history, broken):
    history.remains.jobs[OTHER] = a_record(id=OTHER)
    history.remains.results[OTHER] = history.remains.results[JOB]
    tell(
        history, *COURSE, *(replace(each, number=each.number + 3, job_id=OTHER) for each in COURSE)
    )
    history.hooks.append(replace(HOOK, id="msg_2", subject=OTHER))

    assert broken() == {"twice"}

    history.submissions["1-1"].key = None
    history.submissions["1-1"].unknown = 1

    assert not broken()


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_job_that_does_not_end_hangs(history, broken, status):
    history.remains.jobs[JOB] = a_record(status=status, attempts=1)

    assert "hung" in broken()


def test_a_service_that_does_not_come_to_rest_hangs(history, broken):
    history.remains.has_rested = False

    assert broken() == {"hung"}


@pytest.mark.parametrize(
    "event",
    [
        an_event(4, "completed", 1),
        an_event(4, "failed", 1),
        an_event(4, "processing", 2),
        an_event(4, "pending", 1, "given_back"),
        an_event(4, "pending", 1, "retried"),
        an_event(4, "cancelled", 1),
        an_event(4, "deleted", 1),
    ],
    ids=lambda event: f"{event.status} {event.reason or ''}",
)
def test_nothing_follows_the_end_that_nobody_asked_for(history, broken, event):
    tell(history, *COURSE, event)

    assert "course" in broken()


def test_the_number_of_attempts_does_not_fall(history, broken):
    given_back = an_event(3, "pending", 1, "given_back")
    tell(
        history, *COURSE[:2], given_back, an_event(4, "processing", 1), an_event(5, "completed", 1)
    )

    assert broken() == {"course"}


def test_the_record_is_what_the_last_event_says(history, broken):
    history.remains.jobs[JOB]["attempts"] = 2

    assert broken() == {"course"}


@pytest.mark.parametrize(
    "sight",
    [Sight(NOON + 5, JOB, "processing", 1), Sight(NOON + 5, JOB, "pending", 0)],
    ids=lambda sight: sight.status,
)
def test_what_clients_see_does_not_go_back(history, broken, sight):
    history.sights.append(sight)

    assert broken() == {"backwards"}


def test_what_clients_see_has_happened(history, broken):
    history.sights.insert(1, Sight(NOON + 2, JOB, "processing", 2))

    assert broken() == {"backwards"}


@pytest.mark.parametrize("code", ["not_an_image", "crashed", "out_of_space", "timed_out"])
def test_a_failure_that_nothing_explains_is_found(history, broken, code):
    fail(history, code)

    assert broken() == {"failure"}


def test_a_full_disk_explains_that_there_was_no_space(history, broken):
    fail(history, "out_of_space")
    history.faults.append(Fault(NOON + 1, NOON + 4, "fill disk"))

    assert not broken()


def test_a_crash_is_explained_by_as_many_faults_as_there_were_attempts(history, broken):
    fail(history, "crashed")
    history.remains.jobs[JOB]["attempts"] = 3
    history.faults = [Fault(NOON + at, NOON + at, "kill") for at in (3, 5)]
    attempts = [
        *COURSE[:2],
        an_event(3, "pending", 1, "given_back"),
        an_event(4, "processing", 2),
        an_event(5, "pending", 2, "given_back"),
        an_event(6, "processing", 3),
        an_event(7, "failed", 3),
    ]
    tell(history, *attempts)

    assert broken() == {"failure"}

    history.faults.append(Fault(NOON + 7, NOON + 7, "kill"))

    assert not broken()


def test_what_is_no_picture_is_not_completed(history, broken):
    history.submissions["1-1"].kind = "garbage"

    assert broken() == {"failure"}


@pytest.mark.parametrize(
    "picture",
    [Picture("bb", (9, 9)), Picture("aa", (9, 8)), Picture("aa", None)],
    ids=["another", "another size", "no picture"],
)
def test_a_result_is_what_was_asked_for_and_what_the_record_says(history, broken, picture):
    history.remains.results[JOB]["output"] = picture

    assert broken() == {"result"}


def test_a_result_that_cannot_be_downloaded_is_found(history, broken):
    history.remains.results.clear()

    assert broken() == {"result"}


def test_an_event_that_was_not_heard_is_found(history, broken):
    del history.heard[1]

    assert broken() == {"events"}


@pytest.mark.parametrize(
    "order", [(0, 1, 1, 2), (1, 0, 2), (0, 1, 2, 1)], ids=["twice", "turned round", "again"]
)
def test_events_are_heard_once_and_in_their_order(history, broken, order):
    history.heard = [COURSE[number] for number in order]

    assert broken() == {"events"}


def test_an_event_that_was_heard_stays_as_it_was(history, broken):
    history.heard.append(an_event(4, "deleted", 1))

    assert broken() == {"events"}


def test_an_end_that_nobody_was_told_of_is_found(history, broken):
    history.hooks.clear()

    assert broken() == {"webhook"}


def test_a_webhook_that_was_only_refused_is_not_delivered(history, broken):
    history.hooks = [replace(HOOK, taken=False)]

    assert broken() == {"webhook"}


@pytest.mark.parametrize(
    "hook",
    [
        replace(HOOK, is_genuine=False),
        replace(HOOK, type="job.failed"),
        replace(HOOK, id="msg_2"),
        replace(HOOK, id="msg_2", type="job.cancelled"),
        replace(HOOK, id="msg_2", subject="job-3"),
    ],
    ids=["forged", "another word", "a second end", "another end", "another job"],
)
def test_a_webhook_that_is_not_true_is_found(history, broken, hook):
    history.hooks.append(hook)

    assert broken() == {"webhook"}


def test_a_webhook_may_come_again(history, broken):
    history.hooks = [replace(HOOK, taken=False), HOOK, HOOK]

    assert not broken()


def test_a_job_that_ends_twice_is_told_of_twice(history, broken):
    history.orders = [Order(NOON, "cancel", JOB, done=True), Order(NOON, "retry", JOB, done=True)]
    tell(
        history,
        COURSE[0],
        an_event(2, "cancelled", 0),
        an_event(3, "pending", 0, "retried"),
        an_event(4, "processing", 1),
        an_event(5, "completed", 1),
    )

    assert broken() == {"webhook"}

    history.hooks.append(replace(HOOK, id="msg_2", type="job.cancelled"))

    assert not broken()


def test_a_webhook_that_waits_in_the_end_is_found(history, broken):
    history.remains.unheard = 1

    assert broken() == {"webhook"}


@pytest.mark.parametrize(
    ("batch", "rule"),
    [
        (None, "lost"),
        ({"status": "running", "counts": {"completed": 1}}, "batch"),
        ({"status": "ended", "counts": {"completed": 2}}, "batch"),
    ],
    ids=["lost", "running", "miscounted"],
)
def test_a_batch_that_is_not_as_its_jobs_is_found(history, broken, batch, rule):
    history.batches["1-9"] = BatchSubmission("1-9", "key", False, ("1-1",), ["batch-1"])
    history.remains.jobs[JOB]["batch_id"] = "batch-1"
    history.remains.batches["batch-1"] = batch

    assert broken() == {rule}


def test_a_batch_whose_end_nobody_was_told_of_is_found(history, broken):
    history.batches["1-9"] = BatchSubmission("1-9", "key", True, ("1-1",), ["batch-1"])
    history.remains.jobs[JOB]["batch_id"] = "batch-1"
    history.remains.batches["batch-1"] = {"status": "ended", "counts": {"completed": 1}}

    assert broken() == {"webhook"}


@pytest.mark.parametrize("status", [400, 404, 422, 500])
def test_an_answer_that_nothing_explains_is_found(history, broken, status):
    history.requests.append(Request(NOON, NOON + 1, "POST", "/jobs", status))

    assert broken() == {"answer"}


def test_a_crash_explains_an_internal_error(history, broken):
    history.requests.append(Request(NOON, NOON + 1, "POST", "/jobs", 500))
    history.faults.append(Fault(NOON, NOON, "crash", "store"))

    assert not broken()


@pytest.mark.parametrize(
    "death",
    [
        Death(NOON, NOON + 1, 1, "", was_ready=True),
        Death(NOON, NOON + 1, 1, "terminate", was_ready=True),
    ],
    ids=["by itself", "not well"],
)
def test_a_death_that_nobody_wanted_is_found(history, broken, death):
    history.deaths.append(death)

    assert broken() == {"death"}


def test_a_kill_is_a_death_that_was_wanted(history, broken):
    history.deaths.append(Death(NOON, NOON + 1, -9, "kill", was_ready=True))

    assert not broken()


def test_a_full_disk_explains_that_it_did_not_start(history, broken):
    history.faults.append(Fault(NOON, NOON + 1, "fill disk"))
    history.deaths.append(Death(NOON, NOON + 5, 1, "", was_ready=False))

    assert not broken()

    history.deaths.append(Death(NOON, NOON + 5, 1, "", was_ready=True))

    assert broken() == {"death"}


@pytest.mark.parametrize(
    "remains",
    [
        {"orphans": ["uploads/ab/x"]},
        {"missing": ["outputs/ab/x"]},
        {"strays": [4711]},
        {"integrity": "row 7 missing from index"},
    ],
    ids=lambda remains: next(iter(remains)),
)
def test_what_is_left_behind_is_found(history, broken, remains):
    history.remains = replace(history.remains, **remains)

    assert broken() == {"left behind"}
