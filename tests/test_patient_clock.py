"""What is lost is lost: the clock that says what may go is not hurried."""

from datetime import timedelta

import pytest
import trio
from structlog.testing import capture_logs

from actors.patient_clock import BELIEVED_AFTER, PatientClock
from tests.conftest import NOON

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


async def test_it_follows_back_at_once(wall, autojump_clock):
    clock = PatientClock(wall)
    wall.off = -DAY
    await trio.sleep(1)

    assert clock() == wall()
