"""The structure of a JPEG: segments, scans and the frame header."""

import re
import struct
from collections.abc import Iterator

from actors.imaging.errors import ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.exif import orientation
from actors.imaging.facts import Facts, Limits

_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
_LOWEST = 0xC0
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_LOSSLESS_OR_HIERARCHICAL = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})

# What applications add is metadata, but for JFIF and Adobe (APP0, APP14), which tell how the
# colours are coded, and a colour profile.
_METADATA = frozenset(range(0xE1, 0xF0)) - {0xEE} | {0xFE}
_PROFILE = b"ICC_PROFILE\0"

# The next marker that is more than a stuffed 0xFF in the coded data, a fill byte or a restart.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

# Decoders skip rubbish between the segments of the header, some of them byte by byte.
_MAX_RUBBISH = 4_096


def read_jpeg(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a JPEG.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      UnsupportedFormat: if it is a kind of JPEG that only specialists use.
      ImageTooLarge: if it has too many segments or scans.
    """
    frame, exif, scans = b"", b"", 0
    for count, (code, start, end) in enumerate(_segments(data), start=1):
        if code == _SOS:
            scans += 1
        elif code in _FRAME_HEADERS:
            if frame:
                raise NotAnImage("The JPEG has more than one frame header.")
            frame = data[start + 4 : end]
            _check_kind(code, frame)
        elif code == _APP1 and not exif and data.startswith(b"Exif\0\0", start + 4):
            exif = data[start + 10 : end]
        if scans > limits.max_scans:
            raise ImageTooLarge(f"The JPEG has more than {limits.max_scans:,} scans.")
        if count > limits.max_chunks:
            raise ImageTooLarge(f"The JPEG has more than {limits.max_chunks:,} segments.")
    if not frame or not scans:
        raise NotAnImage("The JPEG has no picture in it.")
    height, width = struct.unpack_from(">HH", frame, 1)
    return Facts("jpeg", width, height, orientation=orientation(exif), scans=scans)


def jpeg_without_metadata(data: bytes) -> bytes:
    """Return a JPEG that `read_jpeg` has accepted, without what says nothing about its pixels."""
    parts = [data[:2]]
    for code, start, end in _segments(data):
        if code == _SOS:
            parts.append(data[start:])
            break
        if code not in _METADATA or data.startswith(_PROFILE, start + 4):
            parts.append(data[start:end])
    return b"".join(parts)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the code, the start and the end of each segment, up to the end of the first image.

    Markers are followed in the way that decoders do, so none can hide in the payload of another.
    """
    position, rubbish, in_header = 2, 0, True
    while marker := _MARKER.search(data, position):
        code, start = data[marker.end() - 1], marker.start()
        if in_header:
            rubbish += start - position
            in_header = code != _SOS
        if rubbish > _MAX_RUBBISH:
            raise NotAnImage("The header of the JPEG is broken.")
        if code == _EOI:
            return
        if code < _LOWEST or code == _SOI:
            raise NotAnImage("The JPEG is broken: it has a marker that does not belong there.")
        length = int.from_bytes(data[start + 2 : start + 4], "big")
        position = start + 2 + length
        if length < 2 or position > len(data):
            break
        yield code, start, position
    raise NotAnImage("The JPEG is truncated.")


def _check_kind(code: int, frame: bytes) -> None:
    if len(frame) < 6:
        raise NotAnImage("The JPEG is broken: its frame header is too short.")
    if code in _LOSSLESS_OR_HIERARCHICAL:
        raise UnsupportedFormat("Lossless and hierarchical JPEG are not supported.")
    if frame[0] != 8:
        raise UnsupportedFormat(f"The JPEG has {frame[0]} bits to a sample; 8 are supported.")
