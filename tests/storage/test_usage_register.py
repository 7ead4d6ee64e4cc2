"""What every register of usage must do, whatever its catalogue is made of."""

import tempfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.storage.ports import ENDED, StorageError
from actors.storage.sqlite import SqliteCatalogue
from actors.storage.usage import LONGEST_WAIT, SHORTEST_WAIT, Bill, QuotaExceeded
from tests.conftest import NOON
from tests.storage.catalogues import ANY, CATALOGUES, OUTPUT, Each, minute, new_job

TOMORROW = timedelta(days=1)
JOBS = Bill("key 1", jobs=2)
PIXELS = Bill("key 1", pixels=100)


class Counted(Each):
    """A catalogue in which jobs are made on account."""

    def submit(self, name, bill=JOBS, pixels=0, now=NOON):
        def submit(it):
            job = it.add(new_job(name), now)
            it.usage.admit((job.id,), bill, pixels, now)
            return job

        return self.do(submit)

    def retry(self, name, bill=JOBS, now=NOON):
        def retry(it):
            it.retry(name, 3, now)
            it.usage.admit((name,), bill, 0, now)

        self.do(retry)

    def fetch(self, name, pixels, now=NOON):
        self.do(lambda it: it.usage.charge(name, pixels, now))

    def claim(self):
        (job,) = self.do(lambda it: it.claim([ANY], NOON))
        return job

    def has_room(self, bill=JOBS, now=NOON) -> bool:
        """Whether there could be one more job in flight."""
        try:
            self.submit("probe", bill, now=now)
        except QuotaExceeded:
            return False
        self.do(lambda it: it.delete("probe", NOON))
        return True


@pytest.fixture
def counted(catalogue):
    return Counted(catalogue)


# --- Jobs in flight -------------------------------------------------------------------------------


def test_so_many_jobs_may_be_in_flight_and_one_more_is_not_made(counted):
    counted.submit("a", now=minute(0))
    counted.submit("b", now=minute(1))

    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("c", now=minute(1))

    assert (refused.value.quota, refused.value.bound, refused.value.left) == ("jobs", 2, 0)
    assert counted.do(lambda it: it.pending()) == 2


@pytest.mark.parametrize(
    ("age", "wait"),
    [(-5.0, SHORTEST_WAIT), (0.0, SHORTEST_WAIT), (17.5, 17.5), (3600.0, LONGEST_WAIT)],
)
def test_who_finds_no_place_is_to_wait_as_long_as_the_oldest_job_has_taken(counted, age, wait):
    counted.submit("a", Bill("key 1", jobs=1))

    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("b", Bill("key 1", jobs=1), now=NOON + timedelta(seconds=age))

    assert refused.value.wait == wait


def test_where_there_may_be_none_there_is_none(counted):
    with pytest.raises(QuotaExceeded):
        counted.submit("a", Bill("key 1", jobs=0))


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
def test_a_job_that_has_ended_or_is_gone_gives_its_place_up(counted, end):
    counted.submit("a")
    counted.submit("b")
    job = counted.claim()
    assert not counted.has_room()

    counted.do(lambda it: end(it, job))

    assert counted.has_room()


def test_jobs_that_come_together_have_their_places_together_or_none_has(counted):
    def submit(*jobs):
        def submit(it):
            for name in jobs:
                it.add(new_job(name), NOON)
            it.usage.admit(jobs, Bill("key 1", jobs=3), 0, NOON)

        counted.do(submit)

    submit("a", "b")

    with pytest.raises(QuotaExceeded) as refused:
        submit("c", "d")
    with pytest.raises(QuotaExceeded) as hopeless:
        submit("c", "d", "e", "f")

    assert (refused.value.left, refused.value.wait) == (1, SHORTEST_WAIT)
    assert hopeless.value.wait is None
    assert counted.do(lambda it: it.pending()) == 2
    submit("c")


def test_a_job_that_is_given_back_keeps_its_place_until_it_has_crashed_for_good(counted):
    counted.submit("a", Bill("key 1", jobs=1))
    for _ in range(3):
        assert not counted.has_room(Bill("key 1", jobs=1))
        job = counted.claim()
        counted.do(lambda it, job=job: it.release(job.id, job.attempts, "It was.", NOON))

    assert counted.do(lambda it: it.find("a")).status == "failed"
    assert counted.has_room(Bill("key 1", jobs=1))


def test_a_job_that_is_deleted_before_it_has_begun_gives_its_place_up(counted):
    counted.submit("a", Bill("key 1", jobs=1))
    counted.do(lambda it: it.delete("a", NOON))

    assert counted.has_room(Bill("key 1", jobs=1))


