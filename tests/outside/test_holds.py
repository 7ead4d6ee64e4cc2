"""A host that is silent holds no more than its share, and one that answers what it likes."""

from contextlib import ExitStack, suppress

import pytest

from actors.outside.breaker import HostBusy, HostResting
from actors.outside.errors import SourceForbidden, SourceTooLarge, SourceUnreachable
from actors.outside.holds import REMEMBERED, SILENCE, Holds

DOWN = SourceUnreachable("It is down.")
NOT_FOUND = SourceUnreachable("It answered 404.", may_pass=False, status=404)
MOST = 2


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def holds(clock):
    return Holds(clock=clock)


@pytest.fixture
def held():
    """What is in hand until the end of the test."""
    with ExitStack() as stack:
        yield stack


def end_one(holds: Holds, host: str, error: Exception | None = None) -> None:
    """Have a fetch end so, with no heed of how many there may be."""
    with suppress(*[type(error)] if error else []), holds.hold(host, 1000):
        if error:
            raise error


def test_a_host_that_has_not_answered_has_its_share_and_no_more(holds, held):
    for host in "aabb":
        held.enter_context(holds.hold(host, MOST))

    with pytest.raises(HostBusy):
        held.enter_context(holds.hold("a", MOST))

    assert holds.held("a") == MOST
    assert holds.held("c") == 0


@pytest.mark.parametrize("error", [None, NOT_FOUND, SourceTooLarge(1)])
def test_a_host_that_answers_has_more_until_it_falls_silent(holds, held, clock, error):
    for _ in range(MOST):
        held.enter_context(holds.hold("a", MOST))
    clock.now = 100
    assert holds.patience("a") < 0
    end_one(holds, "a", error)
    assert holds.patience("a") == SILENCE

    held.enter_context(holds.hold("a", MOST))
    clock.now += SILENCE

    with pytest.raises(HostBusy):
        held.enter_context(holds.hold("a", MOST))
    assert holds.held("a") == MOST + 1


@pytest.mark.parametrize(
    "error", [DOWN, SourceForbidden("Inside."), HostResting(1), ZeroDivisionError()]
)
def test_what_is_no_answer_makes_it_no_better(holds, held, clock, error):
    for _ in range(MOST):
        held.enter_context(holds.hold("a", MOST))
    clock.now = SILENCE
    end_one(holds, "a", error)

    assert holds.patience("a") == 0
    with pytest.raises(HostBusy):
        held.enter_context(holds.hold("a", MOST))


def test_a_host_that_answered_just_now_may_have_more_at_once(holds, held, clock):
    end_one(holds, "a")
    clock.now = SILENCE / 2

    for _ in range(MOST + 1):
        held.enter_context(holds.hold("a", MOST))


def test_an_answer_of_long_ago_does_not_count_nor_the_silence_since(holds, held, clock):
    end_one(holds, "a")
    clock.now = 100

    for _ in range(MOST):
        held.enter_context(holds.hold("a", MOST))

    assert holds.patience("a") == SILENCE
    with pytest.raises(HostBusy):
        held.enter_context(holds.hold("a", MOST))


def test_only_hosts_that_answered_are_remembered_and_not_too_many(holds, held):
    held.enter_context(holds.hold("in hand", MOST))
    end_one(holds, "down", DOWN)
    for number in range(REMEMBERED + 9):
        end_one(holds, str(number))

    assert len(holds) == REMEMBERED
    assert holds.held("in hand") == 1
