"""More of the files of `hostile`: WebP, AVIF and TIFF, which are boxes and tables."""

import struct
import zlib

from PIL import Image

from tests.imaging.containers import (
    avif,
    box,
    coded,
    edits,
    full,
    grid,
    ispe,
    plain_tiff,
    reference,
    sequence,
    tiff,
)
from tests.imaging.outcomes import BROKEN, PICTURE, TOO_LARGE, UNSUPPORTED, Files
from tests.imaging.pictures import exif, lossless_header, photograph, riff, written


def circular_exif() -> bytes:
    """EXIF in which every pointer points at where it is."""
    fields = {0x13B: (2, *b"A\0\0\0\0\0"), 0x8769: (4, 8), 0x8825: (4, 8), 0x14A: (4, 8)}
    return tiff(fields, following=8)


def webps() -> Files:
    """WebP."""
    photo = photograph(64, 48)
    good, lossless = written(photo, "webp"), written(photo, "webp", lossless=True)
    lossy, packed = good[20:], lossless[20:]

    def canvas(width, height, flags=0):
        sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        return b"VP8X", struct.pack("<I", flags) + sizes

    def frame(left, top, width, height, picture=(b"VP8 ", lossy), flags=0):
        numbers = (left // 2, top // 2, width - 1, height - 1, 100)
        head = b"".join(struct.pack("<I", number & 2**24 - 1)[:3] for number in numbers)
        return b"ANMF", head + bytes((flags,)) + riff(picture)[12:]

    def moving(*frames, size=(64, 48), loops=0, flags=2):
        return riff(
            canvas(size[0], size[1], flags), (b"ANIM", struct.pack("<IH", 0, loops)), *frames
        )

    def extended(*chunks, flags=0):
        return riff(canvas(64, 48, flags), *chunks)

    def claims(width, height):
        return lossy[:6] + struct.pack("<HH", width, height) + lossy[10:]

    flat = written(Image.new("RGB", (1000, 1000)), "webp", lossless=True)[20:]
    still = b"VP8 ", lossy
    return {
        "lossless-of-268-megapixels": (
            riff((b"VP8L", lossless_header(16_384, 16_384))), TOO_LARGE),
        "lossless-of-25-megapixels-in-34-bytes": (
            riff((b"VP8L", lossless_header(16_383, 1525) + bytes(9))), BROKEN),
        "lossless-of-25-megapixels": (
            written(Image.new("RGBA", (5000, 5000)), "webp", lossless=True, method=0), PICTURE),
        "lossless-of-rubbish": (
            riff((b"VP8L", lossless_header(5000, 5000) + b"\xa5" * 999)), BROKEN),
        "lossy-that-claims-to-be-huge": (riff((b"VP8 ", claims(16_383, 16_383))), TOO_LARGE),
        "lossy-that-is-larger-than-its-data": (riff((b"VP8 ", claims(4000, 4000))), BROKEN),
        "lossy-without-width": (riff((b"VP8 ", claims(0, 48))), BROKEN),
        "canvas-that-claims-to-be-huge": (
            riff(canvas(2**24, 2**24), still), BROKEN),
        "canvas-of-another-size": (riff(canvas(4000, 4000), still), BROKEN),
        "canvas-of-another-size-than-what-moves": (
            moving(frame(0, 0, 64, 48), size=(10, 10)), BROKEN),
        "canvas-that-is-cut": (riff((b"VP8X", bytes(9)), still), BROKEN),
        "canvas-and-nothing-else": (riff(canvas(64, 48)), BROKEN),
        "canvas-behind-the-picture": (riff(still, canvas(4000, 4000)), PICTURE),
        "101-frames": (moving(*[frame(0, 0, 64, 48)] * 101), TOO_LARGE),
        "100-frames-of-a-megapixel": (
            moving(*[frame(0, 0, 1000, 1000, (b"VP8L", flat))] * 100, size=(1000, 1000)), PICTURE),
        "101-frames-of-a-megapixel": (
            moving(*[frame(0, 0, 1000, 1000, (b"VP8L", flat))] * 101, size=(1000, 1000)),
            TOO_LARGE),
        "frame-beyond-its-canvas": (
            moving(frame(0, 0, 64, 48), frame(60, 60, 64, 48)), BROKEN),
        "frame-of-another-size": (moving(frame(0, 0, 64, 48), frame(0, 0, 32, 48)), PICTURE),
        "frame-that-is-cut": (moving(frame(0, 0, 64, 48), (b"ANMF", bytes(9))), BROKEN),
        "frame-without-a-picture": (moving((b"ANMF", bytes(16))), BROKEN),
        "frame-in-a-frame": (
            moving(frame(0, 0, 64, 48, (b"ANMF", frame(0, 0, 64, 48)[1]))), PICTURE),
        "frames-that-do-not-move": (extended(frame(0, 0, 64, 48)), BROKEN),
        "moves-without-frames": (extended(still, flags=2), BROKEN),
        "alpha-without-a-picture": (extended((b"ALPH", bytes(9)), flags=16), BROKEN),
        "alpha-of-rubbish": (extended((b"ALPH", b"\1" + b"\xa5" * 99), still, flags=16), BROKEN),
        "1,001-chunks": (riff(still, *[(b"junk", b"")] * 1_001), TOO_LARGE),
        "a-million-chunks": (riff(*[(b"junk", b"")] * 1_000_000), TOO_LARGE),
        "longer-than-it-is": (good[:4] + struct.pack("<I", 2**32 - 1) + good[8:], BROKEN),
        "shorter-than-it-is": (good[:4] + struct.pack("<I", 30) + good[8:], BROKEN),
        "chunk-of-four-gigabytes": (good[:16] + b"\xff" * 4 + good[20:], BROKEN),
        "cut-in-its-header": (good[:17], BROKEN),
        "cut-in-its-data": (good[: len(good) // 2], BROKEN),
        "data-that-end-early": (riff((b"VP8 ", lossy[: len(lossy) // 4])), BROKEN),
        "lossless-data-that-end-early": (riff((b"VP8L", packed[: len(packed) // 4])), BROKEN),
        "of-no-kind": (riff((b"VP9 ", lossy)), BROKEN),
        "wave": (b"RIFF\4\0\0\0WAVE", BROKEN),
        "profile-of-9-megabytes": (
            extended((b"ICCP", bytes(9_000_000)), still, flags=32), PICTURE),
        "xmp-of-9-megabytes": (extended(still, (b"XMP ", b"<" * 9_000_000), flags=4), PICTURE),
        "exif-that-points-at-itself": (
            extended(still, (b"EXIF", circular_exif()), flags=8), PICTURE),
        "exif-of-9-megabytes": (
            extended(still, (b"EXIF", exif(6) + bytes(9_000_000)), flags=8), PICTURE),
        "page-behind-it": (good + b"<script>x()</script>", PICTURE),
    }  # fmt: skip


def avifs() -> Files:
    """AVIF."""
    photo = photograph(64, 64)
    stream, config = coded(photo)
    other, _ = coded(photograph(128, 128))
    large, _ = coded(Image.new("RGB", (5000, 5000)), speed=10)
    good = avif([(b"av01", stream)], [ispe(64, 64), config], {1: [1, 2]})
    sequence_header, frame = units(stream)
    head_of_large, large_frame = units(large)
    alpha = full(b"auxC", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0")

    def still(coded_data=stream, size=(64, 64), **more):
        return avif([(b"av01", coded_data)], [ispe(*size), config], {1: [1, 2]}, **more)

    def with_property(body):
        return avif([(b"av01", stream)], [ispe(64, 64), config, body], {1: [1, 2, 3]})

    def with_item(kind, body, **more):
        items = [(b"av01", stream), (kind, body)]
        return avif(items, [ispe(64, 64), config], {1: [1, 2]}, **more)

    def tiles(columns, rows, size, *, number=None, tile=stream, said=(64, 64), **more):
        number = columns * rows if number is None else number
        items = [(b"grid", grid(columns, rows, *size)), *[(b"av01", tile)] * number]
        properties = [ispe(*size), ispe(*said), config]
        associations = {1: [1]} | {n: [2, 3] for n in range(2, number + 2)}
        parts = reference(b"dimg", 1, *range(2, number + 2))
        return avif(items, properties, associations, references=parts, **more)

    def pieces(count):
        return lambda _number, start, length: [(start, length)] * count

    def moving(samples=(stream,) * 3, size=(64, 64), **more):
        return sequence(samples, config, size, **more)

    about_it = reference(b"cdsc", 2, 1)
    return {
        "claims-to-be-huge": (still(size=(2**32 - 1, 2**32 - 1)), BROKEN),
        "holds-25-megapixels-in-64-by-64": (still(large), BROKEN),
        "holds-less-than-it-says": (still(size=(5000, 5000)), BROKEN),
        "holds-more-than-may-be": (
            still(sized(sequence_header, 16_384, 16_384) + frame, (16_384, 16_384)), TOO_LARGE),
        "holds-65,536-by-65,536": (
            still(sized(sequence_header, 65_536, 65_536) + frame), TOO_LARGE),
        "larger-than-its-data": (
            still(sized(sequence_header, 4000, 4000) + frame, (4000, 4000)), BROKEN),
        "of-25-megapixels": (still(large, (5000, 5000)), PICTURE),
        "of-25-megapixels-four-times": (
            still(head_of_large + large_frame * 4, (5000, 5000)), PICTURE),
        "changes-its-size": (
            still(stream + other), BROKEN),
        "five-frames-in-a-still": (still(sequence_header + frame * 5), TOO_LARGE),
        "four-frames-in-a-still": (still(sequence_header + frame * 4), PICTURE),
        "a-frame-of-no-sequence": (still(frame), BROKEN),
        "a-sequence-of-no-frames": (still(sequence_header), BROKEN),
        "frame-with-a-size-of-its-own": (still(MOVING_SEQUENCE + RESIZED_FRAME), UNSUPPORTED),
        "unit-that-does-not-end": (still(stream[:-9] + b"\x32\xff\xff\xff\x7f"), BROKEN),
        "unit-of-an-endless-length": (still(b"\x0a" + b"\xff" * 9), BROKEN),
        "20,001-units": (still(stream + b"\x12\0" * 20_001), TOO_LARGE),
        "19,000-units": (still(stream + b"\x12\0" * 19_000), PICTURE),
        "stream-of-rubbish": (still(sequence_header + b"\x32\x40" + b"\xa5" * 64), PICTURE),
        "stream-that-is-cut": (still(stream[: len(stream) // 2]), BROKEN),
        "cut-in-its-boxes": (good[:99], BROKEN),
        "cut-in-its-data": (good[:-9], BROKEN),
        "item-behind-the-end": (
            still(extents=lambda *_: [(2**31, 99)]), BROKEN),
        "item-of-four-gigabytes": (
            still(extents=lambda *_: [(0, 2**32 - 1)]), BROKEN),
        "item-of-1,000-equal-parts": (still(extents=pieces(1_000)), BROKEN),
        "item-of-65,535-equal-parts": (still(extents=pieces(65_535)), TOO_LARGE),
        "item-in-parts": (
            still(extents=lambda _n, start, length: [
                (start, 9), (start + 9, 0), (start + 9, length - 9)]), PICTURE),
        "item-of-nothing": (still(b""), BROKEN),
        "65,535-items": (
            good.replace(*located(65_535)), TOO_LARGE),
        "999-items-in-the-same-place": (
            avif([(b"av01", stream)] * 300, [ispe(64, 64), config], {1: [1, 2]},
                 extents=lambda _n, _s, _l: [(9_999, 9_999)]), BROKEN),
        "property-that-is-not-there": (
            avif([(b"av01", stream)], [ispe(64, 64), config], {1: [1, 2, 99]}), BROKEN),
        "20,001-properties": (
            avif([(b"av01", stream)], [ispe(64, 64), config],
                 {1: [1, 2]} | {n: [0] * 250 for n in range(2, 90)}), TOO_LARGE),
        "without-size": (avif([(b"av01", stream)], [config], {1: [1]}), BROKEN),
        "size-that-is-cut": (
            avif([(b"av01", stream)], [box(b"ispe", bytes(6)), config], {1: [1, 2]}), BROKEN),
        "without-configuration": (
            avif([(b"av01", stream)], [ispe(64, 64)], {1: [1]}), BROKEN),
        "turned-by-nothing": (with_property(box(b"irot")), BROKEN),
        "turned-in-no-way": (with_property(box(b"irot", b"\xff")), BROKEN),
        "cut-out-in-no-way": (with_property(box(b"clap", bytes(32))), BROKEN),
        "picture-that-is-not-there": (still(primary=99), BROKEN),
        "picture-of-number-nothing": (still(primary=0), BROKEN),
        "picture-that-is-exif": (with_item(b"Exif", bytes(99), primary=2), BROKEN),
        "picture-of-another-kind": (
            avif([(b"hvc1", stream)], [ispe(64, 64), config], {1: [1, 2]}), BROKEN),
        "overlay": (
            avif([(b"iovl", bytes(99))], [ispe(64, 64)], {1: [1]},
                 references=reference(b"dimg", 1, 1)), BROKEN),
        "said-twice": (
            still(more=good[good.index(b"meta") - 4 : good.index(b"mdat") - 4],
                  brands=(b"avis", b"avif")), BROKEN),
        "1,001-boxes": (still(inside=box(b"free") * 1_001), TOO_LARGE),
        "a-million-boxes": (still(inside=box(b"free") * 1_000_000), TOO_LARGE),
        "a-thousand-boxes-within-each-other": (still(inside=nested(1_000)), PICTURE),
        "box-that-is-too-short": (still(inside=struct.pack(">I4s", 7, b"free")), BROKEN),
        "box-of-four-gigabytes": (still(inside=struct.pack(">I4s", 2**32 - 1, b"free")), BROKEN),
        "box-beyond-measure": (
            still(inside=struct.pack(">I4sQ", 1, b"free", 2**64 - 1)), BROKEN),
        "box-to-the-end": (still(inside=struct.pack(">I4s", 0, b"free")), BROKEN),
        "names-without-end": (still(brands=(b"avif",) * 2_000), BROKEN),
        "refers-to-itself": (
            still(references=reference(b"auxl", 1, 1) + reference(b"dimg", 1, 1)), PICTURE),
        "20,001-references": (still(references=reference(b"cdsc", 9, *[9] * 20_001)), TOO_LARGE),
        "grid": (tiles(2, 2, (128, 128)), PICTURE),
        "grid-of-256-by-256": (tiles(256, 256, (16_000, 16_000), number=4), BROKEN),
        "grid-that-lacks-a-tile": (tiles(2, 2, (128, 128), number=3), BROKEN),
        "grid-with-a-tile-too-many": (tiles(2, 2, (128, 128), number=5), BROKEN),
        "grid-of-another-size": (tiles(2, 2, (4000, 4000)), BROKEN),
        "grid-that-claims-to-be-huge": (tiles(1, 1, (65_535, 65_535)), TOO_LARGE),
        "grid-of-large-tiles": (
            tiles(3, 6, (5000, 5000), tile=large, said=(64, 64)), TOO_LARGE),
        "grid-of-itself": (
            avif([(b"grid", grid(1, 1, 64, 64))], [ispe(64, 64), config], {1: [1, 2]},
                 references=reference(b"dimg", 1, 1)), BROKEN),
        "alpha-of-another-size": (
            avif([(b"av01", stream), (b"av01", other)],
                 [ispe(64, 64), config, ispe(128, 128), alpha], {1: [1, 2], 2: [3, 2, 4]},
                 references=reference(b"auxl", 2, 1)), BROKEN),
        "exif-of-rubbish": (
            with_item(b"Exif", b"\xff" * 99, references=about_it), PICTURE),
        "exif-behind-the-end": (
            with_item(
                b"Exif", bytes(99), references=about_it,
                extents=lambda number, start, length: [(start + (number - 1) * 2**31, length)],
            ),
            PICTURE),
        "exif-that-points-at-itself": (
            with_item(b"Exif", bytes(4) + circular_exif(), references=about_it), PICTURE),
        "xmp-of-9-megabytes": (
            with_item(b"mime", bytes(9_000_000), references=about_it), PICTURE),
        "profile-of-9-megabytes": (
            with_property(box(b"colr", b"prof", bytes(9_000_000))), PICTURE),
        "profile-of-rubbish": (with_property(box(b"colr", b"prof", b"x" * 999)), PICTURE),
        "colours-that-are-cut": (with_property(box(b"colr", b"nclx\0")), BROKEN),
        "moving": (moving(), PICTURE),
        "moving-100-frames": (moving((stream,) * 100), PICTURE),
        "moving-101-frames": (moving((stream,) * 101), TOO_LARGE),
        "moving-four-billion-frames": (
            moving(sizes=struct.pack(">II", 9, 2**32 - 1), in_chunks=[(1, 2**32 - 1, 1)]),
            TOO_LARGE),
        "moving-a-million-chunks": (
            moving(chunks=lambda start: [start] * 1_000_000), TOO_LARGE),
        "moving-frames-of-no-chunk": (moving(in_chunks=[(2, 3, 1)]), BROKEN),
        "moving-chunks-in-disorder": (
            moving(in_chunks=[(1, 1, 1), (1, 1, 1)], chunks=lambda start: [start] * 3), BROKEN),
        "moving-chunks-of-nothing": (moving(in_chunks=[(1, 0, 1)]), BROKEN),
        "moving-more-frames-than-sizes": (moving(in_chunks=[(1, 9, 1)]), BROKEN),
        "moving-frames-behind-the-end": (moving(chunks=lambda _: [2**31]), BROKEN),
        "moving-the-same-frame-again": (
            moving(chunks=lambda start: [start] * 3, in_chunks=[(1, 1, 1)]), PICTURE),
        "moving-the-same-large-frame": (
            moving((large,), (5000, 5000), chunks=lambda start: [start] * 99), BROKEN),
        "moving-with-hidden-frames": (
            moving((sequence_header + frame * 9,) * 3), TOO_LARGE),
        "moving-in-another-size": (moving(size=(100, 100)), BROKEN),
        "moving-without-time": (moving(scale=0), BROKEN),
        "moving-for-ever": (moving(delays=[(3, 2**32 - 1)]), PICTURE),
        "moving-20,001-times": (moving(delays=[(1, 1)] * 20_001), TOO_LARGE),
        "moving-in-loops-of-nothing": (moving(edits=edits(0)), BROKEN),
        "moving-in-loops-without-end": (moving(edits=edits(1), duration=2**32 - 2), PICTURE),
        "moving-and-nothing-else": (
            box(b"ftyp", b"avis", bytes(4), b"avis") + box(b"moov", box(b"trak")), BROKEN),
        "moving-tracks-within-each-other": (
            box(b"ftyp", b"avis", bytes(4), b"avis") + box(b"moov", nested(999, b"trak")), BROKEN),
    }  # fmt: skip


# A header that lets frames have sizes of their own, as libaom writes it for animations of 64 x 64,
# and the beginning of a key frame that makes use of it: the last of its first eight bits says so.
MOVING_SEQUENCE = bytes.fromhex("0a0d00000002afff9b5f22021a0d08")
RESIZED_FRAME = bytes.fromhex("3204 17ffffff")


def units(stream: bytes) -> tuple[bytes, bytes]:
    """The unit that begins a stream, and what follows it."""
    start = 2 if stream[:2] == b"\x12\0" else 0
    end = start + 2 + stream[start + 1]
    return stream[start:end], stream[end:]


def sized(sequence_header: bytes, width: int, height: int) -> bytes:
    """The header of a sequence of one still, with another size in it."""
    body = sequence_header[2:]
    bits = int.from_bytes(body, "big")
    length = 8 * len(body)
    # Behind the profile (3), two flags and the level (5) come the lengths of the numbers, less one.
    of_width = (bits >> length - 14 & 15) + 1
    of_height = (bits >> length - 18 & 15) + 1
    rest = length - 18 - of_width - of_height
    head = bits >> length - 10 << 8 | 15 << 4 | 15
    head = head << 32 | width - 1 << 16 | height - 1
    number = head << rest | bits & (1 << rest) - 1
    size = 18 + 32 + rest
    padding = -size % 8
    body = (number << padding).to_bytes((size + padding) // 8, "big")
    return bytes((0x0A, len(body))) + body


def located(items: int) -> tuple[bytes, bytes]:
    """What to replace by what, so that the items are said to be so many."""
    return struct.pack(">HH", 0x4400, 1), struct.pack(">HH", 0x4400, items)


def nested(depth: int, kind=b"meta") -> bytes:
    """Boxes within each other."""
    body = b""
    for _ in range(depth):
        body = box(kind, bytes(4), body) if kind == b"meta" else box(kind, body)
    return box(b"free", body) if kind == b"meta" else body


def tiffs() -> Files:
    """TIFF."""
    photo = photograph(64, 48)
    packed = written(photo, "tiff", compression="tiff_adobe_deflate")
    lzw = written(photo, "tiff", compression="tiff_lzw")
    bomb = zlib.compress(bytes(100_000_000), 9)
    tile = {"t273": None, "t278": None, "t279": None}

    def tiled(width, height, pieces=1, **more):
        where = (4, *[None] * pieces) if pieces == 1 else (4, *[8] * pieces)
        return plain_tiff(
            **{
                **tile,
                "t322": (4, width),
                "t323": (4, height),
                "t324": where,
                "t325": (4, *[12] * pieces),
            }
            | more
        )

    return {
        "claims-to-be-huge": (plain_tiff(2**31, 2**31, pixels=bytes(9)), TOO_LARGE),
        "claims-to-be-long": (plain_tiff(16_385, 1, pixels=bytes(9)), TOO_LARGE),
        "without-width": (plain_tiff(t256=None), BROKEN),
        "of-no-width": (plain_tiff(t256=(4, 0)), BROKEN),
        "of-two-widths": (plain_tiff(t256=(4, 4, 4)), BROKEN),
        "wide-as-words": (plain_tiff(t256=(2, *b"wide\0")), BROKEN),
        "larger-than-its-data": (plain_tiff(4000, 4000, pixels=bytes(99)), BROKEN),
        "next-page-is-this-one": (tiff(_GREY, bytes(12), following=8), PICTURE),
        "next-page-is-behind-the-end": (tiff(_GREY, bytes(12), following=2**32 - 1), PICTURE),
        "first-page-is-behind-the-end": (plain_tiff()[:4] + b"\xff" * 4 + bytes(99), BROKEN),
        "first-page-is-its-header": (b"II*\0\0\0\0\0" + bytes(99), BROKEN),
        "65,535-fields": (b"II*\0\x08\0\0\0\xff\xff" + bytes(786_432), BROKEN),
        "field-of-four-billion-values": (
            plain_tiff(t270=(2, 65)).replace(
                struct.pack("<HHI", 270, 2, 1), struct.pack("<HHI", 270, 2, 2**32 - 1)), PICTURE),
        "strips-of-four-billion": (
            plain_tiff().replace(
                struct.pack("<HHI", 273, 4, 1), struct.pack("<HHI", 273, 4, 2**32 - 1)), BROKEN),
        "more-strips-than-said": (plain_tiff(t278=(4, 1)), BROKEN),
        "strips-of-no-rows": (plain_tiff(t278=(4, 0)), BROKEN),
        "16,000-strips": (
            plain_tiff(1, 16_000, t273=(4, *range(8, 16_008)), t278=(4, 1),
                       t279=(4, *[1] * 16_000)), PICTURE),
        "48,000-strips": (
            plain_tiff(1, 16_000, t273=(4, *[8] * 48_000), t278=(4, 1), t279=(4, *[1] * 48_000),
                       t284=(3, 2), t277=(3, 3), t258=(3, 8, 8, 8), t262=(3, 2)), TOO_LARGE),
        "strips-upon-each-other": (
            plain_tiff(5000, 100, pixels=bytes(500_000), t273=(4, *[8] * 100), t278=(4, 1),
                       t279=(4, *[400_000] * 100)), BROKEN),
        "strip-behind-the-end": (plain_tiff(t273=(4, 2**32 - 1)), BROKEN),
        "strip-of-four-gigabytes": (plain_tiff(t279=(4, 2**32 - 1)), BROKEN),
        "without-strips": (plain_tiff(t273=None), BROKEN),
        "tiles": (tiled(16, 16, pixels=bytes(256), t325=(4, 256)), PICTURE),
        "tiles-that-claim-to-be-huge": (tiled(65_536, 65_536), TOO_LARGE),
        "tiles-of-no-area": (tiled(0, 16), BROKEN),
        "tiles-and-strips": (plain_tiff(t322=(4, 16), t323=(4, 16), t324=(4, 8)), BROKEN),
        "tiles-without-end": (
            tiled(16, 16, 20_100, t256=(4, 16_000), t257=(4, 320)), BROKEN),
        "tiles-larger-than-the-picture": (
            tiled(16, 5000, 1_000, t256=(4, 16_000), t257=(4, 1), t325=(4, *[1] * 1000)), PICTURE),
        "tiles-of-more-pixels-than-may-be": (
            tiled(16_000, 1_500, 16, t256=(4, 1), t257=(4, 16_384), t325=(4, *[1] * 11)),
            TOO_LARGE),
        "of-25-megapixels": (
            plain_tiff(5000, 5000, pixels=zlib.compress(bytes(100_000_000)), t259=(3, 8),
                       t258=(3, 8, 8, 8, 8), t262=(3, 2), t277=(3, 4), t338=(3, 1)), PICTURE),
        "bomb": (
            plain_tiff(pixels=bomb, t259=(3, 8)), PICTURE),
        "bomb-of-empty-blocks": (
            plain_tiff(pixels=b"\x78\x9c" + b"\0\0\0\xff\xff" * 1_900_000, t259=(3, 8)), BROKEN),
        "packed-rubbish": (plain_tiff(pixels=b"\xa5" * 99, t259=(3, 8)), BROKEN),
        "lzw-rubbish": (plain_tiff(pixels=b"\xa5" * 99, t259=(3, 5)), BROKEN),
        "runs-of-rubbish": (plain_tiff(pixels=b"\x81" * 99, t259=(3, 32_773)), PICTURE),
        "cut-in-its-data": (packed[: len(packed) // 2], BROKEN),
        "lzw-cut-in-its-data": (lzw[: len(lzw) // 2], BROKEN),
        "big-endian": (plain_tiff(order=">"), PICTURE),
        "old-jpeg": (plain_tiff(t259=(3, 6)), UNSUPPORTED),
        "jpeg": (plain_tiff(t259=(3, 7)), UNSUPPORTED),
        "fax": (plain_tiff(t259=(3, 4)), UNSUPPORTED),
        "zstd": (plain_tiff(t259=(3, 50_000)), UNSUPPORTED),
        "webp": (plain_tiff(t259=(3, 50_001)), UNSUPPORTED),
        "packed-in-no-way": (plain_tiff(t259=(3, 65_535)), UNSUPPORTED),
        "raw-of-a-camera": (plain_tiff(t262=(3, 32_803)), UNSUPPORTED),
        "lab": (plain_tiff(t262=(3, 8)), UNSUPPORTED),
        "floats": (plain_tiff(t258=(3, 32), t339=(3, 3), pixels=b"\xff" * 48), PICTURE),
        "floats-of-colours": (
            plain_tiff(t258=(3, 32, 32, 32), t339=(3, 3, 3, 3), t262=(3, 2), t277=(3, 3)),
            UNSUPPORTED),
        "rubbish-in-place-of-floats": (
            plain_tiff(t258=(3, 32), t339=(3, 3), t259=(3, 5), t317=(3, 3), order=">",
                       pixels=bytes(range(256))), BROKEN),
        "64-bits": (plain_tiff(t258=(3, 64)), UNSUPPORTED),
        "no-bits": (plain_tiff(t258=(3, 0)), UNSUPPORTED),
        "65,535-samples": (plain_tiff(t277=(3, 65_535)), UNSUPPORTED),
        "samples-of-different-bits": (
            plain_tiff(t277=(3, 3), t258=(3, 8, 8, 16), t262=(3, 2)), UNSUPPORTED),
        "fewer-bits-than-samples": (
            plain_tiff(t277=(3, 4), t258=(3, 8, 8, 8), t262=(3, 2)), BROKEN),
        "extra-samples-of-no-kind": (
            plain_tiff(t277=(3, 2), t258=(3, 8, 8), t338=(3, 99), pixels=bytes(24)), BROKEN),
        "without-a-palette": (plain_tiff(t262=(3, 3)), BROKEN),
        "palette-of-one": (plain_tiff(t262=(3, 3), t320=(3, 0, 0, 0)), BROKEN),
        "predicted-in-no-way": (
            plain_tiff(pixels=zlib.compress(bytes(12)), t259=(3, 8), t317=(3, 99)), BROKEN),
        "directories-that-point-at-themselves": (
            plain_tiff(t330=(4, 8), t34665=(4, 8), t34853=(4, 8), t700=(1, *bytes(99))), PICTURE),
        "profile-of-9-megabytes": (plain_tiff(t34675=(7, *bytes(4_500_000))), PICTURE),
        "profile-of-rubbish": (plain_tiff(t34675=(7, *b"x" * 999)), PICTURE),
    }  # fmt: skip


_GREY = {
    0x100: (4, 4), 0x101: (4, 3), 0x102: (3, 8), 0x103: (3, 1), 0x106: (3, 1),
    0x111: (4, None), 0x115: (3, 1), 0x116: (4, 3), 0x117: (4, 12),
}  # fmt: skip
