"""Waiting grows, is never the same for two, and ends."""

import math

from hypothesis import given
from hypothesis import strategies as st

from actors.outside.backoff import Backoff, doubled

BACKOFF = Backoff(first=10, longest=100, attempts=7)


def test_the_most_that_is_waited_doubles_up_to_a_bound():
    delays = [BACKOFF.delay(made, lambda: 1.0) for made in range(1, 8)]

    assert delays == [10, 20, 40, 80, 100, 100, None]


def test_chance_takes_off_up_to_all_of_it():
    assert BACKOFF.delay(3, lambda: 0.0) == 0
    assert BACKOFF.delay(3, lambda: 0.25) == 10


def test_what_the_other_side_asks_for_is_heard_up_to_the_bound():
    assert BACKOFF.delay(1, lambda: 1.0, at_least=5) == 10
    assert BACKOFF.delay(1, lambda: 0.5, at_least=50) == 50
    assert BACKOFF.delay(1, lambda: 0.5, at_least=5000) == 100
    assert BACKOFF.delay(7, lambda: 0.5, at_least=50) is None


@given(
    st.floats(0.001, 1e6),
    st.floats(0.001, 1e9),
    st.integers(1, 10**9),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, allow_nan=False),
)
def test_a_delay_is_never_longer_than_the_longest(first, longest, made, chance, asked):
    delay = Backoff(first, longest, 10**9 + 1).delay(made, lambda: chance, at_least=asked)

    assert delay is not None
    assert 0 <= delay <= longest
    assert math.isfinite(doubled(first, made, longest))
