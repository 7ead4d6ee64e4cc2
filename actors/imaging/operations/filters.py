"""Operations that make a pixel of its neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, TypeAlias

from msgspec import Meta
from PIL import Image, ImageChops, ImageFilter

from actors.imaging.modes import is_coloured, premultiplied
from actors.imaging.step import Length, Rate, Scene, Step, in_pixels, resolved

Sigma: TypeAlias = Annotated[
    float, Meta(gt=0, le=100, description="pixels, more than 0 and at most 100")
]

# A blur is done on a smaller picture where this much of it is left, in pixels of the smaller one:
# nobody sees the difference, and it takes a third of the time.
_ENOUGH_SIGMA = 4


class Blur(Step, frozen=True):
    """Blur it as a Gaussian does whose standard deviation is `sigma` pixels.

    Nothing comes in from beyond its edges.
    """

    sigma: Sigma

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(12, 50)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return _blurred(image, self.sigma)


class Sharpen(Step, frozen=True):
    """Sharpen it with an unsharp mask.

    What a blur of `sigma` pixels would take from a level is added to it, `amount` times; where that
    is at most `threshold` levels, nothing is. What lies beside something transparent is sharpened
    less. The transparency stays as it is.
    """

    sigma: Sigma = 1
    amount: Annotated[float, Meta(ge=0, le=10)] = 1
    threshold: Annotated[int, Meta(ge=0, le=255)] = 0

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(20, 62)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        colours = image.convert("RGB" if is_coloured(image) else "L")
        soft = _blurred(image, self.sigma)
        if soft.mode != colours.mode:
            # What is invisible has nothing to say: where it is all around, this changes nothing.
            seen = soft.getchannel("A")
            soft = Image.composite(soft.convert(colours.mode), colours, seen)
        sharp = Image.blend(soft, colours, 1 + self.amount)
        if self.threshold:
            sharp = _where_they_differ(colours, soft, self.threshold, sharp)
        if "A" in image.getbands():
            sharp.putalpha(image.getchannel("A"))
        return sharp


class Pixelate(Step, frozen=True):
    """Make a mosaic of it: squares of `size`, each in the average colour of what it covers.

    They begin at the top left; the last ones may be cut off. A share is one of the shorter edge.
    """

    size: Length

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        return (Pixelate(max(1, in_pixels(self.size, min(scene.size)))),)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        size = resolved(self.size)
        plain = premultiplied(image)
        squares = Image.new(
            plain.mode, (math.ceil(image.width / size), math.ceil(image.height / size))
        )
        # `Image.reduce` would do, were it not out by several levels for large squares.
        for left, right, across in _whole_and_cut(image.width, size):
            for top, bottom, down in _whole_and_cut(image.height, size):
                averages = plain.resize(
                    (across, down), Image.Resampling.BOX, (left, top, right, bottom)
                )
                squares.paste(averages, (left // size, top // size))
        seen = (0.0, 0.0, image.width / size, image.height / size)
        return squares.convert(image.mode).resize(image.size, Image.Resampling.NEAREST, seen)


def _whole_and_cut(length: int, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield where the whole squares are, and how many; then the same for the one that is cut."""
    count = length // size
    if count:
        yield 0, count * size, count
    if count * size < length:
        yield count * size, length, 1


def _blurred(image: Image.Image, sigma: float) -> Image.Image:
    plain = premultiplied(image)
    shrink = int(sigma / _ENOUGH_SIGMA)
    if shrink < 2:
        soft = plain.filter(ImageFilter.GaussianBlur(sigma))
    else:
        # Averaging and interpolating blur as well: together by a quarter of a pixel's square.
        radius = math.sqrt((sigma / shrink) ** 2 - 1 / 4)
        small = plain.reduce(shrink).filter(ImageFilter.GaussianBlur(radius))
        whole = (0.0, 0.0, image.width / shrink, image.height / shrink)
        soft = small.resize(image.size, Image.Resampling.BILINEAR, whole)
    return soft.convert(image.mode)


def _where_they_differ(
    image: Image.Image, other: Image.Image, threshold: int, chosen: Image.Image
) -> Image.Image:
    """Return `chosen` in each channel in which the two differ by more than that; else `image`."""
    differs = [255 if level > threshold else 0 for level in range(256)]
    mask = ImageChops.difference(image, other).point(differs * len(image.getbands()))
    bands = [
        Image.composite(new, old, where)
        for new, old, where in zip(chosen.split(), image.split(), mask.split(), strict=True)
    ]
    return Image.merge(image.mode, bands)
