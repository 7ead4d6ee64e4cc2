"""The structure of a WebP: its RIFF chunks."""

import struct

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.exif import orientation
from actors.imaging.facts import Facts, Limits, Size

_HEADER = 12


def read_webp(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a WebP, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      ImageTooLarge: if it has too many chunks or frames.
    """
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise NotAnImage("The WebP is truncated.")
    canvas: Size | None = None
    picture: Size | None = None
    exif, frames, chunks, position = b"", 0, 0, _HEADER
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        start, position = position + 8, position + 8 + length + (length & 1)
        if start + length > end:
            raise NotAnImage("The WebP is truncated.")
        chunks += 1
        if kind == b"ANMF":
            frames += 1
        elif kind == b"VP8X" and chunks == 1:
            canvas = _canvas(data[start : start + min(length, 10)])
        elif kind in _SIZES and picture is None:
            picture = _SIZES[kind](data[start : start + min(length, 10)])
        elif kind == b"EXIF" and not exif:
            exif = data[start : start + length].removeprefix(b"Exif\0\0")
        if frames > limits.max_frames:
            raise ImageTooLarge(f"The WebP has more than {limits.max_frames:,} frames.")
        if chunks > limits.max_chunks:
            raise ImageTooLarge(f"The WebP has more than {limits.max_chunks:,} chunks.")
    size = canvas or picture
    if size is None or (picture is None and not frames):
        raise NotAnImage("The WebP has no picture in it.")
    if size != picture and not frames:
        raise NotAnImage("The WebP is broken: its parts disagree about its size.")
    return Facts("webp", *size, max(1, frames), orientation(exif))


def _canvas(header: bytes) -> Size:
    if len(header) < 10:
        raise NotAnImage("The WebP is truncated.")
    return 1 + int.from_bytes(header[4:7], "little"), 1 + int.from_bytes(header[7:10], "little")


def _lossy(header: bytes) -> Size:
    if header[3:6] != b"\x9d\x01\x2a" or len(header) < 10:
        raise NotAnImage("The WebP is broken: its picture has no header.")
    width, height = struct.unpack_from("<HH", header, 6)
    return width & 0x3FFF, height & 0x3FFF


def _lossless(header: bytes) -> Size:
    if header[:1] != b"\x2f" or len(header) < 5:
        raise NotAnImage("The WebP is broken: its picture has no header.")
    bits = int.from_bytes(header[1:5], "little")
    return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)


_SIZES = {b"VP8 ": _lossy, b"VP8L": _lossless}
