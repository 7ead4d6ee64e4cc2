"""Pictures for the tests of imaging, honest and hostile, made from pixels or from raw bytes."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def written(image, kind, **options) -> bytes:
    """`image` as a file."""
    file = io.BytesIO()
    image.save(file, kind.upper(), **options)
    return file.getvalue()


def pixels(data: bytes, mode="RGBA"):
    """The pixels of a file as an array of signed integers, so that differences make sense."""
    return np.asarray(Image.open(io.BytesIO(data)).convert(mode)).astype(int)


def quarters(width, height, colours=(RED, GREEN, BLUE, WHITE)):
    """A picture of four colours: top left, top right, bottom left, bottom right."""
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate(colours):
        left, top = number % 2 * (width // 2), number // 2 * (height // 2)
        image.paste(colour, (left, top, left + width, top + height))
    return image


def photograph(width, height, seed=1):
    """Something like a photograph: soft shapes and grain."""
    chance = np.random.default_rng(seed)
    shapes = chance.integers(0, 256, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    soft = Image.fromarray(shapes).resize((width, height), Image.Resampling.BICUBIC)
    grain = chance.normal(0, 6, (height, width, 3))
    return Image.fromarray((np.asarray(soft) + grain).clip(0, 255).astype(np.uint8))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width, height, rows: bytes, *, depth=8, colour=2, before: bytes = b"", after: bytes = b""
) -> bytes:
    """A PNG of `rows`, each with its filter in front, and chunks `before` and `after` the data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return PNG + chunk(b"IHDR", header) + before + data + after + chunk(b"IEND")


def segment(code: int, body: bytes = b"") -> bytes:
    """A segment of a JPEG."""
    return bytes([0xFF, code]) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg: bytes, *segments: bytes) -> bytes:
    """`jpeg` with `segments` at its start."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def exif(orientation: int, order="<") -> bytes:
    """EXIF that says nothing but an orientation."""
    mark = {"<": b"II", ">": b"MM"}[order]
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return mark + struct.pack(order + "HIH", 42, 8, 1) + entry + bytes(4)


def gif(
    width: int, height: int, *, frames: int = 1, before: bytes = b"", block: bytes = b"\x02\x44\x01"
) -> bytes:
    """A GIF of `frames` equal frames of 1 x 1 pixel on a canvas, with blocks `before` them."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02" + block + b"\0"
    return screen + before + frame * frames + b";"


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP of `chunks`."""
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) & 1)
        for kind, data in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossless_header(width, height) -> bytes:
    """The beginning of a lossless WebP picture, and nothing behind it."""
    return b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)


def colour_profile(red, green, blue, *, gamma=2.2, called="test", curve=None) -> bytes:
    """A minimal RGB profile with the given primaries, each as XYZ under D50.

    Instead of a gamma it may have a `curve` of as many levels of light, of 65,535, as are given.
    """
    tags = {b"wtpt": _xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text" + bytes(4) + b"none\0"}
    words = called.encode() + b"\0"
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(78)
    tags |= {b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue)}
    levels = [round(gamma * 256)] if curve is None else curve
    tone = b"curv" + bytes(4) + struct.pack(f">I{len(levels)}H", len(levels), *levels)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), tone)
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag + bytes(-len(tag) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">iii", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(colour) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", *(round(part * 65536) for part in colour))
