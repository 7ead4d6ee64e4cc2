"""The structure of a GIF: its blocks."""

import struct

from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Facts, Limits

_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B

# An honest sub-block is 255 bytes long, but for the last one of each image.
_MIN_AVERAGE_SUB_BLOCK = 32


def read_gif(data: bytes, limits: Limits) -> Facts:
    """Return the facts about a GIF, animated or not.

    Raises:
      NotAnImage: if the structure is broken, or ends too early.
      ImageTooLarge: if it has too many blocks or frames.
    """
    try:
        return _read(data, limits)
    except (IndexError, struct.error):
        raise NotAnImage("The GIF is truncated.") from None


def _read(data: bytes, limits: Limits) -> Facts:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    position = 13 + _palette_size(flags)
    frames, blocks, data_blocks = 0, 0, 0
    max_data_blocks = limits.max_data_chunks + len(data) // _MIN_AVERAGE_SUB_BLOCK
    while (kind := data[position]) != _TRAILER:
        blocks += 1
        if kind == _IMAGE:
            left, top, across, down, flags = struct.unpack_from("<HHHHB", data, position + 1)
            if not frames:
                # A first frame that is larger than the canvas stretches it.
                width, height = max(width, left + across), max(height, top + down)
            frames += 1
            position += 11 + _palette_size(flags)
            position, count = _skip(data, position, max_data_blocks)
            data_blocks += count
        elif kind == _EXTENSION:
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
    return Facts("gif", width, height, frames)


def _palette_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _skip(data: bytes, position: int, at_most: int) -> tuple[int, int]:
    """Return where the run of sub-blocks at `position` ends, and their number.

    After more than `at_most` it gives up, and the place means nothing.
    """
    count = 0
    while (length := data[position]) and count <= at_most:
        position += length + 1
        count += 1
    return position + 1, count
