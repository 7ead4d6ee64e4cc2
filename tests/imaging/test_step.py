"""What the parameters of all operations have in common."""

import msgspec
import pytest
from PIL import ImageColor

from actors.imaging.step import Color, rgba


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
