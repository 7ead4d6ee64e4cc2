"""Limits as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.bounds import (
    LONGEST,
    MOST,
    Bounds,
    Rate,
    limits_text,
    parse_quota,
    parse_rate,
    read_limits,
    with_own,
)

DEFAULTS = Bounds(requests=Rate(100, 60), jobs=20)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1/1s", Rate(1, 1)),
        ("100/1m", Rate(100, 60)),
        ("50M/2h", Rate(50_000_000, 7200)),
        ("2k/1d", Rate(2000, 86_400)),
        ("1/31d", Rate(1, LONGEST)),
        ("off", None),
    ],
)
def test_a_rate_is_so_many_in_such_a_time(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("text", "quota"), [("1", 1), ("20", 20), ("500M", 500_000_000), ("1G", 10**9), ("off", None)]
)
def test_a_quota_is_so_many(text, quota):
    assert parse_quota(text) == quota


@pytest.mark.parametrize(
    "text",
    [
        *("", "100", "0/1m", "1/0s", "1/m", "-1/1m", "1/1m ", "1/1m/1m", "1/32d", "\u0661/1m"),
        *("1.5/1s", "1/1M", "off/1m", "OFF", "1/999999999d", "1m/1s", "10000000000G/1s"),
    ],
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="is no"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1T", "1e3", "1 ", "20/1m", "\u0661", "2000000G"])
def test_what_is_no_quota_is_refused(text):
    with pytest.raises(ValueError, match="is no number"):
        parse_quota(text)


@given(st.text())
def test_whatever_is_read_is_within_what_can_be_counted_with(text):
    try:
        rate = parse_rate(text)
    except ValueError:
        return
    assert rate is None or (1 <= rate.quota <= MOST and 1 <= rate.window <= LONGEST)


def test_a_key_without_limits_of_its_own_has_the_defaults():
    assert with_own(DEFAULTS, None) is not None
    assert with_own(DEFAULTS, None) == DEFAULTS


def test_a_limit_of_its_own_takes_the_place_of_the_default_and_off_is_one():
    own = {"requests": "off", "bytes": "1M/1s", "pixels": "1G"}

    bounds = with_own(DEFAULTS, limits_text(own))

    assert bounds == Bounds(bytes=Rate(1_000_000, 1), jobs=20, pixels=10**9)
    assert read_limits(limits_text(own)) == own


def test_no_limits_of_its_own_are_kept_as_nothing():
    assert limits_text({}) is None
    assert read_limits(None) == {}
