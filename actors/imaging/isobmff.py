"""ISO base media files, such as AVIF and HEIC: boxes within boxes, and tables in some of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Limits

TRUNCATED = "The image is truncated."

# Of these there is one, or none.
_SINGLE = frozenset(
    {b"meta", b"moov", b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat"}
    | {b"tkhd", b"edts", b"elst", b"tref", b"auxl", b"mdia", b"minf", b"stbl"}
    | {b"stsd", b"stts", b"stss", b"stsc", b"stsz", b"stco", b"co64"}
)


@dataclass(frozen=True, slots=True)
class Box:
    """What is in a box of this kind: the part of the file from `start` to `end`."""

    kind: bytes
    start: int
    end: int

    def after(self, size: int) -> "Box":
        """Return it without its first bytes."""
        return Box(self.kind, self.start + size, self.end)


class Parts:
    """Counts the boxes of a file and the entries of its tables, and refuses too many of them."""

    def __init__(self, limits: Limits) -> None:
        self._boxes, self._entries = limits.max_chunks, limits.max_data_chunks
        self._refusal = (
            f"The image has too many parts; at most {self._boxes:,} boxes and "
            f"{self._entries:,} entries in them are allowed."
        )

    def box(self) -> None:
        """Count a box.

        Raises:
          ImageTooLarge: if it is one too many.
        """
        self._boxes -= 1
        if self._boxes < 0:
            raise ImageTooLarge(self._refusal)

    def table(self, entries: int) -> int:
        """Count the `entries` of a table, before any is read, and return their number.

        Raises:
          ImageTooLarge: if they are too many.
        """
        self._entries -= entries
        if self._entries < 0:
            raise ImageTooLarge(self._refusal)
        return entries


class Fields:
    """Reads one field of a box after the other. `position` is where the next one begins."""

    def __init__(self, data: bytes, box: Box) -> None:
        self.position = box.start
        self._data, self._end = data, box.end

    def rest(self) -> Box:
        """Return what has not been read."""
        return Box(b"", self.position, self._end)

    def version(self) -> int:
        """Return the version of the box, whose first field it is, and skip its flags.

        Raises:
          NotAnImage: if the box is empty.
        """
        return self.number(4) >> 24

    def number(self, size: int) -> int:
        """Return the next `size` bytes as a number.

        Raises:
          NotAnImage: if the box has ended.
        """
        return int.from_bytes(self.bytes(size), "big")

    def bytes(self, size: int) -> bytes:
        """Return the next `size` bytes.

        Raises:
          NotAnImage: if the box has ended.
        """
        start = self.position
        self.skip(size)
        return self._data[start : self.position]

    def skip(self, size: int) -> None:
        """Go on, `size` bytes further.

        Raises:
          NotAnImage: if the box has ended.
        """
        self.position += size
        if self.position > self._end:
            raise NotAnImage(TRUNCATED)


def boxes(data: bytes, within: Box, parts: Parts) -> Iterator[Box]:
    """Yield the boxes directly in `within`.

    Raises:
      NotAnImage: if one of them ends too late.
      ImageTooLarge: if they are too many.
    """
    start, end = within.start, within.end
    while start < end:
        parts.box()
        head = Fields(data, Box(b"", start, end))
        length, kind = head.number(4), head.bytes(4)
        if length == 1:
            length = head.number(8)
        elif length == 0:
            length = end - start
        start += length
        if not head.position <= start <= end:
            raise NotAnImage(TRUNCATED)
        yield Box(kind, head.position, start)


def by_kind(found: Iterable[Box]) -> dict[bytes, Box]:
    """Return boxes by their kinds.

    Raises:
      NotAnImage: if there are two of a kind that is read, of which decoders could choose either.
    """
    kinds: dict[bytes, Box] = {}
    for box in found:
        if box.kind in kinds and box.kind in _SINGLE:
            raise NotAnImage("The image is broken: it says the same thing twice.")
        kinds[box.kind] = box
    return kinds
