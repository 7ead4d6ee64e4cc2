"""Rendering: sizes, colours, what is left out, and that hostile input ends in a named error."""

import io
import itertools
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from actors.imaging.errors import (
    ImageError,
    ImageTooLarge,
    ImpossibleRecipe,
    NotAnImage,
    RenderStopped,
    UnsupportedFormat,
)
from actors.imaging.facts import Limits
from actors.imaging.inspect import inspect, sniff
from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.render import keep_memory, render
from tests.imaging.pictures import (
    BLUE,
    GREEN,
    RED,
    WHITE,
    chunk,
    colour_profile,
    exif,
    gif,
    lossless_header,
    photograph,
    pixels,
    png,
    quarters,
    riff,
    segment,
    with_segments,
    written,
)
from tests.imaging.rendering import made, recipe_of

FORMATS = ["jpeg", "png", "webp", "gif", "avif"]

# The primaries of sRGB under D50, as XYZ.
SRGB_RED, SRGB_GREEN, SRGB_BLUE = (
    (0.4361, 0.2225, 0.0139),
    (0.3851, 0.7169, 0.0971),
    (0.1431, 0.0606, 0.7141),
)


def shown(data: bytes, mode="RGBA"):
    """The pixels of `data` as `render` shows them, without any operation."""
    return pixels(made(data, format="png").data, mode)


def corners(image, inset=3):
    """The colours near the corners: top left, top right, bottom left, bottom right."""
    return image[[inset, inset, -inset, -inset], [inset, -inset, inset, -inset]]


# Sizes


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_any_format_can_be_made_of_any_other(kind, target):
    original = written(quarters(64, 48), kind)

    rendered = made(original, Resize(30, 20), format=target)

    image = Image.open(io.BytesIO(rendered.data))
    assert sniff(rendered.data) == rendered.format == target
    assert (rendered.width, rendered.height) == image.size == (30, 20)
    assert np.abs(corners(pixels(rendered.data, "RGB")) - [RED, GREEN, BLUE, WHITE]).max() < 32


@pytest.mark.parametrize("kind", FORMATS)
def test_without_a_format_the_result_is_what_the_original_was(kind):
    rendered = made(written(quarters(8, 8), kind), Resize(4, 4))

    assert rendered.format == sniff(rendered.data) == kind


@pytest.mark.parametrize("size", [(1, 1), (800, 600), (600, 800), (1, 500), (500, 1), (90, 61)])
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_resize_gives_exactly_the_size_that_was_asked_for(kind, size):
    rendered = made(written(photograph(400, 300), kind), Resize(*size))

    assert (rendered.width, rendered.height) == inspect(rendered.data).size_as_shown == size


@pytest.mark.parametrize(
    ("size", "box", "expected"),
    [
        ((400, 300), (100, 100), (100, 75)),
        ((300, 400), (100, 100), (75, 100)),
        ((401, 301), (100, 100), (100, 75)),
        ((1000, 3), (100, 100), (100, 1)),
        ((3, 1000), (100, 100), (1, 100)),
        ((40, 30), (400, 400), (400, 300)),
        ((40, 30), (40, 30), (40, 30)),
        ((3, 2), (100, 100), (100, 67)),
    ],
)
@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_thumbnail_is_the_largest_that_fits_and_keeps_its_proportions(kind, size, box, expected):
    original = written(Image.new("RGB", size), kind)

    rendered = made(original, Thumbnail(*box))

    assert (rendered.width, rendered.height) == expected


def test_a_thumbnail_that_may_not_enlarge_leaves_what_is_small_alone():
    original = written(photograph(40, 30), "png")

    rendered = made(original, Thumbnail(400, 400, enlarge=False))

    assert (pixels(rendered.data) == pixels(original)).all()


