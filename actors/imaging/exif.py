"""EXIF: the one thing in it that changes what an image looks like, and what of it is kept."""

import struct
from collections.abc import Mapping
from typing import Literal

from actors.imaging.ifd import (
    ASCII,
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

# What may be kept, by what is in it: a list of what may not would never be complete. Programs keep
# pictures in fields of their own (layers, previews, thumbnails), makers do in their notes, and
# all of them are of the original, whatever has been made unrecognisable since. Not here either is
# what tells how the pixels of the original are stored, what their colours mean and where in them
# something is.
_TEXTS = frozenset(
    # What it shows, with what it was taken, by whom, when and in which program.
    {0x010D, 0x010E, 0x010F, 0x0110, 0x011D, 0x0131, 0x0132, _ARTIST, 0x013C, _COPYRIGHT}
    # The same as the camera tells it, up to EXIF 3.0.
    | {0x8824, 0x9003, 0x9004, *range(0x9010, 0x9013), *range(0x9290, 0x9293)}
    | {0xA420, 0xA430, 0xA431, *range(0xA433, 0xA43D)}
)
_NUMBERS = frozenset(
    # Pixels to the inch; then the exposure, the air or the water around, the lens and the scene.
    {0x011A, 0x011B, 0x0128}
    | {0x829A, 0x829D, 0x8822, 0x8827, *range(0x8830, 0x8836), 0x9000, *range(0x9201, 0x920B)}
    | {*range(0x9400, 0x9406), 0xA20B, 0xA215, 0xA217, 0xA300, 0xA301}
    | {*range(0xA401, 0xA40B), 0xA40C, 0xA432, 0xA460, 0xA461}
)
_TEXTS_OF_PLACE = frozenset({1, 3, 8, 9, 10, 12, 14, 16, 18, 19, 21, 23, 25, 29})
_NUMBERS_OF_PLACE = frozenset({0, 2, 4, 5, 6, 7, 11, 13, 15, 17, 20, 22, 24, 26, 30, 31})

# In bytes: more than any of them takes, and too little for a picture.
_LONGEST_TEXT, _LONGEST_NUMBERS = 4_096, 64
_NOT_IN_TEXT = bytes({*range(32), 0x7F} - set(b"\0\t\n\r"))

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


def exif_kept(exif: bytes, which: Literal["copyright", "all"], turned: int = 1) -> bytes:
    """Return what a result may keep of `exif`, as EXIF of its own; nothing if there is nothing.

    Both are without the name that a JPEG has in front of them.
    Kept are texts and short numbers whose meaning is known and still true, as far as they fit into
    a JPEG; so no thumbnail, no notes of the maker's, nothing that the standard does not know. With
    "copyright" only the names of the artist and of who holds the rights are kept; "all" has the
    place, too.

    Args:
      turned: the orientation that the result has, and then says.
    """
    order = byte_order(exif) or "<"
    fields = first_directory(exif, order) if byte_order(exif) else {}
    if which == "copyright":
        fields = {tag: fields[tag] for tag in (_ARTIST, _COPYRIGHT) if tag in fields}
    main = _values(exif, fields, _MOST, _TEXTS, _NUMBERS)
    others: dict[int, dict[int, Value]] = {}
    for tag, texts, numeric in (
        (_CAMERA, _TEXTS, _NUMBERS),
        (_PLACE, _TEXTS_OF_PLACE, _NUMBERS_OF_PLACE),
    ):
        pointer = fields.get(tag)
        if pointer is not None and pointer.kind == LONG and pointer.count == 1:
            room = _MOST - sum(map(_size, (main, *others.values())))
            (start,) = numbers(exif, order, pointer)
            others[tag] = _values(exif, read_directory(exif, order, start), room, texts, numeric)
    others = {tag: values for tag, values in others.items() if values}
    if not main and not others and turned == 1:
        return b""
    main[_ORIENTATION] = SHORT, 1, struct.pack(order + "H", turned)
    return _written(order, main, others)


def _values(
    exif: bytes,
    fields: Mapping[int, Field],
    room: int,
    texts: frozenset[int],
    numeric: frozenset[int],
) -> dict[int, Value]:
    """Return the values that are kept, as many as there is room for."""
    values: dict[int, Value] = {}
    for tag, field in fields.items():
        value = exif[field.start : min(field.end, field.start + _LONGEST_TEXT + 1)]
        is_kept = _is_text(field, value) if tag in texts else _is_short(field) and tag in numeric
        if is_kept and _size({tag: (field.kind, field.count, value)}) <= room:
            values[tag] = field.kind, field.count, value
            room -= _size({tag: values[tag]})
    return values


def _is_text(field: Field, value: bytes) -> bool:
    return (
        field.kind == ASCII
        and len(value) <= _LONGEST_TEXT
        and not set(value).intersection(_NOT_IN_TEXT)
    )


def _is_short(field: Field) -> bool:
    return field.kind != ASCII and field.end - field.start <= _LONGEST_NUMBERS


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
