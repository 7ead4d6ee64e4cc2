"""What EXIF tells of how a photograph came about, and whose it is; nothing of where, or of whom."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from actors.imaging.ifd import (
    ASCII,
    LONG,
    SHORT,
    Field,
    byte_order,
    first_directory,
    numbers,
    read_directory,
)

Value: TypeAlias = str | int | float

# As EXIF numbers and names them.
_NAMES: Mapping[int, str] = MappingProxyType(
    {
        0x010F: "Make",
        0x0110: "Model",
        0x0112: "Orientation",
        0x0131: "Software",
        0x0132: "DateTime",
        0x013B: "Artist",
        0x8298: "Copyright",
    }
)
_NAMES_OF_EXPOSURE: Mapping[int, str] = MappingProxyType(
    {
        0x829A: "ExposureTime",
        0x829D: "FNumber",
        0x8827: "PhotographicSensitivity",
        0x9003: "DateTimeOriginal",
        0x9011: "OffsetTimeOriginal",
        0x9204: "ExposureBiasValue",
        0x9209: "Flash",
        0x920A: "FocalLength",
        0xA405: "FocalLengthIn35mmFilm",
        0xA433: "LensMake",
        0xA434: "LensModel",
    }
)
_EXPOSURE = 0x8769
_FRACTIONS = {5: "II", 10: "ii"}
_LONGEST = 200


def camera(exif: bytes) -> dict[str, Value]:
    """Return what is known of these, by the names that EXIF has for them.

    Texts are cut after 200 characters. Fractions are numbers, with six digits: an exposure of
    1/125 s is 0.008. What is broken is left out. Serial numbers, comments and places are never
    looked at.

    Args:
      exif: a TIFF header and what follows, or nothing.
    """
    order = byte_order(exif)
    if order is None:
        return {}
    fields = first_directory(exif, order)
    found = _values(exif, order, fields, _NAMES)
    pointer = fields.get(_EXPOSURE)
    if pointer is not None and pointer.kind == LONG and pointer.count == 1:
        (start,) = numbers(exif, order, pointer)
        found |= _values(exif, order, read_directory(exif, order, start), _NAMES_OF_EXPOSURE)
    return found


def _values(
    exif: bytes, order: str, fields: Mapping[int, Field], names: Mapping[int, str]
) -> dict[str, Value]:
    values = {
        name: _value(exif, order, fields[tag]) for tag, name in names.items() if tag in fields
    }
    return {name: value for name, value in values.items() if value is not None}


def _value(exif: bytes, order: str, field: Field) -> Value | None:
    if field.kind == ASCII:
        # Four bytes at most make a character.
        raw = exif[field.start : min(field.end, field.start + 4 * _LONGEST)]
        text = raw.partition(b"\0")[0].decode("utf-8", "replace").strip()
        return "".join(filter(str.isprintable, text))[:_LONGEST] or None
    if field.count != 1:
        return None
    if field.kind in {SHORT, LONG}:
        return numbers(exif, order, field)[0]
    if field.kind in _FRACTIONS:
        above, below = struct.unpack_from(order + _FRACTIONS[field.kind], exif, field.start)
        return float(f"{above / below:.6g}") if below else None
    return None
