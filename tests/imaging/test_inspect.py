"""Inspection: facts from the structure alone, and refusal of what is too large, in little time."""

import contextlib
import itertools
import struct
import time
import zlib

import pytest
from PIL import Image

from actors.imaging.errors import ImageError, ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.inspect import MEDIA_TYPES, SUFFIXES, Limits, inspect, sniff
from tests.imaging.pictures import (
    PNG,
    chunk,
    exif,
    gif,
    lossless_header,
    photograph,
    png,
    riff,
    segment,
    with_segments,
    written,
)

FORMATS = ["jpeg", "png", "webp", "gif"]


@pytest.fixture(scope="module")
def files():
    photo = photograph(60, 40)
    return {kind: written(photo, kind) for kind in FORMATS}


@pytest.fixture(scope="module")
def jpeg(files):
    return files["jpeg"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_known_by_its_first_bytes_and_measured(files, kind):
    facts = inspect(files[kind])

    assert sniff(files[kind]) == facts.format == kind
    assert (facts.width, facts.height, facts.frames) == (60, 40, 1)


def test_every_format_has_a_suffix_and_a_media_type():
    assert list(SUFFIXES) == list(MEDIA_TYPES) == FORMATS


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_the_frames_of_an_animation_are_counted(kind):
    frames = [photograph(20, 10, seed) for seed in range(5)]
    data = written(frames[0], kind, save_all=True, append_images=frames[1:])

    assert inspect(data).frames == 5


def test_lossless_and_extended_webp_are_measured(files):
    photo = photograph(61, 37)
    clear = photo.convert("RGBA")
    clear.putalpha(photo.convert("L"))

    sizes = [
        (facts.width, facts.height)
        for facts in (
            inspect(written(photo, "webp", lossless=True)),
            inspect(written(clear, "webp")),
            inspect(written(photo, "webp", exif=exif(1))),
        )
    ]

    assert sizes == [(61, 37)] * 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_the_orientation_is_found_in_either_byte_order(jpeg, orientation, order):
    body = b"Exif\0\0" + exif(orientation, order)

    facts = inspect(with_segments(jpeg, segment(0xE1, body)))

    assert facts.orientation == orientation
    assert facts.size_as_shown == ((40, 60) if orientation >= 5 else (60, 40))


def test_the_orientation_is_found_in_png_and_webp():
    photo = photograph(60, 40)

    assert inspect(written(photo, "png", exif=exif(6))).orientation == 6
    assert inspect(written(photo, "webp", exif=exif(6))).orientation == 6


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        exif(0),
        exif(9),
        exif(6)[:-12],
        b"XX" + exif(6)[2:],
        b"II*\0\x08\0\0\0\xff\xff" + bytes(50),
    ],
)
def test_broken_exif_is_as_good_as_none(jpeg, body):
    facts = inspect(with_segments(jpeg, segment(0xE1, b"Exif\0\0" + body)))

    assert facts.orientation == 1


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"BM\x36\0\0\0\0\0\0\0", "BMP"),
        (b"8BPS\0\1", "PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypheic", "HEIF"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "SVG"),
        (b"  <svg/>", "SVG"),
        (b"\0\0\0\x0cJXL \r\n", "JPEG XL"),
    ],
)
def test_a_known_format_that_is_not_read_is_named(start, name):
    assert sniff(start) is None
    with pytest.raises(UnsupportedFormat, match=name):
        inspect(start + bytes(100))


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"hello", b"GIF", b"\xff\xd8", PNG[:-1], b"RIFF\4\0\0\0WAVE", b"<html></html>"],
)
def test_what_is_no_image_is_called_so(data):
    with pytest.raises(NotAnImage):
        inspect(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_that_ends_too_early_is_refused_wherever_it_ends(files, kind):
    data = files[kind]
    ends = {*range(0, len(data) - 1, 7), *range(min(400, len(data))), len(data) - 1}

    for end in ends:
        with pytest.raises(NotAnImage):
            inspect(data[:end])


@pytest.mark.parametrize("kind", FORMATS)
def test_what_follows_the_image_does_not_matter(files, kind):
    for rubbish in (b"\0" * 1000, b"PK\3\4" + b"\xff\xda" * 1000, files[kind], b"<script>"):
        assert inspect(files[kind] + rubbish) == inspect(files[kind])


@pytest.mark.parametrize(
    "bomb",
    [
        PNG + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND"),
        riff((b"VP8L", lossless_header(16_384, 16_384))),
        riff((b"VP8X", b"\x02\0\0\0" + b"\xff" * 6), (b"ANMF", bytes(16))),
        riff((b"VP8 ", bytes(3) + b"\x9d\x01\x2a\xff\x3f\xff\x3f")),
        gif(65_535, 65_535),
        b"\xff\xd8" + segment(0xC2, b"\x08\xff\xff\xff\xff\x01\x01\x11\0")
        + segment(0xDA, b"\x01\x01\0\0\x3f\0") + b"\xff\xd9",
    ],
    ids=["png", "webp-lossless", "webp-canvas", "webp-lossy", "gif", "jpeg"],
)  # fmt: skip
def test_a_small_file_that_claims_to_be_huge_is_refused(bomb):
    assert len(bomb) < 100

    with pytest.raises(ImageTooLarge, match="pixels"):
        inspect(bomb)


def test_the_limits_hold_exactly():
    data = written(Image.new("L", (30, 20)), "png")

    assert inspect(data, Limits(max_pixels=600, max_edge=30, max_total_pixels=600)).width == 30
    for limits in (Limits(max_pixels=599), Limits(max_edge=29), Limits(max_total_pixels=599)):
        with pytest.raises(ImageTooLarge, match="30 x 20"):
            inspect(data, limits)


def test_a_refusal_says_what_was_measured_and_what_is_allowed():
    with pytest.raises(ImageTooLarge) as refusal:
        inspect(gif(6000, 5000))

    assert refusal.value.code == "image_too_large"
    assert str(refusal.value) == (
        "The image is 6,000 x 5,000 pixels; at most 25,000,000 in all are allowed."
    )


def test_frames_are_limited_in_number_and_in_all_their_pixels():
    assert inspect(gif(10, 10, frames=100)).frames == 100

    for bomb in (gif(10, 10, frames=101), gif(10, 10, frames=1000), gif(4000, 4000, frames=7)):
        with pytest.raises(ImageTooLarge, match="frames"):
            inspect(bomb)


def test_frames_that_an_animated_png_only_promises_count_too():
    control = chunk(b"acTL", struct.pack(">II", 2**31, 0))

    with pytest.raises(ImageTooLarge, match="frames"):
        inspect(png(1, 1, bytes(4), before=control))


def test_frames_of_an_animated_webp_are_limited():
    canvas = (b"VP8X", b"\x02" + bytes(9))

    with pytest.raises(ImageTooLarge, match="frames"):
        inspect(riff(canvas, *[(b"ANMF", bytes(16))] * 101))


def test_scans_of_a_jpeg_are_limited():
    progressive = written(photograph(64, 64), "jpeg", progressive=True)
    scans = progressive.count(b"\xff\xda")
    last = progressive[progressive.rindex(b"\xff\xda") : -2]

    facts = inspect(progressive[:-2] + last * (100 - scans) + progressive[-2:])

    assert facts.scans == 100
    for surplus in (1, 20_000):
        with pytest.raises(ImageTooLarge, match="scans"):
            inspect(progressive[:-2] + last * (100 - scans + surplus) + progressive[-2:])


def test_scans_cannot_hide_behind_an_end_of_image_in_a_comment():
    progressive = written(photograph(64, 64), "jpeg", progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    hidden = progressive[:-2] + segment(0xFE, b"\xff\xd9") + last * 200 + progressive[-2:]

    with pytest.raises(ImageTooLarge, match="scans"):
        inspect(hidden)


@pytest.mark.parametrize(
    "flood",
    [
        png(1, 1, bytes(4), before=chunk(b"tEXt", b"a\0b") * 1001),
        png(1, 1, bytes(4), after=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(9))) * 1001),
        png(1, 1, bytes(4), before=chunk(b"IDAT") * 20_001),
        png(1, 1, bytes(4), after=chunk(b"fdAT", bytes(4)) * 20_001),
        gif(1, 1, before=b"!\xfe\0" * 1001),
        gif(1, 1, before=b"!\xfe" + b"\1a" * 1001 + b"\0"),
        gif(1, 1, block=b"\1\0" * 2_000_000),
        riff((b"VP8L", lossless_header(1, 1)), *[(b"junk", b"")] * 1001),
    ],
    ids=["png-text", "png-ztxt", "png-idat", "png-fdat", "gif-extensions", "gif-comment",
         "gif-data", "webp-chunks"],
)  # fmt: skip
def test_a_flood_of_parts_is_refused(flood):
    with pytest.raises(ImageTooLarge):
        inspect(flood)


