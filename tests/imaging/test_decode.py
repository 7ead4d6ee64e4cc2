"""Decoding: the pixels of TIFF and AVIF, and that nothing else of a file reaches a decoder."""

import re
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from actors.imaging.decode import decode
from actors.imaging.errors import NotAnImage, UnsupportedFormat
from actors.imaging.facts import Limits
from actors.imaging.inspect import SUFFIXES, inspect
from tests.imaging.containers import avif, coded, full, grid, ispe, plain_tiff, reference
from tests.imaging.pictures import (
    PNG,
    chunk,
    gif,
    photograph,
    png,
    quarters,
    segment,
    with_segments,
    written,
)

LIMITS = Limits(formats=frozenset(SUFFIXES))
LEVELS = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def decoded(data):
    image = decode(data, inspect(data, LIMITS), None).image
    return image.mode, np.asarray(image).astype(int)


def packed(samples, order="<"):
    return np.ascontiguousarray(samples, dtype=samples.dtype.newbyteorder(order)).tobytes()


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_a_tiff_holds_what_was_written(mode, compression):
    photo = photograph(61, 43)
    clear = photo.convert("RGBA")
    clear.putalpha(photograph(61, 43, 2).convert("L"))
    original = photo.quantize(50) if mode == "P" else clear.convert(mode)

    shown, pixels = decoded(written(original, "tiff", compression=compression))

    assert shown == {"1": "L", "P": "RGB"}.get(mode, mode)
    expected = {"P": lambda: np.array(original.getpalette()).reshape(-1, 3)[np.asarray(original)],
                "1": lambda: 255 * np.asarray(original)}  # fmt: skip
    assert (pixels == expected.get(mode, lambda: np.asarray(original))()).all()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflated", [False, True])
def test_sixteen_bits_of_grey_are_their_higher_eight(order, deflated):
    samples = LEVELS.astype(np.uint16) * 256 + 200
    pixels = packed(samples, order)
    if deflated:
        pixels = zlib.compress(pixels)

    mode, shown = decoded(
        plain_tiff(order=order, t258=(3, 16), t259=(3, 8 if deflated else 1), pixels=pixels)
    )

    assert mode == "L"
    assert (shown == LEVELS).all()


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("deflated", [False, True])
def test_fractions_of_grey_are_shares_of_white(order, deflated):
    samples = np.array(
        [[0, 0.5, 1, 0.2], [-0.3, -1e30, 1.004, 1e30], [1e-40, np.inf, -np.inf, 0.9]]
    )
    pixels = packed(samples.astype(np.float32), order)
    if deflated:
        pixels = zlib.compress(pixels)

    mode, shown = decoded(
        plain_tiff(
            order=order,
            t258=(3, 32),
            t259=(3, 8 if deflated else 1),
            t339=(3, 3),
            pixels=pixels,
        )
    )

    assert mode == "L"
    assert shown.tolist() == [[0, 128, 255, 51], [0, 0, 255, 255], [0, 255, 0, 230]]


@pytest.mark.parametrize("order", "<>")
def test_fractions_may_be_told_by_their_differences(order):
    samples = LEVELS.astype(np.float32) / 255
    # The highest bytes of a row come first, then the others; each but the first as a difference.
    rows = packed(samples, ">")
    planes = np.frombuffer(rows, np.uint8).reshape(3, 4, 4).transpose(0, 2, 1).reshape(3, 16)
    told = np.diff(planes.astype(int), prepend=0).astype(np.uint8)

    _, shown = decoded(
        plain_tiff(
            order=order,
            t258=(3, 32),
            t259=(3, 8),
            t317=(3, 3),
            t339=(3, 3),
            pixels=zlib.compress(told.tobytes()),
        )
    )

    assert (shown == LEVELS).all()


def test_a_fraction_that_is_no_number_is_some_level():
    pixels = packed(np.full(12, np.nan, dtype=np.float32))

    assert decoded(plain_tiff(t258=(3, 32), t339=(3, 3), pixels=pixels))[1].shape == (3, 4)


