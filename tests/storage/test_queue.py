"""The queue: turns of tenants, times, pauses and the bound of fetches, against a simple model."""

import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.storage.ports import PRIORITIES, Catalogue, Dead, Elsewhere, Priority
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import ANY, RECEIPT, Each, minute, names, new_job
from tests.storage.memory.catalogue import MemoryCatalogue

NORMAL = ("normal",)
ELSEWHERE = Elsewhere("http://example.org/a.png")


def fill(each, *tenants, **changes):
    """Add a job for each of these, named after its tenant and its number."""
    numbers = Counter[str]()
    for tenant in tenants:
        numbers[tenant] += 1
        each.add(new_job(f"{tenant}{numbers[tenant]}", tenant=tenant, **changes), NOON)


def in_order(each, count=9) -> str:
    return " ".join(names(each.claim([NORMAL] * count, minute(99))))


# --- Turns ----------------------------------------------------------------------------------------


def test_tenants_take_turns_and_each_of_them_is_served_in_order(each):
    fill(each, *"aaaabbc")

    assert in_order(each) == "a1 b1 c1 a2 b2 a3 a4"


def test_who_comes_later_does_not_wait_for_the_backlog_of_another(each):
    fill(each, *"aaaaaa")
    each.claim([NORMAL] * 2, NOON)

    fill(each, *"bb")

    assert in_order(each) == "a3 b1 a4 b2 a5 a6"


def test_who_was_idle_has_saved_no_turns(each):
    fill(each, *"aaab")
    each.claim([NORMAL] * 4, NOON)
    each.add(new_job("a4", tenant="a"), NOON)
    each.add(new_job("a5", tenant="a"), NOON)

    each.add(new_job("b2", tenant="b"), NOON)
    each.add(new_job("b3", tenant="b"), NOON)

    assert in_order(each) == "a4 b2 a5 b3"


def test_a_thousand_jobs_of_one_tenant_hold_up_another_by_one_job_each(each):
    each_batch = [f"noisy{n}" for n in range(1_000)]
    each.catalogue.batch(
        [lambda it, name=name: it.add(new_job(name, tenant="noisy"), NOON) for name in each_batch]
    )
    for n in range(10):
        each.add(new_job(f"quiet{n}", tenant="quiet"), NOON)

    claimed = [names(each.claim([NORMAL], NOON))[0] for _ in range(22)]

    places = [place for place, name in enumerate(claimed) if name.startswith("quiet")]
    assert places == list(range(1, 20, 2))


def test_priorities_have_turns_of_their_own(each):
    fill(each, *"aab")
    each.add(new_job("high", "high", tenant="a"), NOON)

    claimed = each.claim([ANY] * 4, NOON)

    assert names(claimed) == ["high", "a1", "b1", "a2"]


def test_cancelled_jobs_take_no_turns(each):
    fill(each, *"aaaab")
    for n in (1, 2, 3):
        each.cancel(f"a{n}", NOON)
    each.add(new_job("b2", tenant="b"), NOON)
    each.cancel("a4", NOON)

    each.add(new_job("a5", tenant="a"), NOON)

    assert in_order(each) == "b1 a5 b2"


# --- Times ----------------------------------------------------------------------------------------


def test_a_job_is_not_begun_before_its_time(each):
    job = each.add(new_job("a", run_at=minute(5)), NOON)

    assert (job.status, job.run_at) == ("pending", minute(5))
    assert each.claim([ANY], minute(9)) == []
    assert each.wake(minute(4), 9).jobs == 0
    assert each.wake(minute(5), 9).jobs == 1
    assert names(each.claim([ANY], minute(5))) == ["a"]


@pytest.mark.parametrize("minutes", [-5, 0])
def test_a_time_that_has_passed_is_as_none(each, minutes):
    job = each.add(new_job("a", run_at=minute(minutes)), NOON)

    assert job.run_at is None
    assert names(each.claim([ANY], NOON)) == ["a"]


def test_who_wakes_jobs_hears_when_the_next_one_is_due(each):
    assert each.wake(NOON, 9).next is None
    for n in (3, 1, 2):
        each.add(new_job(f"{n}", run_at=minute(n)), NOON)

    assert each.wake(NOON, 9).next == minute(1)
    assert each.wake(minute(9), 2).next == minute(3)
    assert each.wake(minute(9), 2) == type(each.wake(NOON, 9))(1, None)
    assert in_order(each) == "1 2 3"


