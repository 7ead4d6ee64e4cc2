"""It rings when something is due, whatever is done to the clock."""

from datetime import timedelta

import pytest
import trio
import trio.testing

from actors.alarm import LOOK_AGAIN, Alarm
from tests.conftest import NOON


class Clock:
    """The time of trio's clock, until somebody sets it."""

    def __init__(self):
        self.set_by = 0.0

    def __call__(self):
        return NOON + timedelta(seconds=trio.current_time() + self.set_by)


class Ringing(Alarm):
    """An alarm, with the moments at which it rang."""

    def __init__(self, now):
        super().__init__(now)
        self.rings: list[float] = []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def alarm(nursery, clock):
    """An alarm that is running."""
    alarm = Ringing(clock)
    nursery.start_soon(alarm.run, lambda: alarm.rings.append(trio.current_time()))
    await trio.testing.wait_all_tasks_blocked()
    return alarm


def at(seconds):
    return NOON + timedelta(seconds=seconds)


async def test_it_rings_when_it_is_time_and_not_before(autojump_clock, alarm):
    alarm.set(at(100))

    await trio.sleep(99)
    before = list(alarm.rings)
    await trio.sleep(2)

    assert before == []
    assert alarm.rings == pytest.approx([100])


async def test_it_rings_at_once_if_that_has_passed(autojump_clock, alarm):
    alarm.set(at(-5))
    await trio.testing.wait_all_tasks_blocked()

    assert alarm.rings == pytest.approx([0])


async def test_without_a_time_it_sleeps(autojump_clock, alarm):
    alarm.set(at(5))
    alarm.set(None)
    await trio.sleep(10_000)

    assert alarm.rings == []


async def test_another_time_takes_the_place_of_the_first(autojump_clock, alarm):
    alarm.set(at(500))
    alarm.set(at(5))
    await trio.sleep(50)

    assert alarm.rings == pytest.approx([5])


async def test_it_rings_again_if_nobody_has_heard_and_not_after(autojump_clock, alarm):
    alarm.set(at(5))
    await trio.sleep(2 * LOOK_AGAIN)
    unheard = list(alarm.rings)
    alarm.set(None)
    await trio.sleep(10 * LOOK_AGAIN)

    assert unheard == pytest.approx([5, 5 + LOOK_AGAIN])
    assert alarm.rings == unheard


async def test_what_is_still_due_after_a_ring_rings_again_at_once(autojump_clock, alarm):
    alarm.set(at(5))
    await trio.sleep(6)
    alarm.set(at(5))
    await trio.sleep(1)

    assert alarm.rings == pytest.approx([5, 6])


async def test_a_clock_that_is_set_forwards_is_noticed_within_a_minute(
    autojump_clock, alarm, clock
):
    alarm.set(at(10_000))
    await trio.sleep(1)
    clock.set_by = 20_000

    await trio.sleep(LOOK_AGAIN + 1)

    assert len(alarm.rings) == 1


async def test_a_clock_that_is_set_back_makes_it_ring_late_and_not_early(
    autojump_clock, alarm, clock
):
    alarm.set(at(100))
    await trio.sleep(50)
    clock.set_by = -1_000

    await trio.sleep(1_000)
    before = list(alarm.rings)
    await trio.sleep(100 + LOOK_AGAIN)

    assert before == []
    assert len(alarm.rings) >= 1
