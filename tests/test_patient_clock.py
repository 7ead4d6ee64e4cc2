"""What is lost is lost: the clock that says what may go is not hurried."""

from datetime import timedelta
from functools import partial

import pytest
import trio
from structlog.testing import capture_logs

from actors import system
from actors.fetcher import Fetching
from actors.patient_clock import BELIEVED_AFTER, PatientClock
from actors.storage.opening import open_storage
from actors.store import Store, StoreLimits
from actors.supervision import Activity
from actors.system import Capacity, System
from tests.conftest import NOON, places_in

DAY = timedelta(days=1)


class Wall:
    """A clock on the wall, which goes as trio's does and can be set."""

    def __init__(self):
        self.off = timedelta(0)

    def __call__(self):
        return NOON + timedelta(seconds=trio.current_time()) + self.off


@pytest.fixture
def wall():
    return Wall()


async def test_it_goes_as_the_clock_on_the_wall_goes(wall, autojump_clock):
    clock = PatientClock(wall)

    for seconds in (0, 1, 100_000):
        await trio.sleep(seconds)
        assert clock() == wall()


async def test_small_corrections_are_followed(wall, autojump_clock):
    clock = PatientClock(wall)

    for _ in range(10):
        await trio.sleep(1)
        wall.off += timedelta(seconds=30)
        assert clock() == wall()


async def test_a_leap_is_not_believed_and_time_goes_on(wall, autojump_clock):
    clock = PatientClock(wall)
    wall.off = DAY

    with capture_logs() as logs:
        assert clock() == wall() - DAY
        await trio.sleep(1000)
        assert clock() == wall() - DAY

    assert [(each["event"], each["seconds"]) for each in logs] == [("clock_leapt", 86_400)]


async def test_a_leap_that_was_a_mistake_has_never_been(wall, autojump_clock):
    clock = PatientClock(wall)
    wall.off = DAY
    clock()

    wall.off = timedelta(0)

    assert clock() == wall()
    await trio.sleep(BELIEVED_AFTER)
    wall.off = DAY
    assert clock() == wall() - DAY


async def test_a_leap_that_stands_is_believed_in_the_end(wall, autojump_clock):
    clock = PatientClock(wall)
    wall.off = DAY
    clock()

    await trio.sleep(BELIEVED_AFTER)

    assert clock() == wall()


async def test_a_second_leap_has_an_hour_of_its_own(wall, autojump_clock):
    clock = PatientClock(wall)
    wall.off = DAY
    clock()
    await trio.sleep(BELIEVED_AFTER - 1)
    wall.off = 30 * DAY

    clock()
    await trio.sleep(BELIEVED_AFTER - 1)
    assert clock() == wall() - 30 * DAY
    await trio.sleep(1)

    assert clock() == wall()


async def test_a_leap_that_was_made_smaller_and_larger_again_is_a_second_one(wall, autojump_clock):
    clock = PatientClock(wall)
    for days in (30, 1):
        wall.off = days * DAY
        clock()
    await trio.sleep(BELIEVED_AFTER - 1)
    wall.off = 30 * DAY
    clock()

    await trio.sleep(1)

    assert clock() == wall() - 30 * DAY


async def test_the_next_store_believes_no_more_than_the_one_that_crashed(
    wall, autojump_clock, renderer, nursery, monkeypatch, tmp_path
):
    monkeypatch.setattr(system, "utc_now", wall)
    capacity = Capacity(
        workers=1,
        storage_calls=1,
        mail=1,
        store=StoreLimits(backlog=1, asks=1, attempts=1),
        fetching=Fetching(max_bytes=1),
    )
    whole = System(capacity, partial(open_storage, places_in(tmp_path)), renderer, nursery)
    activity = Activity("store", whole._store_mail)
    whole._make_store(whole._store_mail, activity)
    wall.off = DAY
    await trio.lowlevel.checkpoint()

    store = whole._make_store(whole._store_mail, activity)

    assert isinstance(store, Store)
    assert store._age_now() == wall() - DAY


async def test_it_follows_back_at_once(wall, autojump_clock):
    clock = PatientClock(wall)
    wall.off = -DAY
    await trio.sleep(1)

    assert clock() == wall()
