"""What is laid over or under a picture: where it is, how it mixes, and what it leaves of it."""

import numpy as np
import pytest
from PIL import Image

from actors.imaging.album import EMPTY
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.operations.covering import Background, Border, Redact, Round
from actors.imaging.step import Scene

MODES = ["L", "LA", "RGB", "RGBA"]
SIZES = [(1, 1), (1, 7), (8, 1), (33, 20), (64, 49)]


def noise(mode, size, seed=1):
    """Any pixels, any transparency."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    levels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.frombytes(mode, size, levels.tobytes())


def perform(step, image):
    """What `step` makes of `image`, which it must leave alone."""
    before = image.tobytes()
    scene = Scene(image.size, image.copy)
    result = image
    for part in step.resolve(scene):
        assert part.resolve(scene) == (part,)
        result = part.prepare(image.size, EMPTY)(image)
        assert result.size == part.size_after(image.size)
    assert image.tobytes() == before
    assert result.mode in MODES
    return result


def shown(image):
    """Red, green, blue and alpha as signed integers."""
    return np.asarray(image.convert("RGBA")).astype(int)


def mixed(over, under):
    """What is seen of pixels `over` others, premultiplied, with alpha; all from 0 to 1."""
    over, under = np.asarray(over) / 255, np.asarray(under) / 255
    share = over[..., 3:]
    rest = under[..., 3:] * (1 - share)
    return np.concatenate([over[..., :3] * share + under[..., :3] * rest, share + rest], axis=-1)


def premultiplied(pixels):
    pixels = np.asarray(pixels) / 255
    return np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], axis=-1)


def looks_like(image, expected, tolerance=1.6):
    """Whether what is seen of `image` is `expected`, premultiplied and from 0 to 1."""
    return np.abs(premultiplied(shown(image)) - expected).max() * 255 <= tolerance


def coverage(size, radius, grid=24):
    """How much of each pixel is within a rounded rectangle, from a grid of points in each."""
    width, height = size
    xs = (np.arange(width * grid) + 0.5) / grid
    ys = (np.arange(height * grid) + 0.5) / grid
    dx = np.maximum(0, np.maximum(radius - xs, xs - (width - radius)))
    dy = np.maximum(0, np.maximum(radius - ys, ys - (height - radius)))
    inside = dx[None, :] ** 2 + dy[:, None] ** 2 <= radius**2
    return inside.reshape(height, grid, width, grid).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("size", "radius", "in_pixels"),
    [
        ((40, 30), 12, 12),
        ((41, 33), "10%", 4),
        ((33, 33), "50%", 16.5),
        ((20, 61), "50%", 10),
        ((61, 20), 16384, 10),
        ((9, 4), 1, 1),
        ((5, 5), "100%", 2.5),
        ((2, 2), 1, 1),
        ((1, 1), 3, 0.5),
    ],
)
def test_corners_are_cut_by_arcs_with_soft_edges(size, radius, in_pixels):
    result = perform(Round(radius=radius), Image.new("RGB", size, (10, 200, 30)))

    alpha = shown(result)[..., 3]
    assert np.abs(alpha - 255 * coverage(size, in_pixels)).max() <= 4
    assert (alpha == alpha[::-1]).all()
    assert (alpha == alpha[:, ::-1]).all()


def test_pixels_at_a_soft_edge_keep_their_colour_and_those_cut_off_have_none():
    result = shown(perform(Round(radius=12), Image.new("RGB", (40, 30), (10, 200, 30))))

    alpha = result[..., 3]
    assert (result[alpha > 0][:, :3] == (10, 200, 30)).all()
    assert (result[alpha == 0] == 0).all()
    assert ((alpha > 0) & (alpha < 255)).any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("background", ["transparent", "white", "#ff000080"])
@pytest.mark.parametrize("size", SIZES)
def test_behind_a_rounded_picture_is_the_background(mode, background, size):
    image = noise(mode, size)

    result = perform(Round(radius="30%", background=background), image)

    ground = {
        "transparent": (0, 0, 0, 0),
        "white": (255, 255, 255, 255),
        "#ff000080": (255, 0, 0, 128),
    }
    cut = shown(image).astype(float)
    cut[..., 3] *= coverage(size, np.ceil(0.3 * min(size)) if min(size) > 1 else 0.5)
    assert looks_like(result, mixed(cut, np.broadcast_to(ground[background], cut.shape)), 4)


@pytest.mark.parametrize(
    ("mode", "background", "expected"),
    [
        ("L", "transparent", "LA"),
        ("L", "gray", "L"),
        ("L", "red", "RGB"),
        ("LA", "white", "LA"),
        ("LA", "red", "RGBA"),
        ("RGB", "white", "RGB"),
        ("RGB", "transparent", "RGBA"),
        ("RGBA", "white", "RGBA"),
    ],
)
def test_a_rounded_picture_has_as_many_channels_as_it_needs(mode, background, expected):
    assert perform(Round(radius=2, background=background), noise(mode, (9, 9))).mode == expected


def test_a_radius_of_nothing_is_no_step():
    assert perform(Round(radius="0%"), noise("RGB", (9, 9))).mode == "RGB"


def test_one_mask_serves_all_frames():
    apply = Round(radius=5).prepare((20, 20), EMPTY)

    first, second = apply(Image.new("RGB", (20, 20))), apply(Image.new("LA", (20, 20), (9, 128)))

    assert np.abs(shown(first)[..., 3] * 128 / 255 - shown(second)[..., 3]).max() <= 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("color", ["black", "#ff0000", "#00ff0040", "#80808080", "transparent"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [1, 4, 16384])
def test_a_border_covers_the_edges_and_nothing_else(mode, color, size, width):
    colour = {
        "black": (0, 0, 0, 255),
        "#ff0000": (255, 0, 0, 255),
        "#00ff0040": (0, 255, 0, 64),
        "#80808080": (128, 128, 128, 128),
        "transparent": (0, 0, 0, 0),
    }[color]
    image = noise(mode, size)

    result = perform(Border(width=width, color=color), image)

    edge = np.ones((size[1], size[0]), bool)
    if 2 * width < min(size):
        edge[width:-width, width:-width] = False
    before, after = shown(image), shown(result)
    assert (after[~edge] == before[~edge]).all()
    expected = mixed(np.broadcast_to(colour, before.shape), before)
    assert looks_like(result, np.where(edge[..., None], expected, premultiplied(after)))
    assert ("A" in result.mode) == ("A" in mode)


def test_the_width_of_a_border_can_be_a_share_of_the_shorter_edge():
    result = shown(perform(Border(width="10%", color="red"), Image.new("RGB", (200, 50), "white")))

    assert (result[25, :7, 1] == [0, 0, 0, 0, 0, 255, 255]).all()
    assert (result[43:, 100, 1] == [255, 255, 0, 0, 0, 0, 0]).all()


def test_a_grey_picture_stays_grey_in_a_grey_border():
    assert perform(Border(width=2, color="gray"), noise("L", (9, 9))).mode == "L"
    assert perform(Border(width=2, color="red"), noise("L", (9, 9))).mode == "RGB"
    assert perform(Border(width="0%", color="red"), noise("L", (9, 9))).mode == "L"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("color", ["white", "#123456", "#ff000080", "transparent"])
@pytest.mark.parametrize("size", SIZES)
def test_a_background_shows_through_what_is_transparent(mode, color, size):
    colour = {
        "white": (255, 255, 255, 255),
        "#123456": (0x12, 0x34, 0x56, 255),
        "#ff000080": (255, 0, 0, 128),
        "transparent": (0, 0, 0, 0),
    }[color]
    image = noise(mode, size)

    result = perform(Background(color=color), image)

    before = shown(image)
    assert looks_like(result, mixed(before, np.broadcast_to(colour, before.shape)))
    assert ("A" in result.mode) == ("A" in mode and colour[3] < 255)


def test_a_grey_picture_stays_grey_on_a_grey_background():
    assert perform(Background(), noise("LA", (9, 9))).mode == "L"
    assert perform(Background(color="red"), noise("LA", (9, 9))).mode == "RGB"


def redacted(image, box=(8, 10, 40, 32), style="pixelate"):
    x, y, width, height = box
    return perform(Redact(x=x, y=y, width=width, height=height, style=style), image)


@pytest.mark.parametrize("style", ["pixelate", "blur", "fill"])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_changes_outside_a_redacted_region(style, mode):
    image = noise(mode, (61, 53))

    after = np.asarray(redacted(image, style=style))

    outside = np.ones((53, 61), bool)
    outside[10:42, 8:48] = False
    assert (after[outside] == np.asarray(image)[outside]).all()
    assert redacted(image, style=style).mode == mode


def shuffled(image, box, block, seed):
    """`image` with the pixels of each block in `box` in another order."""
    pixels = np.array(image)
    x, y, width, height = box
    chance = np.random.default_rng(seed)
    for top in range(y, y + height, block[1]):
        for left in range(x, x + width, block[0]):
            part = pixels[top : top + block[1], left : left + block[0]]
            flat = part.reshape(part.shape[0] * part.shape[1], -1)
            part[:] = chance.permutation(flat).reshape(part.shape)
    return Image.frombytes(image.mode, image.size, pixels.tobytes())


@pytest.mark.parametrize("style", ["pixelate", "blur", "fill"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("box", "block"),
    [
        # Four blocks along the longer edge, and as many as are about as large along the other.
        ((8, 10, 80, 40), (20, 20)),
        ((0, 3, 160, 20), (40, 20)),
        ((4, 0, 20, 92), (20, 23)),
        # And none smaller than about 16.
        ((8, 10, 32, 16), (16, 16)),
        ((8, 10, 20, 7), (20, 7)),
        ((8, 10, 3, 2), (3, 2)),
    ],
)
def test_pictures_with_the_same_averages_are_redacted_to_the_same_bytes(style, mode, box, block):
    one = noise(mode, (170, 100))
    other = shuffled(one, box, block, 5)
    assert one.tobytes() != other.tobytes()

    assert redacted(one, box, style).tobytes() == redacted(other, box, style).tobytes()


@pytest.mark.parametrize("style", ["pixelate", "blur", "fill"])
def test_a_thin_region_is_redacted_too(style):
    one = noise("RGB", (100, 9))
    box = (0, 4, 100, 1)
    other = shuffled(one, box, (25, 1), 5)

    assert one.tobytes() != other.tobytes()
    assert redacted(one, box, style).tobytes() == redacted(other, box, style).tobytes()


@pytest.mark.parametrize("style", ["pixelate", "blur", "fill"])
def test_the_colour_of_what_is_transparent_is_redacted_too(style):
    one, other = noise("RGBA", (60, 60), 1), noise("RGBA", (60, 60), 2)
    for image in (one, other):
        image.putalpha(0)

    left, right = redacted(one, (0, 0, 60, 60), style), redacted(other, (0, 0, 60, 60), style)

    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("mode", MODES)
def test_a_mosaic_has_the_averages_in_a_few_steps(mode):
    image = noise(mode, (80, 80))
    image.paste(Image.new(mode, (20, 80), "white"), (20, 0))

    result = redacted(image, (0, 0, 80, 80))

    assert len(set(result.convert("RGBA").get_flattened_data())) <= 16
    expected = premultiplied(shown(image)).reshape(4, 20, 4, 20, 4).mean(axis=(1, 3))
    expected = expected.repeat(20, axis=0).repeat(20, axis=1)
    assert looks_like(result, expected, 17 / 2 + 2)
    assert (shown(result)[:, 20:40] == 255).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_blur_goes_from_average_to_average_without_an_edge(mode):
    image = Image.new(mode, (80, 80), "white")
    image.paste(Image.new(mode, (40, 80), "black"))

    result = shown(redacted(image, (0, 0, 80, 80), "blur"))[..., 0]

    assert (result == result[0]).all()
    assert (np.diff(result[0]) >= 0).all()
    assert np.diff(result[0]).max() < 20
    assert result[0, 0] == 0
    assert result[0, -1] == 255


@pytest.mark.parametrize("mode", MODES)
def test_a_fill_is_opaque_black(mode):
    assert (
        shown(redacted(noise(mode, (61, 53)), style="fill"))[10:42, 8:48] == (0, 0, 0, 255)
    ).all()


def test_a_single_pixel_can_be_redacted():
    for style in ("pixelate", "blur", "fill"):
        result = perform(Redact(x=0, y=0, width=1, height=1, style=style), noise("RGBA", (1, 1)))
        assert result.size == (1, 1)


@pytest.mark.parametrize(
    ("offset", "length", "first", "end"),
    [
        ("29%", "71%", 145, 500),
        ("0.1%", "0.1%", 0, 1),
        ("33.33%", "33.34%", 166, 334),
        (7, "0.0001%", 7, 8),
        # More than all of it, but by less than a pixel: whoever sent it has rounded it.
        ("50%", "50.01%", 250, 500),
    ],
)
def test_every_pixel_that_a_share_touches_is_redacted(offset, length, first, end):
    row, column = Image.new("L", (500, 1), 200), Image.new("L", (1, 500), 200)

    across = perform(Redact(x=offset, y=0, width=length, height=1, style="fill"), row)
    down = perform(Redact(x=0, y=offset, width=1, height=length, style="fill"), column)

    black = list(range(first, end))
    assert np.flatnonzero(np.asarray(across)[0] == 0).tolist() == black
    assert np.flatnonzero(np.asarray(down)[:, 0] == 0).tolist() == black


@pytest.mark.parametrize(
    "region",
    [
        {"x": 41, "y": 0, "width": 10, "height": 10},
        {"x": 0, "y": 21, "width": 10, "height": 10},
        {"x": 0, "y": 0, "width": 51, "height": 10},
        {"x": 50, "y": 0, "width": 1, "height": 1},
        {"x": "100%", "y": 0, "width": "0.5%", "height": 1},
        {"x": "50%", "y": 0, "width": "53%", "height": 10},
        {"x": 3, "y": 3, "width": "0%", "height": 10},
    ],
)
def test_a_region_outside_the_picture_is_impossible(region):
    with pytest.raises(ImpossibleRecipe, match=r"^a region of .* is not in an edge of .* pixels$"):
        perform(Redact(**region), Image.new("RGB", (50, 30)))
