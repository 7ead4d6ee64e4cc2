"""Inspection: facts from the structure alone, and refusal of what is too large, in little time."""

import contextlib
import itertools
import struct
import time
import zlib
from dataclasses import replace

import pytest
from PIL import Image

from actors.imaging.errors import ImageError, ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.inspect import MEDIA_TYPES, SUFFIXES, Limits, inspect, sniff
from tests.imaging.containers import (
    avif,
    box,
    coded,
    edits,
    grid,
    ispe,
    plain_tiff,
    reference,
    sequence,
)
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

FORMATS = ["jpeg", "png", "webp", "gif", "avif", "tiff"]
EVERY = Limits(formats=frozenset(SUFFIXES))


@pytest.fixture(scope="module")
def files():
    photo = photograph(60, 40)
    return {kind: written(photo, kind) for kind in FORMATS}


@pytest.fixture(scope="module")
def jpeg(files):
    return files["jpeg"]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_known_by_its_first_bytes_and_measured(files, kind):
    facts = inspect(files[kind], EVERY)

    assert sniff(files[kind]) == facts.format == kind
    assert (facts.width, facts.height, facts.frames) == (60, 40, 1)


def test_every_format_has_a_suffix_and_a_media_type():
    assert list(SUFFIXES) == list(MEDIA_TYPES) == [*FORMATS, "heic"]


def test_a_format_that_is_turned_off_is_refused_by_name(files):
    without = Limits(formats=frozenset({"png", "webp"}))

    with pytest.raises(UnsupportedFormat) as refusal:
        inspect(files["jpeg"], without)

    assert str(refusal.value) == "JPEG is not supported; send PNG or WebP."
    assert inspect(files["png"], without).width == 60
    with pytest.raises(NotAnImage, match="send PNG or WebP"):
        inspect(b"hello", without)


def test_all_but_tiff_are_read_unless_something_else_is_said(files):
    with pytest.raises(UnsupportedFormat, match="TIFF is not supported; send JPEG, PNG, WebP, GIF"):
        inspect(files["tiff"])

    assert [kind for kind in FORMATS[:-1] if inspect(files[kind]).format != kind] == []


@pytest.mark.parametrize("kind", ["png", "webp", "gif", "avif"])
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
        (b"II+\0", "BigTIFF"),
        (b"MM\0+", "BigTIFF"),
        (b"BM\x36\0\0\0\0\0\0\0", "BMP"),
        (b"8BPS\0\1", "PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\0\0\0\x1cftypmif1", "HEIF"),
        (b"\0\0\0\x1cftyphevc", "HEIF"),
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
            inspect(data[:end], EVERY)


@pytest.mark.parametrize("kind", FORMATS)
def test_what_follows_the_image_does_not_matter(files, kind):
    for rubbish in (b"\0" * 1000, b"PK\3\4" + b"\xff\xda" * 1000, files[kind], b"<script>"):
        assert inspect(files[kind] + rubbish, EVERY) == inspect(files[kind], EVERY)


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