def test_operations_run_in_their_order():
    original = written(photograph(200, 100), "jpeg")

    rendered = made(original, Resize(50, 80), Thumbnail(40, 40), Resize(33, 44))
    other = made(original, Resize(50, 80), Thumbnail(40, 40))

    assert (rendered.width, rendered.height) == (33, 44)
    assert (other.width, other.height) == (25, 40)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_reduced_picture_is_the_average_of_what_it_covers(kind):
    photo = photograph(640, 480)
    exact = np.asarray(photo).astype(float).reshape(60, 8, 80, 8, 3).mean(axis=(1, 3))

    options = {"png": {}}.get(kind, {"quality": 95})
    rendered = made(written(photo, kind, **options), Resize(80, 60), format="png")

    difference = np.abs(pixels(rendered.data, "RGB") - exact)
    assert difference.mean() < 4
    assert np.abs((pixels(rendered.data, "RGB") - exact).mean(axis=(0, 1))).max() < 1


def test_a_jpeg_that_was_decoded_small_is_not_shifted():
    # 41 pixels are 5 1/8 blocks of 8, and a reduced decode has 6. A ramp, so that a shift shows.
    ramp = np.tile(np.linspace(0, 255, 41), (41, 1)).astype(np.uint8)
    original = written(Image.fromarray(ramp), "jpeg", quality=95)

    rendered = made(original, Resize(4, 4), format="png")

    expected = (np.arange(4) + 0.5) / 4 * 255
    assert np.abs(pixels(rendered.data, "L") - expected).max() < 10


# Orientation


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, (RED, GREEN, BLUE, WHITE)),
        (2, (GREEN, RED, WHITE, BLUE)),
        (3, (WHITE, BLUE, GREEN, RED)),
        (4, (BLUE, WHITE, RED, GREEN)),
        (5, (RED, BLUE, GREEN, WHITE)),
        (6, (BLUE, RED, WHITE, GREEN)),
        (7, (WHITE, GREEN, BLUE, RED)),
        (8, (GREEN, WHITE, RED, BLUE)),
    ],
)
def test_the_picture_is_turned_upright_before_anything_else(kind, orientation, expected):
    original = written(quarters(320, 160), kind, exif=b"Exif\0\0" + exif(orientation))

    rendered = made(original, Thumbnail(40, 40), format="png")

    assert (rendered.width, rendered.height) == ((20, 40) if orientation >= 5 else (40, 20))
    assert np.abs(corners(pixels(rendered.data, "RGB")) - expected).max() < 12


# Colours


def test_every_kind_of_grey_png_shows_its_levels():
    assert shown(png(4, 1, b"\0\x1b", depth=2, colour=0), "L").tolist() == [[0, 85, 170, 255]]
    assert shown(png(2, 1, b"\0\x07", depth=4, colour=0), "L").tolist() == [[0, 119]]
    assert shown(png(2, 1, b"\0\x40", depth=1, colour=0), "L").tolist() == [[0, 255]]
    samples = struct.pack(">4H", 0, 1000, 40_000, 65_535)
    assert shown(png(4, 1, b"\0" + samples, depth=16, colour=0), "L").tolist() == [[0, 3, 156, 255]]


@pytest.mark.parametrize(
    ("depth", "rows", "transparent"),
    [(1, b"\0\x40", 1), (2, b"\0\x10", 1), (4, b"\0\x01", 1), (8, b"\0\0\x07", 7)],
)
def test_the_transparent_grey_of_a_png_is_transparent(depth, rows, transparent):
    data = png(
        2, 1, rows, depth=depth, colour=0, before=chunk(b"tRNS", struct.pack(">H", transparent))
    )

    assert shown(data)[0, :, 3].tolist() == [255, 0]


def test_the_transparent_grey_of_16_bits_is_told_from_its_neighbours():
    rows = b"\0" + struct.pack(">4H", 1000, 1001, 1256, 0)
    data = png(4, 1, rows, depth=16, colour=0, before=chunk(b"tRNS", struct.pack(">H", 1000)))

    assert shown(data)[0, :, 3].tolist() == [0, 255, 255, 255]


