"""Writing AVIF."""

import struct
from collections.abc import Iterator

from PIL.AvifImagePlugin import AvifImageFile

from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.isobmff import Box, Parts, boxes
from actors.imaging.writing.draft import Draft
from actors.imaging.writing.film import Reel
from actors.imaging.writing.memory import written

# The encoder's speed for each effort. Its 10th does what the 9th does; those below the 6th take 5
# to 25 times as long, for 1 %.
_SPEEDS = (9, 9, 9, 8, 8, 8, 7, 7, 6)

# Headers that tell when they were written, in 16 bytes after the first 4, and where in them the
# duration is; and the boxes that they are in.
_DURATIONS = {b"mvhd": 24, b"tkhd": 28, b"mdhd": 24}
_AROUND = {b"moov", b"trak", b"mdia"}
_DURATION = struct.Struct(">Q")


def write_avif(draft: Draft, quality: int) -> bytes:
    """Return the film as an AVIF, animated if it moves."""
    film, timing = draft.film, draft.timing
    is_grey = film.frame(0).mode == "L"
    options: dict[str, object] = {
        "quality": quality,
        "speed": _SPEEDS[draft.effort - 1],
        "subsampling": "4:0:0" if is_grey else draft.encoding.subsampling or "4:2:0",
        # There are as many renders at a time as cores.
        "max_threads": 1,
        "icc_profile": draft.icc,
        "exif": draft.exif,
    }
    frame = film.frame if is_grey else film.colours
    if timing is None:
        image = frame(0)
    else:
        image = Reel(frame, len(film))
        options |= {"save_all": True, "duration": timing.durations}
    data = written(lambda file: image.save(file, AvifImageFile.format, **options))
    return data if timing is None else _played(data, timing.loops)


def _played(data: bytes, loops: int) -> bytes:
    """Return an animation, which Pillow has play for ever, so that it plays as often as it should.

    It tells no more when it was written: the same frames must give the same bytes.
    """
    headers = list(_headers(data, Box(b"", 0, len(data)), Parts(DEFAULT_LIMITS)))
    changed = bytearray(data)
    for header in headers:
        changed[header.start + 4 : header.start + 20] = bytes(16)
    if loops:
        durations = {header.kind: _DURATION.unpack_from(data, _place(header)) for header in headers}
        (once,) = durations[b"mdhd"]
        for header in headers:
            if header.kind != b"mdhd":
                _DURATION.pack_into(changed, _place(header), loops * once)
    return bytes(changed)


def _place(header: Box) -> int:
    return header.start + _DURATIONS[header.kind]


def _headers(data: bytes, within: Box, parts: Parts) -> Iterator[Box]:
    for box in boxes(data, within, parts):
        if box.kind in _DURATIONS:
            yield box
        elif box.kind in _AROUND:
            yield from _headers(data, box, parts)
