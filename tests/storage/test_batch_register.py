"""What every register of batches must do, whatever its catalogue is made of."""

import itertools
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.handlers.batches import announce_ended
from actors.storage.batches import BatchNotFound, Deleted, NewBatch
from actors.storage.ports import ENDED, STATUSES, BlobNotFound, JobNotFound, Query, StorageError
from actors.storage.retention import Rules
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import ANY, CATALOGUES, OUTPUT, Each, minute, names, new_job


class Batched(Each):
    """A catalogue with batches in it."""

    def submit(self, batch_id, jobs, tenant="", now=NOON, **wanted):
        def submit(it):
            it.batches.add(NewBatch(id=batch_id, tenant=tenant, **wanted), now)
            it.add_all([replace(new_job(n, tenant=tenant), batch_id=batch_id) for n in jobs], now)

        self.do(submit)

    def find(self, batch_id, tenant=""):
        return self.do(lambda it: it.batches.find(batch_id, tenant))

    def counts(self, batch_id) -> dict[str, int]:
        return {status: n for status, n in self.find(batch_id).counts.items() if n}

    def ended(self) -> list[str]:
        return [batch.id for batch in self.do(lambda it: it.batches.ended())]

    def claim(self):
        return self.do(lambda it: it.claim([ANY], NOON))

    def complete(self, job):
        self.do(lambda it: it.complete(job.id, job.attempts, [OUTPUT], "{}", NOON))

    def fail(self, job):
        self.do(lambda it: it.fail(job.id, job.attempts, "crashed", "It was.", NOON))

    def run(self, jobs):
        for _ in range(jobs):
            (job,) = self.claim()
            self.complete(job)


@pytest.fixture
def batched(catalogue):
    return Batched(catalogue)


# --- What it is -----------------------------------------------------------------------------------


def test_a_batch_knows_whose_it_is_and_when_it_came_and_its_jobs_know_it(batched):
    batched.submit("b", ["x", "y"], tenant="press", now=minute(3))

    batch = batched.find("b", "press")

    assert (batch.id, batch.tenant, batch.created_at) == ("b", "press", minute(3))
    assert (batch.size, batch.has_ended) == (2, False)
    assert batched.do(lambda it: it.find("y")).batch_id == "b"


@pytest.mark.parametrize("tenant", ["", "other"])
@pytest.mark.parametrize(
    "call",
    [
        lambda it, tenant: it.batches.find("b", tenant),
        lambda it, tenant: it.batches.cancel("b", tenant, NOON, 10),
        lambda it, tenant: it.batches.delete("b", tenant),
    ],
    ids=["find", "cancel", "delete"],
)
def test_the_batch_of_another_is_not_there(batched, tenant, call):
    batched.submit("b", ["x"], tenant="press")

    with pytest.raises(BatchNotFound, match=r"^b$"):
        batched.do(lambda it: call(it, tenant))

    assert batched.find("b", "press").size == 1


def test_jobs_that_came_alone_are_of_no_batch(batched):
    batched.do(lambda it: it.add(new_job("x"), NOON))

    assert batched.do(lambda it: it.find("x")).batch_id is None
    with pytest.raises(BatchNotFound):
        batched.find("x")


def test_a_batch_is_not_made_if_one_of_its_jobs_is_not(batched):
    def submit(it):
        it.batches.add(NewBatch(id="b"), NOON)
        jobs = [new_job("x"), new_job("y", image="nothing")]
        it.add_all([replace(job, batch_id="b") for job in jobs], NOON)

    with pytest.raises(StorageError):
        batched.do(submit)

    with pytest.raises(BatchNotFound):
        batched.find("b")
    with pytest.raises(JobNotFound):
        batched.do(lambda it: it.find("x"))


def test_the_jobs_of_a_batch_can_be_listed_in_pages(batched):
    batched.submit("b", ["x1", "x2", "x3"])
    batched.submit("c", ["y1"])
    batched.do(lambda it: it.cancel("x2", NOON))

    first = batched.do(lambda it: it.page(Query(limit=2, batch_id="b")))
    rest = batched.do(lambda it: it.page(Query(limit=2, batch_id="b", cursor=first.next)))
    cancelled = batched.do(lambda it: it.page(Query(limit=9, batch_id="b", status="cancelled")))
    others = batched.do(lambda it: it.page(Query(limit=9, batch_id="b", tenant="other")))

    assert names(first.jobs) == ["x3", "x2"]
    assert names(rest.jobs) == ["x1"]
    assert names(cancelled.jobs) == ["x2"]
    assert others.jobs == ()


