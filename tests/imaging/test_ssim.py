"""SSIM: what it is by its definition, and how near it comes to scikit-image's."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from skimage import data as photographs
from skimage.metrics import structural_similarity

from actors.imaging.encode import encode
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.recipe import Encoding
from actors.imaging.ssim import ssim
from tests.imaging.pictures import photograph, quarters, written
from tests.imaging.rendering import opened

# What the definition says is documented: how far this may be from the paper's own windows.
TOLERANCE = 0.01

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

TEAL, RED = (20, 112, 140), (214, 40, 40)


def compressed(image, kind, quality, **options):
    return opened(written(image, kind, quality=quality, **options)).convert(image.mode)


def letters():
    image = Image.new("RGB", (400, 80), TEAL)
    ImageDraw.Draw(image).text((20, 20), "Sale ends on Friday", RED, ImageFont.load_default(32))
    return image


def stripes():
    pair = np.array([[(200, 60, 60), (30, 119, 120)]], dtype=np.uint8)
    return Image.fromarray(np.tile(pair, (64, 32, 1)))


def lines():
    image = Image.new("RGB", (160, 120), (120, 120, 120))
    for y in range(4, 120, 8):
        ImageDraw.Draw(image).line((4, y, 156, y + 3), (235, 71, 71))
    return image


def grey(level, size=(16, 16)):
    return Image.new("L", size, level)


def triangle_weighted(one, other):
    """SSIM by its definition, window by window, away from the edges."""
    weights = np.array([0.5, 1.5, 2.5, 3.5, 3.5, 2.5, 1.5, 0.5]) / 16
    weights = np.outer(weights, weights)
    total = []
    for top in range(2, one.shape[0] - 8, 4):
        for left in range(2, one.shape[1] - 8, 4):
            x, y = (each[top : top + 8, left : left + 8].astype(float) for each in (one, other))
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            covariance = (weights * (x - mx) * (y - my)).sum()
            total.append(
                (2 * mx * my + C1) * (2 * covariance + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2))
            )
    return np.mean(total)


@pytest.mark.parametrize("name", ["astronaut", "camera", "coffee", "page", "brick"])
@pytest.mark.parametrize(
    ("kind", "quality"),
    [("jpeg", 5), ("jpeg", 40), ("jpeg", 75), ("jpeg", 95), ("webp", 20), ("webp", 90)],
)
def test_it_is_nearly_that_of_the_paper(name, kind, quality):
    image = Image.fromarray(getattr(photographs, name)()).convert("L")
    other = compressed(image, kind, quality)

    expected = structural_similarity(
        np.asarray(image),
        np.asarray(other),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )

    assert abs(ssim(image, other) - expected) < TOLERANCE


def test_it_is_exactly_what_its_definition_says():
    # With a rim that is the same in both, because the windows at the edges are cut off.
    image = photograph(44, 36).convert("L")
    other = compressed(image, "jpeg", 30)
    rim = Image.new("L", (84, 76), 100)
    whole, changed = rim.copy(), rim.copy()
    whole.paste(image, (20, 20))
    changed.paste(other, (20, 20))

    expected = triangle_weighted(np.asarray(whole), np.asarray(changed))

    inner, at_the_edge = 19 * 17, 21 * 19 - 19 * 17
    assert ssim(whole, changed) == pytest.approx(
        (expected * inner + at_the_edge) / (inner + at_the_edge), abs=1e-5
    )


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (37, 23), (64, 64)])
def test_what_is_the_same_is_entirely_like_itself(mode, size):
    image = photograph(*size).convert(mode)
    if mode.endswith("A"):
        image.putalpha(photograph(size[0], size[1], 2).convert("L"))

    assert ssim(image, image.copy()) == 1


@pytest.mark.parametrize(
    ("mode", "size"), [("L", (64, 40)), ("RGB", (37, 23)), ("RGBA", (40, 40)), ("L", (9, 2))]
)
def test_neither_of_the_two_comes_first(mode, size):
    one, other = photograph(*size).convert(mode), photograph(size[0], size[1], 2).convert(mode)

    assert ssim(one, other) == pytest.approx(ssim(other, one), abs=1e-6)
    assert ssim(one, other) < 0.95


@pytest.mark.parametrize(("one", "other"), [(0, 255), (100, 120), (250, 251), (0, 1)])
@pytest.mark.parametrize("size", [(16, 16), (1, 1), (5, 3), (101, 7)])
def test_of_what_is_flat_only_the_levels_count(one, other, size):
    expected = (2 * one * other + C1) / (one**2 + other**2 + C1)

    assert ssim(grey(one, size), grey(other, size)) == pytest.approx(expected, abs=1e-3)


def test_an_inverted_texture_is_less_than_not_alike():
    stripes = np.tile(np.array([[108, 148]], dtype=np.uint8), (32, 16))

    assert ssim(Image.fromarray(stripes), Image.fromarray(255 - stripes)) < -0.8


def test_the_more_is_lost_the_less_like_it_looks():
    image = photograph(320, 240)

    found = [ssim(image, compressed(image, "jpeg", quality)) for quality in (5, 20, 50, 80, 95)]

    assert found == sorted(found)
    assert found[0] < 0.8
    assert 0.95 < found[-1] < 1


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
@pytest.mark.parametrize("grain", [0, 6])
@pytest.mark.parametrize(
    ("kind", "quality"), [("jpeg", 60), ("jpeg", 95), ("webp", 75), ("avif", 75)]
)
def test_of_photographs_the_luminance_tells_it_all(name, grain, kind, quality):
    pixels = getattr(photographs, name)()[:256, 100:356]
    noise = np.random.default_rng(1).normal(0, grain, pixels.shape)
    image = Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))
    other = compressed(image, kind, quality)

    expected = ssim(image.convert("L"), other.convert("L"))

    assert expected - 0.004 < ssim(image, other) <= expected


@pytest.mark.parametrize("modes", [("RGB", "RGB"), ("RGBA", "RGB"), ("RGBA", "RGBA")])
@pytest.mark.parametrize("size", [(16, 16), (1, 1), (5, 3), (101, 7)])
def test_what_is_flat_is_as_like_as_its_colours(modes, size):
    one, other = (Image.new("RGB", size, colour) for colour in (TEAL, RED))

    # By R - Y they differ most, and the luminances of 88.8 and 92 hardly.
    differs = (RED[0] - 92.0) - (TEAL[0] - 88.8)
    expected = C2 / (C2 + differs**2 / 50)
    assert ssim(one.convert(modes[0]), other.convert(modes[1])) == pytest.approx(expected, rel=0.03)
    assert ssim(one.convert("L"), other.convert("L")) > 0.99


def test_a_grey_picture_is_like_a_coloured_one_where_that_is_grey():
    grey_one = photograph(64, 48).convert("L")
    half_red = grey_one.convert("RGB")
    half_red.paste((150, 61, 61), (32, 0, 64, 48))
    grey_one.paste(87, (32, 0, 64, 48))

    assert ssim(grey_one, grey_one.convert("RGB")) == 1
    expected = (1 + C2 / (C2 + (150 - 87.6) ** 2 / 50)) / 2
    assert ssim(grey_one, half_red) == pytest.approx(expected, abs=0.03)
    assert ssim(half_red, grey_one) == pytest.approx(ssim(grey_one, half_red), abs=1e-6)


def test_what_hides_a_difference_of_colours_is_the_texture():
    texture = np.random.default_rng(2).normal(120, 40, (64, 64, 1)).clip(40, 200)
    redder = np.array([12, -6, -0.4])  # of the same luminance
    shown = [
        [Image.fromarray((each + add).round().astype(np.uint8)) for add in (np.zeros(3), redder)]
        for each in (texture.repeat(3, 2), np.full((64, 64, 3), 120.0))
    ]

    textured, flat = (ssim(*pair) for pair in shown)

    assert textured > 0.995
    assert flat == pytest.approx(C2 / (C2 + 12**2 / 50), abs=0.01)


@pytest.mark.parametrize("thing", ["letters", "stripes", "lines"])
def test_colours_without_a_difference_of_luminance_are_seen(thing):
    image = {"letters": letters, "stripes": stripes, "lines": lines}[thing]()
    lost, kept = (
        compressed(image, "jpeg", **options)
        for options in ({"quality": 75}, {"quality": 98, "subsampling": "4:4:4"})
    )

    assert ssim(image.convert("L"), lost.convert("L")) > 0.97
    assert ssim(image, lost) < 0.94
    assert ssim(image, kept) > 0.98


def test_letters_in_a_colour_can_be_read_when_the_search_says_so():
    image = letters()
    like_enough = encode([image], "jpeg", Encoding(min_ssim=0.95, subsampling="4:4:4"))

    # Where the letters are, as their red tells, and as it tells in the file.
    red, found = (np.asarray(each)[..., 0] > 117 for each in (image, opened(like_enough.data)))
    assert (red & found).sum() > 0.85 * (red | found).sum()
    with pytest.raises(ImpossibleRecipe):
        encode([image], "jpeg", Encoding(min_ssim=0.98))


def test_what_is_not_seen_does_not_count():
    one = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    other = Image.new("RGBA", (32, 32), (0, 255, 0, 0))

    assert ssim(one, other) == 1


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_has_become_transparent_is_seen_on_black_or_on_white(level, mode):
    opaque = grey(level, (32, 32)).convert(mode)
    cut = opaque.copy()
    cut.putalpha(quarters(32, 32, ((255,) * 3, (0,) * 3, (0,) * 3, (255,) * 3)).convert("L"))

    assert ssim(opaque, cut) < 0.6
    assert ssim(grey(level, (32, 32)), cut) < 0.6
