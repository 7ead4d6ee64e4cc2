"""Sizes: the largest that fits, with the proportions kept."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from actors.imaging.geometry import fit_inside, scale

edges = st.integers(1, 16_384)
sizes = st.tuples(edges, edges)


@given(sizes, sizes)
def test_a_fitted_size_touches_the_box_and_differs_from_the_true_one_by_half_a_pixel(size, box):
    width, height = fit_inside(size, box, enlarge=True)

    share = min(Fraction(box[0], size[0]), Fraction(box[1], size[1]))
    assert 1 <= width <= box[0]
    assert 1 <= height <= box[1]
    assert width == box[0] or height == box[1]
    assert width == 1 or abs(width - size[0] * share) <= Fraction(1, 2)
    assert height == 1 or abs(height - size[1] * share) <= Fraction(1, 2)


@given(sizes, sizes)
def test_without_enlarging_nothing_grows_and_what_is_too_large_is_fitted_all_the_same(size, box):
    fitted = fit_inside(size, box, enlarge=False)

    fits = size[0] <= box[0] and size[1] <= box[1]
    assert fitted == (size if fits else fit_inside(size, box, enlarge=True))
    assert fitted[0] <= size[0]
    assert fitted[1] <= size[1]


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (8, 8), (1, 300)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_white_stays_white_however_small_it_becomes(mode, size):
    white = Image.new(mode, (4000, 3000), "white")

    assert set(scale(white, size).tobytes()) == {255}
