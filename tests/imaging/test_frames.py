"""Frames of animations: what a viewer sees of each, computed by a model of our own."""

import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from actors.imaging.decode import frames
from actors.imaging.errors import NotAnImage
from actors.imaging.facts import Limits
from actors.imaging.inspect import inspect
from tests.imaging.containers import coded, sequence
from tests.imaging.pictures import PNG, chunk, photograph, png, riff, written

R, G, B, W = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (255, 255, 255, 255)
NONE = (0, 0, 0, 0)
KEEP, CLEAR, RESTORE = "keep", "clear", "restore"

PALETTE = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
OTHER = [(9, 9, 9), (200, 100, 50), (50, 100, 200), (1, 2, 3)]


def seen(data):
    """Every frame as an array of RGBA, and the durations."""
    shown = list(frames(data, inspect(data)))
    arrays = [np.asarray(image.convert("RGBA")).astype(int) for image, _ in shown]
    return arrays, [duration for _, duration in shown]


def modelled(size, parts):
    """What is seen after each of `parts`: an array of RGBA, place, disposal, and blending."""
    width, height = size
    canvas = np.zeros((height, width, 4))
    shown = []
    for drawn, (left, top), disposal, blends in parts:
        pixels = np.asarray(drawn, float)[: height - top, : width - left]
        down, across = pixels.shape[:2]
        place = slice(top, top + down), slice(left, left + across)
        before = canvas.copy()
        canvas[place] = over(pixels, canvas[place]) if blends else pixels
        shown.append(canvas.copy())
        if disposal == CLEAR:
            canvas[place] = 0
        elif disposal == RESTORE:
            canvas = before
    return shown


def over(above, below):
    """`above` upon `below`, both with straight alpha."""
    top, bottom = above[..., 3:] / 255, below[..., 3:] / 255
    alpha = top + bottom * (1 - top)
    safe = np.where(alpha > 0, alpha, 1)
    colour = (above[..., :3] * top + below[..., :3] * bottom * (1 - top)) / safe
    return np.concatenate([np.where(alpha > 0, colour, 0), 255 * alpha], axis=-1)


def assert_same(actual, expected):
    """Compare pictures, but for the colour of what cannot be seen."""
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert np.abs(visible(one) - visible(other)).max() == 0


def visible(picture):
    pixels = np.round(picture)
    pixels[pixels[..., 3] == 0] = 0
    return pixels


# GIF


def gif_of(size, *parts, palette=PALETTE, background=0):
    """A GIF of `parts`, each what `part` makes of its arguments."""
    width, height = size
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x81, background, 0)
    return head + bytes(itertools.chain(*palette)) + b"".join(parts) + b";"


def part(
    indices, place=(0, 0), *, disposal=0, delay=5, transparent=None, palette=None, woven=False
):
    """A frame of a GIF, of rows of numbers of colours."""
    flags = disposal << 2 | (transparent is not None)
    control = b"!\xf9\4" + struct.pack("<BHBB", flags, delay, transparent or 0, 0)
    flags = (0x81 if palette else 0) | (0x40 if woven else 0)
    head = b"," + struct.pack("<HHHHB", *place, len(indices[0]), len(indices), flags)
    rows = list(indices)
    if woven:
        rows = [rows[n] for start, step in ((0, 8), (4, 8), (2, 4), (1, 2))
                for n in range(start, len(rows), step)]  # fmt: skip
    table = bytes(itertools.chain(*palette)) if palette else b""
    return control + head + table + b"\2" + packed(list(itertools.chain(*rows))) + b"\0"