def test_a_retry_takes_a_place_again_or_is_not_made(counted):
    for name in "abc":
        counted.submit(name, Bill("key 1", jobs=3))
    counted.do(lambda it: it.cancel("a", NOON))

    with pytest.raises(QuotaExceeded):
        counted.retry("a")
    assert counted.do(lambda it: it.find("a")).status == "cancelled"

    counted.do(lambda it: it.cancel("b", NOON))
    counted.retry("a")
    assert not counted.has_room()


def test_a_retry_on_nobodys_account_takes_no_place(counted):
    counted.submit("a", Bill("key 1", jobs=1))
    counted.do(lambda it: it.cancel("a", NOON))

    counted.do(lambda it: it.retry("a", 3, NOON))

    assert counted.has_room(Bill("key 1", jobs=1))


def test_accounts_do_not_touch_each_other(counted):
    counted.submit("a", Bill("key 1", jobs=1, pixels=10), pixels=10)

    counted.submit("b", Bill("key 2", jobs=1, pixels=10), pixels=10)
    counted.submit("c", Bill("origin 192.0.2.1", jobs=1, pixels=10), pixels=10)


# --- Pixels ---------------------------------------------------------------------------------------


def test_so_many_pixels_may_come_in_a_day_and_the_rest_is_told(counted):
    counted.submit("a", PIXELS, 60)

    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("b", PIXELS, 41)
    counted.submit("c", PIXELS, 40)

    assert (refused.value.quota, refused.value.bound, refused.value.left) == ("pixels", 100, 40)
    # It is noon.
    assert refused.value.wait == 12 * 60 * 60
    assert counted.do(lambda it: it.pending()) == 2


def test_an_image_of_more_than_a_day_has_never_gets_through(counted):
    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("a", PIXELS, 101)

    assert refused.value.wait is None
    assert refused.value.left == 100


@pytest.mark.parametrize("name", ["cancel", "delete", "retry"])
def test_no_pixels_come_back_whatever_becomes_of_the_job_and_none_count_twice(counted, name):
    counted.submit("a", PIXELS, 60)
    match name:
        case "cancel":
            counted.do(lambda it: it.cancel("a", NOON))
        case "delete":
            counted.do(lambda it: it.delete("a", NOON))
        case "retry":
            counted.do(lambda it: it.cancel("a", NOON))
            counted.retry("a", PIXELS)

    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("b", PIXELS, 50)

    assert refused.value.left == 40


def test_the_day_is_that_of_utc(counted):
    late = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)
    counted.submit("a", PIXELS, 100, late)

    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("b", PIXELS, 1, late.astimezone(timezone(timedelta(hours=5))))

    assert refused.value.wait == 1
    counted.submit("c", PIXELS, 100, late + timedelta(seconds=1))


def test_what_is_fetched_counts_when_it_is_there_for_whom_the_job_was_made(counted):
    counted.submit("a", PIXELS)
    counted.submit("b", PIXELS)
    counted.claim()

    counted.fetch("a", 70)
    with pytest.raises(QuotaExceeded) as refused:
        counted.fetch("b", 31)
    counted.fetch("b", 30)

    assert refused.value.left == 30


def test_what_is_fetched_on_nobodys_account_is_not_counted(counted):
    counted.do(lambda it: it.add(new_job("a"), NOON))

    counted.fetch("a", 10**15)


def test_pixels_without_a_bound_are_not_counted(counted):
    counted.submit("a", JOBS, 10**15)

    counted.submit("b", PIXELS, 100)


def test_a_quota_that_was_lowered_below_what_was_used_leaves_nothing(counted):
    counted.submit("a", PIXELS, 100)

    with pytest.raises(QuotaExceeded) as refused:
        counted.submit("b", Bill("key 1", pixels=50), 1)

    assert refused.value.left == 0


def test_a_call_that_fails_later_takes_back_what_it_has_counted(counted):
    def submit_and_fail(it):
        it.add(new_job("a"), NOON)
        it.usage.admit("a", Bill("key 1", jobs=1, pixels=10), 10, NOON)
        it.find("nowhere")

    counted.catalogue.batch([submit_and_fail])

    counted.submit("a", Bill("key 1", jobs=1, pixels=10), 10)


# --- Both, against a model ------------------------------------------------------------------------

ACCOUNTS = st.sampled_from(["key 1", "key 2", "origin 192.0.2.0"])
BILLS = st.builds(
    Bill, ACCOUNTS, jobs=st.none() | st.integers(0, 3), pixels=st.none() | st.integers(0, 30)
)
NAMES = st.sampled_from("abcdef")
CALLS = st.one_of(
    st.tuples(st.just("submit"), NAMES, BILLS, st.integers(0, 12)),
    st.tuples(st.just("retry"), NAMES, BILLS),
    st.tuples(st.just("fetch"), NAMES, st.integers(0, 12)),
    st.tuples(st.sampled_from(["claim", "complete", "cancel", "delete"]), NAMES),
)


