"""The structure of a PNG: its chunks."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.exif import orientation
from actors.imaging.facts import MAX_PROFILE, Facts, Limits

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_DATA = frozenset({b"IDAT", b"fdAT"})
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
_MOVES = frozenset({b"acTL", b"fcTL", b"fdAT"})
_COLOURS = frozenset({b"iCCP", b"sRGB", b"cICP", b"gAMA", b"cHRM", b"sBIT", b"mDCV", b"cLLI"})
_SHOWN = frozenset({b"bKGD", b"pHYs"})
_BETTER_THAN_GAMMA = frozenset({b"iCCP", b"sRGB", b"cICP"})
_HEADER = struct.Struct(">IIBB")
_INDEXED = 3
_PALETTES = range(1, 257)
# How many bytes a transparent colour takes, by the kind of colour.
_TRANSPARENT = {0: 2, 2: 6}
_CONTROL = struct.Struct(">IIIIHHBB")


@dataclass(frozen=True, slots=True)
class PngFrame:
    """One frame: where it lies on the canvas, and a PNG that has nothing but it.

    `disposal` and `blend` are as the format numbers them, `duration` is in milliseconds.
    """

    box: tuple[int, int, int, int]
    data: bytes
    disposal: int
    blend: int
    duration: int


def read_png(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a PNG, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      ImageTooLarge: if it has too many chunks.
    """
    exif, frames, promised, plays, chunks, data_chunks, colours = b"", 0, 0, 1, 0, 0, 0.0
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
            plays = int.from_bytes(data[start + 12 : start + 16], "big")
        elif kind == b"eXIf" and not exif:
            exif = data[start + 8 : end - 4]
        elif kind == b"PLTE" and not data_chunks:
            colours = (end - start - 12) / 3
    if not data_chunks:
        raise NotAnImage("The PNG has no picture in it.")
    width, height, depth, colour = _HEADER.unpack_from(data, 16)
    if colour == _INDEXED and colours not in _PALETTES:
        raise NotAnImage("The PNG is broken: it has no palette, or one of a wrong size.")
    frames = max(frames, promised) if promised else 1
    loops = plays if frames > 1 else 1
    return Facts("png", width, height, frames, orientation(exif), depth=depth, loops=loops)


def png_without_metadata(data: bytes) -> bytes:
    """Return a PNG that `read_png` has accepted, with no more than its first picture's pixels."""
    # Chunks that follow each other are taken as one, and a file of no others as it is.
    kept, begin = [], 0
    last = len(SIGNATURE)
    for kind, start, end in _chunks_of_pixels(data):
        if kind in _PIXELS:
            if start != last:
                kept.append(data[begin:last])
                begin = start
            last = end
    kept.append(data[begin:last])
    return kept[0] if len(kept) == 1 else b"".join(kept)


def png_frames(data: bytes) -> Iterator[PngFrame]:
    """Yield the frames of an animated PNG that `read_png` has accepted.

    Raises:
      NotAnImage: if one of them is beyond the canvas, or not there.
    """
    chunks = [(kind, data[start + 8 : end - 4]) for kind, start, end in _chunks_of_pixels(data)]
    size = _HEADER.unpack_from(data, 16)[:2]
    shared = [(kind, body) for kind, body in chunks if kind in {b"PLTE", b"tRNS"}]
    header = chunks[0][1][8:]
    starts = [place for place, (kind, _) in enumerate(chunks) if kind == b"fcTL"]
    if len(starts) != int.from_bytes(_preface(data)[b"acTL"][:4], "big"):
        raise NotAnImage("The PNG is broken: it has not as many frames as it says.")
    for place, following in zip(starts, [*starts[1:], len(chunks)], strict=True):
        control = chunks[place][1].ljust(26, b"\0")
        width, height, left, top, delay, unit, disposal, blend = _CONTROL.unpack_from(control, 4)
        if left + width > size[0] or top + height > size[1]:
            raise NotAnImage("The PNG is broken: it has a frame beyond its canvas.")
        pixels = b"".join(
            body if kind == b"IDAT" else body[4:]
            for kind, body in chunks[place:following]
            if kind in _DATA
        )
        parts = [(b"IHDR", struct.pack(">II", width, height) + header), *shared]
        parts += [(b"IDAT", pixels), (b"IEND", b"")]
        yield PngFrame(
            (left, top, left + width, top + height),
            SIGNATURE + b"".join(_chunk(kind, body) for kind, body in parts),
            disposal,
            blend,
            1000 * delay // (unit or 100),
        )


def png_exif(data: bytes) -> bytes:
    """Return the EXIF in a PNG that `read_png` has accepted, or nothing."""
    found = (data[start + 8 : end - 4] for kind, start, end in _chunks(data) if kind == b"eXIf")
    return next(found, b"")


def png_profile(data: bytes) -> bytes | None:
    """Return the colour profile in a PNG that `read_png` has accepted, if there is a sound one."""
    _name, _, packed = _preface(data).get(b"iCCP", b"").partition(b"\0")
    return _unpacked(packed[1:])


def png_gamma(data: bytes) -> float | None:
    """Return the gamma that a PNG gives its levels, if nothing better tells what they mean."""
    preface = _preface(data)
    gamma = int.from_bytes(preface.get(b"gAMA", b"")[:4], "big")
    return gamma / 100_000 if gamma and not preface.keys() & _BETTER_THAN_GAMMA else None


def png_has_metadata(data: bytes) -> bool:
    """Tell whether a PNG that `read_png` has accepted says more than how it is to be shown."""
    return any(kind not in _PIXELS | _MOVES | _COLOURS | _SHOWN for kind, _, _ in _chunks(data))


def _chunks_of_pixels(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a PNG, but for a transparency that makes no sense, as browsers do."""
    colour, colours = data[25], 0
    for kind, start, end in _chunks(data):
        length = end - start - 12
        if kind == b"PLTE":
            colours = length // 3
        is_sound = (
            0 < length <= colours if colour == _INDEXED else length == _TRANSPARENT.get(colour)
        )
        if kind != b"tRNS" or is_sound:
            yield kind, start, end


def _preface(data: bytes) -> dict[bytes, bytes]:
    """Return what comes before the pixels: the first chunk of each kind."""
    preface: dict[bytes, bytes] = {}
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            break
        preface.setdefault(kind, data[start + 8 : end - 4])
    return preface


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


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
