"""What every register of retention must do, whatever its catalogue is made of."""

import itertools
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlite_utils import Database

from actors.storage.migrations.steps import migrations
from actors.storage.ports import (
    BlobNotFound,
    Elsewhere,
    ImageNotFound,
    JobNotFound,
    Query,
    StorageError,
)
from actors.storage.retention import Rules, Unneeded
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import (
    FETCHED,
    OUTPUT,
    RECEIPT,
    URL,
    Each,
    minute,
    new_image,
    new_job,
    output_of,
    some_id,
)
from tests.storage.memory.catalogue import MemoryCatalogue

ANY = ("high", "normal", "low")
HOUR = Rules(results=timedelta(hours=1))
LATER = minute(600)
INPUT, MADE = 123, 9  # bytes of each job's files in these tests


@pytest.fixture
def keep(catalogue):
    return Each(catalogue, "retention")


@pytest.fixture
def finish(each):
    """Have a job completed, so many minutes after noon."""

    def finish_one(name, at=0, image=None, others=(), retain=None):
        each.add(replace(new_job(name, image=image, others=others), retain=retain), minute(at))
        (job,) = each.claim([ANY], minute(at))
        output = replace(OUTPUT, key=f"ab/{name}.png")
        return each.complete(name, job.attempts, [output], RECEIPT, minute(at))

    return finish_one


def test_what_a_client_asks_to_keep_is_noted(finish):
    assert (finish("a").retain, finish("b", retain=7).retain) == (None, 7)


def test_without_rules_all_is_kept(keep, finish):
    finish("a")

    assert keep.expire(Rules(), LATER, 9) == []


def test_results_go_when_their_time_is_over_and_not_a_moment_before(each, keep, finish):
    finish("a", at=0)
    finish("b", at=1)

    assert keep.expire(HOUR, minute(60) - timedelta(microseconds=1), 9) == []
    assert keep.expire(HOUR, minute(60), 9) == ["a"]
    assert keep.expire(HOUR, minute(60), 9) == []
    assert (each.find("a").gone_at, each.find("b").gone_at) == (minute(60), None)
    assert each.find("a").status == "completed"


def test_what_its_client_has_said_counts_and_not_the_rule(keep, finish):
    finish("longer", retain=7200)
    finish("shorter", retain=60)
    finish("as usual")

    assert keep.expire(HOUR, minute(1), 9) == ["shorter"]
    assert keep.expire(HOUR, minute(60), 9) == ["as usual"]
    assert keep.expire(HOUR, minute(120), 9) == ["longer"]


def test_a_client_can_say_so_where_there_is_no_rule(keep, finish):
    finish("a", retain=60)
    finish("b")

    assert keep.expire(Rules(), LATER, 9) == ["a"]


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_job_that_ended_otherwise_goes_as_well(each, keep, end):
    each.add(new_job("a"), minute(0))
    each.claim([ANY], minute(0))
    if end == "failed":
        each.fail("a", 1, "crashed", "", minute(0))
    else:
        each.cancel("a", minute(0))

    assert keep.expire(HOUR, minute(60), 9) == ["a"]


def test_a_job_that_has_not_ended_never_goes(each, keep):
    for name in "ab":
        each.add(replace(new_job(name), retain=1), minute(0))
    each.claim([ANY], minute(0))

    assert keep.expire(Rules(results=timedelta(0), max_bytes=0), LATER, 9) == []


def test_a_retry_begins_the_time_anew(each, keep):
    each.add(replace(new_job("a"), retain=60), minute(0))
    each.cancel("a", minute(0))
    each.retry("a", 3, minute(5))
    assert keep.expire(Rules(), LATER, 9) == []

    each.cancel("a", minute(10))

    assert keep.expire(Rules(), minute(10), 9) == []
    assert keep.expire(Rules(), minute(11), 9) == ["a"]


def test_a_job_that_is_gone_cannot_be_retried(each, keep):
    each.add(new_job("a"), minute(0))
    each.cancel("a", minute(0))
    keep.expire(HOUR, LATER, 9)

    with pytest.raises(BlobNotFound):
        each.retry("a", 3, LATER)

    assert each.find("a").status == "cancelled"


def test_at_most_so_many_go_at_once(keep, finish):
    for name in "abcde":
        finish(name)
    finish("f", retain=1)

    found = [keep.expire(HOUR, LATER, 4), keep.expire(HOUR, LATER, 4), keep.expire(HOUR, LATER, 4)]

    assert [len(each) for each in found] == [4, 2, 0]
    assert sorted(itertools.chain(*found)) == list("abcdef")


def test_where_there_is_no_room_those_that_ended_first_go_first(keep, finish):
    for name, at in {"b": 1, "c": 2, "a": 0}.items():
        finish(name, at=at)
    room = Rules(max_bytes=2 * (INPUT + MADE))

    assert keep.expire(room, LATER, 9) == ["a"]
    assert keep.expire(room, LATER, 9) == []
    assert keep.expire(Rules(max_bytes=0), LATER, 1) == ["b"]
    assert keep.expire(Rules(max_bytes=0), LATER, 9) == ["c"]


