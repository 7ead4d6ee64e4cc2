"""Neighbours: against plain formulas, and that what is invisible has no say."""

import msgspec
import numpy as np
import pytest
from PIL import Image

from actors.imaging.operations.filters import Blur, Pixelate, Sharpen
from tests.imaging.operations.trials import (
    MODES,
    SIZES,
    levels,
    noise,
    perform,
    premultiplied,
    shown,
    with_other_hidden_colours,
)
from tests.imaging.pictures import photograph

STEPS = [Blur(0.3), Blur(2), Blur(100), Sharpen(), Sharpen(20, 3, 10), Pixelate(3), Pixelate("50%")]


def gaussian(pixels, sigma):
    """A Gaussian blur of height x width x channels by its definition, where no edge is near."""
    reach = round(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in (0, 1):
        pixels = np.apply_along_axis(np.convolve, axis, pixels, weights / weights.sum(), "valid")
    return pixels


def away_from_edges(pixels, sigma):
    """What `gaussian` tells of."""
    reach = round(3 * sigma)
    return pixels[reach:-reach, reach:-reach]


def picture(mode, width=150, height=100):
    """Something like a photograph, with soft transparency and holes in it."""
    image = photograph(width, height)
    alpha = photograph(width, height, 2).getchannel("R").point(lambda level: 2 * level - 128)
    image = image.convert(mode.removesuffix("A"))
    if mode.endswith("A"):
        image.putalpha(alpha)
    return image


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_filter_keeps_the_mode_and_the_size(step, mode, size):
    result = perform(step, noise(mode, size))

    assert (result.mode, result.size) == (mode, size)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_where_all_is_alike_nothing_changes(step, mode):
    image = Image.new(mode, (130, 70), (201, 90, 17, 255)[: len(mode)])
    if mode.endswith("A"):
        image.putalpha(255)

    assert (shown(perform(step, image)) == shown(image)).all()


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_what_is_fully_transparent_has_no_say(step, mode):
    image = noise(mode, (140, 80))

    result, other = perform(step, image), perform(step, with_other_hidden_colours(image))

    assert (premultiplied(result) == premultiplied(other)).all()


@pytest.mark.parametrize("step", [Blur(3), Blur(40), Pixelate(7)], ids=str)
def test_a_colour_beside_nothing_fades_and_does_not_darken(step):
    image = Image.new("RGBA", (140, 80), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (30, 20, 101, 55))

    result = shown(perform(step, image))

    seen = result[result[..., 3] > 0]
    assert (seen[:, :3] == (255, 0, 0)).all()
    assert len(np.unique(seen[:, 3])) > 2


# Blur


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sigma", [0.5, 1, 3.3, 7.9, 8, 11, 12, 30])
def test_a_blur_is_a_gaussian(mode, sigma):
    image = picture(mode, round(6 * sigma) + 90, round(6 * sigma) + 50)

    result = perform(Blur(sigma), image)

    exact = gaussian(premultiplied(image), sigma)
    difference = np.abs(away_from_edges(premultiplied(result), sigma) - exact)
    assert difference.max() <= 6
    assert difference.mean() <= 1.5


@pytest.mark.parametrize("sigma", [0.4, 1, 5, 7.9, 8, 15.7, 16, 33, 60, 100])
def test_a_blur_is_as_wide_as_was_asked_for(sigma):
    edge = round(8 * sigma) + 9
    image = Image.new("L", (edge, 140), 0)
    image.paste(255, (edge // 2, 0, edge, 140))

    # The slope of a blurred edge is the Gaussian itself.
    slope = np.diff(levels(perform(Blur(sigma), image))[70, :, 0])
    places = np.arange(len(slope))
    middle = (slope * places).sum() / 255
    spread = np.sqrt((slope * (places - middle) ** 2).sum() / 255)
    assert middle == pytest.approx(edge // 2 - 1, abs=0.5)
    assert spread == pytest.approx(sigma, rel=0.02, abs=0.05)


def test_a_tiny_blur_changes_next_to_nothing():
    image = noise("RGB", (33, 20))

    assert np.abs(levels(perform(Blur(0.01), image)) - levels(image)).max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 1), (33, 97)])
@pytest.mark.parametrize("sigma", [1, 9, 100])
def test_near_the_edges_a_blur_is_a_mean_of_what_there_is(size, sigma):
    image = photograph(*size)
    pixels = levels(image)

    result = levels(perform(Blur(sigma), image))

    assert (result >= pixels.min(axis=(0, 1)) - 1).all()
    assert (result <= pixels.max(axis=(0, 1)) + 1).all()
    assert np.ptp(result, axis=(0, 1)).max() <= np.ptp(pixels, axis=(0, 1)).max()


# Sharpen


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("sigma", [0.7, 2, 9])
@pytest.mark.parametrize("amount", [0.5, 1, 4])
def test_sharpening_adds_what_a_blur_would_take(mode, sigma, amount):
    image = picture(mode)
    pixels = levels(image).astype(float)

    result = levels(perform(Sharpen(sigma, amount), image))

    within = away_from_edges(pixels, sigma)
    exact = (within + amount * (within - gaussian(pixels, sigma))).clip(0, 255)
    difference = np.abs(away_from_edges(result, sigma) - exact)
    assert difference.max() <= 1 + 3 * amount
    assert difference.mean() <= 1 + 0.5 * amount


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_sharpening_leaves_the_transparency_alone(mode):
    image = picture(mode)

    result = perform(Sharpen(2, 2), image)

    assert (shown(result)[..., 3] == shown(image)[..., 3]).all()


def test_what_stands_alone_is_not_sharpened():
    image = Image.new("RGBA", (99, 99), (0, 255, 0, 0))
    image.putpixel((49, 49), (100, 150, 200, 255))

    result = shown(perform(Sharpen(10, 5), image))

    # What the blur cannot tell from nothing is one level, and added five times.
    assert np.abs(result[49, 49] - (100, 150, 200, 255)).max() <= 5


def test_sharpening_an_edge_between_visible_things_does_not_depend_on_alpha_elsewhere():
    image = Image.new("RGB", (60, 20), (60, 60, 60))
    image.paste((190, 190, 190), (30, 0, 60, 20))
    clear = image.convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 10, 20))

    opaque, other = shown(perform(Sharpen(1.5), image)), shown(perform(Sharpen(1.5), clear))

    assert (opaque[:, 20:] == other[:, 20:]).all()
    assert opaque[10, 29, 0] < 50
    assert opaque[10, 30, 0] > 200