def test_the_transparent_colour_of_a_png_is_transparent():
    eight = png(2, 1, b"\0\1\2\3\1\2\4", before=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    rows = b"\0" + struct.pack(">6H", 1000, 2000, 3000, 65_535, 0, 0)
    transparent = chunk(b"tRNS", struct.pack(">3H", 1000, 2000, 3000))
    sixteen = png(2, 1, rows, depth=16, before=transparent)

    assert shown(eight)[0].tolist() == [[1, 2, 3, 0], [1, 2, 4, 255]]
    assert shown(sixteen)[0, :, 3].tolist() == [0, 255]


def test_a_palette_shows_its_colours_and_each_ones_transparency():
    palette = chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE]))
    rows = b"\0\0\1\2"

    plain = png(3, 1, rows, colour=3, before=palette)
    clear = png(3, 1, rows, colour=3, before=palette + chunk(b"tRNS", b"\x64\0"))

    assert shown(plain)[0].tolist() == [[*RED, 255], [*GREEN, 255], [*BLUE, 255]]
    assert shown(clear)[0].tolist() == [[*RED, 100], [*GREEN, 0], [*BLUE, 255]]


def test_a_grey_picture_with_alpha_keeps_both():
    eight = png(2, 1, b"\0\x0a\x14\xff\x80", colour=4)
    sixteen = png(1, 1, b"\0\x0a\x00\x80\x00", depth=16, colour=4)

    assert shown(eight)[0].tolist() == [[10, 10, 10, 20], [255, 255, 255, 128]]
    assert shown(sixteen)[0].tolist() == [[10, 10, 10, 128]]


@pytest.mark.parametrize(
    ("inks", "expected"),
    [
        ((0, 0, 0, 0), WHITE),
        ((0, 0, 0, 255), (0, 0, 0)),
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 255, 0), RED),
        ((0, 0, 0, 128), (127, 127, 127)),
    ],
)
def test_a_cmyk_photograph_is_not_shown_as_its_negative(inks, expected):
    original = written(Image.new("CMYK", (64, 64), inks), "jpeg", quality=95)

    rendered = made(original, Resize(8, 8))

    assert np.abs(pixels(rendered.data, "RGB") - expected).max() <= 3


def test_what_is_transparent_does_not_bleed_into_what_is_not():
    image = Image.new("RGBA", (64, 64), (*GREEN, 0))
    image.paste((*RED, 255), (0, 0, 32, 64))

    rendered = made(written(image, "png"), Resize(15, 15))

    visible = pixels(rendered.data).reshape(-1, 4)
    assert visible[visible[:, 3] > 8][:, 1].max() <= 8
    assert visible[visible[:, 3] > 8][:, 0].min() >= 247


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_a_jpeg_of_a_transparent_picture_lies_on_white(kind):
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    options = {"webp": {"lossless": True}}.get(kind, {})

    rendered = made(written(image, kind, **options), Resize(8, 8), format="jpeg")

    assert (pixels(rendered.data, "RGB") == 255).all()


def test_half_transparent_grey_and_colour_are_mixed_with_white():
    grey = Image.new("LA", (8, 8), (0, 128))
    colour = Image.new("RGBA", (8, 8), (*RED, 128))

    on_white = [
        pixels(made(written(image, "png"), format="jpeg").data, "RGB")[4, 4]
        for image in (grey, colour)
    ]

    assert np.abs(on_white[0] - 127).max() <= 2
    assert np.abs(on_white[1] - (255, 127, 127)).max() <= 3


def test_a_gif_keeps_what_is_transparent_and_what_is_not():
    image = Image.new("RGBA", (16, 16), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))

    result = pixels(made(written(image, "png"), format="gif").data)

    assert (result[:, :8, 3] == 0).all()
    assert (result[:, 8:] == (*RED, 255)).all()