def test_the_turn_is_that_of_the_moment_when_a_job_becomes_due(each):
    each.add(new_job("late", tenant="a", run_at=minute(1)), NOON)
    fill(each, *"bb")
    each.claim([NORMAL], NOON)

    each.wake(minute(1), 9)

    assert in_order(each) == "late b2"


def test_what_waits_can_be_cancelled_retried_and_deleted(each):
    for name in "abc":
        each.add(new_job(name, run_at=minute(5)), NOON)
    each.cancel("a", NOON)
    each.cancel("b", NOON)
    each.delete("c", NOON)

    again = each.retry("b", 3, minute(1))

    assert again.run_at is None
    assert each.wake(minute(9), 9).jobs == 0
    assert names(each.claim([ANY] * 3, minute(1))) == ["b"]


def test_the_tally_tells_what_waits_apart_and_ages_only_what_is_due(each):
    each.add(new_job("a", "low", run_at=minute(5)), NOON)
    each.add(new_job("b", "low", run_at=minute(6)), NOON)
    alone = each.tally()
    each.wake(minute(5), 9)
    each.add(new_job("c", "low"), minute(7))

    tally = each.tally()

    assert (alone.count("pending"), alone.waiting["low"], alone.oldest_pending) == (2, 2, None)
    assert (tally.count("pending"), tally.waiting["low"]) == (3, 1)
    assert tally.oldest_pending == minute(5)


# --- What comes to nothing ------------------------------------------------------------------------


def test_a_postponed_job_tells_why_and_is_back_in_its_place_when_it_is_due(each):
    fill(each, *"aa")
    each.claim([NORMAL], minute(1))

    job = each.postpone("a1", 1, "source_unreachable", "It slept.", minute(2), run_at=minute(4))
    meanwhile = each.claim([NORMAL], minute(3))
    each.add(new_job("a3", tenant="a"), minute(3))
    each.wake(minute(4), 9)

    assert (job.status, job.attempts, job.run_at) == ("pending", 1, minute(4))
    assert (job.error_code, job.error) == ("source_unreachable", "It slept.")
    assert names(meanwhile) == ["a2"]
    assert in_order(each) == "a1 a3"


def test_the_last_attempt_that_is_postponed_has_failed_for_its_reason(each):
    each.add(new_job("a", max_attempts=1), NOON)
    each.claim([ANY], NOON)

    job = each.postpone("a", 1, "source_unreachable", "It slept.", minute(2), run_at=minute(4))

    assert (job.status, job.error_code, job.run_at) == ("failed", "source_unreachable", None)
    assert each.wake(minute(9), 9) == each.wake(NOON, 9)


def test_an_attempt_that_is_spared_when_it_is_postponed_does_not_count(each):
    each.add(new_job("a", max_attempts=1), NOON)
    each.claim([ANY], NOON)

    job = each.postpone("a", 1, "code", "why", minute(2), run_at=minute(4), spare=True)

    assert (job.status, job.run_at, job.attempts_allowed) == ("pending", minute(4), 2)
    assert (job.spared, job.attempts_made) == (1, 1)


def test_a_job_that_ends_well_after_all_has_no_error(each):
    each.add(new_job("a"), NOON)
    each.claim([ANY], NOON)
    each.postpone("a", 1, "source_unreachable", "It slept.", NOON, run_at=minute(1))
    each.wake(minute(1), 9)
    each.claim([ANY], minute(1))

    job = each.complete("a", 2, [], RECEIPT, minute(2))

    assert (job.error_code, job.error) == (None, None)


def test_attempts_are_counted_anew_after_a_retry_and_with_those_that_were_spared(each):
    each.add(new_job("a", max_attempts=2), NOON)
    made = []
    for attempt in (1, 2, 3):
        (job,) = each.claim([ANY], NOON)
        made.append(job.attempts_made)
        each.release("a", attempt, "why", NOON, spare=attempt == 1)
    each.retry("a", 2, NOON)
    (job,) = each.claim([ANY], NOON)

    assert (made, job.attempts_made) == ([1, 2, 3], 1)


def test_a_released_job_waits_for_its_time_and_then_has_its_old_place(each):
    fill(each, *"aa")
    each.claim([NORMAL], NOON)

    each.release("a1", 1, "why", NOON, spare=True, run_at=minute(1))
    meanwhile = each.tally().waiting["normal"], names(each.claim([NORMAL, NORMAL], NOON))
    each.wake(minute(1), 9)

    assert meanwhile == (1, ["a2"])
    assert in_order(each) == "a1"