def test_where_there_is_no_room_what_a_client_asked_to_keep_stays(keep, finish):
    finish("a", retain=10**6)
    finish("b")

    assert keep.expire(Rules(max_bytes=0), LATER, 9) == ["b"]


def test_files_are_given_up_later_and_once(each, keep, finish):
    finish("a")
    finish("b", at=1)
    keep.expire(HOUR, minute(60), 9)
    keep.expire(HOUR, minute(61), 9)

    assert keep.purge(minute(59), 9) == Unneeded(0)
    assert keep.purge(minute(60), 9) == Unneeded(1, ("ab/a.jpg",), ("ab/a.png",))
    assert keep.purge(LATER, 9) == Unneeded(1, ("ab/b.jpg",), ("ab/b.png",))
    assert keep.purge(LATER, 9) == Unneeded(0)


def test_files_are_known_until_they_are_given_up(each, keep):
    job_id = some_id(1)
    each.add(new_job(job_id), minute(0))
    each.claim([ANY], minute(0))
    output = output_of(job_id, 1, 1)
    each.complete(job_id, 1, [output], RECEIPT, minute(0))
    keep.expire(HOUR, LATER, 9)
    assert each.known([output.key]) == {output.key}

    keep.purge(LATER, 9)

    assert each.known([output.key]) == set()


def test_an_image_outlives_the_jobs_that_used_it(each, keep, finish):
    each.add_image(new_image("i"), minute(0))
    finish("a", image="i")
    keep.expire(HOUR, LATER, 9)

    assert keep.purge(LATER, 9) == Unneeded(1, (), ("ab/a.png",))
    assert each.find_image("i").id == "i"
    assert each.delete_image("i") == ("cd/i.gif",)
    assert each.delete("a", LATER).inputs == ()


def test_an_image_that_was_deleted_goes_with_the_last_job_that_needs_it(each, keep, finish):
    each.add_image(new_image("i"), minute(0))
    finish("a", image="i")
    finish("b", at=1, others=("i",))
    each.delete_image("i")
    keep.expire(HOUR, LATER, 9)

    assert keep.purge(LATER, 1) == Unneeded(1, (), ("ab/a.png",))
    assert keep.purge(LATER, 9) == Unneeded(1, ("ab/b.jpg", "cd/i.gif"), ("ab/b.png",))
    assert each.delete("a", LATER).inputs == ()


def test_images_that_no_job_needs_are_forgotten(each, keep, finish):
    for number, name in enumerate("ijk"):
        each.add_image(new_image(name), minute(number))
    each.add(new_job("a", image="i"), minute(0))

    assert keep.forget_images(minute(1), 9) == Unneeded(1, ("cd/j.gif",))
    assert keep.forget_images(LATER, 9) == Unneeded(1, ("cd/k.gif",))
    assert each.find_image("i").id == "i"
    with pytest.raises(ImageNotFound):
        each.find_image("j")


def test_an_image_that_is_old_enough_goes_as_soon_as_no_job_needs_it(each, keep, finish):
    each.add_image(new_image("i"), minute(0))
    finish("a", at=90, image="i")
    while_needed = keep.forget_images(minute(1), 9)
    keep.expire(HOUR, LATER, 9)
    keep.purge(LATER, 9)

    # However long that was after its upload: nobody notes when it was needed last.
    assert while_needed == Unneeded(0)
    assert keep.forget_images(minute(1), 9) == Unneeded(1, ("cd/i.gif",))


def test_records_are_forgotten_when_their_files_are_gone(each, keep, finish):
    finish("a")
    finish("b", at=1)
    keep.expire(HOUR, minute(60), 9)
    assert keep.forget_records(LATER, 9, LATER) == []
    keep.purge(LATER, 9)

    assert keep.forget_records(minute(59), 9, LATER) == []
    (removed,) = keep.forget_records(minute(60), 9, LATER)

    assert removed.job.id == "a"
    with pytest.raises(JobNotFound):
        each.find("a")
    assert [job.id for job in each.page(Query(limit=9)).jobs] == ["b"]


def test_a_job_that_is_gone_can_be_deleted_before_its_files_are(each, keep, finish):
    finish("a")
    keep.expire(HOUR, LATER, 9)

    removed = each.delete("a", LATER)

    assert (removed.inputs, removed.outputs) == (("ab/a.jpg",), ("ab/a.png",))
    assert keep.purge(LATER, 9) == Unneeded(0)


def test_the_bytes_of_all_files_are_counted(each, keep, finish):
    assert keep.stored() == 0
    each.add_image(new_image("i"), NOON)
    assert keep.stored() == 456
    finish("a")
    finish("b", image="i")
    assert keep.stored() == 456 + INPUT + 2 * MADE
    each.add(new_job("c", image=Elsewhere(URL)), NOON)
    each.claim([ANY], NOON)
    each.supply("c", 1, FETCHED, NOON)
    assert keep.stored() == 456 + INPUT + 2 * MADE + FETCHED.size_bytes
    each.delete("c", LATER)
    keep.expire(HOUR, LATER, 9)
    assert keep.stored() == 456
    keep.purge(LATER, 9)
    keep.forget_records(LATER, 9, LATER)
    each.delete_image("i")
    assert keep.stored() == 0