# --- The counts, and the end ----------------------------------------------------------------------


def test_the_counts_follow_the_jobs(batched):
    batched.submit("b", ["x1", "x2", "x3", "x4"])
    assert batched.counts("b") == {"pending": 4}

    (first,) = batched.claim()
    (second,) = batched.claim()
    assert batched.counts("b") == {"pending": 2, "processing": 2}

    batched.complete(first)
    batched.fail(second)
    batched.do(lambda it: it.cancel("x3", NOON))
    assert batched.counts("b") == {"pending": 1, "completed": 1, "failed": 1, "cancelled": 1}

    batched.do(lambda it: it.retry("x3", 3, NOON))
    batched.do(lambda it: it.delete(first.id, NOON))
    assert batched.counts("b") == {"pending": 2, "failed": 1}


def test_a_batch_ends_with_the_last_of_its_jobs_and_that_is_told_once(batched):
    batched.submit("b", ["x1", "x2"])
    assert batched.ended() == []

    batched.run(1)
    assert batched.ended() == []
    batched.run(1)

    assert batched.find("b").has_ended
    assert batched.ended() == ["b"]
    assert batched.ended() == []


@pytest.mark.parametrize(
    "end",
    [
        lambda it, job: it.complete(job.id, job.attempts, [OUTPUT], "{}", NOON),
        lambda it, job: it.fail(job.id, job.attempts, "crashed", "It was.", NOON),
        lambda it, job: it.cancel(job.id, NOON),
        lambda it, job: it.delete(job.id, NOON),
    ],
    ids=["complete", "fail", "cancel", "delete"],
)
def test_whatever_ends_the_last_job_ends_the_batch(batched, end):
    batched.submit("b", ["x1", "x2"])
    batched.run(1)
    (job,) = batched.claim()

    batched.do(lambda it: end(it, job))

    assert batched.find("b").has_ended
    assert batched.ended() == ["b"]


def test_a_job_that_is_given_back_for_the_last_time_ends_the_batch(batched):
    batched.submit("b", ["x"])
    for _ in range(3):
        (job,) = batched.claim()
        batched.do(lambda it, job=job: it.release(job.id, job.attempts, "It was.", NOON))

    assert batched.counts("b") == {"failed": 1}
    assert batched.ended() == ["b"]


def test_a_retry_makes_the_batch_run_again_and_then_it_ends_again(batched):
    batched.submit("b", ["x1", "x2"])
    batched.do(lambda it: it.cancel("x1", NOON))
    batched.run(1)
    assert batched.ended() == ["b"]

    batched.do(lambda it: it.retry("x1", 3, NOON))
    assert not batched.find("b").has_ended
    assert batched.ended() == []
    batched.run(1)

    assert batched.ended() == ["b"]


def test_an_end_that_a_retry_has_undone_before_it_was_told_is_none(batched):
    batched.submit("b", ["x"])
    batched.do(lambda it: it.cancel("x", NOON))
    batched.do(lambda it: it.retry("x", 3, NOON))

    assert batched.ended() == []


def test_deleting_a_job_that_has_ended_is_no_end(batched):
    batched.submit("b", ["x1", "x2", "x3"])
    batched.run(2)
    batched.do(lambda it: it.delete("x1", NOON))
    assert batched.ended() == []

    batched.run(1)
    assert batched.ended() == ["b"]
    batched.do(lambda it: it.delete("x2", NOON))

    assert batched.ended() == []
    assert batched.counts("b") == {"completed": 1}


def test_a_batch_is_gone_with_its_last_job_and_if_that_was_its_end_it_is_told(batched):
    batched.submit("b", ["x"], callback_url="https://example.com/hook")
    batched.do(lambda it: it.delete("x", NOON))

    for call in (lambda it: it.batches.find("b", ""), lambda it: it.batches.delete("b", "")):
        with pytest.raises(BatchNotFound):
            batched.do(call)
    (ended,) = batched.do(lambda it: announce_ended(it, NOON))
    (told,) = batched.do(lambda it: it.outbox.of("b", 10))

    assert (ended.id, ended.size, ended.has_ended) == ("b", 0, True)
    assert msgspec.json.decode(told.payload)["data"]["jobs"] == 0
    assert batched.ended() == []


def test_a_batch_that_has_ended_before_is_gone_with_its_last_job_in_silence(batched):
    batched.submit("b", ["x"])
    batched.run(1)
    assert batched.ended() == ["b"]

    batched.do(lambda it: it.delete("x", NOON))

    with pytest.raises(BatchNotFound):
        batched.find("b")
    assert batched.ended() == []