def test_scans_of_a_large_jpeg_are_limited_in_all_their_pixels():
    progressive = written(photograph(64, 64), "jpeg", progressive=True)
    scans = inspect(progressive).scans
    enough = -(-scans * 64 * 64 // 10)

    assert inspect(progressive, Limits(max_total_pixels=enough)).scans == scans
    with pytest.raises(ImageTooLarge, match="in 10 scans"):
        inspect(progressive, Limits(max_total_pixels=enough - 1))


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
        png(1, 1, bytes(2), colour=3),
        png(1, 1, bytes(2), colour=3, before=chunk(b"PLTE")),
        png(1, 1, bytes(2), colour=3, before=chunk(b"PLTE", bytes(4))),
        png(1, 1, bytes(2), colour=3, before=chunk(b"PLTE", bytes(3 * 257))),
        png(1, 1, bytes(2), colour=3, after=chunk(b"PLTE", bytes(3))),
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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_an_avif_is_what_its_boxes_say(orientation):
    said = Image.Exif()
    said[0x0112] = orientation

    facts = inspect(written(photograph(60, 40), "avif", exif=said))

    assert facts.orientation == orientation
    assert (facts.width, facts.height) == (60, 40)


@pytest.mark.parametrize(
    ("turn", "mirror", "expected"),
    [
        (0, None, 1), (1, None, 8), (2, None, 3), (3, None, 6),
        (None, 0, 4), (None, 1, 2), (1, 1, 7), (3, 1, 5), (1, 0, 5), (2, 0, 2),
    ],
)  # fmt: skip
def test_turning_comes_before_mirroring(turn, mirror, expected):
    stream, config = coded(photograph(64, 64))
    boxes = [ispe(64, 64), config]
    boxes += [box(b"irot", bytes((turn,)))] if turn is not None else []
    boxes += [box(b"imir", bytes((mirror,)))] if mirror is not None else []

    data = avif([(b"av01", stream)], boxes, {1: [*range(1, len(boxes) + 1)]})

    assert inspect(data).orientation == expected


def test_what_exif_says_of_orientation_in_an_avif_does_not_matter():
    stream, config = coded(photograph(64, 64))

    data = avif(
        [(b"av01", stream), (b"Exif", bytes(4) + exif(6))],
        [ispe(64, 64), config],
        {1: [1, 2]},
        references=reference(b"cdsc", 2, 1),
    )

    assert inspect(data).orientation == 1


def test_an_avif_of_tiles_is_as_large_as_all_of_them():
    stream, config = coded(photograph(64, 64))
    data = avif(
        [(b"grid", grid(3, 2, 180, 120)), *[(b"av01", stream)] * 6],
        [ispe(180, 120), ispe(64, 64), config],
        {1: [1]} | {number: [2, 3] for number in range(2, 8)},
        references=reference(b"dimg", 1, *range(2, 8)),
    )

    facts = inspect(data)

    assert (facts.width, facts.height, facts.frames) == (180, 120, 1)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4", "4:0:0"])
def test_an_avif_with_alpha_is_measured(subsampling):
    clear = photograph(33, 21).convert("RGBA")
    clear.putalpha(photograph(33, 21, 2).convert("L"))

    facts = inspect(written(clear, "avif", subsampling=subsampling))

    assert (facts.width, facts.height, facts.depth) == (33, 21, 8)


def test_an_avif_that_holds_another_size_than_it_says_is_broken():
    stream, config = coded(photograph(64, 64))

    for said in ((64, 63), (65, 64), (128, 128)):
        with pytest.raises(NotAnImage, match="disagree about its size"):
            inspect(avif([(b"av01", stream)], [ispe(*said), config], {1: [1, 2]}))


@pytest.mark.parametrize(
    ("kind", "options", "loops"),
    [
        ("gif", {}, 1), ("gif", {"loop": 0}, 0), ("gif", {"loop": 1}, 2), ("gif", {"loop": 5}, 6),
        ("webp", {}, 0), ("webp", {"loop": 0}, 0), ("webp", {"loop": 3}, 3),
        ("png", {}, 0), ("png", {"loop": 3}, 3),
        ("avif", {}, 0),
    ],
)  # fmt: skip
def test_how_often_an_animation_plays_in_all_is_told(kind, options, loops):
    frames = [photograph(20, 10, seed) for seed in range(2)]

    data = written(frames[0], kind, save_all=True, append_images=frames[1:], **options)

    assert inspect(data).loops == loops


@pytest.mark.parametrize(
    ("edit", "duration", "loops"),
    [
        (b"", 300, 0),
        (edits(300), 2**32 - 1, 0),
        (edits(300), 900, 3),
        (edits(300), 700, 3),
        (edits(300), 0, 1),
        (edits(300, repeated=False), 300, 1),
    ],
)
def test_how_often_an_avif_plays_is_told_by_its_edits(edit, duration, loops):
    stream, config = coded(photograph(64, 64))

    data = sequence([stream] * 3, config, (64, 64), edits=edit, duration=duration)

    assert (inspect(data).frames, inspect(data).loops) == (3, loops)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_still_plays_once(files, kind):
    assert inspect(files[kind], EVERY).loops == 1


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("orientation", [1, 3, 8])
def test_a_tiff_says_its_orientation_in_its_own_directory(order, orientation):
    facts = inspect(plain_tiff(4, 3, order=order, t274=(3, orientation)), EVERY)

    assert (facts.width, facts.height, facts.orientation) == (4, 3, orientation)


def test_of_a_tiff_only_the_first_page_is_looked_at():
    pages = [photograph(20, 10), photograph(4000, 10)]

    data = written(pages[0], "tiff", save_all=True, append_images=pages[1:])

    assert inspect(data, EVERY).frames == 1
    assert inspect(data, replace(EVERY, max_edge=20)).width == 20
