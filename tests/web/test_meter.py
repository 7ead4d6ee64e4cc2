"""Rates: as the generic cell rate algorithm has them, for however many accounts."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import meter
from web.bounds import Rate
from web.meter import Meter

RATE = Rate(10, 60)


class Clock:
    """Time that passes when it is told to, in milliseconds."""

    def __init__(self) -> None:
        self.milliseconds = 0

    def __call__(self) -> float:
        return 1_000_000.0 + self.milliseconds / 1000

    def pass_by(self, seconds: float) -> None:
        self.milliseconds += round(seconds * 1000)


@pytest.fixture
def clock():
    return Clock()


def take_all(meter: Meter, account: str, rate: Rate = RATE) -> int:
    """How many can be taken at this moment."""
    taken = 0
    while not meter.take(account, rate, 1):
        taken += 1
    return taken


class Model:
    """GCRA as ITU-T I.371 has it, with a theoretical arrival time and no rounding at all."""

    def __init__(self, rate: Rate) -> None:
        self._each = Fraction(rate.window, rate.quota)
        self._rate = rate
        self._arrival = Fraction(0)

    def take(self, milliseconds: int, amount: int) -> Fraction:
        now = Fraction(milliseconds, 1000)
        arrival = max(self._arrival, now)
        within = min(amount, self._rate.quota)
        wait = arrival + within * self._each - self._rate.window - now
        if wait <= 0:
            self._arrival = arrival + amount * self._each
        return max(wait, Fraction(0))


rates = st.builds(
    Rate, st.integers(1, 10) | st.integers(1, 10**15), st.integers(1, 100) | st.just(2_678_400)
)


@given(
    rates,
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 12), st.booleans()), max_size=50),
)
def test_it_takes_and_refuses_as_gcra_does(rate, arrivals):
    clock = Clock()
    meter, model = Meter(clock=clock), Model(rate)

    for pause, share, is_small in arrivals:
        clock.milliseconds += pause
        amount = share if is_small else max(1, rate.quota * share // 10)

        wait, right = meter.take("a", rate, amount), model.take(clock.milliseconds, amount)

        if wait and not right:
            pytest.fail(f"refused for {wait} s")
        # What is taken too early by a rounding is less than a millionth of the window.
        assert wait == pytest.approx(float(right), rel=1e-6, abs=1e-6 * rate.window)


@given(rates, st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_whoever_waits_as_long_as_is_said_gets_through(rate, amounts):
    clock = Clock()
    meter = Meter(clock=clock)

    for amount in amounts:
        if wait := meter.take("a", rate, amount):
            # What `Retry-After` can say is whole seconds.
            clock.pass_by(ceil(wait))
            assert not meter.take("a", rate, amount)


@given(rates, st.lists(st.tuples(st.integers(0, 10**5), st.integers(1, 30)), max_size=20))
def test_what_is_said_to_be_left_can_be_used_and_is_whole_again_when_said(rate, arrivals):
    clock = Clock()
    meter = Meter(clock=clock)
    for pause, amount in arrivals:
        clock.milliseconds += pause
        meter.take("a", rate, amount)

    standing = meter.standing("a", rate)
    if standing.left:
        assert not meter.take("a", rate, standing.left)
        meter.give_back("a", rate, standing.left)
        clock.pass_by(ceil(standing.seconds))
        assert meter.standing("a", rate).left == rate.quota
    else:
        clock.pass_by(ceil(standing.seconds))
        assert not meter.take("a", rate, 1)


def test_a_whole_quota_can_be_used_at_once_and_comes_back_evenly(clock):
    meter = Meter(clock=clock)

    assert take_all(meter, "a") == 10
    assert meter.take("a", RATE, 1) == pytest.approx(6)
    clock.pass_by(6)
    assert take_all(meter, "a") == 1
    clock.pass_by(30)
    assert take_all(meter, "a") == 5
    clock.pass_by(1000)
    assert take_all(meter, "a") == 10


def test_a_refusal_costs_nothing(clock):
    meter = Meter(clock=clock)
    take_all(meter, "a")

    for _ in range(1000):
        assert meter.take("a", RATE, 1) == pytest.approx(6)


def test_more_than_a_quota_waits_for_all_of_it_and_then_for_the_rest(clock):
    meter = Meter(clock=clock)

    assert not meter.take("a", RATE, 25)

    standing = meter.standing("a", RATE)
    assert standing.left == 0
    assert standing.seconds == pytest.approx((25 - 9) * 6)
    assert meter.take("a", RATE, 25) == pytest.approx(25 * 6)
    clock.pass_by(25 * 6)
    assert not meter.take("a", RATE, 25)


def test_what_was_not_used_can_be_given_back(clock):
    meter = Meter(clock=clock)
    meter.take("a", RATE, 8)

    meter.give_back("a", RATE, 5)
    assert take_all(meter, "a") == 7
    meter.give_back("a", RATE, 100)
    assert take_all(meter, "a") == 10


def test_a_rate_that_is_changed_counts_at_once_for_what_was_used(clock):
    meter = Meter(clock=clock)
    take_all(meter, "a", Rate(1, 3600))

    assert take_all(meter, "a", Rate(100, 60)) == 99
    assert meter.take("a", Rate(50, 60), 1) == pytest.approx(51 * 60 / 50)


def test_accounts_do_not_touch_each_other(clock):
    meter = Meter(clock=clock)
    take_all(meter, "a")

    assert take_all(meter, "b") == 10
    assert meter.standing("a", RATE).left == 0


def test_no_flood_of_accounts_has_one_forgotten_that_is_at_its_limit(clock):
    meter = Meter(size=100, clock=clock)
    take_all(meter, "attacker")

    for number in range(10_000):
        meter.take(f"other {number}", RATE, 1)
        assert meter.take("attacker", RATE, 1)


def test_accounts_that_find_no_place_share_one_and_no_memory_is_spent_on_them(clock, monkeypatch):
    monkeypatch.setattr(meter, "SHARED", 4)
    flooded = Meter(size=100, clock=clock)
    for number in range(100):
        flooded.take(f"own {number}", RATE, 1)

    taken = sum(not flooded.take(f"late {number}", RATE, 1) for number in range(10_000))

    assert taken <= 4 * RATE.quota
    assert len(flooded._own) == 100
    assert len(flooded._shared) <= 4
    # Nor does one get a second quota when there is room again.
    clock.pass_by(7)
    assert flooded.take("late 1", RATE, 10)


def test_places_are_free_again_when_what_was_used_has_come_back(clock):
    meter = Meter(size=100, clock=clock)
    for number in range(150):
        meter.take(f"first {number}", RATE, 1)

    clock.pass_by(60)

    for number in range(100):
        assert not meter.take(f"second {number}", RATE, 10)
    assert meter._own.keys() == {f"second {number}" for number in range(100)}
