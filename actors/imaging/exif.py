"""EXIF: the one thing in it that changes what an image looks like, and what of it is kept."""

import struct
from collections.abc import Mapping
from typing import Literal

from actors.imaging.ifd import (
    HEADER_SIZE,
    LONG,
    SHORT,
    Field,
    Value,
    byte_order,
    first_directory,
    numbers,
    read_directory,
    write_directory,
    write_header,
)

_ORIENTATION, _ARTIST, _COPYRIGHT = 0x0112, 0x013B, 0x8298
_CAMERA, _PLACE = 0x8769, 0x8825

# What tells how the pixels of the original are stored, or what their colours mean, is not true of
# another file; and what points into the original points at nothing. The maker's notes do, each
# maker's in a way of its own.
_TRUE_OF_THE_ORIGINAL = frozenset(
    {*range(0x00FE, 0x010D), 0x0111, _ORIENTATION, *range(0x0115, 0x011A), 0x011C}
    | {*range(0x0120, 0x0126), 0x012D, *range(0x013D, 0x0215), 0x02BC, 0x828D, 0x828E, 0x83BB}
    | {0x8649, _CAMERA, 0x8773, _PLACE, 0x927C, 0xA001, 0xA002, 0xA003, 0xA005}
    | {*range(0xC4A5, 0xCE00), 0xEA1C, 0xEA1D}
)

# What fits into the one segment that a JPEG has for it.
_MOST = 65_000


def orientation(exif: bytes) -> int:
    """Return the orientation in `exif` (a TIFF header and what follows), or 1 if there is none."""
    order = byte_order(exif)
    if order is None:
        return 1
    field = first_directory(exif, order).get(_ORIENTATION)
    if field is None or field.count != 1 or field.kind not in {SHORT, LONG}:
        return 1
    (value,) = numbers(exif, order, field)
    return value if 1 <= value <= 8 else 1


def exif_kept(exif: bytes, which: Literal["copyright", "all"]) -> bytes:
    """Return what a result may keep of `exif`, as EXIF of its own; nothing if there is nothing.

    Both are without the name that a JPEG has in front of them.
    What is kept says that the picture is upright. Left out are thumbnails, the maker's notes, what
    tells of the pixels of the original, and what is too long for a JPEG. With "copyright" only the
    names of the artist and of who holds the rights are kept; "all" has the place, too.
    """
    order = byte_order(exif)
    if order is None:
        return b""
    fields = first_directory(exif, order)
    if which == "copyright":
        fields = {tag: fields[tag] for tag in (_ARTIST, _COPYRIGHT) if tag in fields}
    main = _values(exif, fields, _MOST)
    others: dict[int, dict[int, Value]] = {}
    for tag in (_CAMERA, _PLACE):
        pointer = fields.get(tag)
        if pointer is not None and pointer.kind == LONG and pointer.count == 1:
            room = _MOST - sum(map(_size, (main, *others.values())))
            (start,) = numbers(exif, order, pointer)
            others[tag] = _values(exif, read_directory(exif, order, start), room)
    if not any((main, *others.values())):
        return b""
    main[_ORIENTATION] = SHORT, 1, struct.pack(order + "H", 1)
    return _written(order, main, others)


def _values(exif: bytes, fields: Mapping[int, Field], room: int) -> dict[int, Value]:
    """Return the values that are kept, as many as there is room for."""
    values: dict[int, Value] = {}
    for tag, field in fields.items():
        if tag not in _TRUE_OF_THE_ORIGINAL and 12 + field.end - field.start <= room:
            values[tag] = field.kind, field.count, exif[field.start : field.end]
            room -= _size({tag: values[tag]})
    return values


def _size(values: Mapping[int, Value]) -> int:
    return sum(12 + len(value) for _, _, value in values.values())


def _written(
    order: str, main: Mapping[int, Value], others: Mapping[int, Mapping[int, Value]]
) -> bytes:
    """Return EXIF with a directory, and others that it points at."""
    pointers = dict.fromkeys(others, (LONG, 1, bytes(4)))
    place = HEADER_SIZE + len(write_directory(order, {**main, **pointers}, HEADER_SIZE))
    rest = b""
    for tag, values in others.items():
        pointers[tag] = LONG, 1, struct.pack(order + "I", place + len(rest))
        rest += write_directory(order, values, place + len(rest))
    directory = write_directory(order, {**main, **pointers}, HEADER_SIZE)
    return write_header(order, HEADER_SIZE) + directory + rest
