"""Writing a HEIC of coded pictures: items, and what is said about them."""

import struct
from collections.abc import Iterable


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


class Tables:
    """A HEIC in the making, of items that are numbered from 1; the first is the one to be seen."""

    def __init__(self) -> None:
        self._items: list[tuple[bytes, bytes, list[int]]] = []
        self._properties: dict[bytes, int] = {}
        self._references: list[bytes] = []

    def add(self, kind: bytes, body: bytes, properties: Iterable[tuple[bytes, bytes]]) -> None:
        """Add an item, and what is said of it: boxes of these kinds, with what is in them."""
        numbers = [
            self._properties.setdefault(_box(*each), len(self._properties) + 1)
            for each in properties
        ]
        self._items.append((kind, body, numbers))

    def refer(self, kind: bytes, source: int, others: list[int]) -> None:
        """Have an item refer to others."""
        numbers = struct.pack(f">HH{len(others)}H", source, len(others), *others)
        self._references.append(_box(kind, numbers))

    def written(self) -> bytes:
        """Return the file."""
        head = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
        start = len(head) + len(self._meta(0)) + 8
        bodies = (body for _, body, _ in self._items)
        return b"".join((head, self._meta(start), _box(b"mdat", *bodies)))

    def _meta(self, start: int) -> bytes:
        count = len(self._items)
        infos = places = associations = b""
        for number, (kind, body, properties) in enumerate(self._items, 1):
            # Whatever is not the first is hidden.
            info = struct.pack(">HH4sx", number, 0, kind)
            infos += _full(b"infe", info, version=2, flags=int(number > 1))
            places += struct.pack(">HHHII", number, 0, 1, start, len(body))
            associations += struct.pack(
                f">HB{len(properties)}H", number, len(properties), *properties
            )
            start += len(body)
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4), b"pict", bytes(13)),
            _full(b"pitm", struct.pack(">H", 1)),
            _full(b"iloc", struct.pack(">HH", 0x4400, count), places),
            _full(b"iinf", struct.pack(">H", count), infos),
            _full(b"iref", *self._references) if self._references else b"",
            _box(
                b"iprp",
                _box(b"ipco", *self._properties),
                _full(b"ipma", struct.pack(">I", count), associations, flags=1),
            ),
        )
