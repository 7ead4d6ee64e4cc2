"""What the parameters of all operations have in common."""

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from actors.imaging.album import EMPTY
from actors.imaging.operations.covering import Border, Redact, Round
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.filters import Pixelate
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale
from actors.imaging.operations.watermark import Watermark
from actors.imaging.step import Color, Scene, in_pixels, nearest, resolved, rgba
from tests.imaging.operations.trials import noise


@pytest.mark.parametrize(
    ("color", "levels"),
    [
        ("#0a64ff", (10, 100, 255, 255)),
        ("#0A64FF", (10, 100, 255, 255)),
        ("#0a64ff80", (10, 100, 255, 128)),
        ("#f80", (255, 136, 0, 255)),
        ("#F80a", (255, 136, 0, 170)),
        ("#0000", (0, 0, 0, 0)),
        ("White", (255, 255, 255, 255)),
        ("ReBeccaPurple", (102, 51, 153, 255)),
        ("Transparent", (0, 0, 0, 0)),
    ],
)
def test_a_color_is_said_as_in_css(color, levels):
    assert msgspec.convert(color, Color) == color
    assert rgba(color) == levels


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
def test_every_name_of_css_is_known_in_every_case(case):
    for name in ImageColor.colormap:
        assert rgba(msgspec.convert(case(name), Color)) == rgba(name)


@pytest.mark.parametrize(
    "other",
    ["", "#", "#ff", "#fffff", "#fffffff", "#fffffffff", "#ggg", "fff", "white ", " white", "whit",
     "white\n", "#fff\n", "rgb(0,0,0)", "\u017filver", "blac\u212a", "transparen"],
)  # fmt: skip
def test_nothing_else_is_a_color(other):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(other, Color)


@pytest.mark.parametrize("edge", range(1, 50))
def test_half_of_what_is_odd_is_the_larger_half(edge):
    scene = Scene((edge, edge), lambda: pytest.fail("nobody need look"))
    half = (edge + 1) // 2

    assert in_pixels("50%", edge) == half
    assert Resize("50%", "50%").resolve(scene) == (Resize(half, half),)
    assert Scale(0.5).resolve(scene) == (Resize(half, half),)
    assert Resize(edge, edge, dpr=1.5).resolve(scene) == (Resize(*2 * [(3 * edge + 1) // 2]),)
    assert Crop(aspect="1:2").resolve(scene)[0].size_after((edge, edge)) == (half, edge)
    assert Border("50%").resolve(scene) == (Border(half),)


@given(st.integers(0, 1_000_000), st.integers(1, 16_384))
def test_a_share_is_exact_but_for_the_last_rounding(share, edge):
    length = Fraction(share * edge, 1_000_000)

    found = in_pixels(f"{share // 10_000}.{share % 10_000:04}%", edge)

    assert -Fraction(1, 2) < found - length <= Fraction(1, 2)


@given(st.fractions(-100, 100))
def test_the_nearest_of_two_that_are_as_near_is_the_larger(length):
    assert nearest(length) - Fraction(1, 2) <= length < nearest(length) + Fraction(1, 2)


@pytest.mark.parametrize("length", ["50%", "0%", None])
def test_what_is_not_resolved_has_no_length_in_pixels(length):
    with pytest.raises(TypeError):
        resolved(length)


@pytest.mark.parametrize(
    "step",
    [
        Crop(0, 0, "50%", 3),
        Crop("10%", 0, 3, 3),
        Pad(left="10%"),
        Border("10%"),
        Pixelate("10%"),
        Round("10%"),
        Redact(0, 0, "10%", 3),
        Watermark(text="a", dx="10%"),
    ],
    ids=str,
)
def test_a_step_that_is_not_resolved_cannot_be_done_by_mistake(step):
    image = noise("RGB", (20, 20))

    with pytest.raises(TypeError):
        step.prepare(image.size, EMPTY)(image)
