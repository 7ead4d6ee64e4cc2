"""Sizes, and the two ways to change the one of a picture: scaling and turning."""

import math
from fractions import Fraction
from typing import TypeAlias

from PIL import Image

from actors.imaging.facts import Size
from actors.imaging.modes import premultiplied

# Left, upper, right and lower edge: as Pillow takes them, and as they are reckoned with. A rounding
# error would be enough to be outside of a picture, which Pillow refuses.
Box: TypeAlias = tuple[float, float, float, float]
Part: TypeAlias = tuple[Fraction, Fraction, Fraction, Fraction]

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A picture far larger than its target is averaged down to this multiple of it, then resampled; but
# by no more than this, beyond which Pillow's sums lose whole levels and in the end overflow.
_REDUCING_GAP = 2.0
_MOST_AVERAGED = 128


def fit_inside(size: Size, box: Size, *, enlarge: bool) -> Size:
    """Return the largest size that fits into `box` with the proportions of `size`.

    No edge is less than 1 pixel. Unless it may `enlarge`, what fits already stays as it is.
    """
    (width, height), (across, down) = size, box
    if not enlarge and width <= across and height <= down:
        return size
    if width * down >= height * across:
        return across, max(1, (2 * height * across + width) // (2 * width))
    return max(1, (2 * width * down + height) // (2 * height)), down


def fit_outside(size: Size, box: Size, *, enlarge: bool) -> Size:
    """Return the smallest size that covers `box` with the proportions of `size`.

    Unless it may `enlarge`, no edge grows.
    """
    (width, height), (across, down) = size, box
    if not enlarge and (width <= across or height <= down):
        return size
    if width * down <= height * across:
        return across, (2 * height * across + width) // (2 * width)
    return (2 * width * down + height) // (2 * height), down


def scale(image: Image.Image, size: Size, box: Box | None = None) -> Image.Image:
    """Return the part of `image` in `box`, by default all of it, at exactly `size`."""
    whole = (0.0, 0.0, float(image.width), float(image.height))
    if image.size == size and box in (None, whole):
        return image
    mode = image.mode
    # What is transparent has a colour too. Premultiplied, it cannot bleed into its neighbours.
    # (Pillow would see to that by itself, but then ignores the gap.)
    image = premultiplied(image)
    left, top, right, bottom = box or whole
    factor = max((right - left) / size[0], (bottom - top) / size[1])
    gap = max(_REDUCING_GAP, factor / _MOST_AVERAGED)
    scaled = image.resize(size, Image.Resampling.LANCZOS, box, gap)
    # Pillow copies what is in the mode already.
    return scaled if scaled.mode == mode else scaled.convert(mode)


def cut(image: Image.Image, box: Box | Part) -> Image.Image:
    """Return the pixels of `image` that are in `box`, be it in part; itself if all of them are."""
    left, top = math.floor(box[0]), math.floor(box[1])
    right, bottom = math.ceil(box[2]), math.ceil(box[3])
    if (left, top, right, bottom) == (0, 0, *image.size):
        return image
    return image.crop((left, top, right, bottom))


def confined(image: Image.Image, whole: Box, within: Part, box: Part) -> tuple[Image.Image, Box]:
    """Return `image` without what is not `within`, and where the `box` inside of that is in it.

    A pixel that is only in part within is left out where there are others, and what is left is
    stretched by as much: such a pixel shows what is beyond.

    Args:
      whole: where the picture is in `image`; what is at its edge is within as far as it goes.
    """
    left, right, across = _inside(within[0], within[2], Fraction(whole[2]))
    top, bottom, down = _inside(within[1], within[3], Fraction(whole[3]))
    # Of two numbers, the larger is never rounded to the smaller float: nothing comes to be outside.
    return cut(image, (left, top, right, bottom)), (
        float((box[0] - within[0]) * across),
        float((box[1] - within[1]) * down),
        float((box[2] - within[0]) * across),
        float((box[3] - within[1]) * down),
    )


def _inside(start: Fraction, end: Fraction, whole: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Return the first and the last edge of the pixels between, and by how much they stretch."""
    first, last = math.ceil(start), Fraction(math.floor(end)) if end < whole else whole
    if first >= last:
        first, last = math.floor(start), min(Fraction(math.ceil(end)), whole)
    return Fraction(first), last, (last - first) / (end - start)


def unturned(box: Part, size: Size, orientation: int) -> Part:
    """Return where `box` of an upright picture of `size` is in the picture as it is stored."""
    left, top, right, bottom = box
    width, height = size
    if orientation in {2, 3, 6, 7}:
        left, right = width - right, width - left
    if orientation in {3, 4, 7, 8}:
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return `image` turned as the EXIF `orientation` says."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
