"""Files that mean harm, or are broken each in its own way, and what must become of them."""

import struct
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from tests.imaging.containers import box
from tests.imaging.hostile_boxes import avifs, circular_exif, tiffs, webps
from tests.imaging.hostile_heic import heics
from tests.imaging.outcomes import BROKEN, PICTURE, TOO_LARGE, UNSUPPORTED, Files
from tests.imaging.pictures import (
    PNG,
    chunk,
    exif,
    gif,
    photograph,
    png,
    segment,
    with_segments,
    written,
)

HUGE = 10_000_000


def _strangers() -> Files:
    """What is no image, or one of those that are never opened."""
    laughs = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 20))
    svg = b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY l0 "ha">' + laughs + b"]><svg>&l19;</svg>"
    bmp = b"BM" + struct.pack("<IHHI", 100, 0, 0, 54)
    bmp += struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(100)
    psd = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 30_000, 30_000, 8, 3) + bytes(100)
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, 2**31, 22) + bytes(100)
    return {
        "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n", UNSUPPORTED),
        "eps-binary": (b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, 9) + bytes(60), UNSUPPORTED),
        "postscript": (b"%!PS\n{} loop\n", UNSUPPORTED),
        "pdf": (b"%PDF-1.7\n1 0 obj<</Type/Catalog/OpenAction 2 0 R>>endobj\n", UNSUPPORTED),
        "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
                UNSUPPORTED),
        "svg-of-laughs": (svg, BROKEN),
        "svg-behind-a-mark": (b"\xef\xbb\xbf \n<svg onload='x()'/>", UNSUPPORTED),
        "psd": (psd, UNSUPPORTED),
        "ico": (icon, UNSUPPORTED),
        "cur": (b"\0\0\2\0" + icon[4:], UNSUPPORTED),
        "bmp-of-runs": (bmp, UNSUPPORTED),
        "jpeg2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), UNSUPPORTED),
        "jpeg2000-stream": (b"\xff\x4f\xff\x51" + b"\xff" * 99, UNSUPPORTED),
        "jpeg-xl": (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(99), UNSUPPORTED),
        "jpeg-xl-stream": (b"\xff\x0a" + bytes(99), UNSUPPORTED),
        "qoi": (b"qoif" + struct.pack(">IIBB", 2**31, 2**31, 4, 0) + bytes(99), UNSUPPORTED),
        "dds": (b"DDS " + bytes(124), UNSUPPORTED),
        "openexr": (b"v/1\1" + bytes(99), UNSUPPORTED),
        "radiance": (b"#?RADIANCE\n\n-Y 99999 +X 99999\n", UNSUPPORTED),
        "xcf": (b"gimp xcf v011\0" + bytes(99), UNSUPPORTED),
        "fits": (b"SIMPLE  =                    T" + b" " * 2850, UNSUPPORTED),
        "icns": (b"icns" + struct.pack(">I", 2**31) + b"ic10" + bytes(99), UNSUPPORTED),
        "heif": (box(b"ftyp", b"mif1", bytes(4), b"mif1miaf") + bytes(99), UNSUPPORTED),
        "heif-of-tracks": (box(b"ftyp", b"msf1", bytes(4), b"hevc") + bytes(99), UNSUPPORTED),
        "bigtiff": (b"II+\0\x08\0\0\0" + bytes(99), UNSUPPORTED),
        "bigtiff-the-other-way": (b"MM\0+\0\x08\0\0" + bytes(99), UNSUPPORTED),
        "mp4": (box(b"ftyp", b"isom", bytes(4), b"isommp42") + bytes(99), BROKEN),
        "emf": (b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(99), BROKEN),
        "wmf": (b"\xd7\xcd\xc6\x9a" + bytes(99), BROKEN),
        "pcx": (b"\x0a\5\1\x08" + bytes(124), BROKEN),
        "ppm": (b"P6 99999 99999 255\n", BROKEN),
        "xpm": (b"/* XPM */\nstatic char * x[] = {\n", BROKEN),
        "xbm": (b"#define x_width 99999\n#define x_height 99999\n", BROKEN),
        "tga": (b"\1\0\2" + bytes(9) + struct.pack("<HHBB", 65_535, 65_535, 32, 0), BROKEN),
        "sgi": (b"\1\xda\1\1" + bytes(508), BROKEN),
        "sun": (b"\x59\xa6\x6a\x95" + b"\xff" * 28, BROKEN),
        "fli": (struct.pack("<IHHHHH", 99, 0xAF11, 9, 9_999, 9_999, 8) + bytes(128), BROKEN),
        "mpeg": (b"\0\0\1\xb3" + b"\xff" * 99, BROKEN),
        "zip": (b"PK\3\4" + bytes(99), BROKEN),
        "gzip": (b"\x1f\x8b\x08" + bytes(99), BROKEN),
        "html": (b"<html><body><script>alert(1)</script>", BROKEN),
        "program": (b"\x7fELF" + bytes(99), BROKEN),
        "nothing": (b"", BROKEN),
        "a-byte": (b"\xff", BROKEN),
        "zeros": (bytes(HUGE), BROKEN),
        "angles": (b"<" * HUGE, BROKEN),
        "spaces": (b" " * HUGE + b"<svg>", BROKEN),
    }  # fmt: skip