def test_what_the_first_frame_of_a_gif_does_not_cover_is_transparent():
    result = shown(gif(3, 2))

    assert result[0, 0].tolist() == [0, 0, 0, 255]
    assert result[:, :, 3].sum() == 255


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "avif"])
def test_of_an_animation_the_first_frame_is_taken_where_no_more_is_wanted(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    original = written(frames[0], kind, save_all=True, append_images=frames[1:])

    rendered = made(original, Resize(8, 8), animation="first")

    assert inspect(original).frames == 3
    assert rendered.frames == 1
    assert inspect(rendered.data).frames == 1
    assert np.abs(pixels(rendered.data, "RGB") - RED).max() < 8


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("operations", [(), (Resize(8, 8),)])
def test_colours_are_converted_when_a_profile_gives_them_another_meaning(kind, operations):
    swapped = colour_profile(SRGB_GREEN, SRGB_RED, SRGB_BLUE)
    original = written(Image.new("RGB", (32, 32), RED), kind, icc_profile=swapped)

    rendered = made(original, *operations, format="png")

    assert np.abs(pixels(rendered.data, "RGB") - GREEN).max() <= 6
    assert "icc_profile" not in Image.open(io.BytesIO(rendered.data)).info


def test_converted_colours_keep_their_transparency():
    swapped = colour_profile(SRGB_GREEN, SRGB_RED, SRGB_BLUE)
    original = written(Image.new("RGBA", (4, 4), (*RED, 77)), "png", icc_profile=swapped)

    result = pixels(made(original, format="png").data)

    assert np.abs(result - (*GREEN, 77)).max() <= 6


@pytest.mark.parametrize(
    "profile",
    [b"rubbish", bytes(200), colour_profile(SRGB_RED, SRGB_GREEN, SRGB_BLUE)[:300]],
)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_a_broken_profile_is_ignored(kind, profile):
    original = written(Image.new("RGB", (16, 16), BLUE), kind, icc_profile=profile)

    assert np.abs(shown(original, "RGB") - BLUE).max() < 6


@pytest.mark.parametrize("packed", [b"", b"\0", b"\0\xff\xff", b"\0" + zlib.compress(bytes(9))[:5]])
def test_a_profile_of_a_png_that_cannot_be_unpacked_is_ignored(packed):
    data = png(1, 1, b"\0\1\2\3", before=chunk(b"iCCP", b"name\0" + packed))

    assert shown(data, "RGB")[0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("gamma", "other", "expected"),
    [
        # Light of 0.2159 is the level 128 of sRGB, whose gamma is nearly 1/2.2.
        (100_000, b"", (55, 128)),
        (45_455, b"", (128, 128)),
        (100_000, chunk(b"sRGB", b"\0"), (55, 55)),
        (0, b"", (55, 55)),
    ],
)
def test_the_gamma_of_a_png_is_honoured_unless_something_better_is_known(gamma, other, expected):
    level, shown_level = expected
    before = other + chunk(b"gAMA", struct.pack(">I", gamma))
    data = png(1, 1, bytes([0, level, 255, 0, level]), colour=6, before=before)

    assert shown(data)[0, 0].tolist() == [shown_level, 255, 0, level]


# What is left out, and what stays the same


def test_a_comment_in_a_gif_is_left_out():
    original = written(Image.new("L", (8, 8)), "gif", comment=b"52 degrees north")

    assert b"52 degrees" in original
    assert b"52 degrees" not in made(original).data


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_nothing_of_the_metadata_is_left(kind):
    secret = b"52 degrees north"
    original = written(photograph(64, 64), kind, exif=b"Exif\0\0" + exif(1) + secret)
    if kind == "jpeg":
        original = with_segments(original, segment(0xFE, secret), segment(0xED, secret))
    if kind == "png":
        original = original[:33] + chunk(b"tEXt", b"a\0" + secret) + original[33:]
    assert secret in original

    for operations in ((), (Resize(32, 32),)):
        rendered = made(original, *operations).data

        assert secret not in rendered
        info = Image.open(io.BytesIO(rendered)).info
        assert not {"exif", "xmp", "comment", "icc_profile"} & info.keys()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_follows_the_original_does_not_reach_the_result(kind):
    original = written(photograph(64, 64), kind)

    assert made(original + b"PK\3\4<script>") == made(original)


@pytest.mark.parametrize("target", FORMATS)
def test_the_same_original_and_recipe_give_the_same_bytes(target):
    original = written(photograph(200, 100), "jpeg")
    recipe = recipe_of(Resize(90, 70), format=target)

    first = render(original, recipe)
    results = [first]
    threads = [
        threading.Thread(target=lambda: results.append(render(original, recipe))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [first] * 5


@pytest.mark.parametrize("target", ["jpeg", "webp"])
def test_quality_costs_bytes(target):
    original = written(photograph(200, 200), "png")

    sizes = [len(made(original, format=target, quality=quality).data) for quality in (20, 90)]

    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("image", [photograph(300, 300), quarters(300, 300)])
def test_a_png_loses_nothing(image):
    rendered = made(written(image, "png"), format="png")

    assert (pixels(rendered.data, "RGB") == np.asarray(image)).all()


def test_a_png_of_a_drawing_is_small_although_photographs_are_written_in_a_hurry():
    drawing = Image.new("RGB", (400, 400), WHITE)
    for place in range(0, 400, 20):
        drawing.paste(BLUE, (place, 0, place + 5, 400))
        drawing.paste(RED, (0, place, 400, place + 3))

    rendered = made(written(drawing, "png"), Resize(300, 290))

    smooth = Image.open(io.BytesIO(rendered.data))
    assert len(rendered.data) < 0.5 * len(written(smooth, "png", compress_type=zlib.Z_RLE))


def test_a_photograph_with_a_second_picture_behind_it_is_a_jpeg():
    first, second = quarters(160, 160), Image.new("RGB", (16, 16))
    file = io.BytesIO()
    first.save(file, "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(file.getvalue())).format == "MPO"

    rendered = made(file.getvalue(), Resize(20, 20))

    assert rendered.format == "jpeg"
    assert np.abs(corners(pixels(rendered.data, "RGB")) - [RED, GREEN, BLUE, WHITE]).max() < 12


# Stopping


def test_the_caller_can_stop_a_render_at_every_step():
    original = written(photograph(64, 64), "jpeg")
    recipe = recipe_of(Resize(32, 32), Resize(16, 16))
    questions = itertools.count()
    render(original, recipe, stopped=lambda: next(questions) < 0)
    steps = next(questions)

    assert steps >= 4
    for patience in range(steps):
        answers = itertools.chain([False] * patience, [True])
        with pytest.raises(RenderStopped):
            render(original, recipe, stopped=answers.__next__)


# Refusal


def test_what_inspection_refuses_is_not_rendered():
    with pytest.raises(ImageTooLarge):
        made(written(Image.new("L", (30, 20)), "png"), limits=Limits(max_pixels=599))
    with pytest.raises(UnsupportedFormat):
        made(written(Image.new("L", (30, 20)), "tiff"), format="png")
    with pytest.raises(NotAnImage):
        made(b"", format="png")


@pytest.mark.parametrize("operations", [(Resize(31, 20),), (Resize(1, 1), Thumbnail(25, 25))])
def test_no_step_may_make_a_picture_larger_than_the_limit(operations):
    original = written(Image.new("L", (30, 20)), "png")

    with pytest.raises(ImpossibleRecipe, match="at most 600"):
        made(original, *operations, limits=Limits(max_pixels=600))


def test_a_picture_too_long_for_webp_is_an_impossible_recipe():
    original = written(Image.new("L", (16_384, 1)), "png")

    with pytest.raises(ImpossibleRecipe, match="16,383"):
        made(original, format="webp")


def test_more_text_than_memory_should_hold_does_not_matter():
    bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50_000_000)))

    rendered = made(png(1, 1, b"\0\1\2\3", before=profile + bomb * 900), format="png")

    assert pixels(rendered.data, "RGB")[0, 0].tolist() == [1, 2, 3]


def outcome_of(data: bytes):
    """What rendering `data` comes to: a picture, or an error that has a name."""
    try:
        return made(data, Thumbnail(16, 16), limits=Limits(max_pixels=1_000_000), format="png")
    except ImageError as error:
        return error


@pytest.mark.parametrize(
    "hostile",
    [
        png(2, 2, b"\0\1\2\3"),
        png(2, 2, bytes(14))[:-30] + bytes(30),
        png(2, 2, bytes(14), colour=5),
        png(2, 2, bytes(14), colour=3),
        riff((b"VP8L", lossless_header(2, 2))),
        riff((b"VP8X", b"\x02" + bytes(9)), (b"ANMF", bytes(24))),
        gif(2, 2, block=b"\x02\xff\xff"),
    ],
)
def test_sound_structure_around_rubbish_ends_in_a_named_error_or_a_picture(hostile):
    outcome = outcome_of(hostile)

    assert isinstance(outcome, ImageError) or pixels(outcome.data).shape[:2] == (16, 16)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_ends_too_early_makes_no_picture(kind):
    data = written(photograph(64, 64), kind)

    for end in range(1, len(data), max(1, len(data) // 60)):
        with pytest.raises(NotAnImage):
            made(data[:end], format="png")


def test_a_jpeg_that_ends_too_early_but_says_it_does_not_is_broken():
    data = written(photograph(64, 64), "jpeg")

    with pytest.raises(NotAnImage):
        made(data[: len(data) // 2] + b"\xff\xd9", Resize(8, 8))


def mutated(data: bytes, chance: np.random.Generator) -> bytes:
    """`data` after one to eight small accidents."""
    broken = bytearray(data)
    for accident in chance.integers(0, 4, chance.integers(1, 9)):
        place = int(chance.integers(len(broken)))
        length = int(chance.integers(1, 17))
        match accident:
            case 0:
                broken[place : place + 1] = chance.bytes(1)
            case 1:
                broken[place] ^= 1 << length % 8
            case 2:
                del broken[place : place + length]
            case _:
                broken[place:place] = chance.bytes(length)
    return bytes(broken)


@pytest.mark.parametrize("kind", [*FORMATS, "animated", "progressive", "profiled", "palette"])
def test_a_mutated_file_ends_in_a_named_error_or_a_picture(kind):
    chance = np.random.default_rng(1841)
    photo = photograph(40, 30)
    data = {
        "animated": lambda: written(
            photo, "webp", save_all=True, append_images=[photograph(40, 30, 2)]
        ),
        "progressive": lambda: written(photo, "jpeg", progressive=True, exif=exif(6)),
        "profiled": lambda: written(
            photo, "png", icc_profile=colour_profile(SRGB_GREEN, SRGB_RED, SRGB_BLUE), exif=exif(6)
        ),
        "palette": lambda: written(photo.quantize(16), "png", transparency=3),
    }.get(kind, lambda: written(photo, kind))()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outcomes = [outcome_of(mutated(data, chance)) for _ in range(100)]

    errors = [outcome for outcome in outcomes if isinstance(outcome, ImageError)]
    assert errors
    assert all(error.code and str(error).endswith(".") for error in errors)
    for outcome in outcomes:
        if outcome not in errors:
            assert max(pixels(outcome.data).shape[:2]) == 16


def test_memory_is_kept_for_the_next_picture():
    core = Image.core  # type: ignore[attr-defined]  # not re-exported
    before = core.get_blocks_max()
    try:
        keep_memory(3)
        core.reset_stats()
        for _ in range(3):
            Image.new("RGB", (2000, 1500))

        assert core.get_stats()["reused_blocks"] >= 2
    finally:
        core.set_blocks_max(before)
