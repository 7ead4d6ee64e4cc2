"""The generated photo."""

import pytest

from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.inspect import inspect
from actors.imaging.sample import photo


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (640, 480)])
def test_a_photo_has_the_size_that_is_wanted(width, height):
    facts = inspect(photo(width, height, seed=1), DEFAULT_LIMITS)

    assert (facts.format, facts.width, facts.height) == ("jpeg", width, height)


def test_the_seed_decides():
    assert photo(64, 48, seed=1) == photo(64, 48, seed=1) != photo(64, 48, seed=2)


def test_it_is_as_hard_to_compress_as_a_photo():
    bits_per_pixel = 8 * len(photo(640, 480, seed=1)) / (640 * 480)

    assert 1 < bits_per_pixel < 4
