"""Operations that change how many pixels there are."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, Literal, TypeAlias, cast, get_args

from msgspec import Meta
from PIL import Image

from actors.imaging.facts import Size
from actors.imaging.geometry import fit_inside, fit_outside, scale
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.framing import Pad
from actors.imaging.step import (
    Color,
    Direction,
    Fault,
    Gravity,
    Rate,
    Scene,
    Share,
    Step,
    in_pixels,
    nearest,
)

Dimension: TypeAlias = Annotated[
    Annotated[int, Meta(ge=1, le=4096)] | Share,
    Meta(description='pixels from 1 to 4096, or a share above 0 such as "25%"'),
]


# A cover that keeps less than one in so many pixels is cut before it is scaled.
_MOSTLY_CUT = 16


class Resize(Step, frozen=True):
    """Make it `width` x `height`; with one of them left out, the other one follows.

    `fit` is CSS's object-fit. `fill` distorts if need be; `cover` cuts off what is too much, by
    `gravity`; `contain` adds a margin of `background`; `inside` and `outside` keep the whole
    picture and its proportions, at the most and at the least so large. With `enlarge` false nothing
    grows. Both lengths are multiplied by `dpr`.
    """

    width: Dimension | None = None
    height: Dimension | None = None
    fit: Literal["fill", "cover", "contain", "inside", "outside"] = "fill"
    gravity: Gravity = "center"
    background: Color = "transparent"
    enlarge: bool = True
    dpr: Annotated[float, Meta(ge=1, le=4)] = 1

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(11, 25)

    def faults(self) -> Iterator[Fault]:
        """See `Step`."""
        if self.width is None and self.height is None:
            yield "width", "or a height is missing"
        if self.fit == "contain" and self.gravity not in get_args(Direction):
            yield "gravity", "is a direction where nothing is cut off"

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        size, box = scene.size, self._box(scene.size)
        # With one length the proportions are right already, but for the rounding.
        match self.fit if self.width and self.height else "fill":
            case "fill":
                if not self.enlarge:
                    box = min(box[0], size[0]), min(box[1], size[1])
                return (_exactly(box),)
            case "cover":
                grown = fit_outside(size, box, enlarge=self.enlarge)
                box = min(box[0], grown[0]), min(box[1], grown[1])
                if grown[0] * grown[1] <= _MOSTLY_CUT * box[0] * box[1]:
                    return _exactly(grown), Crop(width=box[0], height=box[1], gravity=self.gravity)
                # To the nearest pixel of the original, since the whole could be too large.
                width = max(1, nearest(Fraction(box[0] * size[0], grown[0])))
                height = max(1, nearest(Fraction(box[1] * size[1], grown[1])))
                return Crop(width=width, height=height, gravity=self.gravity), _exactly(box)
            case "contain":
                grown = fit_inside(size, box, enlarge=self.enlarge)
                margin = Pad(
                    width=box[0],
                    height=box[1],
                    gravity=cast("Direction", self.gravity),
                    background=self.background,
                )
                return _exactly(grown), margin
            case "inside":
                return (_exactly(fit_inside(size, box, enlarge=self.enlarge)),)
            case "outside":
                return (_exactly(fit_outside(size, box, enlarge=self.enlarge)),)

    def _box(self, size: Size) -> Size:
        """Return the size that is asked for, with what was left out."""
        across, down = size
        width = self.width and max(1, nearest(in_pixels(self.width, across) * self.dpr))
        height = self.height and max(1, nearest(in_pixels(self.height, down) * self.dpr))
        if not width:
            width = max(1, (2 * (height or 1) * across + down) // (2 * down))
        if not height:
            height = max(1, (2 * width * down + across) // (2 * across))
        return width, height

    def size_after(self, size: Size) -> Size:
        """See `Step`."""
        return self._box(size)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return scale(image, self._box(image.size))


def _exactly(size: Size) -> Resize:
    return Resize(width=size[0], height=size[1])


class Thumbnail(Step, frozen=True):
    """Make it as large as fits into `width` x `height` with its proportions kept.

    With `enlarge` false, what is smaller already stays as it is.
    """

    width: Dimension
    height: Dimension
    enlarge: bool = True

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        across, down = scene.size
        box = max(1, in_pixels(self.width, across)), max(1, in_pixels(self.height, down))
        return (_exactly(fit_inside(scene.size, box, enlarge=self.enlarge)),)


class Scale(Step, frozen=True):
    """Make both edges `factor` times as long."""

    factor: Annotated[float, Meta(gt=0, le=16)]

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        width, height = (max(1, nearest(edge * self.factor)) for edge in scene.size)
        return (_exactly((width, height)),)
