"""Writing TIFF.

Pillow's own writer keeps all other threads waiting until it is done.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image, ImageChops

from actors.imaging.ifd import (
    HEADER_SIZE,
    LONG,
    SHORT,
    UNDEFINED,
    Value,
    byte_order,
    first_directory,
    write_directory,
    write_header,
)
from actors.imaging.modes import has_alpha
from actors.imaging.writing.draft import Draft

_RATIONAL = 5
_DEFLATE, _DIFFERENCES, _STRAIGHT_ALPHA, _INCHES = 8, 2, 2, 2
_GREY, _COLOUR = 1, 2

_STRIP_SIZE = 2**18

# zlib's level for each effort; see `png.py`.
_LEVELS = (1, 1, 2, 3, 4, 5, 6, 7, 8)


def write_tiff(draft: Draft, _quality: int) -> bytes:
    """Return the first frame as a TIFF, compressed by Deflate, which loses nothing."""
    image = draft.film.frame(0)
    exif = draft.exif or write_header("<", HEADER_SIZE)
    order = byte_order(exif) or "<"
    rows = max(1, _STRIP_SIZE // (image.width * len(image.getbands())))
    # The EXIF stays where it is, since it points at parts of itself. Only its first directory is
    # written again, at the end, with what tells of the picture.
    data, places, sizes = bytearray(exif), [], []
    for strip in _strips(image, rows, _LEVELS[draft.effort - 1]):
        places.append(len(data))
        sizes.append(len(strip))
        data += strip
    data += bytes(len(data) % 2)
    tags = {
        tag: (field.kind, field.count, exif[field.start : field.end])
        for tag, field in first_directory(exif, order).items()
    }
    tags |= _about(order, image, draft)
    tags |= {
        0x0111: _numbers(order, LONG, *places),
        0x0116: _numbers(order, LONG, rows),
        0x0117: _numbers(order, LONG, *sizes),
    }
    data[:HEADER_SIZE] = write_header(order, len(data))
    return bytes(data + write_directory(order, tags, len(data)))


def _strips(image: Image.Image, rows: int, level: int) -> Iterator[bytes]:
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield zlib.compress(_differences(strip).tobytes(), level)


def _differences(image: Image.Image) -> Image.Image:
    """Return by how much each sample differs from the one to its left."""
    left = Image.new(image.mode, image.size, (0,) * len(image.getbands()))
    left.paste(image.crop((0, 0, image.width - 1, image.height)), (1, 0))
    return ImageChops.subtract_modulo(image, left)


def _about(order: str, image: Image.Image, draft: Draft) -> dict[int, Value]:
    samples = len(image.getbands())
    tags = {
        0x0100: _numbers(order, LONG, image.width),
        0x0101: _numbers(order, LONG, image.height),
        0x0102: _numbers(order, SHORT, *[8] * samples),
        0x0103: _numbers(order, SHORT, _DEFLATE),
        0x0106: _numbers(order, SHORT, _GREY if samples <= 2 else _COLOUR),
        0x0115: _numbers(order, SHORT, samples),
        0x013D: _numbers(order, SHORT, _DIFFERENCES),
    }
    if has_alpha(image):
        tags[0x0152] = _numbers(order, SHORT, _STRAIGHT_ALPHA)
    if draft.encoding.dpi is not None:
        density = _RATIONAL, 1, struct.pack(order + "II", draft.encoding.dpi, 1)
        tags |= {0x011A: density, 0x011B: density, 0x0128: _numbers(order, SHORT, _INCHES)}
    if draft.icc is not None:
        tags[0x8773] = UNDEFINED, len(draft.icc), draft.icc
    return tags


def _numbers(order: str, kind: int, *numbers: int) -> Value:
    letter = {SHORT: "H", LONG: "I"}[kind]
    return kind, len(numbers), struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