@pytest.mark.parametrize(
    "fields",
    [
        {"t262": (3, 0)},
        {"t262": (3, 2), "t277": (3, 3), "t258": (3, 32, 32, 32), "t339": (3, 3, 3, 3)},
        {"t277": (3, 2), "t258": (3, 32, 32), "t339": (3, 3, 3)},
        {"t258": (3, 16)},
        {"t258": (3, 64)},
        {"t339": (3, 1)},
        {"t339": (3, 2)},
        {"t339": (3, 4)},
        {"t339": None},
    ],
)
def test_other_fractions_and_long_numbers_are_refused(fields):
    usual = {"t258": (3, 32), "t339": (3, 3)}

    with pytest.raises(UnsupportedFormat, match=r"^TIFF with pixels of this kind"):
        decoded(plain_tiff(pixels=bytes(400), **usual | fields))


@pytest.mark.parametrize("order", "<>")
def test_colours_that_are_stored_apart_are_brought_together(order):
    planes = [LEVELS, LEVELS[::-1], LEVELS[:, ::-1]]
    mode, shown = decoded(
        plain_tiff(
            order=order,
            pixels=b"".join(plane.tobytes() for plane in planes),
            t258=(3, 8, 8, 8),
            t262=(3, 2),
            t273=(4, 134, 146, 158),
            t277=(3, 3),
            t279=(4, 12, 12, 12),
            t284=(3, 2),
        )
    )

    assert mode == "RGB"
    assert (shown == np.stack(planes, axis=-1)).all()