def test_a_flood_of_segments_in_a_jpeg_is_refused(jpeg):
    with pytest.raises(ImageTooLarge, match="segments"):
        inspect(with_segments(jpeg, *[segment(0xFE)] * 1001))


def test_rubbish_before_the_picture_of_a_jpeg_is_tolerated_in_small_amounts(jpeg):
    assert inspect(jpeg[:2] + b"\xff" * 100 + jpeg[2:]).width == 60
    with pytest.raises(NotAnImage):
        inspect(jpeg[:2] + b"\xff" * 10_000 + jpeg[2:])


def test_a_png_in_pieces_of_8_kilobytes_is_no_flood():
    pieces = chunk(b"IDAT", bytes(8192)) * 1300

    assert inspect(png(1, 1, bytes(4), before=pieces)).width == 1


@pytest.mark.parametrize("code", [0xC3, 0xC7, 0xCF])
def test_a_jpeg_for_specialists_is_unsupported(code):
    frame = segment(code, b"\x08\0\x01\0\x01\x01\x01\x11\0")

    with pytest.raises(UnsupportedFormat):
        inspect(b"\xff\xd8" + frame + segment(0xDA, bytes(6)) + b"\xff\xd9")


def test_a_jpeg_of_12_bits_is_unsupported():
    frame = segment(0xC1, b"\x0c\0\x01\0\x01\x01\x01\x11\0")

    with pytest.raises(UnsupportedFormat, match="12 bits"):
        inspect(b"\xff\xd8" + frame + segment(0xDA, bytes(6)) + b"\xff\xd9")