@pytest.mark.parametrize("mode", MODES)
def test_an_amount_of_nothing_changes_nothing(mode):
    image = noise(mode, (33, 20))

    assert (shown(perform(Sharpen(2, 0), image)) == shown(image)).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("threshold", [0, 3, 12, 255])
def test_small_differences_are_left_alone(mode, threshold):
    image = picture(mode)

    result, freely = (perform(Sharpen(2, 3, limit), image) for limit in (threshold, 0))

    before, after, most = levels(image), levels(result), levels(freely)
    touched = after != before
    assert (after[touched] == most[touched]).all()
    # Three times a difference that is larger than the threshold, but for what is clipped.
    clipped = (after == 0) | (after == 255)
    assert (np.abs(after - before)[touched & ~clipped] >= 3 * threshold).all()
    assert (np.abs(most - before)[~touched] <= 3 * threshold).all()
    assert touched.any() == (threshold < 255)


# Pixelate


def mosaic(pixels, size):
    """The average of each square, everywhere in it."""
    result = np.empty_like(pixels)
    for top in range(0, pixels.shape[0], size):
        for left in range(0, pixels.shape[1], size):
            square = np.s_[top : top + size, left : left + size]
            result[square] = pixels[square].mean(axis=(0, 1))
    return result


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [1, 2, 7, 16, 20, 33, 34, 16384])
def test_each_square_is_its_own_average(mode, size):
    image = noise(mode, (33, 20))

    result = perform(Pixelate(size), image)

    assert np.abs(premultiplied(result) - mosaic(premultiplied(image), size)).max() <= 2
    edges = np.abs(np.diff(shown(result), axis=1)).max(axis=(0, 2))
    assert not edges[[x for x in range(32) if (x + 1) % size]].any()


@pytest.mark.parametrize("size", [300, 700, 2000])
def test_large_squares_are_no_less_exact(size):
    image = photograph(1501, 903)

    result = perform(Pixelate(size), image)

    assert np.abs(levels(result) - mosaic(levels(image).astype(float), size)).max() <= 1


@pytest.mark.parametrize(
    ("share", "size"), [("50%", 10), ("10%", 2), ("1%", 1), ("0%", 1), ("200%", 40)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_a_share_is_one_of_the_shorter_edge(share, size, turned):
    image = noise("RGB", (20, 33) if turned else (33, 20))

    result, other = perform(Pixelate(share), image), perform(Pixelate(size), image)

    assert result.tobytes() == other.tobytes()


# What is no filter


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        (Blur, ""),
        (Blur, '"sigma":0'),
        (Blur, '"sigma":100.1'),
        (Blur, '"sigma":-1'),
        (Sharpen, '"sigma":0'),
        (Sharpen, '"amount":-1'),
        (Sharpen, '"amount":10.1'),
        (Sharpen, '"threshold":256'),
        (Sharpen, '"threshold":0.5'),
        (Pixelate, '"size":0'),
        (Pixelate, '"size":16385'),
        (Pixelate, '"size":"1000%"'),
    ],
)
def test_what_is_out_of_range_is_refused(kind, members):
    text = ",".join(filter(None, [f'"op":"{kind.__name__.lower()}"', members]))

    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(f"{{{text}}}", type=kind)
