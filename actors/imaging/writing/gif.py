"""Writing GIF."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from PIL import Image, ImageChops
from PIL.GifImagePlugin import GifImageFile

from actors.imaging.facts import Size
from actors.imaging.geometry import cut
from actors.imaging.modes import has_alpha
from actors.imaging.writing.draft import Draft
from actors.imaging.writing.film import Timing
from actors.imaging.writing.memory import written
from actors.imaging.writing.palette import paletted_in_part

_MOST_COLOURS = 256
_MOST = 2**16 - 1
_KEEP, _CLEAR = 1, 2
# Makes 255 of every colour but black.
_ANY = 255.0, 255.0, 255.0, 0.0
_HEADER_SIZE, _DESCRIPTOR_SIZE = 13, 10

# Browsers show what lasts 10 ms or less for 100 ms.
_TOO_SHORT = 10

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Picture:
    """Colours (L or RGB), and 255 where they are seen, 0 where there is nothing.

    Without alpha all of them are seen.
    """

    colours: Image.Image
    seen: Image.Image | None


@dataclass(frozen=True, slots=True)
class _Patch:
    """What a frame changes, and whether the place is cleared after it.

    It is `drawn` where that is 255, or everywhere. With `reserve` it has a transparent colour even
    then.
    """

    colours: Image.Image
    drawn: Image.Image | None
    place: tuple[int, int]
    clears: bool
    reserve: bool


def write_gif(draft: Draft, _quality: int) -> bytes:
    """Return the film, whose alpha is 0 or 255 everywhere, as a GIF.

    Each frame has colours of its own. What does not change from one to the next is not drawn
    again, so it does not flicker.
    """
    film, timing = draft.film, draft.timing
    colours = draft.encoding.colors or _MOST_COLOURS
    if timing is None:
        still = _picture(film.frame(0))
        patches: Iterable[_Patch] = [
            _Patch(still.colours, still.seen, (0, 0), clears=False, reserve=False)
        ]
    else:
        # A palette that is a ramp of greys makes Pillow ignore those of all later frames.
        patches = _patches(_picture(film.colours(number)) for number in range(len(film)))
    return b"".join(_blocks(patches, colours, timing))


def _picture(frame: Image.Image) -> _Picture:
    if has_alpha(frame):
        return _Picture(frame.convert(frame.mode[:-1]), frame.getchannel("A"))
    return _Picture(frame, None)


def _patches(pictures: Iterable[_Picture]) -> Iterator[_Patch]:
    """Yield what is to be drawn for each of the pictures.

    Nothing that is drawn makes a pixel transparent again: only clearing the place of the frame
    before does.
    """
    canvas: _Picture | None = None
    for picture, following in _with_next(pictures):
        colours, seen = picture.colours, picture.seen
        box, drawn = (0, 0, *colours.size), seen
        if canvas is not None:
            drawn = _changed(canvas, picture)
            box = drawn.getbbox() or (0, 0, 1, 1)
        vanishing = None
        if seen and following and following.seen:
            vanishing = ImageChops.subtract(seen, following.seen).getbbox()
            if vanishing:
                box = _around(box, vanishing)
        yield _Patch(
            cut(colours, box),
            drawn and cut(drawn, box),
            box[:2],
            clears=bool(vanishing),
            reserve=bool(seen),
        )
        if seen and vanishing:
            seen = seen.copy()
            seen.paste(0, box)
        canvas = _Picture(colours, seen)


def _with_next(pictures: Iterable[_Picture]) -> Iterator[tuple[_Picture, _Picture | None]]:
    before: _Picture | None = None
    for picture in pictures:
        if before is not None:
            yield before, picture
        before = picture
    if before is not None:
        yield before, None


def _changed(canvas: _Picture, picture: _Picture) -> Image.Image:
    """Return 255 where `picture` must be drawn on the canvas to be seen, and 0 elsewhere."""
    change = ImageChops.difference(canvas.colours, picture.colours).convert("L", _ANY)
    if canvas.seen:
        change = ImageChops.lighter(change, ImageChops.invert(canvas.seen))
    return ImageChops.darker(change, picture.seen) if picture.seen else change


def _around(box: Box, other: Box) -> Box:
    return (
        *(min(box[0], other[0]), min(box[1], other[1])),
        *(max(box[2], other[2]), max(box[3], other[3])),
    )


def _blocks(patches: Iterable[_Patch], colours: int, timing: Timing | None) -> Iterator[bytes]:
    delays = _hundredths(timing.durations) if timing else itertools.repeat(0)
    general = b""
    for patch, delay in zip(patches, delays, strict=False):
        # Some decoders, such as Pillow's, have no transparency if the first frame has none, and
        # clear to an opaque colour if the one that is cleared has none.
        image, transparent = paletted_in_part(
            patch.colours, patch.drawn, colours, reserve=patch.reserve
        )
        palette = _table(image)
        if not general:
            general = palette
            yield b"GIF89a" + _screen(image.size, palette) + palette
            if timing and timing.loops != 1:
                yield _repetition(timing.loops)
        if timing or transparent is not None:
            yield _control(_disposal(patch, timing), delay, transparent)
        flags = 0 if palette == general else 0x80 | _power(palette)
        yield b"," + struct.pack("<HHHHB", *patch.place, *image.size, flags)
        yield (palette if flags else b"") + _compressed(image)
    yield b";"


def _hundredths(durations: Iterable[int]) -> Iterator[int]:
    """Yield each duration in hundredths of a second, so that what rounding takes comes back."""
    owed = 0
    for duration in durations:
        exact = duration + owed
        least = 2 if duration > _TOO_SHORT else 0
        delay = min(max(least, (exact + 5) // 10), _MOST)
        # No more than rounding took: what was too long for a GIF is lost.
        owed = min(max(exact - 10 * delay, -5), 5)
        yield delay


def _table(image: Image.Image) -> bytes:
    """Return the palette of `image`, filled up to a size that a GIF can say."""
    palette = bytes(image.getpalette() or ())
    size = 2
    while 3 * size < len(palette):
        size *= 2
    return palette.ljust(3 * size, b"\0")


def _power(palette: bytes) -> int:
    return (len(palette) // 3).bit_length() - 2


def _screen(size: Size, palette: bytes) -> bytes:
    return struct.pack("<HHBBB", *size, 0x80 | _power(palette), 0, 0)


def _repetition(loops: int) -> bytes:
    """Return how often it is repeated after the first time; 0 is for ever."""
    again = min(loops - 1, _MOST) if loops else 0
    return b"!\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", again, 0)


def _disposal(patch: _Patch, timing: Timing | None) -> int:
    if timing is None:
        return 0
    return _CLEAR if patch.clears else _KEEP


def _control(disposal: int, delay: int, transparent: int | None) -> bytes:
    flags = disposal << 2 | (transparent is not None)
    return b"!\xf9\x04" + struct.pack("<BHBB", flags, delay, transparent or 0, 0)


def _compressed(image: Image.Image) -> bytes:
    """Return the pixels as they are in a GIF, of which Pillow writes one with nothing else."""
    data = written(lambda file: image.save(file, GifImageFile.format, optimize=False, interlace=0))
    start = _HEADER_SIZE + (6 << (data[10] & 7)) + _DESCRIPTOR_SIZE
    return data[start:-1]
