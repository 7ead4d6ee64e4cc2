"""The structure of an AVIF: its boxes, and the streams that they point at."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from actors.imaging.av1 import Stream
from actors.imaging.avif_tracks import Track, read_tracks
from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Facts, Limits, Size
from actors.imaging.heif_items import (
    EXIF,
    METADATA,
    ORIENTATIONS,
    Meta,
    content,
    exif_in,
    extent,
    grid,
    names,
    profile_in,
    read_meta,
)
from actors.imaging.isobmff import Box, Fields, Parts, boxes, by_kind
from actors.imaging.sizes import check_size

_STILL, _MOVING = b"avif", b"avis"
_PIXELS, _GRID = b"av01", b"grid"
_NOBODY_READS = b"skip"
_DISAGREE = "The AVIF is broken: its parts disagree about its size."
_NO_PICTURE = "The AVIF has no picture in it."
_OVERLAP = "The AVIF is broken: its parts lie upon each other."

# Honest stills have one coded frame, or one for each layer. Animations have such as are not
# shown, but with no more of them than of those that are.
_FRAMES_OF_A_STILL = 4
_HIDDEN = 2
# Equal tiles may share their bytes, and take more to be described than there are.
_SHARED = 2
# Besides what is seen there are alpha, and what is not shown.
_COSTS = 4

_ANY = Limits(max_frames=sys.maxsize, max_chunks=sys.maxsize, max_data_chunks=sys.maxsize)


@dataclass(frozen=True, slots=True)
class _File:
    meta: Meta
    tracks: list[Track]
    is_animation: bool

    @property
    def track(self) -> Track:
        """The track that is shown."""
        for track in self.tracks:
            if track.number and not track.is_auxiliary:
                return track
        raise NotAnImage(_NO_PICTURE)

    @property
    def properties(self) -> list[Box]:
        """What is said of the picture."""
        if self.is_animation:
            return self.track.properties or []
        return self.meta.items[self.meta.primary].properties


def is_avif(data: bytes) -> bool:
    """Tell whether `data` begins like an AVIF."""
    return not {_STILL, _MOVING}.isdisjoint(names(data))


def read_avif(data: bytes, limits: Limits) -> Facts:
    """Return the facts about an AVIF, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      UnsupportedFormat: if its frames are of different sizes.
      ImageTooLarge: if it has too many parts, or its streams are too large.
    """
    parts = Parts(limits)
    file = _read(data, parts, limits)
    # Every stream is looked at, whether it is shown or not: a decoder may see things differently.
    stills = _stills(data, file.meta, parts)
    moving = [_moving(data, track, parts) for track in file.tracks]
    _check_cost(stills.values(), limits.max_pixels, limits)
    _check_cost(moving, limits.max_total_pixels, limits)
    orientation = _orientation(data, file.properties)
    if not file.is_animation:
        size, depth = _still(data, file.meta, stills)
        return Facts("avif", *size, orientation=orientation, depth=depth)
    track = file.track
    stream = moving[file.tracks.index(track)]
    if stream.size != track.size:
        raise NotAnImage(_DISAGREE)
    return Facts(
        "avif", *track.size, len(track.samples), orientation, depth=stream.depth, loops=track.loops
    )


def avif_without_metadata(data: bytes) -> bytes:
    """Return an AVIF that `read_avif` has accepted, in which a decoder finds no EXIF and no XMP."""
    file = _read(data, Parts(_ANY), _ANY)
    clean = bytearray(data)
    for meta in (file.meta, *(track.meta for track in file.tracks)):
        for item in meta.items.values():
            if item.kind in METADATA:
                clean[item.kind_at : item.kind_at + 4] = _NOBODY_READS
    return bytes(clean)


def avif_exif(data: bytes) -> bytes:
    """Return the EXIF in an AVIF that `read_avif` has accepted; nothing if it is not there."""
    file = _read(data, Parts(_ANY), _ANY)
    meta = file.track.meta if file.is_animation else file.meta
    for number, item in meta.items.items():
        if item.kind == EXIF and (
            file.is_animation or meta.primary in meta.related(b"cdsc", number)
        ):
            return exif_in(data, meta, item)
    return b""


def avif_has_metadata(data: bytes) -> bool:
    """Tell whether an AVIF that `read_avif` has accepted says more than pixels and colours."""
    file = _read(data, Parts(_ANY), _ANY)
    metas = (file.meta, *(track.meta for track in file.tracks))
    return any(item.kind not in {_PIXELS, _GRID} for meta in metas for item in meta.items.values())


def avif_profile(data: bytes) -> bytes | None:
    """Return the colour profile in an AVIF that `read_avif` has accepted, if there is one."""
    return profile_in(data, _read(data, Parts(_ANY), _ANY).properties)


def _read(data: bytes, parts: Parts, limits: Limits) -> _File:
    found = by_kind(_as_far_as_decoders_read(data, parts))
    meta = read_meta(data, found[b"meta"], parts) if b"meta" in found else Meta()
    tracks = read_tracks(data, found[b"moov"], parts, limits) if b"moov" in found else []
    first_name = data[8:12]
    is_animation = first_name == _MOVING or (first_name != _STILL and b"moov" in found)
    return _File(meta, tracks, is_animation)


def _as_far_as_decoders_read(data: bytes, parts: Parts) -> Iterator[Box]:
    said = names(data)
    wanted = {b"meta"} if _STILL in said else set()
    if _MOVING in said:
        wanted.add(b"moov")
    for box in boxes(data, Box(b"", 0, len(data)), parts):
        yield box
        wanted.discard(box.kind)
        if not wanted:
            return


def _stills(data: bytes, meta: Meta, parts: Parts) -> dict[int, Stream]:
    """Return the streams of the items, by their numbers."""
    streams: dict[int, Stream] = {}
    left = _SHARED * len(data)
    for number, item in meta.items.items():
        if item.kind == _PIXELS and item.extents:
            body = content(data, meta, item)
            left -= len(body)
            if left < 0:
                raise NotAnImage(_OVERLAP)
            streams[number] = _stream(body, [(0, len(body))], _FRAMES_OF_A_STILL, parts)
    return streams


def _moving(data: bytes, track: Track, parts: Parts) -> Stream:
    if sum(end - start for start, end in track.samples) > len(data):
        raise NotAnImage(_OVERLAP)
    most = _HIDDEN * len(track.samples) + _FRAMES_OF_A_STILL
    return _stream(data, track.samples, most, parts)


def _stream(data: bytes, places: Iterable[tuple[int, int]], most: int, parts: Parts) -> Stream:
    stream = Stream()
    for start, end in places:
        stream.read(data, start, end, parts)
    if not stream.frames:
        raise NotAnImage(_NO_PICTURE)
    if stream.frames > most:
        raise ImageTooLarge(f"The AVIF has more than {most:,} coded frames in one stream.")
    return stream


def _check_cost(streams: Iterable[Stream], most: int, limits: Limits) -> None:
    coded = 0
    for stream in streams:
        check_size(stream.size, limits)
        # Samples of more than 8 bits take two bytes.
        coded += stream.size[0] * stream.size[1] * stream.frames * (2 if stream.depth > 8 else 1)
    if coded > _COSTS * most:
        raise ImageTooLarge(
            f"The AVIF has {coded:,} coded pixels, those of more than 8 bits counted twice; "
            f"at most {_COSTS * most:,} are allowed."
        )


def _still(data: bytes, meta: Meta, streams: Mapping[int, Stream]) -> tuple[Size, int]:
    """Return the size of the picture, and the depth of its samples."""
    item = meta.items[meta.primary]
    size = extent(data, item)
    if item.kind == _GRID:
        columns, rows, size_of_grid = grid(data, meta, item)
        tiles = [
            streams[number] for number in meta.related(b"dimg", meta.primary) if number in streams
        ]
        if len(tiles) != columns * rows or size_of_grid != size:
            raise NotAnImage(_DISAGREE)
        return size, tiles[0].depth
    if meta.primary not in streams:
        raise NotAnImage(_NO_PICTURE)
    if streams[meta.primary].size != size:
        raise NotAnImage(_DISAGREE)
    return size, streams[meta.primary].depth


def _orientation(data: bytes, properties: Iterable[Box]) -> int:
    turns: int = 0
    mirror: int | None = None
    for box in properties:
        if box.kind == b"irot":
            turns = Fields(data, box).number(1) & 3
        elif box.kind == b"imir":
            mirror = Fields(data, box).number(1) & 1
    return ORIENTATIONS[turns, mirror]
