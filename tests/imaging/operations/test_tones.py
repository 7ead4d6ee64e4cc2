"""Colours: what CSS says, what a formula says, and that transparency is left alone."""

import msgspec
import numpy as np
import pytest
from PIL import Image

from actors.imaging.album import EMPTY
from actors.imaging.operations.tones import (
    Autocontrast,
    Brightness,
    Contrast,
    Duotone,
    Equalize,
    Gamma,
    Grayscale,
    Hue,
    Invert,
    Opacity,
    Posterize,
    Saturation,
    Sepia,
    Tint,
)
from tests.imaging.operations.trials import (
    MODES,
    SIZES,
    levels,
    noise,
    perform,
    shown,
    with_other_hidden_colours,
)

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
ALL = [
    Grayscale(),
    Sepia(),
    Invert(),
    Autocontrast(),
    Equalize(),
    Brightness(1.4),
    Contrast(1.6),
    Saturation(2.5),
    Hue(75),
    Gamma(2.2),
    Tint("teal", 0.7),
    Duotone("navy", "gold"),
    Posterize(3),
]


def of(*colours, mode="RGB"):
    """A row of pixels."""
    image = Image.new(mode, (len(colours), 1))
    image.putdata(colours)
    return image


def row(image):
    """The pixels of one row."""
    return [tuple(pixel) for pixel in levels(image)[0].tolist()]


def greys(*numbers):
    """A row of grey pixels."""
    return of(*numbers, mode="L")


def ramp():
    """Every level once."""
    return greys(*range(256))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_a_tone_leaves_the_transparency_and_the_size_alone(step, mode, size):
    image = noise(mode, size)

    result = perform(step, image)

    assert result.size == size
    assert ("A" in result.mode) == ("A" in mode)
    assert (shown(result)[..., 3] == shown(image)[..., 3]).all()


@pytest.mark.parametrize("mode", ["L", "LA"])
@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_a_grey_picture_stays_grey_unless_it_is_to_be_coloured(step, mode):
    coloured = isinstance(step, Sepia | Tint | Duotone)

    assert perform(step, noise(mode, (9, 5))).mode == (
        {"L": "RGB", "LA": "RGBA"}[mode] if coloured else mode
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "step",
    [
        Brightness(1),
        Contrast(1),
        Saturation(1),
        Hue(0),
        Hue(360),
        Hue(-360),
        Gamma(1),
        Tint("red", 0),
        Posterize(8),
        Opacity(1),
    ],
    ids=str,
)
def test_what_is_to_change_nothing_changes_nothing(step, mode):
    image = noise(mode, (33, 20))

    assert (shown(perform(step, image)) == shown(image)).all()


# CSS


def css(image, matrix):
    """The colours of `image` through a color matrix of the Filter Effects Module, and its alpha."""
    pixels = shown(image).astype(float)
    pixels[..., :3] = (pixels[..., :3] @ np.array(matrix).T).clip(0, 255)
    return pixels


def differs(image, expected):
    return np.abs(shown(image) - expected).max()


@pytest.mark.parametrize("mode", MODES)
def test_grayscale_keeps_the_luminance(mode):
    image = noise(mode, (33, 20))

    result = perform(Grayscale(), image)

    assert result.mode == {"RGB": "L", "RGBA": "LA"}.get(mode, mode)
    assert differs(result, css(image, [LUMINANCE] * 3)) <= 0.51


