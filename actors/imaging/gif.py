"""The structure of a GIF: its blocks."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Facts, Limits
from actors.imaging.sizes import check_size

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B
_CONTROL, _APPLICATION = 0xF9, 0xFF
_LOOPING = (b"\x0bNETSCAPE2.0\x03\x01", b"\x0bANIMEXTS1.0\x03\x01")
_INTERLACED, _HAS_PALETTE, _HAS_TRANSPARENCY = 0x40, 0x80, 1

# An honest sub-block is 255 bytes long, but for the last one of each image.
_FULL = 255
_MIN_AVERAGE_SUB_BLOCK = 32
# How many of these are looked at in one go.
_RUN = 64


@dataclass(frozen=True, slots=True)
class GifFrame:
    """One frame: where it lies on the canvas, and a GIF that has nothing but it.

    `disposal` tells, as the format numbers it, what happens to that place afterwards.
    `duration` is in milliseconds, as it is written; browsers show what lasts 10 or less for 100.
    """

    box: tuple[int, int, int, int]
    data: bytes
    disposal: int
    duration: int
    is_transparent: bool


def read_gif(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a GIF, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      ImageTooLarge: if it has too many blocks or frames, or too large ones.
    """
    try:
        return _read(data, limits)
    except (IndexError, struct.error):
        raise NotAnImage("The GIF is truncated.") from None


def gif_frames(data: bytes) -> Iterator[GifFrame]:
    """Yield the frames of a GIF that `read_gif` has accepted."""
    general = data[10]
    general_palette = data[13 : 13 + _palette_size(general)]
    position, control = 13 + len(general_palette), b""
    while (kind := data[position]) != _TRAILER:
        if kind == _EXTENSION:
            if data[position + 1] == _CONTROL and data[position + 2] == 4:
                control = data[position : position + 8]
            position, _ = _skip(data, position + 2, len(data))
        else:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
            start = position + 10 + _palette_size(flags)
            palette = data[position + 10 : start] or general_palette
            size_of_palette = (flags if flags & _HAS_PALETTE else general) & 0x87
            position, _ = _skip(data, start + 1, len(data))
            yield GifFrame(
                (left, top, left + across, top + down),
                b"GIF89a"
                + struct.pack("<HHBBB", across, down, size_of_palette, 0, 0)
                + palette
                + control
                + struct.pack("<BHHHHB", _IMAGE, 0, 0, across, down, flags & _INTERLACED)
                + data[start:position]
                + bytes((_TRAILER,)),
                control[3] >> 2 & 7 if control else 0,
                10 * int.from_bytes(control[4:6], "little"),
                bool(control and control[3] & _HAS_TRANSPARENCY),
            )
            control = b""


def gif_has_metadata(data: bytes) -> bool:
    """Tell whether a GIF that `read_gif` has accepted says more than how it is to be shown."""
    position = 13 + _palette_size(data[10])
    while (kind := data[position]) != _TRAILER:
        if kind == _IMAGE:
            position += 11 + _palette_size(data[position + 9])
        elif data[position + 1] == _CONTROL or data[position + 2 : position + 16] in _LOOPING:
            position += 2
        else:
            return True
        position, _ = _skip(data, position, len(data))
    return False


def _read(data: bytes, limits: Limits) -> Facts:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _palette_size(flags)
    frames, blocks, data_blocks, pixels, loops = 0, 0, 0, 0, 1
    max_data_blocks = limits.max_data_chunks + len(data) // _MIN_AVERAGE_SUB_BLOCK
    while (kind := data[position]) != _TRAILER:
        blocks += 1
        if kind == _IMAGE:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
            if not frames:
                # A first frame that is larger than the canvas stretches it.
                width, height = max(width, left + across), max(height, top + down)
            # What a later one has beyond the canvas is not seen, but decoded.
            check_size((across, down), limits)
            pixels += across * down
            frames += 1
            position += 11 + _palette_size(flags)
            position, count = _skip(data, position, max_data_blocks)
            data_blocks += count
        elif kind == _EXTENSION:
            loops = _plays(data, position, loops)
            position, count = _skip(data, position + 2, limits.max_chunks)
            blocks += count
        else:
            raise NotAnImage("The GIF is broken: it has a block of an unknown kind.")
        if frames > limits.max_frames:
            raise ImageTooLarge(f"The GIF has more than {limits.max_frames:,} frames.")
        if blocks > limits.max_chunks or data_blocks > max_data_blocks:
            raise ImageTooLarge(
                f"The GIF has more than {limits.max_chunks:,} blocks, or too many small ones."
            )
    if not frames:
        raise NotAnImage("The GIF has no picture in it.")
    if pixels > limits.max_total_pixels:
        raise ImageTooLarge(
            f"The frames of the GIF have {pixels:,} pixels; "
            f"at most {limits.max_total_pixels:,} are allowed."
        )
    return Facts("gif", width, height, frames, loops=loops)


def _plays(data: bytes, position: int, otherwise: int) -> int:
    """Return how often the extension at `position` has it played; it may be about other things."""
    if data[position + 1] != _APPLICATION or data[position + 2 : position + 16] not in _LOOPING:
        return otherwise
    again = int.from_bytes(data[position + 16 : position + 18], "little")
    return again + 1 if again else 0


def _palette_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & _HAS_PALETTE else 0


def _skip(data: bytes, position: int, at_most: int) -> tuple[int, int]:
    """Return where the run of sub-blocks at `position` ends, and their number.

    After more than `at_most` it gives up, and the place means nothing.
    """
    count = 0
    while (length := data[position]) and count <= at_most:
        run = 1
        if length == _FULL:
            lengths = data[position : position + _RUN * (_FULL + 1) : _FULL + 1]
            run = len(lengths) - len(lengths.lstrip(b"\xff"))
        position += run * (length + 1)
        count += run
    return position + 1, count
