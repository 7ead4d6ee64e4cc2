"""The palette and the mean: which colours, and how much of each."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from actors.imaging.palette import mean, palette
from actors.imaging.perception import LIGHT, level, oklab
from tests.imaging.pictures import BLUE, GREEN, RED, WHITE, photograph, quarters

MODES = ["L", "LA", "RGB", "RGBA"]


def stripes(mode, colours, widths, height=10):
    image = Image.new(mode, (sum(widths), height))
    left = 0
    for colour, width in zip(colours, widths, strict=True):
        image.paste(colour, (left, 0, left + width, height))
        left += width
    return image


def rounded(found):
    return [(tuple(map(round, colour)), round(share, 4)) for colour, share in found]


def test_each_colour_has_its_share_and_the_greatest_comes_first():
    image = stripes("RGB", [RED, GREEN, BLUE, WHITE], [5, 50, 25, 20])

    assert rounded(palette(image, 6)) == [(GREEN, 0.5), (BLUE, 0.25), (WHITE, 0.2), (RED, 0.05)]


def test_equal_shares_are_told_in_a_fixed_order():
    ordered = [(BLUE, 0.25), (GREEN, 0.25), (RED, 0.25), (WHITE, 0.25)]

    assert rounded(palette(quarters(40, 30), 6)) == ordered
    assert rounded(palette(quarters(40, 30, (WHITE, BLUE, GREEN, RED)), 6)) == ordered


def test_there_are_no_more_colours_than_are_wanted():
    hues = [f"hsl({hue}, 100%, 50%)" for hue in range(0, 360, 18)]
    image = stripes("RGB", hues, [5] * 20)

    for most in (1, 2, 6):
        found = palette(image, most)
        assert len(found) == most
        assert sum(share for _, share in found) == pytest.approx(1)


def test_what_looks_alike_is_one_colour_and_that_is_its_mean():
    image = stripes("RGB", [(200, 30, 30), (204, 34, 30), (10, 10, 60)], [30, 10, 60])

    assert rounded(palette(image, 6)) == [((10, 10, 60), 0.6), ((201, 31, 30), 0.4)]


def test_an_accent_stays_though_there_are_more_shades_of_the_rest():
    grain = np.random.default_rng(2).normal(128, 40, (64, 64)).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(grain).convert("RGB")
    image.paste((220, 20, 30), (10, 10, 22, 22))

    found = palette(image, 6)

    red = [share for colour, share in found if colour[0] > 180 and colour[1] < 60]
    assert len(red) == 1
    assert abs(red[0] - 144 / 4096) < 0.005


def test_what_is_hardly_there_is_left_out():
    image = stripes("RGB", [WHITE, RED, BLUE], [989, 9, 2], 1)

    assert rounded(palette(image, 6)) == [(WHITE, 0.989), (RED, 0.009)]


@pytest.mark.parametrize("mode", MODES)
def test_a_grey_picture_has_greys_in_every_mode(mode):
    levels = [(0,), (128,), (255,)]
    image = stripes("L", levels, [20, 30, 50]).convert(mode)

    assert rounded(palette(image, 6)) == [
        ((255,) * 3, 0.5),
        ((128,) * 3, 0.3),
        ((0,) * 3, 0.2),
    ]
    assert mean(image) == pytest.approx((165.9,) * 3)


def test_colours_count_for_as_much_as_they_show():
    image = stripes("RGBA", [(*RED, 255), (*GREEN, 51), (*BLUE, 0)], [20, 50, 30])

    # 20 and 50 / 5.
    assert rounded(palette(image, 6)) == [(RED, 0.6667), (GREEN, 0.3333)]
    assert mean(image) == pytest.approx((170, 85, 0))


def test_hidden_colours_take_no_place_from_those_that_are_seen():
    noise = np.random.default_rng(3).integers(0, 256, (60, 60, 4), dtype=np.uint8)
    noise[..., 3] = 0
    image = Image.fromarray(noise)
    image.paste((250, 120, 10, 255), (5, 5, 25, 25))
    image.paste((10, 120, 250, 255), (25, 5, 35, 25))

    assert rounded(palette(image, 6)) == [
        ((250, 120, 10), 0.6667),
        ((10, 120, 250), 0.3333),
    ]


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_an_invisible_picture_has_no_colours(mode):
    image = photograph(20, 20).convert(mode)
    image.putalpha(0)

    assert palette(image, 6) == []
    assert mean(image) is None


@pytest.mark.parametrize(
    ("mode", "pixel", "seen"),
    [
        ("L", (7,), (7, 7, 7)),
        ("LA", (7, 1), (7, 7, 7)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (1, 2, 3, 200), (1, 2, 3)),
    ],
)
def test_one_pixel_is_its_own_palette(mode, pixel, seen):
    image = Image.new(mode, (1, 1), pixel)

    assert palette(image, 6) == [(seen, 1)]
    assert mean(image) == pytest.approx(seen)


@pytest.mark.parametrize("mode", MODES)
def test_the_mean_is_weighed_by_what_shows(mode):
    image = photograph(37, 23).convert(mode)
    if mode in {"LA", "RGBA"}:
        image.putalpha(photograph(37, 23, 8).convert("L"))
    rows = np.asarray(image.convert("RGBA")).astype(float)
    weights = rows[..., 3:]

    expected = (rows[..., :3] * weights).sum((0, 1)) / weights.sum()

    assert mean(image) == pytest.approx(tuple(expected))


def test_the_shares_of_a_photograph_are_those_of_the_nearest_colours():
    image = photograph(64, 48)
    found = palette(image, 6)
    colours = np.array([colour for colour, _ in found])
    pixels = np.asarray(image).reshape(-1, 1, 3).astype(float)

    nearest = np.linalg.norm(pixels - colours, axis=2).argmin(1)
    error = np.abs(pixels[:, 0] - colours[nearest]).mean()

    assert error < 30
    for number, (_, share) in enumerate(found):
        assert abs((nearest == number).mean() - share) < 0.12


def test_a_palette_is_the_same_every_time():
    image = Image.new("RGB", (50, 50), "navy")
    ImageDraw.Draw(image).ellipse((5, 5, 45, 45), fill="gold", outline="tomato", width=4)

    assert palette(image, 6) == palette(image.copy(), 6)


# By its author, Björn Ottosson, and by CSS Color 4.
@pytest.mark.parametrize(
    ("colour", "place"),
    [
        ((255, 255, 255), (1, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        ((255, 0, 0), (0.62796, 0.22486, 0.12585)),
        ((0, 255, 0), (0.86644, -0.23389, 0.17950)),
        ((0, 0, 255), (0.45201, -0.03246, -0.31153)),
    ],
)
def test_oklab_is_as_published(colour, place):
    assert oklab(colour) == pytest.approx(place, abs=1e-4)


def test_light_and_levels_are_the_inverse_of_each_other():
    assert [level(light) for light in LIGHT] == list(range(256))
    assert (level(-1), level(2)) == (0, 255)
    assert LIGHT[188] == pytest.approx(0.5029, abs=1e-4)
