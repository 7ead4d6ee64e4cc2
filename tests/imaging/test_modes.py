"""The modes of pictures."""

import pytest
from PIL import Image

from actors.imaging.modes import coloured, has_alpha, is_coloured, is_grey, premultiplied


@pytest.mark.parametrize(
    ("mode", "alpha", "in_colour", "of_light"),
    [
        ("L", False, "RGB", "L"),
        ("LA", True, "RGBA", "La"),
        ("RGB", False, "RGB", "RGB"),
        ("RGBA", True, "RGBA", "RGBa"),
    ],
)
def test_what_a_mode_can_hold(mode, alpha, in_colour, of_light):
    image = Image.new(mode, (2, 2))

    assert has_alpha(image) == alpha
    assert is_coloured(image) == (mode == in_colour)
    assert coloured(image).mode == in_colour
    assert premultiplied(image).mode == of_light


def test_a_grey_is_as_much_red_as_green_and_blue():
    assert is_grey((7, 7, 7))
    assert is_grey((7, 7, 7, 20))
    assert not is_grey((7, 7, 8, 7))
    assert not is_grey((8, 7, 7))
