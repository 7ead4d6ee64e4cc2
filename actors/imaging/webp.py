"""The structure of a WebP: its RIFF chunks."""

import struct
from collections.abc import Iterator

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.exif import orientation
from actors.imaging.facts import MAX_PROFILE, Facts, Limits, Size

_PIXELS = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"})
_PROFILE = b"ICCP"
_HEADER = 12
_EXIF = b"Exif\0\0"


def read_webp(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a WebP, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      ImageTooLarge: if it has too many chunks or frames.
    """
    canvas: Size | None = None
    picture: Size | None = None
    exif, frames, loops = b"", 0, 1
    for chunks, (kind, start, end) in enumerate(_chunks(data), start=1):
        if kind == b"ANMF":
            frames += 1
        elif kind == b"ANIM":
            loops = int.from_bytes(data[start + 4 : min(start + 6, end)], "little")
        elif kind == b"VP8X" and chunks == 1:
            canvas = _canvas(data[start : min(start + 10, end)])
        elif kind in _SIZES and picture is None:
            picture = _SIZES[kind](data[start : min(start + 10, end)])
        elif kind == b"EXIF" and not exif:
            exif = data[start:end].removeprefix(_EXIF)
        if frames > limits.max_frames:
            raise ImageTooLarge(f"The WebP has more than {limits.max_frames:,} frames.")
        if chunks > limits.max_chunks:
            raise ImageTooLarge(f"The WebP has more than {limits.max_chunks:,} chunks.")
    size = canvas or picture
    if size is None or (picture is None and not frames):
        raise NotAnImage("The WebP has no picture in it.")
    if size != picture and not frames:
        raise NotAnImage("The WebP is broken: its parts disagree about its size.")
    return Facts("webp", *size, max(1, frames), orientation(exif), loops=loops if frames else 1)


def webp_exif(data: bytes) -> bytes:
    """Return the EXIF in a WebP that `read_webp` has accepted, or nothing."""
    return _first(data, b"EXIF", len(data)).removeprefix(_EXIF)


def webp_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a WebP that `read_webp` has accepted, if there is one."""
    return _first(data, _PROFILE, MAX_PROFILE) or None


def webp_has_metadata(data: bytes) -> bool:
    """Tell whether a WebP that `read_webp` has accepted says more than pixels and colours."""
    return any(kind not in _PIXELS and kind != _PROFILE for kind, _, _ in _chunks(data))


def _first(data: bytes, wanted: bytes, most: int) -> bytes:
    """Return the first chunk of a kind, or nothing if there is none or it is too long."""
    for kind, start, end in _chunks(data):
        if kind == wanted:
            return data[start:end] if end - start <= most else b""
    return b""


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each chunk, and from where to where its data are."""
    length_of_all, position = 8 + int.from_bytes(data[4:8], "little"), _HEADER
    if length_of_all > len(data):
        raise NotAnImage("The WebP is truncated.")
    while position + 8 <= length_of_all:
        kind, length = struct.unpack_from("<4sI", data, position)
        start, position = position + 8, position + 8 + length + (length & 1)
        if start + length > length_of_all:
            raise NotAnImage("The WebP is truncated.")
        yield kind, start, start + length


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