@pytest.mark.parametrize(
    "broken",
    [
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + segment(0xC0, b"\x08\0") + segment(0xDA, bytes(6)) + b"\xff\xd9",
        b"\xff\xd8" + segment(0xC0, b"\x08\0\0\0\x01\x01") + segment(0xDA, bytes(6)) + b"\xff\xd9",
        b"\xff\xd8\xff\xe0\0\1\xff\xd9",
        PNG + chunk(b"IHDR", bytes(13)) + chunk(b"IEND"),
        PNG + chunk(b"IHDR", bytes(12)) + chunk(b"IDAT") + chunk(b"IEND"),
        PNG + chunk(b"IDAT") + chunk(b"IEND"),
        gif(1, 1, frames=0),
        gif(1, 1, before=b"?"),
        gif(0, 0).replace(struct.pack("<HHHHB", 0, 0, 1, 1, 0), bytes(9)),
        riff(),
        riff((b"VP8L", b"\0\0\0\0\0")),
        riff((b"VP8 ", bytes(10))),
        riff((b"VP8X", bytes(9))),
        riff((b"VP8X", bytes(10)), (b"VP8L", lossless_header(2, 2))),
    ],
)
def test_a_broken_structure_is_no_image(broken):
    with pytest.raises(NotAnImage):
        inspect(broken)


def test_a_first_frame_larger_than_its_canvas_stretches_it():
    frame = struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    data = gif(10, 10).replace(frame, struct.pack("<HHHHB", 5, 6, 20, 30, 0))

    facts = inspect(data)

    assert (facts.width, facts.height) == (25, 36)


def test_inspection_is_fast_whatever_ten_megabytes_say(jpeg, files):
    size = 10_000_000
    hostile = [
        jpeg[:-2] + b"\xff\0" * (size // 2) + jpeg[-2:],
        jpeg[:-2] + b"\xff\xd0" * (size // 2) + jpeg[-2:],
        jpeg[:2] + b"\xff" * size,
        PNG + chunk(b"IHDR", bytes(13)) + chunk(b"IDAT") * (size // 12),
        gif(1, 1, block=b"\1\0" * (size // 2)),
        gif(1, 1, before=b"!\xfe" + b"\1a" * (size // 2)),
        files["webp"][:12] + b"junk\0\0\0\0" * (size // 8),
    ]

    for data in hostile:
        start = time.process_time()
        with contextlib.suppress(ImageError):
            inspect(data)
        assert time.process_time() - start < 2


def test_equal_facts_are_equal_values(files):
    for one, other in itertools.pairwise([inspect(files["png"]), inspect(bytes(files["png"]))]):
        assert one == other
        assert hash(one) == hash(other)
