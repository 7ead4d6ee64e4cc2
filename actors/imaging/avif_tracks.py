"""The tracks of an AVIF: its animations."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Limits, Size
from actors.imaging.heif_items import Meta, read_meta
from actors.imaging.isobmff import TRUNCATED, Box, Fields, Parts, boxes, by_kind

_FOR_EVER = 0
_UNKNOWN = frozenset({2**32 - 1, 2**64 - 1})
# What every kind of picture says of itself, before the boxes that describe it.
_SAMPLE_ENTRY = 78


@dataclass(slots=True)
class Track:
    """Pictures, one after the other. `samples` are where they lie: from where to where.

    `loops` is how often it plays in all; 0 is for ever.
    """

    number: int = 0
    size: Size = (0, 0)
    loops: int = _FOR_EVER
    is_auxiliary: bool = False
    properties: list[Box] | None = None
    samples: list[tuple[int, int]] = field(default_factory=list)
    meta: Meta = field(default_factory=Meta)


def read_tracks(data: bytes, movie: Box, parts: Parts, limits: Limits) -> list[Track]:
    """Return the tracks of AV1 in a movie box.

    Raises:
      NotAnImage: if they are broken.
      ImageTooLarge: if they have too many parts, or one has too many frames.
    """
    tracks = [
        _track(data, box, parts, limits) for box in boxes(data, movie, parts) if box.kind == b"trak"
    ]
    return [track for track in tracks if track.properties is not None and track.samples]


def _track(data: bytes, box: Box, parts: Parts, limits: Limits) -> Track:
    track = Track()
    children = by_kind(boxes(data, box, parts))
    duration = 0
    if b"tkhd" in children:
        duration = _read_header(Fields(data, children[b"tkhd"]), track)
    if b"edts" in children:
        track.loops = _plays(data, by_kind(boxes(data, children[b"edts"], parts)), duration)
    if b"tref" in children:
        track.is_auxiliary = b"auxl" in by_kind(boxes(data, children[b"tref"], parts))
    if b"meta" in children:
        track.meta = read_meta(data, children[b"meta"], parts)
    table = children.get(b"mdia")
    for kind in (b"minf", b"stbl"):
        table = by_kind(boxes(data, table, parts)).get(kind) if table is not None else None
    if table is not None:
        _read_samples(data, by_kind(boxes(data, table, parts)), track, parts, limits)
    return track


def _read_header(fields: Fields, track: Track) -> int:
    """Take what the header of a track says, and return how long it plays, in all."""
    of_time = 8 if fields.version() == 1 else 4
    fields.skip(2 * of_time)
    track.number = fields.number(4)
    fields.skip(4)
    duration = fields.number(of_time)
    fields.skip(52)
    track.size = fields.number(4) >> 16, fields.number(4) >> 16
    return duration


def _plays(data: bytes, edits: Mapping[bytes, Box], duration: int) -> int:
    """Tell from its edits how often a track is played; see section 9.6.1 of HEIF."""
    if b"elst" not in edits:
        return 1
    fields = Fields(data, edits[b"elst"])
    head = fields.number(4)
    if not head & 1:
        return 1
    fields.skip(4)
    once_through = fields.number(8 if head >> 24 == 1 else 4)
    if duration in _UNKNOWN or not once_through:
        return _FOR_EVER
    return max(1, -(-duration // once_through))


def _read_samples(
    data: bytes, tables: Mapping[bytes, Box], track: Track, parts: Parts, limits: Limits
) -> None:
    if b"stsd" in tables:
        for entry in boxes(data, tables[b"stsd"].after(8), parts):
            if entry.kind == b"av01" and track.properties is None:
                track.properties = list(boxes(data, entry.after(_SAMPLE_ENTRY), parts))
    for kind in (b"stts", b"stss"):
        # What they say is not needed here, but decoders go through them for each frame.
        _table(data, tables.get(kind), 0, parts)
    starts = [
        start
        for kind, size in ((b"stco", 4), (b"co64", 8))
        for (start,) in _table(data, tables.get(kind), size, parts)
    ]
    numbers = _numbers(_table(data, tables.get(b"stsc"), 4, parts, width=3), len(starts))
    if sum(numbers) > limits.max_frames:
        raise ImageTooLarge(f"The AVIF has more than {limits.max_frames:,} frames.")
    sizes = _sizes(data, tables.get(b"stsz"), parts)
    for start, number in zip(starts, numbers, strict=True):
        end = start
        for size in itertools.islice(sizes, number):
            begin, end = end, end + size
            track.samples.append((begin, end))
    if len(track.samples) < sum(numbers) or any(end > len(data) for _, end in track.samples):
        raise NotAnImage(TRUNCATED)


def _table(
    data: bytes, box: Box | None, size: int, parts: Parts, *, width: int = 1
) -> list[tuple[int, ...]]:
    """Return the rows of a table, each of `width` numbers of `size` bytes."""
    if box is None:
        return []
    fields = Fields(data, box)
    fields.skip(4)
    rows = parts.table(fields.number(4))
    return [tuple(fields.number(size) for _ in range(width)) for _ in range(rows)]


def _numbers(rows: list[tuple[int, ...]], chunks: int) -> list[int]:
    """Return how many samples each chunk has; a row holds from its first chunk to the next row."""
    numbers: list[int] = []
    ends = [first - 1 for first, *_ in rows[1:]] + [chunks]
    for (first, number, _), end in zip(rows, ends, strict=False):
        if first != len(numbers) + 1 or not number:
            raise NotAnImage("The AVIF is broken: its table of frames makes no sense.")
        numbers += [number] * (min(end, chunks) - len(numbers))
    if len(numbers) != chunks:
        raise NotAnImage("The AVIF is broken: its table of frames makes no sense.")
    return numbers


def _sizes(data: bytes, box: Box | None, parts: Parts) -> Iterator[int]:
    if box is None:
        return iter(())
    fields = Fields(data, box)
    fields.skip(4)
    size, number = fields.number(4), fields.number(4)
    if size:
        return itertools.repeat(size)
    return iter([fields.number(4) for _ in range(parts.table(number))])