# --- Pause, fetches, the dead ---------------------------------------------------------------------


def test_of_a_paused_queue_nothing_is_begun_but_jobs_are_accepted_and_ended(each):
    fill(each, *"aa")
    each.claim([NORMAL], NOON)

    each.pause(paused=True)
    each.add(new_job("b"), NOON)
    each.complete("a1", 1, [], RECEIPT, NOON)
    meanwhile = each.claim([ANY] * 3, NOON), each.tally().paused
    each.pause(paused=False)

    assert meanwhile == ([], True)
    assert not each.tally().paused
    assert names(each.claim([ANY] * 3, NOON)) == ["a2", "b"]


def test_a_pause_outlives_the_process(tmp_path):
    first = SqliteCatalogue(tmp_path / "calotype.db")
    Each(first).pause(paused=True)
    first.close()

    second = SqliteCatalogue(tmp_path / "calotype.db")

    assert Each(second).tally().paused
    second.close()


def test_no_more_than_so_many_are_begun_whose_input_has_to_be_fetched(each):
    for name in "abc":
        each.add(new_job(name, image=ELSEWHERE), NOON)
    each.add(new_job("here"), NOON)

    first = each.claim([ANY] * 4, NOON, fetching=2)
    none = each.claim([ANY], NOON, fetching=2)
    each.supply("a", 1, new_job("x").input, NOON)  # It is fetched, and rendered from now on.
    third = each.claim([ANY], NOON, fetching=2)

    assert names(first) == ["a", "b", "here"]
    assert none == []
    assert names(third) == ["c"]


def test_the_dead_are_those_that_failed_by_code_and_age_without_those_of_other_kinds(each):
    for n, code in enumerate(("crashed", "timed_out", "crashed", "crashed")):
        each.add(new_job(f"{n}", tenant=f"t{n}"), NOON)
        each.claim([ANY], NOON)
        each.fail(f"{n}", 1, code, "why", minute(n))
    each.add(new_job("pending"), NOON)
    each.retry("3", 3, minute(9))

    def dead(**which):
        return [job.id for _, job in each.dead(Dead(**{"limit": 9, **which}))]

    (number, _), *_ = each.dead(Dead(limit=9))
    assert dead() == ["0", "1", "2"]
    assert dead(code="crashed") == ["0", "2"]
    assert dead(failed_before=minute(2)) == ["0", "1"]
    assert dead(limit=1) == ["0"]
    assert dead(after=number) == ["1", "2"]


# --- The model ------------------------------------------------------------------------------------


@dataclass
class Entry:
    """A job in the model."""

    name: str
    tenant: str
    lane: Priority
    distant: bool
    number: int
    run_at: int | None = None
    tag: int | None = None
    status: str = "pending"
    attempts: int = 0