def test_retention_takes_a_batch_with_the_records_of_its_jobs(batched):
    batched.submit("b", ["x1", "x2"])
    batched.run(2)
    later = minute(60)
    batched.do(lambda it: it.retention.expire(Rules(results=minute(1) - NOON), later, 10))
    assert batched.counts("b") == {"completed": 2}

    batched.do(lambda it: it.retention.purge(later, 10))
    batched.do(lambda it: it.retention.forget_records(later, 10, later))

    with pytest.raises(BatchNotFound):
        batched.find("b")


# --- Cancelled and deleted as a whole -------------------------------------------------------------


def test_a_batch_is_cancelled_in_steps_from_its_front_until_there_is_nothing_to_do(batched):
    batched.submit("b", ["x1", "x2", "x3", "x4"])
    batched.submit("c", ["y1"])
    batched.run(1)
    batched.claim()

    steps = [batched.do(lambda it: it.batches.cancel("b", "", minute(1), 2)) for _ in range(3)]

    assert [names(step) for step in steps] == [["x2", "x3"], ["x4"], []]
    assert {job.status for job in steps[0]} == {"cancelled"}
    assert batched.counts("b") == {"completed": 1, "cancelled": 3}
    assert batched.counts("c") == {"pending": 1}
    assert batched.ended() == ["b"]


def test_a_deleted_batch_is_gone_at_once_and_its_jobs_go_in_steps(batched):
    batched.submit("b", ["x1", "x2", "x3"])
    batched.submit("c", ["y1"])
    batched.run(1)

    assert batched.do(lambda it: it.batches.delete("b", "")) == Deleted(3, is_new=True)
    with pytest.raises(BatchNotFound):
        batched.find("b")
    with pytest.raises(BatchNotFound):
        batched.do(lambda it: it.batches.cancel("b", "", NOON, 1))

    steps = [batched.do(lambda it: it.batches.clear(NOON, 2, "b")) for _ in range(3)]

    assert [names(removed.job for removed in step) for step in steps] == [["x1", "x2"], ["x3"], []]
    assert steps[0][0].outputs == (OUTPUT.key,)
    assert steps[0][1].inputs == ("ab/x2.jpg",)
    assert batched.ended() == []
    with pytest.raises(BatchNotFound):
        batched.do(lambda it: it.batches.delete("b", ""))
    assert batched.counts("c") == {"pending": 1}


def test_a_deletion_can_be_asked_for_again_until_nothing_is_left(batched):
    batched.submit("b", ["x1", "x2"])
    batched.do(lambda it: it.batches.delete("b", ""))
    batched.do(lambda it: it.batches.clear(NOON, 1, "b"))

    assert batched.do(lambda it: it.batches.delete("b", "")) == Deleted(1, is_new=False)


def test_what_is_left_of_all_deleted_batches_can_be_cleared_without_knowing_them(batched):
    for name in "bcd":
        batched.submit(name, [f"{name}1", f"{name}2"])
    batched.do(lambda it: it.batches.delete("b", ""))
    batched.do(lambda it: it.batches.delete("d", ""))

    steps = [batched.do(lambda it: it.batches.clear(NOON, 3)) for _ in range(3)]

    assert [len(step) for step in steps] == [3, 1, 0]
    assert batched.counts("c") == {"pending": 2}


def test_of_a_deleted_batch_no_end_is_told(batched):
    batched.submit("b", ["x"])
    batched.do(lambda it: it.cancel("x", NOON))
    batched.submit("c", ["y1", "y2"])

    batched.do(lambda it: it.batches.delete("b", ""))
    batched.do(lambda it: it.batches.delete("c", ""))
    batched.do(lambda it: it.cancel("y1", NOON))
    batched.do(lambda it: it.cancel("y2", NOON))

    assert batched.ended() == []


# --- What is told of an end -----------------------------------------------------------------------


HOOK = "https://example.org/hook"


def told_of(batched, batch_id):
    return [
        (delivery.type, msgspec.json.decode(delivery.payload)["data"])
        for delivery in batched.do(lambda it: it.outbox.of(batch_id, 9))
    ]


