"""Operations that change colours, each pixel for itself.

What is defined by CSS is reckoned as there: on sRGB levels, with the transparency left as it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Annotated, TypeAlias

from msgspec import Meta
from PIL import Image

from actors.imaging.album import Album
from actors.imaging.facts import Size
from actors.imaging.modes import is_coloured
from actors.imaging.step import Apply, Color, Fault, Rate, Step, rgba

# What becomes of each of the 256 levels.
Curve: TypeAlias = Sequence[int]
# For each channel the shares of red, green and blue that it is made of.
Matrix: TypeAlias = Sequence[Sequence[float]]

Factor: TypeAlias = Annotated[float, Meta(ge=0, le=10)]

_LEVELS = range(256)
_LUMINANCE = (0.2126, 0.7152, 0.0722)
_SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))
# What CSS weighs red, green and blue with here, and what a quarter turn adds to that grey.
_GREY = (0.213, 0.715, 0.072)
_QUARTER_TURN = ((-0.213, -0.715, 0.928), (0.143, 0.140, -0.283), (-0.787, 0.715, 0.072))

# The share of pixels at either end that `Autocontrast` gives up: nearly every photograph has a few
# that are black or white already.
_GIVEN_UP = 0.005


class Grayscale(Step, frozen=True):
    """Take the colours away, as CSS's `grayscale(1)`: what is left is the luminance."""

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _with_alpha_of(image, _luminance(image)) if is_coloured(image) else image


class Sepia(Step, frozen=True):
    """Make it brown as an old photograph, as CSS's `sepia(1)`."""

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _mixed(image, _SEPIA)


class Invert(Step, frozen=True):
    """Make a negative of it. What is transparent stays so."""

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _through(_LEVELS[::-1], image)


class Autocontrast(Step, frozen=True):
    """Spread the levels so that the darkest pixels become black and the lightest white.

    Dark and light go by luminance, of which 0.5 % may be lost at either end. All channels are
    treated alike, so that no colour gets a cast. What is fully transparent does not count. Of an
    animation the first frame decides.
    """

    def prepare(self, size: Size, album: Album) -> Apply:
        """See `Step`."""
        return _as_the_first(_stretched)


class Equalize(Step, frozen=True):
    """Spread the levels so that each range of luminances has as many pixels.

    All channels are treated alike, so that no colour gets a cast. What is fully transparent does
    not count. Of an animation the first frame decides.
    """

    def prepare(self, size: Size, album: Album) -> Apply:
        """See `Step`."""
        return _as_the_first(_equalized)


class Brightness(Step, frozen=True):
    """Multiply every level by `factor`, as CSS's `brightness()`. 0 is black."""

    factor: Factor

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _through(_curve(lambda level: self.factor * level), image)


class Contrast(Step, frozen=True):
    """Multiply the distance of every level from mid grey by `factor`, as CSS's `contrast()`.

    0 is grey.
    """

    factor: Factor

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _through(_curve(lambda level: self.factor * (level - 127.5) + 127.5), image)


class Saturation(Step, frozen=True):
    """Multiply the distance of every colour from grey by `factor`, as CSS's `saturate()`.

    0 is grey.
    """

    factor: Factor

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        if not is_coloured(image):
            return image
        return _mixed(image, _saturated(self.factor))


class Hue(Step, frozen=True):
    """Turn every colour around the colour wheel by `degrees`, as CSS's `hue-rotate()`."""

    degrees: Annotated[float, Meta(ge=-360, le=360)]

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        if not is_coloured(image):
            return image
        angle = math.radians(self.degrees)
        rows = zip(_saturated(math.cos(angle)), _QUARTER_TURN, strict=True)
        turned = [
            [share + math.sin(angle) * more for share, more in zip(*row, strict=True)]
            for row in rows
        ]
        return _mixed(image, turned)


class Gamma(Step, frozen=True):
    """Make the middle lighter (a `gamma` above 1) or darker (below); black and white stay.

    A level becomes 255 (level / 255) ^ (1 / gamma).
    """

    gamma: Annotated[float, Meta(ge=0.1, le=10)]

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _through(_curve(lambda level: 255 * (level / 255) ** (1 / self.gamma)), image)


class Tint(Step, frozen=True):
    """Give it the tone of `color`, with every luminance kept.

    With a `strength` of 1 nothing but shades of the colour is left: from black through the colour
    itself, which stands where its own luminance is, to white. Less mixes that with the original.
    """

    color: Color
    strength: Annotated[float, Meta(ge=0, le=1)] = 1

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(13, 13)

    def faults(self) -> Iterator[Fault]:
        """See `Step`."""
        return _translucent(self, "color")

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        tone = rgba(self.color)[:3]
        middle = sum(share * level for share, level in zip(_LUMINANCE, tone, strict=True))
        shades = _toned(image, [_bent(middle, level) for level in tone])
        return _with_alpha_of(image, Image.blend(_rgb(image), shades, self.strength))