class Modelled(RuleBasedStateMachine):
    """A catalogue beside a list of jobs that says in a few lines which of them is the next."""

    opening: Callable[[Path], Catalogue] = staticmethod(lambda _: MemoryCatalogue())

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.catalogue = self.opening(self.directory)
        self.each = Each(self.catalogue)
        self.jobs: list[Entry] = []
        self.reached = dict.fromkeys(PRIORITIES, 0)
        self.paused = False
        self.now = 0
        self.numbers = itertools.count(1)

    def teardown(self) -> None:
        self.catalogue.close()
        shutil.rmtree(self.directory)

    def due(self, lane: str) -> list[Entry]:
        return [
            job
            for job in self.jobs
            if (job.lane, job.status) == (lane, "pending") and job.run_at is None
        ]

    def give_tag(self, job: Entry) -> None:
        own = [
            other.tag for other in self.due(job.lane) if other.tenant == job.tenant and other.tag
        ]
        job.tag = max(self.reached[job.lane], *own, 0) + 1

    def some(self, status: str, number: int) -> Entry | None:
        jobs = [job for job in self.jobs if job.status == status]
        return jobs[number % len(jobs)] if jobs else None

    @rule(
        tenant=st.sampled_from("abc"),
        lane=st.sampled_from(PRIORITIES),
        distant=st.booleans(),
        later=st.integers(-1, 3),
    )
    def add(self, tenant, lane, distant, later):
        number = next(self.numbers)
        job = Entry(f"{number:08x}", tenant, lane, distant, number)
        if later > 0:
            job.run_at = self.now + later
        else:
            self.give_tag(job)
        self.jobs.append(job)
        new = new_job(
            job.name,
            lane,
            image=ELSEWHERE if distant else None,
            tenant=tenant,
            run_at=minute(self.now + later),
        )
        self.each.add(new, minute(self.now))

    @rule(minutes=st.integers(0, 3), limit=st.integers(1, 3))
    def wake(self, minutes, limit):
        self.now += minutes
        waiting = [job for job in self.jobs if job.status == "pending" and job.run_at is not None]
        waiting.sort(key=lambda job: (job.run_at, job.number))
        woken = [job for job in waiting if job.run_at is not None and job.run_at <= self.now]
        for job in woken[:limit]:
            if job.tag is None:
                self.give_tag(job)
            job.run_at = None

        heard = self.each.wake(minute(self.now), limit)

        left = [job.run_at for job in waiting if job.run_at is not None]
        assert heard.jobs == len(woken[:limit])
        assert heard.next == (minute(min(left)) if left else None)

    @rule(
        turns=st.lists(st.permutations(PRIORITIES), min_size=1, max_size=4),
        fetching=st.integers(0, 3),
    )
    def claim(self, turns, fetching):
        expected = []
        for turn in () if self.paused else turns:
            in_work = sum(job.distant for job in self.jobs if job.status == "processing")
            candidates = (
                [job for job in self.due(lane) if not job.distant or in_work < fetching]
                for lane in turn
            )
            found = next(filter(None, candidates), None)
            if found is None:
                break
            job = min(found, key=lambda job: (job.tag, job.number))
            assert job.tag
            self.reached[job.lane] = max(self.reached[job.lane], job.tag)
            job.status, job.attempts = "processing", job.attempts + 1
            expected.append((job.name, job.attempts))

        claimed = self.each.claim(turns, minute(self.now), fetching=fetching)

        assert [(job.id, job.attempts) for job in claimed] == expected

    @rule(number=st.integers(0, 9), way=st.sampled_from(("unclaim", "release", "later", "end")))
    def leave(self, number, way):
        job = self.some("processing", number)
        if job is None:
            return
        claim, now = (job.name, job.attempts), minute(self.now)
        job.status = "ended" if way == "end" else "pending"
        match way:
            case "unclaim":
                job.attempts -= 1
                self.each.unclaim(*claim, now)
            case "release":
                self.each.release(*claim, "why", now, spare=True)
            case "later":
                job.run_at = self.now + 1
                self.each.release(*claim, "why", now, spare=True, run_at=minute(self.now + 1))
            case "end":
                self.each.complete(*claim, [], RECEIPT, now)

    @rule(number=st.integers(0, 9))
    def supply(self, number):
        jobs = [job for job in self.jobs if job.status == "processing" and job.distant]
        if jobs:
            job = jobs[number % len(jobs)]
            job.distant = False
            self.each.supply(job.name, job.attempts, new_job(job.name).input, minute(self.now))

    @rule(number=st.integers(0, 9))
    def cancel_and_retry(self, number):
        job = self.some("pending", number)
        if job:
            self.each.cancel(job.name, minute(self.now))
            job.status, job.run_at = "cancelled", None
        job = self.some("cancelled", number // 2)
        if job:
            self.give_tag(job)
            job.status = "pending"
            self.each.retry(job.name, 99, minute(self.now))

    @precondition(lambda self: len(self.jobs) > 3)
    @rule(paused=st.booleans())
    def pause(self, paused):
        self.paused = paused
        self.each.pause(paused=paused)

    @invariant()
    def what_is_counted_is_what_there_is(self):
        tally = self.each.tally()
        pending = [job for job in self.jobs if job.status == "pending"]
        assert tally.count("pending") == len(pending)
        assert sum(tally.waiting.values()) == sum(job.run_at is not None for job in pending)
        assert tally.paused == self.paused


class ModelledSqlite(Modelled):
    """The same with the real one."""

    opening = staticmethod(lambda directory: SqliteCatalogue(directory / "calotype.db"))


TestMemory, TestSqlite = Modelled.TestCase, ModelledSqlite.TestCase
for case in (TestMemory, TestSqlite):
    case.settings = settings(
        max_examples=25, stateful_step_count=30, deadline=None, derandomize=True
    )