@pytest.mark.parametrize("mode", MODES)
def test_sepia(mode):
    image = noise(mode, (33, 20))
    matrix = [[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]]

    assert differs(perform(Sepia(), image), css(image, matrix)) <= 0.51


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [0, 0.3, 1.7, 10])
def test_saturation(mode, factor):
    image, s = noise(mode, (33, 20)), factor
    matrix = [
        [0.213 + 0.787 * s, 0.715 - 0.715 * s, 0.072 - 0.072 * s],
        [0.213 - 0.213 * s, 0.715 + 0.285 * s, 0.072 - 0.072 * s],
        [0.213 - 0.213 * s, 0.715 - 0.715 * s, 0.072 + 0.928 * s],
    ]

    assert differs(perform(Saturation(factor), image), css(image, matrix)) <= 0.51


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("degrees", [-360, -120, 33.3, 90, 180, 300])
def test_hue(mode, degrees):
    image = noise(mode, (33, 20))
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = (
        np.array([[0.213, 0.715, 0.072]] * 3)
        + c * np.array([[0.787, -0.715, -0.072], [-0.213, 0.285, -0.072], [-0.213, -0.715, 0.928]])
        + s * np.array([[-0.213, -0.715, 0.928], [0.143, 0.140, -0.283], [-0.787, 0.715, 0.072]])
    )

    assert differs(perform(Hue(degrees), image), css(image, matrix)) <= 0.51


@pytest.mark.parametrize(
    ("step", "colour", "expected"),
    [
        (Grayscale(), (255, 0, 0), (54,)),
        (Grayscale(), (0, 255, 0), (182,)),
        (Grayscale(), (0, 0, 255), (18,)),
        (Sepia(), (255, 255, 255), (255, 255, 239)),
        (Sepia(), (100, 100, 100), (135, 120, 94)),
        (Hue(90), (255, 0, 0), (0, 91, 0)),
        (Hue(180), (255, 0, 0), (0, 109, 109)),
        (Saturation(0), (255, 0, 0), (54, 54, 54)),
        (Brightness(0.5), (255, 100, 0), (128, 50, 0)),
        (Contrast(0.5), (255, 100, 0), (191, 114, 64)),
        (Contrast(0), (255, 100, 0), (128, 128, 128)),
        (Invert(), (255, 100, 0), (0, 155, 255)),
    ],
    ids=str,
)
def test_colours_reckoned_by_hand(step, colour, expected):
    assert row(perform(step, of(colour))) == [expected]


@pytest.mark.parametrize("mode", MODES)
def test_invert_is_undone_by_itself(mode):
    image = noise(mode, (33, 20))

    once = perform(Invert(), image)

    assert (shown(once)[..., :3] == 255 - shown(image)[..., :3]).all()
    assert (shown(perform(Invert(), once)) == shown(image)).all()


# One level after another


@pytest.mark.parametrize("factor", [0, 0.01, 0.5, 1.2, 10])
def test_brightness_multiplies(factor):
    result = levels(perform(Brightness(factor), ramp())).ravel()

    assert np.abs(result - (factor * np.arange(256)).clip(0, 255)).max() < 0.51


@pytest.mark.parametrize("factor", [0, 0.5, 1.2, 10])
def test_contrast_is_about_mid_grey(factor):
    result = levels(perform(Contrast(factor), ramp())).ravel()

    exact = 255 * (factor * (np.arange(256) / 255 - 0.5) + 0.5)
    assert np.abs(result - exact.clip(0, 255)).max() < 0.51