class Model:
    """Who has what in flight, and how many pixels they had on each day."""

    def __init__(self) -> None:
        self.places: dict[str, Bill] = {}
        self.pixels: dict[tuple[str, object], int] = {}

    def admit(self, name, bill, pixels, now) -> bool:
        held = [each for each in self.places.values() if each.account == bill.account]
        if bill.jobs is not None and len(held) >= bill.jobs:
            return False
        if not self.count(bill, pixels, now):
            return False
        self.places[name] = bill
        return True

    def count(self, bill, pixels, now) -> bool:
        if bill.pixels is None or not pixels:
            return True
        day = bill.account, now.date()
        if self.pixels.get(day, 0) + pixels > bill.pixels:
            return False
        self.pixels[day] = self.pixels.get(day, 0) + pixels
        return True


@pytest.mark.parametrize("kind", CATALOGUES)
@settings(max_examples=60, deadline=None)
@given(calls=st.lists(st.tuples(CALLS, st.integers(0, 8)), max_size=40))
def test_whatever_happens_the_counts_are_those_of_the_model(kind, calls):
    with tempfile.TemporaryDirectory() as directory:
        counted, model, now = Counted(CATALOGUES[kind](Path(directory))), Model(), NOON
        for (what, name, *said), hours in calls:
            now += timedelta(hours=hours)
            happened = True
            before = status_of(counted, name)
            try:
                apply(counted, what, name, said, now)
            except QuotaExceeded:
                happened = False
            except StorageError:
                continue
            match what:
                case "submit" if before is None:
                    assert happened == model.admit(name, said[0], said[1], now)
                case "retry":
                    assert happened == model.admit(name, said[0], 0, now)
                case "fetch" if name in model.places:
                    assert happened == model.count(model.places[name], said[0], now)
            if status_of(counted, name) in {None, *ENDED}:
                model.places.pop(name, None)
        counted.catalogue.close()


def status_of(counted, name):
    try:
        return counted.do(lambda it: it.find(name)).status
    except StorageError:
        return None


def apply(counted, what, name, said, now) -> None:
    match what:
        case "submit" if status_of(counted, name) is None:
            counted.submit(name, *said, now=now)
        case "retry":
            counted.retry(name, *said, now=now)
        case "fetch":
            counted.fetch(name, *said, now=now)
        case "claim":
            counted.do(lambda it: it.claim([ANY], now))
        case "complete":
            attempt = counted.do(lambda it: it.find(name)).attempts
            counted.do(lambda it: it.complete(name, attempt, [OUTPUT], "{}", now))
        case "cancel":
            counted.do(lambda it: it.cancel(name, now))
        case "delete":
            counted.do(lambda it: it.delete(name, NOON))


# --- On the disk ----------------------------------------------------------------------------------


def test_a_register_in_sqlite_survives_a_reopening(tmp_path):
    counted = Counted(SqliteCatalogue(tmp_path / "calotype.db"))
    counted.submit("a", Bill("key 1", jobs=1, pixels=100), 60)
    counted.catalogue.close()

    again = Counted(SqliteCatalogue(tmp_path / "calotype.db"))

    assert not again.has_room(Bill("key 1", jobs=1))
    with pytest.raises(QuotaExceeded):
        again.submit("b", Bill("key 1", jobs=2, pixels=100), 41)
    again.catalogue.close()


def test_the_file_has_no_address_in_it_and_forgets_days_that_are_over(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    counted, db = Counted(catalogue), catalogue._db
    for number in range(3):
        counted.submit(f"a{number}", Bill(f"origin 192.0.2.{number}", pixels=9), 9)

    counted.submit("b", Bill("origin 192.0.2.9", pixels=9), 9, NOON + TOMORROW)

    assert db.execute("select day from usage").fetchall() == [("2026-03-02",)]
    names = db.execute("select distinct account from places").fetchall()
    assert len(names) == 4
    assert not any("192" in name and "." in name for (name,) in names)
    catalogue.close()
    for file in tmp_path.iterdir():
        assert b"192.0.2" not in file.read_bytes()


def test_a_place_costs_no_look_at_other_accounts_or_at_jobs_that_have_ended(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")

    plan = catalogue._db.execute(
        "explain query plan select count(*), min(since) from places where account = 'a'"
    ).fetchall()

    assert "USING COVERING INDEX idx_places_account_since (account=?)" in plan[0][3]
    catalogue.close()