def _jpegs() -> Files:
    good = written(photograph(64, 48), "jpeg")
    progressive = written(photograph(64, 64), "jpeg", progressive=True)
    last = progressive[progressive.rindex(b"\xff\xda") : -2]
    flat = written(Image.new("RGB", (5000, 5000), "teal"), "jpeg", progressive=True, subsampling=0)
    last_of_flat = flat[flat.rindex(b"\xff\xda") : -2]
    of_flat = flat.count(b"\xff\xda")
    grey = written(Image.new("RGB", (5000, 5000), "grey"), "jpeg", progressive=True, subsampling=0)
    frame = good.index(b"\xff\xc0")
    scan = good.index(b"\xff\xda")
    profile = b"".join(
        segment(0xE2, b"ICC_PROFILE\0" + bytes((n, 255)) + bytes(65_519)) for n in range(1, 256)
    )

    def app1(body):
        return with_segments(good, segment(0xE1, b"Exif\0\0" + body))

    def header(body):
        return good[: frame + 4] + body + good[frame + 4 + len(body) :]

    def size(width, height):
        return header(b"\x08" + struct.pack(">HH", height, width))

    return {
        "claims-to-be-huge": (size(65_535, 65_535), TOO_LARGE),
        "claims-to-be-long": (size(65_535, 1), TOO_LARGE),
        "without-height": (size(64, 0), BROKEN),
        "without-width": (size(0, 48), BROKEN),
        "larger-than-its-data": (size(4000, 4000), BROKEN),
        "a-little-larger-than-its-data": (size(64, 65), BROKEN),
        "an-end-amid-its-data": (good[: (scan + len(good)) // 2] + b"\xff\xd9", BROKEN),
        "an-end-amid-its-first-scan": (
            progressive[: progressive.index(b"\xff\xda") + 30] + b"\xff\xd9", BROKEN),
        "an-end-instead-of-its-data": (good[: scan + 14] + b"\xff\xd9", BROKEN),
        "an-end-amid-its-last-scan": (
            progressive[: len(progressive) - len(last) // 2] + b"\xff\xd9", PICTURE),
        "40-scans-of-25-grey-megapixels": (
            grey[:-2] + grey[grey.rindex(b"\xff\xda") : -2] * (40 - of_flat) + b"\xff\xd9",
            PICTURE),
        "20,000-scans": (progressive[:-2] + last * 20_000 + b"\xff\xd9", TOO_LARGE),
        "scans-after-a-whole-one": (good[:-2] + good[scan:-2] * 20_000 + b"\xff\xd9", BROKEN),
        "a-header-in-its-data": (good[:-2] + good[frame : frame + 19] + b"\xff\xd9", BROKEN),
        "an-end-before-its-data": (with_segments(good[:-2], segment(0xFE, b"\xff\xd9")), BROKEN),
        "101-scans": (progressive[:-2] + last * (101 - 10) + b"\xff\xd9", TOO_LARGE),
        "100-scans-of-25-megapixels": (
            flat[:-2] + last_of_flat * (100 - of_flat) + b"\xff\xd9", TOO_LARGE),
        "40-scans-of-25-megapixels": (
            flat[:-2] + last_of_flat * (40 - of_flat) + b"\xff\xd9", PICTURE),
        "scans-behind-an-end-in-a-comment": (
            progressive[:-2] + segment(0xFE, b"\xff\xd9") + last * 200 + b"\xff\xd9", TOO_LARGE),
        "comments": (with_segments(good, *[segment(0xFE, b"x")] * 1_001), TOO_LARGE),
        "100,000-segments": (with_segments(good, *[segment(0xEF)] * 100_000), TOO_LARGE),
        "rubbish-in-its-header": (good[:2] + b"\xff" * 10_000 + good[2:], BROKEN),
        "restarts-without-end": (good[:-2] + b"\xff\xd0" * (HUGE // 2) + b"\xff\xd9", PICTURE),
        "stuffing-without-end": (good[:-2] + b"\xff\0" * (HUGE // 2) + b"\xff\xd9", PICTURE),
        "cut-in-its-header": (good[: frame + 6], BROKEN),
        "cut-in-its-data": (good[: len(good) * 2 // 3], BROKEN),
        "without-its-end": (good[:-2], BROKEN),
        "no-scan": (good[:scan] + b"\xff\xd9", BROKEN),
        "only-ends": (b"\xff\xd8\xff\xd9", BROKEN),
        "two-frames": (good[:frame] + good[frame : frame + 19] * 2 + good[frame + 19 :], BROKEN),
        "lossless": (good[: frame + 1] + b"\xc3" + good[frame + 2 :], UNSUPPORTED),
        "hierarchical": (good[: frame + 1] + b"\xc5" + good[frame + 2 :], UNSUPPORTED),
        "12-bits": (header(b"\x0c"), UNSUPPORTED),
        "255-components": (header(b"\x08\0\x30\0\x40\xff"), BROKEN),
        "no-components": (header(b"\x08\0\x30\0\x40\0"), BROKEN),
        "sampling-of-nothing": (header(b"\x08\0\x30\0\x40\3\1\0"), BROKEN),
        "sampling-beyond-measure": (header(b"\x08\0\x30\0\x40\3\1\xff"), BROKEN),
        "a-table-that-is-not-there": (header(b"\x08\0\x30\0\x40\3\1\x22\3"), BROKEN),
        "without-quantisation": (good.replace(b"\xff\xdb", b"\xff\xfe"), BROKEN),
        "without-huffman-tables": (good.replace(b"\xff\xc4", b"\xff\xfe"), PICTURE),
        "codes-that-overflow": (
            with_segments(good, segment(0xC4, b"\0" + b"\xff" * 16 + bytes(255))), BROKEN),
        "exif-that-is-its-own-thumbnail": (
            app1(exif(6)[:-4] + struct.pack("<I", 8)), PICTURE),
        "exif-of-65,535-fields": (app1(b"II*\0\x08\0\0\0\xff\xff" + bytes(60_000)), PICTURE),
        "exif-of-four-gigabytes": (
            app1(b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHII", 0x13B, 2, 2**32 - 1, 9)), PICTURE),
        "exif-that-points-at-itself": (app1(circular_exif()), PICTURE),
        "exif-that-is-cut": (app1(exif(6)[:20]), PICTURE),
        "profile-of-16-megabytes": (with_segments(good, profile), PICTURE),
        "profile-of-rubbish": (
            with_segments(good, segment(0xE2, b"ICC_PROFILE\0\1\1" + b"\xff" * 9_000)), PICTURE),
        "profile-without-its-beginning": (
            with_segments(good, segment(0xE2, b"ICC_PROFILE\0\2\2" + bytes(99))), PICTURE),
        "adobe-that-is-cut": (with_segments(good, segment(0xEE, b"Adobe\0")), PICTURE),
        "photoshop-that-does-not-end": (
            with_segments(good, segment(0xED, b"Photoshop 3.0\0" + (b"8BIM" + bytes(8)) * 4_000)),
            PICTURE),
        "many-pictures": (
            with_segments(good, segment(0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff" + bytes(9_000))) * 9,
            PICTURE),
        "zip-behind-it": (good + b"PK\3\4" + bytes(99), PICTURE),
        "page-in-a-comment": (
            with_segments(good, segment(0xFE, b"--><script>x()</script><!--")), PICTURE),
    }  # fmt: skip


def _pngs() -> Files:
    good = written(photograph(64, 48), "png")
    row = bytes(1 + 64 * 3)
    bomb = zlib.compress(bytes(HUGE * 10), 9)

    def claims(width, height, depth=8, colour=2, interlace=0):
        head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
        return PNG + chunk(b"IHDR", head) + good[33:]

    def with_chunk(kind, body):
        return png(64, 48, row * 48, before=chunk(kind, body))

    def indexed(colours, pixels=b"\0\xff" * 4, depth=8, **more):
        before = chunk(b"PLTE", bytes(3 * colours)) if colours is not None else b""
        return png(1, 4, pixels, colour=3, depth=depth, before=before + more.pop("also", b""))

    animated = _animated_png()
    data = zlib.compress(row * 48)
    return {
        "claims-to-be-huge": (claims(2**31 - 1, 2**31 - 1), TOO_LARGE),
        "claims-to-be-long": (claims(16_385, 1), TOO_LARGE),
        "without-width": (claims(0, 48), BROKEN),
        "without-height": (claims(64, 0), BROKEN),
        "larger-than-its-data": (claims(4000, 4000), BROKEN),
        "of-25-megapixels-and-16-bits": (
            png(5000, 5000, bytes(5000 * 40_001), depth=16, colour=6), PICTURE),
        "3-bits": (claims(64, 48, depth=3), BROKEN),
        "a-colour-of-no-kind": (claims(64, 48, colour=5), BROKEN),
        "interlaced-in-no-way": (claims(64, 48, interlace=9), BROKEN),
        "filtered-in-no-way": (png(64, 48, (b"\x09" + row[1:]) * 48), BROKEN),
        "bomb-of-pixels": (png(64, 48, row * 48 + bytes(HUGE * 10)), PICTURE),
        "bomb-in-text": (with_chunk(b"zTXt", b"a\0\0" + bomb), PICTURE),
        "bomb-in-text-of-the-world": (with_chunk(b"iTXt", b"a\0\1\0\0\0" + bomb), PICTURE),
        "bomb-in-its-profile": (with_chunk(b"iCCP", b"a\0\0" + bomb), PICTURE),
        "profile-of-rubbish": (with_chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x" * 999)), PICTURE),
        "profile-without-a-name": (with_chunk(b"iCCP", b""), PICTURE),
        "1,001-texts": (png(1, 1, bytes(4), before=chunk(b"tEXt", b"a\0b") * 1_001), TOO_LARGE),
        "1,001-packed-texts": (
            png(1, 1, bytes(4), after=chunk(b"zTXt", b"a\0\0" + bomb[:99]) * 1_001), TOO_LARGE),
        "20,001-empty-pieces": (
            png(1, 1, bytes(4), before=chunk(b"IDAT") * 20_001), TOO_LARGE),
        "20,000-empty-pieces": (png(1, 1, bytes(4), before=chunk(b"IDAT") * 19_999), PICTURE),
        "a-piece-for-each-byte": (
            PNG + good[8:33]
            + b"".join(chunk(b"IDAT", data[n : n + 1]) for n in range(len(data)))
            + chunk(b"IEND"), PICTURE),
        "cut-in-its-header": (good[:20], BROKEN),
        "cut-in-its-data": (good[: len(good) // 2], BROKEN),
        "without-its-end": (good[:-12], BROKEN),
        "data-that-end-early": (png(64, 48, row * 20), PICTURE),
        "data-that-are-not-packed": (
            PNG + good[8:33] + chunk(b"IDAT", bytes(9_999)) + chunk(b"IEND"), BROKEN),
        "checked-wrongly": (good[:60] + bytes((good[60] ^ 1,)) + good[61:], BROKEN),
        "no-data": (PNG + good[8:33] + chunk(b"IEND"), BROKEN),
        "no-header": (PNG + good[33:], BROKEN),
        "two-headers": (png(1, 1, bytes(4), before=claims(9_999, 9_999)[8:33]), BROKEN),
        "a-chunk-of-two-gigabytes": (
            good[:33] + struct.pack(">I", 2**31 - 1) + b"IDAT" + good[41:], BROKEN),
        "a-chunk-of-four-gigabytes": (
            good[:33] + struct.pack(">I", 2**32 - 1) + b"tEXt" + good[41:], BROKEN),
        "a-chunk-that-must-be-known": (with_chunk(b"EVIL", b"x"), PICTURE),
        "without-a-palette": (indexed(None), BROKEN),
        "palette-of-nothing": (indexed(0), BROKEN),
        "palette-of-one": (indexed(1), PICTURE),
        "palette-of-257": (indexed(257), BROKEN),
        "palette-of-a-half": (
            png(1, 1, bytes(2), colour=3, before=chunk(b"PLTE", b"\1")), BROKEN),
        "transparency-beyond-its-palette": (
            indexed(1, also=chunk(b"tRNS", bytes(9_999))), PICTURE),
        "transparency-of-nothing": (
            png(1, 1, bytes(2), colour=0, before=chunk(b"tRNS")), PICTURE),
        "gamma-of-nothing": (with_chunk(b"gAMA", bytes(4)), PICTURE),
        "gamma-beyond-measure": (with_chunk(b"gAMA", b"\xff" * 4), PICTURE),
        "gamma-next-to-nothing": (with_chunk(b"gAMA", b"\0\0\0\1"), PICTURE),
        "exif-that-points-at-itself": (with_chunk(b"eXIf", circular_exif()), PICTURE),
        "promises-frames-without-end": (
            png(1, 1, bytes(4), before=chunk(b"acTL", struct.pack(">II", 2**31, 0))), TOO_LARGE),
        "promises-frames-that-are-not-there": (
            png(1, 1, bytes(4), before=chunk(b"acTL", struct.pack(">II", 9, 0))), BROKEN),
        "101-frames": (_animated_png(frames=101), TOO_LARGE),
        "100-frames-of-a-megapixel": (_animated_png(1000, 1000, frames=100), PICTURE),
        "101-frames-of-a-megapixel": (_animated_png(1005, 1000, frames=100), TOO_LARGE),
        "frame-beyond-its-canvas": (_animated_png(place=(9, 9)), BROKEN),
        "frame-far-beyond-its-canvas": (_animated_png(place=(2**32 - 1, 2**32 - 1)), BROKEN),
        "frame-of-no-area": (_animated_png(area=(0, 0)), BROKEN),
        "frame-that-claims-to-be-huge": (_animated_png(area=(2**31 - 1, 2**31 - 1)), BROKEN),
        "frame-without-data": (
            animated[: animated.rindex(b"fdAT") - 4] + chunk(b"IEND"), BROKEN),
        "40,000-megapixels-of-fdat": (
            png(1, 1, bytes(4), after=chunk(b"fdAT", bytes(4)) * 20_001), TOO_LARGE),
        "page-behind-it": (good + b"<script>x()</script>", PICTURE),
        "pdf-in-a-text": (with_chunk(b"tEXt", b"x\0%PDF-1.7"), PICTURE),
    }  # fmt: skip


def _animated_png(width=64, height=48, *, frames=2, place=(0, 0), area=None) -> bytes:
    """A PNG whose first frame is whole and whose others have the `area`."""
    rows = zlib.compress(bytes((1 + 3 * width) * height), 9)
    parts, number = [], 0
    for frame in range(frames):
        across, down = (width, height) if not frame else area or (width, height)
        left, top = place if frame else (0, 0)
        control = struct.pack(">IIIIIHHBB", number, across, down, left, top, 1, 10, 0, 0)
        parts.append(chunk(b"fcTL", control))
        number += 1 + bool(frame)
        following = struct.pack(">I", number - 1)
        parts.append(chunk(b"fdAT", following + rows) if frame else chunk(b"IDAT", rows))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    control = chunk(b"acTL", struct.pack(">II", frames, 0))
    return PNG + head + control + b"".join(parts) + chunk(b"IEND")


def _gifs() -> Files:
    good = written(photograph(64, 48), "gif")
    moving = written(
        photograph(64, 48), "gif", save_all=True, append_images=[photograph(64, 48, 2)]
    )
    flat = written(Image.new("P", (1000, 1000)), "gif")
    one = flat[flat.index(b",\0\0\0\0") : -1]
    large = written(Image.new("P", (5000, 5000)), "gif")
    one_large = large[large.index(b",\0\0\0\0") : -1]
    taken_back = b"!\xf9\4\x0d\0\0\0\0"
    frame = good.index(b",\0\0\0\0")

    def later(left, top, across, down):
        return gif(4, 4)[:-1] + _gif_frame(left, top, across, down) + b";"

    def placed(left, top):
        start = moving.rindex(b",\0\0\0\0") + 1
        return moving[:start] + struct.pack("<HH", left, top) + moving[start + 4 :]

    return {
        "claims-to-be-huge": (gif(65_535, 65_535), TOO_LARGE),
        "first-frame-claims-to-be-huge": (
            gif(1, 1, frames=0)[:-1] + _gif_frame(0, 0, 65_535, 65_535) + b";", TOO_LARGE),
        "later-frame-claims-to-be-huge": (later(0, 0, 65_535, 65_535), TOO_LARGE),
        "later-frame-claims-to-be-long": (later(0, 0, 65_535, 1), TOO_LARGE),
        "frames-with-more-pixels-than-their-canvas": (
            gif(1, 1)[:-1] + _gif_frame(0, 0, 4000, 4000) * 7 + b";", TOO_LARGE),
        "later-frame-beyond-its-canvas": (placed(60_000, 60_000), PICTURE),
        "later-frame-over-the-edge": (placed(60, 40), PICTURE),
        "later-frame-that-ends-early": (later(0, 0, 4, 4), BROKEN),
        "later-frame-of-no-area": (later(0, 0, 0, 0), BROKEN),
        "without-area": (gif(0, 0, frames=0)[:-1] + _gif_frame(0, 0, 0, 0) + b";", BROKEN),
        "1,000-frames": (gif(10, 10, frames=1_000), TOO_LARGE),
        "101-frames": (gif(10, 10, frames=101), TOO_LARGE),
        "100-frames-of-a-megapixel": (flat[:-1] + one * 99 + b";", PICTURE),
        "4-frames-of-25-megapixels": (large[:-1] + (taken_back + one_large) * 3 + b";", PICTURE),
        "5-frames-of-25-megapixels": (large[:-1] + (taken_back + one_large) * 4 + b";", TOO_LARGE),
        "no-frames": (gif(9, 9, frames=0), BROKEN),
        "1,001-extensions": (gif(1, 1, before=b"!\xfe\0" * 1_001), TOO_LARGE),
        "comment-in-1,001-pieces": (gif(1, 1, before=b"!\xfe" + b"\1a" * 1_001 + b"\0"), TOO_LARGE),
        "data-in-pieces-of-a-byte": (gif(1, 1, block=b"\1\0" * 2_000_000), TOO_LARGE),
        "comment-of-255-kilobytes": (
            gif(1, 1, before=b"!\xfe" + (b"\xff" + b"x" * 255) * 990 + b"\0"), PICTURE),
        "without-its-end": (good[:-1], BROKEN),
        "cut-in-its-header": (good[:9], BROKEN),
        "cut-in-its-data": (good[: len(good) // 2], BROKEN),
        "block-of-no-kind": (gif(1, 1, before=b"?"), BROKEN),
        "data-that-end-early": (gif(64, 48, frames=0)[:-1]
                                + _gif_frame(0, 0, 64, 48) + b";", BROKEN),
        "data-of-rubbish": (good[: frame + 14] + bytes(
            byte ^ 0xFF if n % 256 else byte
            for n, byte in enumerate(good[frame + 14 :], start=1)), BROKEN),
        "codes-of-no-bits": (gif(1, 1).replace(b"\0\2\2D", b"\0\0\2D"), PICTURE),
        "codes-of-255-bits": (gif(1, 1).replace(b"\0\2\2D", b"\0\xff\2D"), BROKEN),
        "without-a-palette": (good[:10] + b"\0" + good[11:13] + good[13 + 768 :], PICTURE),
        "transparency-beyond-its-palette": (
            gif(1, 1, before=b"!\xf9\4\x05\0\0\xff\0"), PICTURE),
        "control-that-is-cut": (gif(1, 1, before=b"!\xf9\1\x05\0"), PICTURE),
        "control-that-is-too-long": (gif(1, 1, before=b"!\xf9\x08" + bytes(8) + b"\0"), PICTURE),
        "played-in-no-way": (gif(1, 1, frames=3, before=b"!\xf9\4\xff\xff\xff\0\0"), PICTURE),
        "loops-that-are-cut": (gif(1, 1, before=b"!\xff\x0bNETSCAPE2.0\1\1\0"), PICTURE),
        "second-frame-cut": (moving[: moving.rindex(b",\0\0\0\0") + 40] + b"\0;", BROKEN),
        "script": (b"GIF89a/*" + gif(1, 1)[8:-1] + b"*/=1;x();", BROKEN),
        "archive-behind-it": (good + b"PK\3\4" + bytes(99), PICTURE),
    }  # fmt: skip


def _gif_frame(left, top, across, down) -> bytes:
    return b"," + struct.pack("<HHHHB", left, top, across, down, 0) + b"\2\2\x44\1\0"


FAMILIES: Mapping[str, Callable[[], Files]] = {
    "stranger": _strangers,
    "jpeg": _jpegs,
    "png": _pngs,
    "gif": _gifs,
    "webp": webps,
    "avif": avifs,
    "tiff": tiffs,
    "heic": heics,
}