def test_who_wants_to_be_told_of_an_end_is_told_with_the_change_that_made_it(batched):
    wanted = {"callback_url": HOOK, "metadata": '{"album":7}'}
    batched.submit("b", ["x1", "x2"], tenant="press", **wanted)
    batched.submit("c", ["y1"], metadata='{"album":8}')

    def end(it):
        for name in ("x1", "x2", "y1"):
            it.cancel(name, minute(1))
        return announce_ended(it, minute(1))

    announced = batched.do(end)

    assert {batch.id for batch in announced} == {"b", "c"}
    assert told_of(batched, "c") == []
    (delivery,) = batched.do(lambda it: it.outbox.of("b", 9))
    assert (delivery.tenant, delivery.url, delivery.created_at) == ("press", HOOK, minute(1))
    assert HOOK not in repr(announced)
    assert told_of(batched, "b") == [
        (
            "batch.completed",
            {
                "id": "b",
                "status": "ended",
                "jobs": 2,
                "counts": dict.fromkeys(STATUSES, 0) | {"cancelled": 2},
                "metadata": {"album": 7},
            },
        )
    ]


def test_each_end_is_told_once(batched):
    batched.submit("b", ["x"], callback_url=HOOK)
    for _ in range(2):
        batched.do(lambda it: it.cancel("x", NOON))
        for _ in range(2):
            batched.do(lambda it: announce_ended(it, NOON))
        batched.do(lambda it: it.retry("x", 3, NOON))

    assert len(told_of(batched, "b")) == 2


def test_what_was_to_be_told_goes_with_a_deletion_but_not_with_the_last_job(batched):
    for name in "bc":
        batched.submit(name, [f"{name}.x"], callback_url=HOOK)
        batched.do(lambda it, name=name: it.cancel(f"{name}.x", NOON))
    batched.do(lambda it: announce_ended(it, NOON))

    batched.do(lambda it: it.batches.delete("b", ""))
    batched.do(lambda it: it.delete("c.x", NOON))

    assert told_of(batched, "b") == []
    assert len(told_of(batched, "c")) == 1


# --- Whatever happens -----------------------------------------------------------------------------


