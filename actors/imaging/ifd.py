"""The directories of a TIFF, of which EXIF is one too: numbered fields, each with its value."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

BYTE, ASCII, SHORT, LONG, UNDEFINED = 1, 2, 3, 4, 7
HEADER_SIZE = 8

_WIDTHS = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, 5: 8, 6: 1, UNDEFINED: 1, 8: 2, 9: 4, 10: 8}
_WIDTHS |= {11: 4, 12: 8}
_NUMBERS = {BYTE: "B", SHORT: "H", LONG: "I"}
_MAX_FIELDS = 512


@dataclass(frozen=True, slots=True)
class Field:
    """`count` values of a kind, in `data` from `start` to `end`."""

    kind: int
    count: int
    start: int
    end: int


Value = tuple[int, int, bytes]


def byte_order(data: bytes) -> str | None:
    """Return the order of bytes that a TIFF begins with, as `struct` calls it; None if it is none.

    BigTIFF, which is another format, is none.
    """
    return {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])


def first_directory(data: bytes, order: str) -> dict[int, Field]:
    """Return the fields of the first directory in `data`; none if it is broken."""
    return read_directory(
        data, order, int.from_bytes(data[4:8], "little" if order == "<" else "big")
    )


def read_directory(data: bytes, order: str, start: int) -> dict[int, Field]:
    """Return the fields of the directory at `start`, by their tags; none if it is broken.

    Of fields with the same tag it is the first one. Those of an unknown kind, those that are not
    in `data` and those after the 512th are left out.
    """
    fields: dict[int, Field] = {}
    entries = int.from_bytes(data[start : start + 2], "little" if order == "<" else "big")
    entry = struct.Struct(order + "HHII")
    for place in range(start + 2, start + 2 + 12 * min(entries, _MAX_FIELDS), 12):
        if place + 12 > len(data):
            break
        tag, kind, count, value = entry.unpack_from(data, place)
        length = count * _WIDTHS.get(kind, 0)
        begin = place + 8 if length <= 4 else value
        if kind in _WIDTHS and begin + length <= len(data):
            fields.setdefault(tag, Field(kind, count, begin, begin + length))
    return fields


def numbers(data: bytes, order: str, field: Field | None) -> tuple[int, ...]:
    """Return the whole numbers in a field; none if it has others, or is not there."""
    if field is None or field.kind not in _NUMBERS:
        return ()
    return struct.unpack_from(f"{order}{field.count}{_NUMBERS[field.kind]}", data, field.start)


def write_directory(order: str, values: Mapping[int, Value], start: int) -> bytes:
    """Return a directory that is going to stand at `start`, with its values behind it.

    It is the last one of its chain.
    """
    table, rest = [struct.pack(order + "H", len(values))], bytearray()
    end = start + 2 + 12 * len(values) + 4
    for tag in sorted(values):
        kind, count, value = values[tag]
        if len(value) <= 4:
            place = value.ljust(4, b"\0")
        else:
            place = struct.pack(order + "I", end + len(rest))
            rest += value + b"\0" * (len(value) % 2)
        table.append(struct.pack(order + "HHI", tag, kind, count) + place)
    return b"".join(table) + bytes(4) + rest


def write_header(order: str, start: int) -> bytes:
    """Return the beginning of a TIFF whose first directory is at `start`."""
    return {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, start)