def test_tiles_are_put_side_by_side():
    picture = np.arange(32 * 40, dtype=np.uint32).reshape(32, 40).astype(np.uint8)
    wide = np.pad(picture, ((0, 0), (0, 8)))
    tiles = [wide[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    start = 8 + 2 + 12 * 10 + 4

    mode, shown = decoded(
        plain_tiff(
            40,
            32,
            pixels=b"".join(tiles),
            t273=None,
            t278=None,
            t279=None,
            t322=(3, 16),
            t323=(3, 16),
            t324=(4, *(start + 256 * number for number in range(6))),
            t325=(4, *[256] * 6),
        )
    )

    assert mode == "L"
    assert (shown == picture).all()


def test_white_can_be_nothing():
    assert (decoded(plain_tiff(pixels=LEVELS.tobytes(), t262=(3, 0)))[1] == 255 - LEVELS).all()


def test_premultiplied_colours_are_divided_again():
    pixels = np.array([[[100, 50, 0, 128], [0, 0, 0, 0], [9, 9, 9, 255], [10, 20, 30, 64]]])

    _, shown = decoded(
        plain_tiff(
            4, 1, pixels=pixels.astype(np.uint8).tobytes(), t258=(3, 8, 8, 8, 8), t262=(3, 2),
            t277=(3, 4), t338=(3, 1),
        )
    )  # fmt: skip

    assert shown[0, 2].tolist() == [9, 9, 9, 255]
    assert np.abs(shown[0, 0] - (199, 100, 0, 128)).max() <= 1
    assert np.abs(shown[0, 3] - (40, 80, 120, 64)).max() <= 1


def test_the_first_page_is_decoded_whatever_the_others_are():
    data = plain_tiff(pixels=LEVELS.tobytes())
    end = 8 + 2 + 12 * 9
    assert data[end : end + 4] == bytes(4)

    looped = data[:end] + b"\x08\0\0\0" + data[end + 4 :]

    assert (decoded(looped)[1] == LEVELS).all()


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:2:2", "4:4:4"])
def test_an_avif_shows_its_colours(subsampling):
    original = quarters(128, 96)

    mode, shown = decoded(written(original, "avif", quality=90, subsampling=subsampling))

    assert mode == "RGB"
    for y, x in ((20, 20), (20, 100), (70, 20), (70, 100)):
        assert np.abs(shown[y, x] - original.getpixel((x, y))).max() <= 4


def test_tiles_of_an_avif_are_where_they_belong():
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (90, 90, 90), (9, 9, 9), (240, 240, 0)]
    streams = [coded(Image.new("RGB", (64, 64), colour), quality=90) for colour in colours]
    data = avif(
        [(b"grid", grid(3, 2, 180, 120)), *((b"av01", stream) for stream, _ in streams)],
        [ispe(180, 120), ispe(64, 64), streams[0][1]],
        {1: [1]} | {number: [2, 3] for number in range(2, 8)},
        references=reference(b"dimg", 1, *range(2, 8)),
    )

    _, shown = decoded(data)

    assert shown.shape == (120, 180, 3)
    for number, colour in enumerate(colours):
        x, y = 64 * (number % 3) + 20, 64 * (number // 3) + 20
        assert np.abs(shown[y, x] - colour).max() <= 4


def test_an_avif_is_as_clear_as_its_second_picture_says():
    stream, config = coded(Image.new("RGB", (64, 64), "teal"))
    alpha, alpha_config = coded(Image.linear_gradient("L").resize((64, 64)), quality=95)
    data = avif(
        [(b"av01", stream), (b"av01", alpha)],
        [ispe(64, 64), config, alpha_config,
         full(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")],
        {1: [1, 2], 2: [1, 3, 4]},
        references=reference(b"auxl", 2, 1),
    )  # fmt: skip

    mode, shown = decoded(data)

    assert mode == "RGBA"
    assert np.abs(shown[:, 30, 3] - np.linspace(0, 255, 64)).max() <= 6


def test_broken_metadata_of_an_avif_are_not_read():
    stream, config = coded(photograph(64, 64))
    about = [(b"Exif", b"\xff" * 50), (b"mime", b"\0application/rdf+xml\0<")]

    data = avif(
        [(b"av01", stream), *about],
        [ispe(64, 64), config],
        {1: [1, 2]},
        references=reference(b"cdsc", 2, 1) + reference(b"cdsc", 3, 1),
    )

    assert decoded(data)[1].shape == (64, 64, 3)


@pytest.mark.parametrize("cut", [0xE0, 0xEE])
def test_a_marker_of_a_jpeg_that_is_cut_is_not_heeded(cut):
    data = written(photograph(20, 10), "jpeg")

    marked = with_segments(data, segment(cut, {0xE0: b"JFIF\0", 0xEE: b"Adobe\0"}[cut]))

    assert (decoded(marked)[1] == decoded(data)[1]).all()


@pytest.mark.parametrize(
    ("colour", "length"), [(3, 3), (3, 0), (0, 0), (0, 1), (0, 6), (2, 2), (2, 7), (4, 2), (6, 6)]
)
def test_a_transparency_of_a_png_that_makes_no_sense_is_none(colour, length):
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    before = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    rows = b"\0" + b"\1" * samples
    plain = png(1, 1, rows, colour=colour, before=before)

    mode, shown = decoded(
        png(1, 1, rows, colour=colour, before=before + chunk(b"tRNS", bytes(length)))
    )

    assert (mode, shown.tolist()) == (decoded(plain)[0], decoded(plain)[1].tolist())


@pytest.mark.parametrize("interlaced", [False, True])
def test_only_just_the_transparent_colour_of_16_bits_is_transparent(interlaced):
    colour = 0x1234, 0x5678, 0x9ABC
    near = [(0x1235, 0x5678, 0x9ABC), (0x1234, 0x5578, 0x9ABC), (0x1234, 0x5678, 0x9A00)]
    # Of a row of four, interlacing has the first alone, then the third, then the others.
    passes = [[colour], [near[1]], [near[0], near[2]]] if interlaced else [[colour, *near]]
    rows = b"".join(b"\0" + np.array(each, dtype=">u2").tobytes() for each in passes)
    header = struct.pack(">IIBBBBB", 4, 1, 16, 2, 0, 0, interlaced)
    parts = [(b"IHDR", header), (b"tRNS", struct.pack(">HHH", *colour))]
    parts += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]

    mode, shown = decoded(PNG + b"".join(chunk(kind, body) for kind, body in parts))

    assert mode == "RGBA"
    assert shown[0, :, 3].tolist() == [0, 255, 255, 255]
    assert shown[0, :, :3].tolist() == [[s >> 8 for s in each] for each in (colour, *near)]


def test_a_control_of_a_gif_that_is_cut_is_not_heeded():
    assert decoded(gif(1, 1, before=b"!\xf9\1\x05\0"))[1].tolist() == decoded(gif(1, 1))[1].tolist()


def test_the_decoder_of_a_file_is_gone_when_its_picture_is_there():
    for kind in ("webp", "avif"):
        data = written(photograph(20, 10), kind)

        image = decode(data, inspect(data), None).image

        assert type(image) is Image.Image


def test_a_tiff_whose_data_are_rubbish_is_broken():
    data = plain_tiff(pixels=b"\xa5" * 50, t259=(3, 8))

    with pytest.raises(NotAnImage):
        decoded(data)


JPEGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "full-colours": {"subsampling": "4:4:4"},
    "restarts": {"restart_marker_blocks": 3},
    "a-restart-for-each-block": {"restart_marker_blocks": 1},
    "coarse": {"quality": 20, "optimize": True},
}


def starved(data, share):
    """A JPEG with just this share of the data of its first scan, and an end behind them."""
    first = data.index(b"\xff\xda")
    start = first + 2 + int.from_bytes(data[first + 2 : first + 4], "big")
    scan = re.split(rb"\xff[^\x00\xff\xd0-\xd7]", data[start:])[0]
    return data[: start + int(len(scan) * share)].rstrip(b"\xff") + b"\xff\xd9"


@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("wanted", [None, (12, 9)])
def test_a_jpeg_whose_data_end_before_its_picture_is_broken(kind, mode, share, wanted):
    whole = written(photograph(133, 101).convert(mode), "jpeg", **JPEGS[kind])
    data = starved(whole, share)

    with pytest.raises(NotAnImage, match=r"its data end before the picture does\.$"):
        decode(data, inspect(data), wanted)
    decode(whole, inspect(whole), wanted)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("share", [0, 0.3, 0.6])
def test_so_is_a_progressive_one_whose_first_scan_is_cut(mode, share):
    data = starved(written(photograph(133, 101).convert(mode), "jpeg", progressive=True), share)

    with pytest.raises(NotAnImage, match=r"its data end before the picture does\.$"):
        decoded(data)


@pytest.mark.parametrize("progressive", [False, True])
def test_so_is_one_that_says_that_it_is_higher_than_it_is(progressive):
    data = written(photograph(64, 48), "jpeg", progressive=progressive)
    frame = data.index(b"\xff\xc2" if progressive else b"\xff\xc0")

    higher = data[: frame + 5] + (300).to_bytes(2, "big") + data[frame + 7 :]

    with pytest.raises(NotAnImage, match=r"its data end before the picture does\.$"):
        decoded(higher)


@pytest.mark.parametrize("kind", [*JPEGS, "progressive"])
@pytest.mark.parametrize(("mode", "level"), [("L", 128), ("RGB", 128), ("CMYK", 127)])
@pytest.mark.parametrize("size", [(133, 101), (16, 16), (1, 1), (300, 2)])
@pytest.mark.parametrize("wanted", [None, (12, 9)])
def test_a_jpeg_with_a_grey_corner_is_a_picture(kind, mode, level, size, wanted):
    image = photograph(*size).convert(mode)
    # From where a block begins.
    image.paste((level,) * len(image.getbands()), (size[0] // 32 * 16, size[1] // 32 * 16, *size))
    data = written(image, "jpeg", **JPEGS.get(kind, {"progressive": True}))

    assert (np.asarray(decode(data, inspect(data), wanted).image)[-1, -1] == level).all()


def test_what_follows_a_jpeg_with_a_grey_corner_is_not_heeded():
    data = written(Image.new("RGB", (40, 40), "grey"), "jpeg")

    assert decoded(data + photograph(9, 9).tobytes() + data)[1].shape == (40, 40, 3)