@pytest.mark.parametrize("gamma", [0.1, 0.45, 2.2, 10])
def test_gamma_leaves_black_and_white(gamma):
    result = levels(perform(Gamma(gamma), ramp())).ravel()

    assert (result[0], result[255]) == (0, 255)
    assert np.abs(result - 255 * (np.arange(256) / 255) ** (1 / gamma)).max() < 0.51


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterize_leaves_few_levels_evenly_spread(bits):
    result = levels(perform(Posterize(bits), ramp())).ravel()

    steps, sizes = np.unique(result, return_counts=True)
    assert len(steps) == 2**bits
    assert set(sizes) == {256 // 2**bits}
    assert (result[0], result[255]) == (0, 255)
    assert np.ptp(np.diff(steps)) <= 1
    assert (np.diff(result) >= 0).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("factor", [0, 0.004, 0.5, 0.999, 1])
def test_opacity_multiplies_alpha_and_nothing_else(mode, factor):
    image = noise(mode, (33, 20))

    result = perform(Opacity(factor), image)

    before, after = shown(image), shown(result)
    assert result.mode == (mode if factor == 1 or "A" in mode else mode + "A")
    assert np.abs(after[..., 3] - factor * before[..., 3]).max() < 0.51
    assert (after[..., :3] == before[..., :3]).all()


# Two colours


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dark", "light"), [("#102030", "#f0c080"), ("white", "black")])
def test_duotone_goes_by_luminance_from_dark_to_light(mode, dark, light):
    image = noise(mode, (33, 20))
    ends = {
        "#102030": (16, 32, 48),
        "#f0c080": (240, 192, 128),
        "white": (255, 255, 255),
        "black": (0, 0, 0),
    }

    result = perform(Duotone(dark, light), image)

    share = (shown(image)[..., :3] @ LUMINANCE)[..., None] / 255
    exact = (1 - share) * ends[dark] + share * ends[light]
    assert np.abs(shown(result)[..., :3] - exact).max() <= 1.01


def test_duotone_of_black_and_white_are_its_two_colours():
    result = perform(Duotone("#102030", "#f0c080"), of((0, 0, 0), (255, 255, 255)))

    assert row(result) == [(16, 32, 48), (240, 192, 128)]


@pytest.mark.parametrize("color", ["red", "#336699", "ivory", "#000001", "black", "white"])
@pytest.mark.parametrize("strength", [0.25, 1])
@pytest.mark.parametrize("mode", MODES)
def test_a_tint_keeps_the_luminance(mode, strength, color):
    image = noise(mode, (33, 20))

    result = perform(Tint(color, strength), image)

    before, after = (shown(each)[..., :3] @ LUMINANCE for each in (image, result))
    assert np.abs(before - after).max() <= 1.6


def test_a_full_tint_goes_from_black_through_its_colour_to_white():
    # The luminance of #336699 is 0.2126 x 51 + 0.7152 x 102 + 0.0722 x 153: nearly 95.
    result = perform(Tint("#336699"), greys(0, 47, 95, 175, 255))

    expected = [(0, 0, 0), (25, 51, 76), (51, 102, 153), (153, 178, 204), (255, 255, 255)]
    assert np.abs(np.array(row(result)) - expected).max() <= 1


def test_half_a_tint_is_half_way_from_the_original():
    image = noise("RGB", (33, 20))

    half, full = perform(Tint("red", 0.5), image), perform(Tint("red", 1), image)

    assert np.abs(levels(half) - (levels(image) + levels(full)) / 2).max() <= 1


def test_without_colours_a_tint_of_black_or_white_changes_nothing():
    assert row(perform(Tint("black"), greys(0, 9, 200, 255))) == [
        (level, level, level) for level in (0, 9, 200, 255)
    ]
    assert row(perform(Tint("white"), greys(0, 9, 200, 255))) == [
        (level, level, level) for level in (0, 9, 200, 255)
    ]


def test_the_colours_of_a_tint_and_a_duotone_are_opaque():
    assert list(Tint("red").faults()) == list(Duotone("red", "#00ff00ff").faults()) == []
    assert [name for name, _ in Tint("#ff000080").faults()] == ["color"]
    assert [name for name, _ in Duotone("transparent", "white").faults()] == ["dark"]
    assert [name for name, _ in Duotone("#000000fe", "#fffffffe").faults()] == ["dark", "light"]


# By what the picture holds


def test_autocontrast_spreads_what_there_is():
    result = perform(Autocontrast(), greys(50, 100, 150, 200))

    assert row(result) == [(0,), (85,), (170,), (255,)]


def test_autocontrast_gives_up_half_a_percent_at_either_end():
    ends, middle = [0] * 5 + [255] * 5, [100] * 495 + [150] * 495

    result = levels(perform(Autocontrast(), greys(*ends, *middle))).ravel()

    assert set(result[10:]) == {0, 255}
    assert set(levels(perform(Autocontrast(), greys(0, *ends, *middle, 255))).ravel()[11:-1]) == {
        100,
        150,
    }


def test_autocontrast_gives_no_cast():
    result = row(perform(Autocontrast(), of((40, 40, 40), (90, 80, 70), (140, 140, 140))))

    assert result[0] == (0, 0, 0)
    assert result[2] == (255, 255, 255)
    assert result[1] == (128, 102, 77)


def test_equalize_makes_levels_equally_frequent():
    numbers = np.random.default_rng(1).exponential(12, 10_000).clip(0, 255).astype(int)

    result = np.sort(levels(perform(Equalize(), greys(*numbers))).ravel())

    assert (result[0], result[-1]) == (0, 255)
    # The darkest level alone holds a twelfth of the pixels, which cannot be told apart.
    assert np.abs(result - np.linspace(0, 255, 10_000)).max() <= 255 / 11


def test_equalize_keeps_the_order_and_gives_no_cast():
    result = row(perform(Equalize(), of((9, 9, 9), (9, 9, 9), (10, 10, 10), (200, 200, 200))))

    assert result == [(0, 0, 0), (0, 0, 0), (128, 128, 128), (255, 255, 255)]


@pytest.mark.parametrize("step", [Autocontrast(), Equalize()], ids=str)
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_fully_transparent_does_not_count(step, mode):
    image = noise(mode, (33, 20))

    result, other = perform(step, image), perform(step, with_other_hidden_colours(image))

    seen = shown(image)[..., 3] > 0
    assert (shown(result)[seen] == shown(other)[seen]).all()


@pytest.mark.parametrize("step", [Autocontrast(), Equalize()], ids=str)
def test_what_is_transparent_but_visible_does(step):
    image = of((0, 0), (100, 255), (150, 1), (255, 0), mode="LA")

    assert row(perform(step, image))[1:3] == [(0, 255), (255, 1)]


@pytest.mark.parametrize("step", [Autocontrast(), Equalize()], ids=str)
@pytest.mark.parametrize(
    "image",
    [greys(77, 77), of((9, 200, 30)), of((9, 0), (70, 0), mode="LA")],
    ids=["grey", "pixel", "invisible"],
)
def test_where_there_is_nothing_to_spread_nothing_changes(step, image):
    assert row(perform(step, image)) == row(image)


@pytest.mark.parametrize("step", [Autocontrast(), Equalize()], ids=str)
def test_the_first_frame_decides_for_an_animation(step):
    apply = step.prepare((2, 1), EMPTY)

    first, second = apply(greys(100, 200)), apply(greys(100, 220))

    assert row(first) == [(0,), (255,)]
    assert row(second) == [(0,), (255,)]
    assert row(step.prepare((2, 1), EMPTY)(greys(150, 220))) == [(0,), (255,)]
    assert row(apply(of((100, 255), (200, 0), mode="LA"))) == [(0, 255), (255, 0)]


# What is no tone


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Brightness, '"factor":-0.1'),
        (Brightness, '"factor":11'),
        (Brightness, '"factor":"2"'),
        (Contrast, '"factor":-1'),
        (Saturation, '"factor":10.5'),
        (Hue, '"degrees":361'),
        (Gamma, '"gamma":0'),
        (Gamma, '"gamma":10.1'),
        (Tint, '"color":"rgb(1,2,3)"'),
        (Tint, '"color":"red","strength":1.1'),
        (Duotone, '"dark":"red"'),
        (Posterize, '"bits":0'),
        (Posterize, '"bits":9'),
        (Posterize, '"bits":1.5'),
        (Opacity, '"factor":1.1'),
        (Invert, '"factor":1'),
    ],
)
def test_what_is_out_of_range_is_refused(kind, members):
    name = kind.__name__.lower()

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f'{{"op":"{name}",{members}}}', type=kind)