class Duotone(Step, frozen=True):
    """Make it of two colours: black becomes `dark`, white `light`, and the rest lies between."""

    dark: Color
    light: Color

    def faults(self) -> Iterator[Fault]:
        """See `Step`."""
        return _translucent(self, "dark", "light")

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        ends = zip(rgba(self.dark)[:3], rgba(self.light)[:3], strict=True)
        return _with_alpha_of(image, _toned(image, [_between(*pair) for pair in ends]))


class Posterize(Step, frozen=True):
    """Leave each channel 2 ^ `bits` levels, evenly spread from black to white."""

    bits: Annotated[int, Meta(ge=1, le=8)]

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        highest = 2**self.bits - 1
        lost = 8 - self.bits
        return _through(_curve(lambda level: (level >> lost) * 255 / highest), image)


class Opacity(Step, frozen=True):
    """Multiply the opacity of every pixel by `factor`. 0 is invisible."""

    factor: Annotated[float, Meta(ge=0, le=1)]

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        if self.factor == 1:
            return image
        fainter = image.convert("RGBA" if is_coloured(image) else "LA")
        dimmed = _curve(lambda level: self.factor * level)
        kept = [*_LEVELS] * (len(fainter.getbands()) - 1)
        return fainter.point([*kept, *dimmed])


def _rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _luminance(image: Image.Image) -> Image.Image:
    return (
        _rgb(image).convert("L", (*_LUMINANCE, 0.0))
        if is_coloured(image)
        else image.getchannel("L")
    )


def _with_alpha_of(image: Image.Image, colours: Image.Image) -> Image.Image:
    """Return `colours`, which may be changed, with the transparency of `image`."""
    if "A" in image.getbands():
        colours.putalpha(image.getchannel("A"))
    return colours


def _mixed(image: Image.Image, matrix: Matrix) -> Image.Image:
    """Return `image`, grey or not, with each channel made of all three."""
    flat = tuple(entry for row in matrix for entry in (*row, 0.0))
    return _with_alpha_of(image, _rgb(image).convert("RGB", flat))


def _saturated(factor: float) -> Matrix:
    return [
        [grey + factor * ((channel == other) - grey) for other, grey in enumerate(_GREY)]
        for channel in range(3)
    ]


def _through(curve: Curve, image: Image.Image) -> Image.Image:
    """Return `image` with all its colours taken through `curve`."""
    return image.point(
        [entry for band in image.getbands() for entry in (_LEVELS if band == "A" else curve)]
    )


def _toned(image: Image.Image, curves: Sequence[Curve]) -> Image.Image:
    """Return in RGB what the three `curves` make of the luminance of `image`."""
    return _luminance(image).convert("RGB").point([entry for curve in curves for entry in curve])


def _curve(level_of: Callable[[int], float]) -> Curve:
    return [min(max(math.floor(level_of(level) + 0.5), 0), 255) for level in _LEVELS]


def _between(dark: float, light: float) -> Curve:
    return _curve(lambda level: dark + (light - dark) * level / 255)


def _bent(at: float, to: float) -> Curve:
    """Return the curve that goes straight from black to `to`, which it reaches `at`, and to white.

    Black and white are themselves, wherever they are.
    """
    if not 0 < at < 255:
        return _LEVELS
    return _curve(
        lambda level: to * level / at if level < at else to + (255 - to) * (level - at) / (255 - at)
    )


def _translucent(step: Step, *names: str) -> Iterator[Fault]:
    return ((name, "must be opaque") for name in names if rgba(getattr(step, name))[3] < 255)


def _as_the_first(curve_for: Callable[[Sequence[int]], Curve]) -> Apply:
    """Return what takes every picture through the curve for the luminances of the first one.

    If each frame had its own, an animation would flicker.
    """
    curve: Curve = ()

    def apply(image: Image.Image) -> Image.Image:
        nonlocal curve
        if not curve:
            visible = image.getchannel("A") if "A" in image.getbands() else None
            curve = curve_for(_luminance(image).histogram(visible))
        return _through(curve, image)

    return apply


def _stretched(counts: Sequence[int]) -> Curve:
    """Return the curve that spreads what has these `counts` of its levels."""
    up_to = list(accumulate(counts))
    given_up = math.floor(up_to[-1] * _GIVEN_UP)
    darkest = next((level for level in _LEVELS if up_to[level] > given_up), 0)
    lightest = next(level for level in _LEVELS if up_to[level] >= up_to[-1] - given_up)
    if darkest >= lightest:
        return _LEVELS
    return _curve(lambda level: 255 * (level - darkest) / (lightest - darkest))


def _equalized(counts: Sequence[int]) -> Curve:
    """Return the curve that makes levels with these `counts` equally frequent."""
    up_to = list(accumulate(counts))
    first = next((count for count in counts if count), 0)
    if up_to[-1] == first:
        return _LEVELS
    return _curve(lambda level: 255 * (up_to[level] - first) / (up_to[-1] - first))
