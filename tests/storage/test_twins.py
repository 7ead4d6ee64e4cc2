"""Twins in the queue: who is held back, by whom, and that nobody is held back for ever."""

import itertools
import shutil
import tempfile
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.storage.ports import PRIORITIES, Elsewhere, JobNotFound, NewInput, StorageError
from actors.storage.retention import Rules
from actors.storage.sqlite import SqliteCatalogue
from actors.storage.twins import LET_GO, twin_of
from tests.conftest import NOON
from tests.storage.catalogues import (
    ANY,
    OUTPUT,
    RECEIPT,
    Each,
    minute,
    names,
    new_image,
    new_job,
)
from tests.storage.memory.catalogue import MemoryCatalogue

ELSEWHERE = Elsewhere("http://example.org/a.png")
MADE_WITH = "these versions"


def a_twin(name, priority="normal", *, sha256="1a", recipe="{}", **changes):
    sent = NewInput(key=f"ab/{name}.jpg", size_bytes=123, sha256=sha256)
    new = new_job(name, priority, image=changes.pop("image", sent), **changes)
    return replace(new, recipe=recipe, made_with=MADE_WITH)


def fill(each, letters, *arguments, **changes):
    for letter in letters:
        each.add(a_twin(letter, *arguments, **changes), NOON)


def claimed(each, count=9) -> str:
    return "".join(names(each.claim([ANY] * count, minute(50))))


def complete(each, name, attempt=1):
    each.complete(name, attempt, [OUTPUT], RECEIPT, minute(51))


# --- Who is a twin --------------------------------------------------------------------------------


def test_twins_have_the_same_tenant_bytes_recipe_and_versions(each):
    first = each.add(a_twin("a"), NOON)
    same = each.add(a_twin("b", "high", preset="card"), NOON)
    others = [
        each.add(a_twin("c", tenant="else"), NOON),
        each.add(a_twin("d", sha256="2b"), NOON),
        each.add(a_twin("e", recipe='{"outputs":[]}'), NOON),
        each.add(replace(a_twin("f"), made_with="others"), NOON),
    ]

    assert first.twin == same.twin == each.find("a").twin
    assert len({first.twin, *(job.twin for job in others)}) == 5


def test_what_is_made_in_unknown_versions_has_no_twin(each):
    jobs = [each.add(new_job(name), NOON) for name in "ab"]

    assert [job.twin for job in jobs] == [None, None]
    assert claimed(each) == "ab"


def test_an_image_that_was_sent_before_is_as_good_as_the_same_bytes(each):
    each.add_image(new_image("i"), NOON)
    fill(each, "a", sha256="2b")

    fill(each, "b", image="i")

    assert each.find("a").twin == each.find("b").twin
    assert claimed(each) == "a"


def test_what_is_elsewhere_has_no_twin_before_it_is_here(each):
    fill(each, "ab", image=ELSEWHERE)
    assert claimed(each) == "ab"
    fill(each, "cd")

    file = NewInput(key="ab/a-1.jpg", size_bytes=9, sha256="1a")
    job = each.supply("a", 1, file, NOON, made_with=MADE_WITH)

    assert (each.find("b").twin, job.twin) == (None, each.find("c").twin)
    assert claimed(each) == ""
    complete(each, "a")
    assert claimed(each) == "cd"


# --- Who is held back -----------------------------------------------------------------------------


def test_one_of_the_twins_is_begun_and_the_others_when_it_is_completed(each):
    fill(each, "abc")
    fill(each, "x", sha256="other")

    assert claimed(each) == "ax"
    complete(each, "a")
    assert claimed(each) == "bc"


@pytest.mark.parametrize("end", ["fail", "cancel", "delete", "postpone", "release"])
def test_when_it_ends_in_another_way_only_the_next_is_begun(each, end):
    fill(each, "abc")
    claimed(each)
    calls = {
        "fail": lambda: each.fail("a", 1, "code", "why", NOON),
        "cancel": lambda: each.cancel("a", NOON),
        "delete": lambda: each.delete("a", NOON),
        "postpone": lambda: each.postpone("a", 1, "code", "why", NOON, run_at=minute(60)),
        "release": lambda: each.release("a", 1, "why", NOON, run_at=minute(60)),
    }

    calls[end]()

    assert claimed(each) == "b"


@pytest.mark.parametrize("end", ["cancel", "delete"])
def test_one_that_was_not_begun_yet_is_followed_by_the_next(each, end):
    fill(each, "abc")

    getattr(each, end)("a", NOON)

    assert claimed(each) == "b"


def test_a_leader_that_is_given_back_is_the_leader_still(each):
    fill(each, "abc")
    claimed(each)

    each.unclaim("a", 1, NOON)
    assert claimed(each) == "a"
    each.release("a", 1, "why", NOON)
    assert claimed(each) == "a"


def test_nobody_waits_for_one_of_lower_priority_that_is_not_begun(each):
    fill(each, "ab", "low")
    fill(each, "c", "high")

    assert claimed(each) == "c"
    complete(each, "c")
    assert claimed(each) == "ab"