def packed(indices):
    """Codes of three bits: the table is cleared before it can grow to longer ones."""
    codes = []
    for number, index in enumerate(indices):
        codes += [4, index] if number % 2 == 0 else [index]
    bits = sum(code << 3 * place for place, code in enumerate([*codes, 5]))
    data = bits.to_bytes((3 * len(codes) + 3 + 7) // 8, "little")
    return b"".join(
        bytes((len(data[start : start + 255]),)) + data[start : start + 255]
        for start in range(0, len(data), 255)
    )


def coloured(indices, palette=PALETTE, transparent=None):
    colours = [(*colour, 255) for colour in palette]
    if transparent is not None:
        colours[transparent] = NONE
    return np.array(colours)[np.array(indices)]


def chequered(width, height, first=0, second=1):
    return [[first if (x + y) % 2 else second for x in range(width)] for y in range(height)]


def test_a_frame_of_a_gif_stays_under_the_next_one():
    data = gif_of((3, 1), part([[0, 0, 0]], disposal=1), part([[1]], (1, 0), disposal=1))

    assert_same(seen(data)[0], [[[R, R, R]], [[R, G, R]]])


def test_a_frame_of_a_gif_that_is_disposed_of_leaves_transparency():
    data = gif_of(
        (3, 1), part([[0, 0, 0]], disposal=1), part([[1, 1]], disposal=2), part([[2]], (1, 0))
    )

    assert_same(seen(data)[0], [[[R, R, R]], [[G, G, R]], [[NONE, B, R]]])


def test_a_frame_of_a_gif_can_bring_back_what_was_before_it():
    data = gif_of(
        (3, 1),
        part([[0, 0, 0]], disposal=1),
        part([[1, 1]], disposal=3),
        part([[2]], (2, 0), disposal=3),
        part([[3]], (1, 0)),
    )

    assert_same(seen(data)[0], [[[R, R, R]], [[G, G, R]], [[R, R, B]], [[R, W, R]]])


def test_a_first_frame_that_is_taken_back_leaves_nothing():
    data = gif_of((2, 1), part([[0, 0]], disposal=3), part([[1]], (1, 0)))

    assert_same(seen(data)[0], [[[R, R]], [[NONE, G]]])


def test_a_gif_without_disposal_goes_on_where_it_was():
    data = gif_of((2, 1), part([[0, 0]], disposal=2), part([[1]], (1, 0)), part([[2]], (0, 0)))

    assert_same(seen(data)[0], [[[R, R]], [[NONE, G]], [[B, G]]])


def test_what_is_transparent_in_a_gif_shows_what_is_below():
    data = gif_of((3, 1), part([[0, 0, 0]]), part([[1, 3, 1]], transparent=3))

    assert_same(seen(data)[0], [[[R, R, R]], [[G, R, G]]])


def test_a_first_frame_smaller_than_its_canvas_has_nothing_around_it():
    data = gif_of((3, 2), part([[0]], (1, 1)), part([[1]], (0, 0)), background=2)

    first, second = seen(data)[0]

    assert_same([first], [[[NONE, NONE, NONE], [NONE, R, NONE]]])
    assert_same([second], [[[G, NONE, NONE], [NONE, R, NONE]]])


def test_frames_of_a_gif_have_palettes_of_their_own():
    data = gif_of((2, 1), part([[1, 1]]), part([[1]], palette=OTHER), part([[2]], (1, 0)))

    assert_same(seen(data)[0], [[[G, G]], [[(200, 100, 50, 255), G]], [[(200, 100, 50, 255), B]]])


@pytest.mark.parametrize("height", [1, 2, 3, 5, 8, 9, 17])
def test_a_woven_frame_of_a_gif_is_unwoven(height):
    rows = [[y % 4, (y + 1) % 4, 2] for y in range(height)]

    data = gif_of((3, height), part(rows), part(rows[::-1], woven=True))

    assert_same(seen(data)[0], [coloured(rows), coloured(rows[::-1])])


def test_a_frame_over_the_edge_of_a_gif_is_cut_off():
    data = gif_of(
        (3, 3),
        part(chequered(3, 3)),
        part(chequered(4, 4, 2, 3), (2, 1), disposal=3),
        part([[0]], (9, 9)),
        part([[2]], (0, 0)),
    )
    whole = coloured(chequered(3, 3))

    model = modelled(
        (3, 3),
        [
            (whole, (0, 0), KEEP, True),
            (coloured(chequered(4, 4, 2, 3)), (2, 1), RESTORE, True),
            (whole[:0], (0, 0), KEEP, True),
            ([[B]], (0, 0), KEEP, True),
        ],
    )

    assert_same(seen(data)[0], model)


@pytest.mark.parametrize("seed", range(12))
def test_gifs_of_all_sorts_are_as_modelled(seed):
    chance = np.random.default_rng(seed)
    size = int(chance.integers(1, 20)), int(chance.integers(1, 20))
    parts, model = [], []
    for number in range(6):
        across, down = (int(chance.integers(1, edge + 1)) for edge in size)
        place = int(chance.integers(0, size[0])), int(chance.integers(0, size[1]))
        if number == 0:
            across, down, place = *(max(1, edge // (1 + seed % 2)) for edge in size), (0, 0)
        indices = chance.integers(0, 4, (down, across)).tolist()
        disposal = int(chance.integers(0, 5))
        transparent = int(chance.integers(0, 4)) if chance.random() < 0.6 else None
        palette = OTHER if chance.random() < 0.3 else None
        parts.append(
            part(
                indices,
                place,
                disposal=disposal,
                transparent=transparent,
                palette=palette,
                woven=bool(chance.integers(0, 2)),
            )
        )
        ends = [KEEP, KEEP, CLEAR, RESTORE, RESTORE][disposal]
        pixels = coloured(indices, palette or PALETTE, transparent)
        model.append((pixels, place, ends, True))

    assert_same(seen(gif_of(size, *parts))[0], modelled(size, model))


def test_the_frames_of_a_gif_without_transparency_have_none():
    data = gif_of((3, 1), part([[0, 1, 2]]), part([[1]], (1, 0), disposal=3), part([[3]]))

    assert {image.mode for image, _ in frames(data, inspect(data))} == {"RGB"}


def test_what_is_transparent_in_later_frames_of_a_gif_makes_no_hole_in_the_first():
    data = gif_of(
        *((3, 1), part([[0, 1, 2]])),
        *(part([[3, 1, 3]], transparent=3), part([[0, 3]], (1, 0), transparent=3, disposal=3)),
        part([[3]], (2, 0), transparent=3),
    )

    images = [image for image, _ in frames(data, inspect(data))]

    assert [image.mode for image in images] == ["RGB"] * 4
    assert_same(seen(data)[0], [[[R, G, B]], [[R, G, B]], [[R, R, B]], [[R, G, B]]])


@pytest.mark.parametrize(
    "parts",
    [
        (part([[0, 1]], transparent=0), part([[3, 1]])),
        (part([[0, 1]], disposal=2), part([[1]])),
        (part([[0, 1]], disposal=3), part([[1]])),
        (part([[0, 1]]), part([[1]], disposal=2), part([[1]])),
        (part([[0]]), part([[1]], (1, 0))),
    ],
)
def test_the_frames_of_a_gif_are_all_of_one_mode(parts):
    data = gif_of((2, 1), *parts)

    assert {image.mode for image, _ in frames(data, inspect(data))} == {"RGBA"}


def test_durations_are_kept_as_they_are_written():
    delays = [0, 1, 2, 7, 65_535]

    gif = gif_of((1, 1), *(part([[0]], delay=delay) for delay in delays))

    assert seen(gif)[1] == [0, 10, 20, 70, 655_350]


def test_a_frame_without_a_control_lasts_no_time_and_is_opaque():
    bare = part([[1]])[8:]

    data = gif_of((1, 1), part([[0]], transparent=0, disposal=2, delay=9), bare)

    pictures, durations = seen(data)
    assert durations == [90, 0]
    assert_same(pictures, [[[NONE]], [[G]]])


# PNG


def animated_png(size, *parts, colour=6, palette=b"", plays=0):
    """A PNG of `parts`: rows of pixels as bytes, place, disposal, blending, and delay."""
    head = struct.pack(">IIBBBBB", *size, 8, colour, 0, 0, 0)
    out, number = b"", 0
    for order, (rows, place, disposal, blending, delay) in enumerate(parts):
        samples = {6: 4, 2: 3, 3: 1, 0: 1}[colour]
        control = struct.pack(
            ">IIIIIHHBB", number, len(rows[0]) // samples, len(rows), *place, *delay, disposal,
            blending,
        )  # fmt: skip
        body = zlib.compress(b"".join(b"\0" + row for row in rows))
        out += chunk(b"fcTL", control)
        number += 1
        if order:
            out += chunk(b"fdAT", struct.pack(">I", number) + body)
            number += 1
        else:
            out += chunk(b"IDAT", body[:5]) + chunk(b"IDAT", body[5:])
    control = chunk(b"acTL", struct.pack(">II", len(parts), plays))
    return PNG + chunk(b"IHDR", head) + control + palette + out + chunk(b"IEND")


@pytest.mark.parametrize("seed", range(12))
def test_animated_pngs_are_as_modelled(seed):
    chance = np.random.default_rng(seed)
    size = int(chance.integers(1, 20)), int(chance.integers(1, 20))
    parts, model = [], []
    for number in range(6):
        place = int(chance.integers(0, size[0])), int(chance.integers(0, size[1]))
        across = int(chance.integers(1, size[0] - place[0] + 1))
        down = int(chance.integers(1, size[1] - place[1] + 1))
        if not number:
            (across, down), place = size, (0, 0)
        pixels = chance.integers(0, 256, (down, across, 4))
        pixels[..., 3] = chance.choice([0, 100, 255, 255], (down, across))
        disposal, blending = int(chance.integers(0, 3)), int(chance.integers(0, 2))
        rows = [bytes(row.astype(np.uint8).ravel()) for row in pixels]
        parts.append((rows, place, disposal, blending, (1, 10)))
        model.append((pixels, place, [KEEP, CLEAR, RESTORE][disposal], bool(blending)))

    shown, durations = seen(animated_png(size, *parts))

    # A place of little alpha has little colour left, and much is lost of it.
    assert durations == [100] * 6
    for one, other in zip(shown, modelled(size, model), strict=True):
        assert np.abs(one[..., 3] - other[..., 3]).max() <= 2
        premultiplied = (each[..., :3] * each[..., 3:] / 255 for each in (one, other))
        assert np.abs(np.subtract(*premultiplied)).max() <= 3


def test_a_palette_and_its_transparency_are_shared_by_the_frames_of_a_png():
    palette = chunk(b"PLTE", bytes((255, 0, 0, 0, 255, 0, 0, 0, 255))) + chunk(b"tRNS", b"\xff\0")
    frame = (0, 0), 0, 1, (1, 10)

    data = animated_png(
        (3, 1), ([b"\0\0\0"], *frame), ([b"\1\2"], (1, 0), 0, 1, (1, 10)), colour=3, palette=palette
    )

    assert_same(seen(data)[0], [[[R, R, R]], [[R, R, B]]])


def test_a_first_picture_that_is_no_frame_of_a_png_is_not_shown():
    frame = animated_png((1, 1), ([bytes(R)], (0, 0), 0, 0, (1, 4)))
    control = frame[frame.index(b"fcTL") - 4 :][:38]
    moving = zlib.compress(b"\0" + bytes(G))
    data = png(
        1, 1, b"\0" + bytes(B), colour=6,
        before=chunk(b"acTL", struct.pack(">II", 2, 0)),
        after=2 * (control + chunk(b"fdAT", bytes(4) + moving)),
    )  # fmt: skip

    assert inspect(data).frames == 2
    assert_same(seen(data)[0], [[[G]], [[G]]])


@pytest.mark.parametrize(
    ("delay", "duration"), [((1, 10), 100), ((3, 0), 30), ((0, 7), 0), ((1, 3), 333)]
)
def test_delays_of_a_png_are_fractions(delay, duration):
    frame = [bytes(R)], (0, 0), 0, 0, delay

    assert seen(animated_png((1, 1), frame, frame))[1] == [duration] * 2


# WebP


def animated_webp(size, *parts):
    """A WebP of `parts`: a picture, its even place, whether it is cleared, whether it blends."""
    chunks = []
    for image, (left, top), cleared, blends, duration in parts:
        stored = written(image, "webp", lossless=True, exact=True)
        numbers = left // 2, top // 2, image.width - 1, image.height - 1, duration
        head = b"".join(struct.pack("<I", number)[:3] for number in numbers)
        chunks.append((b"ANMF", head + bytes((cleared | (not blends) << 1,)) + stored[12:]))
    canvas = b"".join(struct.pack("<I", edge - 1)[:3] for edge in size)
    header = (b"VP8X", struct.pack("<I", 0x12) + canvas)
    return riff(header, (b"ANIM", b"\x10\x20\x30\xff" + bytes(2)), *chunks)


@pytest.mark.parametrize("seed", range(8))
def test_animated_webps_are_as_modelled(seed):
    chance = np.random.default_rng(seed)
    size = int(chance.integers(4, 20)), int(chance.integers(4, 20))
    parts, model = [], []
    for number in range(6):
        place = tuple(2 * int(chance.integers(0, edge // 2)) for edge in size)
        across = int(chance.integers(1, size[0] - place[0] + 1))
        down = int(chance.integers(1, size[1] - place[1] + 1))
        pixels = chance.integers(0, 256, (down, across, 4))
        pixels[..., 3] = chance.choice([0, 100, 255, 255], (down, across))
        cleared, blends = bool(chance.integers(0, 2)), bool(chance.integers(0, 2))
        image = Image.fromarray(pixels.astype(np.uint8))
        parts.append((image, place, cleared, blends, 10 * number))
        model.append((pixels, place, CLEAR if cleared else KEEP, blends))

    shown, durations = seen(animated_webp(size, *parts))

    assert durations == [0, 10, 20, 30, 40, 50]
    for one, other in zip(shown, modelled(size, model), strict=True):
        assert np.abs(one[..., 3] - other[..., 3]).max() <= 2
        premultiplied = (each[..., :3] * each[..., 3:] / 255 for each in (one, other))
        assert np.abs(np.subtract(*premultiplied)).max() <= 4


# AVIF


def test_the_frames_of_an_avif_are_those_that_were_written():
    originals = [photograph(64, 48, seed) for seed in range(4)]
    data = written(
        originals[0], "avif", save_all=True, append_images=originals[1:], quality=95,
        subsampling="4:4:4", duration=[100, 20, 1, 1000],
    )  # fmt: skip

    shown, durations = seen(data)

    assert durations == [100, 20, 1, 1000]
    for one, original in zip(shown, originals, strict=True):
        difference = np.abs(one[..., :3] - np.asarray(original).astype(int))
        assert difference.mean() < 3


def test_the_frames_of_an_avif_keep_their_alpha():
    alphas = [Image.linear_gradient("L").resize((64, 64)).rotate(90 * turn) for turn in range(3)]
    originals = [photograph(64, 64, seed).convert("RGBA") for seed in range(3)]
    for original, alpha in zip(originals, alphas, strict=True):
        original.putalpha(alpha)

    data = written(originals[0], "avif", save_all=True, append_images=originals[1:], quality=95)

    for one, alpha in zip(seen(data)[0], alphas, strict=True):
        assert np.abs(one[..., 3] - np.asarray(alpha).astype(int)).mean() < 3


def test_durations_of_an_avif_are_shares_of_its_own_second():
    stream, config = coded(photograph(64, 64))

    data = sequence([stream] * 3, config, (64, 64), scale=90_000, delays=[(2, 9_000), (1, 90)])

    assert seen(data)[1] == [100, 100, 1]


# All of them


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif", "webp", "avif"])
def test_a_still_is_its_only_frame(kind):
    data = written(photograph(20, 10), kind)

    pictures, durations = seen(data)

    assert durations == [0]
    assert pictures[0].shape == (10, 20, 4)


def test_a_frame_is_decoded_when_it_is_asked_for():
    broken = part([[1]])[:-4] + b"\1\x05\0"
    data = gif_of((1, 1), part([[0]]), broken)

    shown = frames(data, inspect(data))

    assert next(shown)[0].getpixel((0, 0)) == R[:3]
    with pytest.raises(NotAnImage):
        next(shown)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "avif"])
def test_frames_stay_what_they_are(kind):
    originals = [photograph(32, 16, seed) for seed in range(3)]
    data = written(originals[0], kind, save_all=True, append_images=originals[1:])
    shown = [(image, image.tobytes()) for image, _ in frames(data, inspect(data))]

    assert [image.tobytes() for image, _ in shown] == [pixels for _, pixels in shown]
    assert len({pixels for _, pixels in shown}) == 3


def test_a_png_that_lacks_frames_is_broken():
    frame = [bytes(R)], (0, 0), 0, 0, (1, 10)
    data = animated_png((1, 1), frame, frame)
    promise = chunk(b"acTL", struct.pack(">II", 3, 0))
    data = data.replace(chunk(b"acTL", struct.pack(">II", 2, 0)), promise)

    with pytest.raises(NotAnImage, match="frames"):
        list(frames(data, inspect(data, Limits())))