def test_the_bytes_that_were_there_before_are_counted(tmp_path):
    path = tmp_path / "calotype.db"
    database = Database(sqlite3.connect(path))
    migrations.apply(database, stop_before="0013_retention")
    job = (
        "insert into jobs (id, status, priority, position, operation, recipe, attempts, "
        "attempts_allowed, created_at, updated_at, input_key, input_size, image_id, outputs) "
        "values (?, ?, 'normal', 1, 'resize', '{}', 1, 3, '', '', ?, ?, ?, ?)"
    )
    outputs = json.dumps([{"size_bytes": MADE}, {"size_bytes": MADE}])
    with database.conn:
        database.execute(
            "insert into images (id, key, format, width, height, frames, size_bytes, sha256, "
            "facts, created_at) values ('i', 'cd/i.gif', 'gif', 2, 1, 1, 456, '5f', '{}', '')"
        )
        database.execute(job, ["done", "completed", "ab/a.jpg", INPUT, None, outputs])
        database.execute(job, ["of an image", "completed", "cd/i.gif", 456, "i", outputs])
        database.execute(job, ["waits", "pending", "ab/b.jpg", INPUT, None, None])
        database.execute(job, ["not fetched", "pending", None, None, None, None])
    database.close()

    with closing(SqliteCatalogue(path)) as catalogue:
        assert catalogue.retention.stored() == 456 + 2 * INPUT + 4 * MADE


class KeepingAsTheFakeDoes(RuleBasedStateMachine):
    """Does the same to SQLite and to memory, and compares all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.sqlite = SqliteCatalogue(self.directory / "calotype.db")
        self.memory = MemoryCatalogue()
        self.jobs: list[str] = []
        self.minute = 0

    def teardown(self) -> None:
        self.sqlite.close()
        shutil.rmtree(self.directory)

    def both(self, call):
        (one,), (other,) = self.sqlite.batch([call]), self.memory.batch([call])
        assert type(one) is type(other)
        assert isinstance(one, StorageError) or one == other
        return one

    def now(self, ago=0):
        self.minute += 1
        return minute(self.minute - ago)

    @rule(retain=st.none() | st.integers(1, 300), has_image=st.booleans())
    def add(self, retain, has_image):
        name, now = some_id(len(self.jobs)), self.now()
        image = f"image of {name}" if has_image else None
        if image:
            self.both(lambda it: it.add_image(new_image(image), now))
        self.both(lambda it: it.add(replace(new_job(name, image=image), retain=retain), now))
        self.jobs.append(name)

    @rule(end=st.sampled_from(["complete", "fail", "cancel", None]))
    def begin(self, end):
        now = self.now()
        for job in self.both(lambda it: it.claim([ANY], now)):
            outputs = [output_of(job.id, job.attempts, 1)]
            calls = {
                "complete": partial(complete, job, outputs, now),
                "fail": partial(fail, job, now),
                "cancel": partial(cancel, job, now),
            }
            if end:
                self.both(calls[end])

    @rule(results=st.none() | st.integers(0, 20), room=st.none() | st.integers(0, 2000))
    def expire(self, results, room):
        span = None if results is None else timedelta(minutes=results)
        rules, now = Rules(results=span, max_bytes=room), self.now()
        self.both(lambda it: sorted(it.retention.expire(rules, now, 100)))

    @rule(ago=st.integers(0, 10))
    def purge(self, ago):
        before = self.now(ago)
        unneeded = self.both(lambda it: in_order(it.retention.purge(before, 100)))
        keys = [*unneeded.inputs, *unneeded.outputs]
        assert self.both(lambda it: it.known(keys)) == set()

    @rule(ago=st.integers(0, 10))
    def forget(self, ago):
        before, now = self.now(ago), self.now()
        self.both(lambda it: len(it.retention.forget_records(before, 100, now)))
        self.both(lambda it: in_order(it.retention.forget_images(before, 100)))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data(), change=st.sampled_from(["retry", "delete"]))
    def change(self, data, change):
        name, now = data.draw(st.sampled_from(self.jobs)), self.now()
        if change == "retry":
            self.both(lambda it: it.retry(name, 3, now))
        else:
            self.both(lambda it: it.delete(name, now))

    @invariant()
    def the_same_is_there(self):
        self.both(lambda it: it.page(Query(limit=100)))
        self.both(lambda it: it.retention.stored())


def complete(job, outputs, now, catalogue):
    return catalogue.complete(job.id, job.attempts, outputs, RECEIPT, now)


def fail(job, now, catalogue):
    return catalogue.fail(job.id, job.attempts, "crashed", "", now)


def cancel(job, now, catalogue):
    return catalogue.cancel(job.id, now)


def in_order(unneeded: Unneeded) -> Unneeded:
    """Return the same with its keys sorted: in which order they go is not said."""
    return Unneeded(unneeded.of, tuple(sorted(unneeded.inputs)), tuple(sorted(unneeded.outputs)))


TestKeepingAsTheFakeDoes = KeepingAsTheFakeDoes.TestCase
TestKeepingAsTheFakeDoes.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