def test_nor_for_one_of_lower_priority_that_was_given_back(each):
    fill(each, "a", "low")
    claimed(each)
    fill(each, "bc", "high")
    assert claimed(each) == ""

    each.release("a", 1, "why", NOON)

    assert claimed(each) == "b"


def test_nobody_waits_for_one_that_is_not_due_and_which_then_waits_itself(each):
    fill(each, "a", run_at=minute(5))
    fill(each, "bc")
    assert claimed(each) == "b"

    each.wake(minute(5), 9)

    assert claimed(each) == ""
    complete(each, "b")
    assert claimed(each) == "ca"


def test_one_that_comes_back_to_an_earlier_place_does_not_wait_for_those_behind(each):
    fill(each, "a")
    claimed(each)
    each.postpone("a", 1, "code", "why", NOON, run_at=minute(5))
    fill(each, "xyz", sha256="other")
    fill(each, "bc")

    each.wake(minute(5), 9)

    assert claimed(each) == "ax"


def test_one_that_is_held_back_can_be_cancelled_deleted_and_retried(each):
    fill(each, "abcd")
    each.cancel("b", NOON)
    each.delete("c", NOON)
    assert claimed(each) == "a"

    each.retry("b", 3, NOON)
    assert claimed(each) == ""
    each.fail("a", 1, "code", "why", NOON)

    assert claimed(each) == "d"
    complete(each, "d")
    assert claimed(each) == "b"


def test_one_that_was_held_back_when_it_was_cancelled_is_not_when_it_is_retried(each):
    fill(each, "ab")
    each.cancel("b", NOON)
    each.delete("a", NOON)

    each.retry("b", 3, NOON)

    assert claimed(each) == "b"


def test_those_held_back_keep_their_places_in_the_turns_of_tenants(each):
    for letter in "abcd":
        each.add(a_twin(letter, tenant="t"), NOON)
    for letter in "wxyz":
        each.add(a_twin(letter, tenant="u", sha256=letter), NOON)
    assert "".join(names(each.claim([ANY] * 2, NOON))) == "aw"

    complete(each, "a")

    assert claimed(each) == "bxcydz"


def test_nobody_is_held_back_while_the_result_of_a_twin_is_kept(each):
    fill(each, "a")
    claimed(each)
    complete(each, "a")

    fill(each, "bcd")

    assert claimed(each) == "bcd"


def test_many_are_let_go_in_steps_that_grow(each):
    count = 20 * LET_GO
    for number in range(count):
        each.add(a_twin(f"{number:04}"), NOON)
    free = []
    while jobs := each.claim([ANY] * count, NOON):
        free.append(len(jobs))
        for job in jobs:
            complete(each, job.id)

    assert free == [1, LET_GO, LET_GO**2, count - LET_GO**2 - LET_GO - 1]


def test_twins_count_as_pending_whether_held_back_or_not(each):
    fill(each, "abc", "low")

    tally = each.tally()

    assert (tally.count("pending"), tally.waiting["low"], tally.oldest_pending) == (3, 0, NOON)


# --- Whose result there is ------------------------------------------------------------------------


def test_the_finished_twin_is_the_newest_whose_files_are_kept(each):
    fill(each, "abcd")
    assert each.finished_twin("d") is None
    for letter in "abc":
        each.claim([ANY], NOON)
        complete(each, letter)
    each.delete("c", NOON)

    assert each.finished_twin("d") == each.find("b")
    with pytest.raises(JobNotFound):
        each.finished_twin("c")


def test_one_whose_files_have_gone_is_no_finished_twin(each):
    fill(each, "ab")
    claimed(each)
    complete(each, "a")

    each.catalogue.batch(
        [lambda it: it.retention.expire(Rules(results=timedelta(0)), minute(60), 9)]
    )

    assert each.finished_twin("b") is None


def test_a_job_without_twins_finds_none_that_is_finished(each):
    for name in "ab":
        each.add(new_job(name), NOON)
    claimed(each)
    complete(each, "a")

    assert each.finished_twin("b") is None


def test_no_part_of_what_makes_twins_runs_into_the_next():
    assert twin_of("a", "b", "c", "d") != twin_of("ab", "", "c", "d")
    assert twin_of("a", "b", "c", None) is None


# --- The plans ------------------------------------------------------------------------------------


@pytest.mark.parametrize("finished", [False, True])
def test_what_a_job_costs_does_not_grow_with_the_number_of_its_twins(tmp_path, finished):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    each = Each(catalogue)
    fill(each, "abc")
    if finished:
        claimed(each)
        complete(each, "a")
    steps = []

    def work(count):
        done = 0

        def count_steps():
            nonlocal done
            done += 1

        catalogue._db.conn.set_progress_handler(count_steps, 10)
        each.add(a_twin(f"late{count}"), NOON)
        (job,) = each.claim([ANY], NOON)
        each.unclaim(job.id, 1, NOON)
        catalogue._db.conn.set_progress_handler(None, 0)
        return done

    for count in (100, 2_000):
        calls = [lambda it, name=f"{count}.{n}": it.add(a_twin(name), NOON) for n in range(count)]
        catalogue.batch(calls)
        steps.append(work(count))
    catalogue.close()

    assert steps[1] < 1.5 * steps[0]