class Counting(RuleBasedStateMachine):
    """Does the same to every catalogue and to a model, and compares what batches there are."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.all = [Batched(make(self.directory)) for make in CATALOGUES.values()]
        self.batches: dict[str, dict[str, str]] = {}  # the statuses of jobs, by batch
        self.deleted: set[str] = set()
        self.news: list[str] = []
        self.numbers = itertools.count()

    def teardown(self) -> None:
        for each in self.all:
            each.catalogue.close()
        shutil.rmtree(self.directory)

    def do(self, call):
        results = [each.do(call) for each in self.all]
        assert all(result == results[0] for result in results)
        return results[0]

    def pick(self, number: int, *statuses: str) -> str | None:
        fitting = [
            name
            for jobs in self.batches.values()
            for name, status in jobs.items()
            if status in statuses
        ]
        return fitting[number % len(fitting)] if fitting else None

    def batch_of(self, job: str) -> str:
        return job.partition(".")[0]

    def becomes(self, job: str, status: str | None) -> None:
        """Note what became of a job: None if it is gone."""
        batch = self.batch_of(job)
        jobs = self.batches[batch]
        was_running = not ENDED.issuperset(jobs.values())
        if status is None:
            del jobs[job]
        else:
            jobs[job] = status
        if not ENDED.issuperset(jobs.values()):
            self.news = [each for each in self.news if each != batch]
        elif was_running and batch not in self.deleted:
            self.news.append(batch)
        if not jobs:
            del self.batches[batch]
            self.deleted.discard(batch)

    @rule(jobs=st.integers(1, 4))
    def submit(self, jobs):
        batch = f"b{next(self.numbers)}"
        ids = [f"{batch}.{number}" for number in range(jobs)]
        for each in self.all:
            each.submit(batch, ids)
        self.batches[batch] = dict.fromkeys(ids, "pending")

    @rule(turns=st.integers(1, 3))
    def claim(self, turns):
        for job in self.do(lambda it: it.claim([ANY] * turns, NOON)):
            self.becomes(job.id, "processing")

    @rule(number=st.integers(0, 9), how=st.sampled_from(["completed", "failed", "given back"]))
    def work(self, number, how):
        name = self.pick(number, "processing")
        if name is None:
            return
        attempt = self.do(lambda it: it.find(name)).attempts
        match how:
            case "completed":
                self.do(lambda it: it.complete(name, attempt, [], "{}", NOON))
            case "failed":
                self.do(lambda it: it.fail(name, attempt, "crashed", "It was.", NOON))
            case _:
                self.do(lambda it: it.release(name, attempt, "It was.", NOON))
        self.becomes(name, self.do(lambda it: it.find(name)).status)

    @rule(number=st.integers(0, 9), how=st.sampled_from(["cancel", "retry", "delete"]))
    def ask(self, number, how):
        wanted = {
            "cancel": ("pending", "processing"),
            "retry": ("failed", "cancelled"),
            "delete": STATUSES,
        }
        name = self.pick(number, *wanted[how])
        if name is None:
            return
        match how:
            case "cancel":
                self.do(lambda it: it.cancel(name, NOON))
                self.becomes(name, "cancelled")
            case "retry" if self.do(lambda it: it.find(name)).gone_at is None:
                self.do(lambda it: it.retry(name, 3, NOON))
                self.becomes(name, "pending")
            case "retry":
                with pytest.raises(BlobNotFound):
                    self.do(lambda it: it.retry(name, 3, NOON))
            case _:
                self.do(lambda it: it.delete(name, NOON))
                self.becomes(name, None)

    @rule(number=st.integers(0, 9), limit=st.integers(1, 3))
    def cancel_batch(self, number, limit):
        there = [batch for batch in self.batches if batch not in self.deleted]
        if there:
            batch = there[number % len(there)]
            for job in self.do(lambda it: it.batches.cancel(batch, "", NOON, limit)):
                assert self.batch_of(job.id) == batch
                self.becomes(job.id, "cancelled")

    @rule(number=st.integers(0, 9))
    def delete_batch(self, number):
        if self.batches:
            batch = list(self.batches)[number % len(self.batches)]
            self.do(lambda it: it.batches.delete(batch, ""))
            self.deleted.add(batch)
            self.news = [each for each in self.news if each != batch]

    @rule(limit=st.integers(1, 3))
    def clear(self, limit):
        for removed in self.do(lambda it: it.batches.clear(NOON, limit)):
            assert self.batch_of(removed.job.id) in self.deleted
            self.becomes(removed.job.id, None)

    @rule()
    def keep_no_longer(self):
        rules = Rules(results=minute(0) - NOON)
        self.do(lambda it: sorted(it.retention.expire(rules, minute(1), 100)))
        self.do(lambda it: it.retention.purge(minute(1), 100).of)
        for each in self.do(lambda it: it.retention.forget_records(minute(1), 100, minute(1))):
            self.becomes(each.job.id, None)

    @rule()
    def be_told(self):
        told = [batch.id for batch in self.do(lambda it: it.batches.ended())]
        assert sorted(told) == sorted(self.news)
        self.news = []

    @invariant()
    def the_counts_are_those_of_the_model(self):
        for batch, jobs in self.batches.items():
            if batch in self.deleted:
                continue
            found = self.do(lambda it, batch=batch: it.batches.find(batch, ""))
            statuses = list(jobs.values())
            assert found.counts == {status: statuses.count(status) for status in STATUSES}
            assert found.has_ended == ENDED.issuperset(statuses)


TestCounting = Counting.TestCase


# --- On the disk ----------------------------------------------------------------------------------


def test_a_register_in_sqlite_survives_a_reopening(tmp_path):
    batched = Batched(SqliteCatalogue(tmp_path / "calotype.db"))
    batched.submit("b", ["x1", "x2"])
    batched.submit("c", ["y1", "y2"])
    batched.run(1)
    batched.do(lambda it: it.batches.delete("c", ""))
    batched.do(lambda it: it.batches.clear(NOON, 1, "c"))
    batched.catalogue.close()

    again = Batched(SqliteCatalogue(tmp_path / "calotype.db"))

    assert again.counts("b") == {"pending": 1, "completed": 1}
    assert names(removed.job for removed in again.do(lambda it: it.batches.clear(NOON, 9))) == [
        "y2"
    ]
    again.catalogue.close()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(limit=20, batch_id="b"), "idx_jobs_batch (batch_id=?)"),
        (Query(limit=20, batch_id="b", cursor=7), "idx_jobs_batch (batch_id=? AND number<?)"),
        (Query(limit=20, batch_id="b", status="failed"), "idx_jobs_batch (batch_id=?)"),
    ],
)
def test_the_jobs_of_a_batch_are_listed_without_a_look_at_others(tmp_path, query, index):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    asked: list[str] = []
    catalogue._db.conn.set_trace_callback(asked.append)
    catalogue.batch([lambda it: it.page(query)])
    catalogue._db.conn.set_trace_callback(None)
    (select,) = [each for each in asked if each.startswith("select * from jobs")]

    (plan,) = catalogue._db.execute(f"explain query plan {select}").fetchall()

    assert index in plan[3]
    catalogue.close()
