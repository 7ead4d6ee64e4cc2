"""The structure of a PNG: its chunks."""

import struct
import zlib
from collections.abc import Iterator

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.exif import orientation
from actors.imaging.facts import MAX_PROFILE, Facts, Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_DATA = frozenset({b"IDAT", b"fdAT"})
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_BETTER_THAN_GAMMA = frozenset({b"iCCP", b"sRGB", b"cICP"})
_HEADER = struct.Struct(">IIB")


def read_png(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a PNG, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      ImageTooLarge: if it has too many chunks.
    """
    exif, frames, promised, chunks, data_chunks = b"", 0, 0, 0, 0
    for kind, start, end in _chunks(data):
        if kind in _DATA:
            data_chunks += 1
        else:
            chunks += 1
        if chunks > limits.max_chunks or data_chunks > limits.max_data_chunks:
            raise ImageTooLarge(
                f"The PNG has too many chunks; at most {limits.max_data_chunks:,} with pixels "
                f"and {limits.max_chunks:,} others are allowed."
            )
        if kind == b"fcTL":
            frames += 1
        elif kind == b"acTL" and not data_chunks:
            promised = int.from_bytes(data[start + 8 : start + 12], "big")
        elif kind == b"eXIf" and not exif:
            exif = data[start + 8 : end - 4]
    if not data_chunks:
        raise NotAnImage("The PNG has no picture in it.")
    width, height, depth = _HEADER.unpack_from(data, 16)
    frames = max(frames, promised) if promised else 1
    return Facts("png", width, height, frames, orientation(exif), depth=depth)


def png_without_metadata(data: bytes) -> bytes:
    """Return a PNG that `read_png` has accepted, with no more than its first picture's pixels."""
    return SIGNATURE + b"".join(
        data[start:end] for kind, start, end in _chunks(data) if kind in _PIXELS
    )


def png_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a PNG that `read_png` has accepted, if there is a sound one."""
    _name, _, packed = _preface(data).get(b"iCCP", b"").partition(b"\0")
    return _unpacked(packed[1:])


def png_gamma(data: bytes) -> float | None:
    """Return the gamma that a PNG gives its levels, if nothing better tells what they mean."""
    preface = _preface(data)
    gamma = int.from_bytes(preface.get(b"gAMA", b"")[:4], "big")
    return gamma / 100_000 if gamma and not preface.keys() & _BETTER_THAN_GAMMA else None


def _preface(data: bytes) -> dict[bytes, bytes]:
    """Return what comes before the pixels: the first chunk of each kind."""
    preface: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            break
        preface.setdefault(kind, data[start + 8 : end - 4])
    return preface


def _unpacked(packed: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        profile = unpacker.decompress(packed, MAX_PROFILE)
    except zlib.error:
        return None
    return profile if unpacker.eof else None


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the start and the end of each chunk, up to the end of the image."""
    position, kind = len(SIGNATURE), b""
    if data[position : position + 8] != b"\0\0\0\x0dIHDR":
        raise NotAnImage("The PNG has no header.")
    while kind != b"IEND":
        if position + 12 > len(data):
            raise NotAnImage("The PNG is truncated.")
        start, length = position, int.from_bytes(data[position : position + 4], "big")
        kind, position = data[position + 4 : position + 8], position + 12 + length
        if position > len(data):
            raise NotAnImage("The PNG is truncated.")
        yield kind, start, position