# --- The machine ----------------------------------------------------------------------------------


class Twins(RuleBasedStateMachine):
    """The real catalogue beside the fake, with few tenants and pictures, so that most are twins."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.real = SqliteCatalogue(self.directory / "calotype.db")
        self.both = Each(self.real), Each(MemoryCatalogue())
        self.numbers = itertools.count()
        self.names: list[str] = []
        self.begun: list[tuple[str, int]] = []
        self.now = 0

    def teardown(self) -> None:
        self.real.close()
        shutil.rmtree(self.directory)

    def ask(self, call):
        answers = []
        for each in self.both:
            try:
                answers.append(call(each))
            except StorageError as error:
                answers.append(repr(error))
        assert answers[0] == answers[1]
        return answers[0]

    @rule(
        tenant=st.sampled_from("ab"),
        lane=st.sampled_from(PRIORITIES),
        sha256=st.sampled_from("123"),
        distant=st.booleans(),
        later=st.sampled_from((0, 0, 1, 3)),
    )
    def add(self, tenant, lane, sha256, distant, later):
        name = f"{next(self.numbers):04}"
        self.names.append(name)
        where = {"image": ELSEWHERE} if distant else {"sha256": sha256}
        new = a_twin(name, lane, tenant=tenant, run_at=minute(self.now + later), **where)
        self.ask(lambda each: each.add(new, minute(self.now)))

    @rule(count=st.integers(1, 3), fetching=st.integers(1, 3))
    def claim(self, count, fetching):
        now = minute(self.now)
        jobs = self.ask(lambda each: each.claim([ANY] * count, now, fetching=fetching))
        self.begun += [(job.id, job.attempts) for job in jobs]

    @rule(
        number=st.integers(0, 9),
        way=st.sampled_from(("complete", "complete", "fail", "release", "later", "unclaim")),
    )
    def leave(self, number, way):
        if not self.begun:
            return
        claim, now = self.begun.pop(number % len(self.begun)), minute(self.now)
        later = minute(self.now + 1)
        calls = {
            "complete": lambda each: each.complete(*claim, [OUTPUT], RECEIPT, now),
            "fail": lambda each: each.fail(*claim, "code", "why", now),
            "release": lambda each: each.release(*claim, "why", now, spare=True),
            "later": lambda each: each.postpone(*claim, "code", "why", now, run_at=later),
            "unclaim": lambda each: each.unclaim(*claim, now),
        }
        self.ask(calls[way])

    @rule(number=st.integers(0, 9), sha256=st.sampled_from("123"))
    def supply(self, number, sha256):
        if self.begun:
            claim = self.begun[number % len(self.begun)]
            file = NewInput(key=f"ab/{claim[0]}-1.png", size_bytes=1, sha256=sha256)
            now = minute(self.now)
            self.ask(lambda each: each.supply(*claim, file, now, made_with=MADE_WITH))

    @rule(number=st.integers(0, 30), way=st.sampled_from(("cancel", "retry", "delete")))
    def interfere(self, number, way):
        if self.names:
            name, now = self.names[number % len(self.names)], minute(self.now)
            more = (3,) if way == "retry" else ()
            self.ask(lambda each: getattr(each, way)(name, *more, now))

    @rule(minutes=st.integers(0, 2), limit=st.integers(1, 3))
    def wake(self, minutes, limit):
        self.now += minutes
        self.ask(lambda each: each.wake(minute(self.now), limit))

    @rule()
    def expire(self):
        rules = Rules(results=timedelta(minutes=1))
        for each in self.both:
            each.do(lambda it: it.retention.expire(rules, minute(self.now), 9))

    @invariant()
    def nobody_is_held_back_without_one_that_can_let_it_go(self):
        rows = self.real._db.execute(
            "select twin, held, status, due, priority, position, number from jobs "
            "where status in ('pending', 'processing')"
        ).fetchall()
        twins = {twin for twin, held, status, *_ in rows if held and status == "pending"}
        assert not any(
            held and (status != "pending" or not due) for _, held, status, due, *_ in rows
        )
        assert None not in twins
        for twin in twins:
            same = [row for row in rows if row[0] == twin]
            queued = [row for row in same if row[2] == "pending" and row[3]]
            first = min(queued, key=lambda row: (PRIORITIES.index(row[4]), *row[5:]))
            assert any(row[2] == "processing" for row in same) or not first[1]

    @invariant()
    def all_know_the_same(self):
        for name in self.names:
            self.ask(lambda each, name=name: each.finished_twin(name))


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True
)
