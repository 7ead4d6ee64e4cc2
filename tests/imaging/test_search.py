"""The search for a quality: that it finds the right one, in few attempts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.imaging.encode import encode
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.recipe import Encoding
from actors.imaging.writing.draft import Encoded
from actors.imaging.writing.search import MAX_ATTEMPTS, best_within, crossing, smallest_like
from tests.imaging.pictures import photograph


class Measured:
    """Measures that rise, and the numbers that were asked for."""

    def __init__(self, values):
        self.values = values
        self.asked = []

    def __call__(self, number):
        self.asked.append(number)
        return self.values[number - 1]


class Attempts:
    """Results whose size and SSIM follow from the quality, and the qualities that were tried."""

    def __init__(self, size=lambda quality: 100 * quality, ssim=lambda quality: quality / 100):
        self.size, self.ssim = size, ssim
        self.tried = []

    def __call__(self, quality):
        self.tried.append(quality)
        return Encoded(bytes(self.size(quality)), quality, self.ssim(quality))


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=255), st.integers(-5, 300))
def test_the_first_that_is_not_negative_is_found_in_eight_attempts(values, guess):
    measure = Measured(sorted(values))

    found = crossing(measure, len(values), guess)

    assert found == 1 + sum(value < 0 for value in values)
    assert len(measure.asked) == len(set(measure.asked)) <= MAX_ATTEMPTS
    assert set(measure.asked) >= {found - 1, found} & set(range(1, len(values) + 1))


@settings(deadline=None, derandomize=True, database=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=255), st.integers(1, 255))
def test_measures_that_do_not_rise_cost_no_more(values, guess):
    measure = Measured(values)

    found = crossing(measure, len(values), guess)

    assert 1 <= found <= len(values) + 1
    assert len(measure.asked) <= MAX_ATTEMPTS
    assert found == len(values) + 1 or values[found - 1] >= 0


def test_what_grows_as_files_do_takes_fewer_attempts_than_halving():
    sizes = [1_000 * math.exp(quality / 30 + quality**8 / 1e16) for quality in range(1, 101)]
    counts = []
    for answer in range(1, 101):
        measure = Measured([math.log(size / sizes[answer - 1]) for size in sizes])
        assert crossing(measure, 100, 90) == answer
        counts.append(len(measure.asked))

    assert np.mean(counts) < 6


@pytest.mark.parametrize("max_bytes", [100, 101, 5_432, 9_999, 10_000, 10**9])
def test_the_best_quality_that_fits_is_found(max_bytes):
    attempts = Attempts()

    found = best_within(attempts, max_bytes, highest=100, guess=90)

    assert found.quality == min(100, max_bytes // 100)
    assert len(found.data) <= max_bytes


@pytest.mark.parametrize("min_ssim", [0.001, 0.01, 0.5, 0.505, 0.999, 1.0])
def test_the_lowest_quality_that_is_like_enough_is_found(min_ssim):
    attempts = Attempts()

    found = smallest_like(attempts, min_ssim, highest=100, guess=90)

    assert found.quality == max(1, math.ceil(100 * min_ssim))
    assert found.ssim >= min_ssim


def test_what_is_asked_for_is_tried_first_and_enough_if_it_fits():
    attempts = Attempts()

    found = best_within(attempts, 8_000, highest=80, guess=80)

    assert found.quality == 80
    assert attempts.tried == [80]


def test_nothing_fits_into_too_few_bytes():
    with pytest.raises(
        ImpossibleRecipe,
        match=r"^the smallest that quality 1 gives is 12,345 bytes, and max_bytes is 10,000$",
    ):
        best_within(Attempts(lambda q: 12_344 + q), 10_000, highest=100, guess=75)


def test_nothing_is_like_enough():
    with pytest.raises(
        ImpossibleRecipe, match=r"^the SSIM that quality 80 gives is 0\.8000, and min_ssim is 0\.9$"
    ):
        smallest_like(Attempts(), 0.9, highest=80, guess=75)


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("max_bytes", [2_500, 6_000])
def test_a_file_is_as_good_as_its_bytes_allow(kind, max_bytes):
    image = photograph(160, 120)

    found = encode([image], kind, Encoding(max_bytes=max_bytes))
    assert found.quality is not None
    better = encode([image], kind, Encoding(quality=found.quality + 1))

    assert len(found.data) <= max_bytes < len(better.data)


@pytest.mark.parametrize("kind", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("min_ssim", [0.9, 0.95])
def test_a_file_is_as_small_as_its_likeness_allows(kind, min_ssim):
    image = photograph(160, 120)

    found = encode([image], kind, Encoding(min_ssim=min_ssim))

    assert found.quality is not None
    assert found.ssim is not None
    assert found.ssim >= min_ssim
    # With less quality it is impossible, and says what comes of it.
    with pytest.raises(ImpossibleRecipe, match=rf"and min_ssim is {min_ssim}$"):
        encode([image], kind, Encoding(min_ssim=min_ssim, quality=found.quality - 1))
