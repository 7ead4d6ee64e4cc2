"""Operations that turn what is seen."""

from __future__ import annotations

import itertools
import math
from typing import Annotated

from msgspec import Meta
from PIL import Image

from actors.imaging.facts import Size
from actors.imaging.modes import premultiplied
from actors.imaging.operations.framing import on_ground
from actors.imaging.step import Color, Rate, Scene, Step

# Of a pixel: less is an error of the arithmetic.
_NOTHING = 1e-6

# Bicubic is sharper, and takes more than twice as long. Where there are more pixels than this,
# nobody looks at each of them.
_FINE, _FAST = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
_MOST_FINE = 4_000_000


class Rotate(Step, frozen=True):
    """Turn it clockwise by `angle` degrees.

    The canvas grows to fit; its corners are `background`.
    """

    angle: Annotated[float, Meta(ge=-360, le=360)]
    background: Color = "transparent"

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(4, 5) if self.angle % 90 == 0 else Rate(18, 120)

    def size_after(self, size: Size) -> Size:
        """See `Step`."""
        width, height = size
        if self.angle % 90 == 0:
            return size if self.angle % 180 == 0 else (height, width)
        cosine, sine = self._cosine_and_sine
        across = width * abs(cosine) + height * abs(sine)
        down = width * abs(sine) + height * abs(cosine)
        return math.ceil(across - _NOTHING), math.ceil(down - _NOTHING)

    @property
    def _cosine_and_sine(self) -> tuple[float, float]:
        angle = math.radians(self.angle)
        return math.cos(angle), math.sin(angle)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        if self.angle % 90 == 0:
            quarters = int(self.angle // 90) % 4
            turns = (None, *(Image.Transpose[f"ROTATE_{degrees}"] for degrees in (270, 180, 90)))
            turn = turns[quarters]
            return image if turn is None else image.transpose(turn)
        canvas, image = on_ground(image, self.size_after(image.size), self.background)
        mode = canvas.mode
        canvas, image = premultiplied(canvas), premultiplied(image)
        filter_ = _FINE if image.width * image.height <= _MOST_FINE else _FAST
        turned = self._turned(_rimmed(image), canvas.size, filter_)
        # The rim only lends its colours to the edge; how much of a pixel the picture covers there
        # is for the mask to say.
        inside = Image.new("L", (image.width + 2, image.height + 2))
        inside.paste(255, (1, 1, image.width + 1, image.height + 1))
        canvas.paste(turned, mask=self._turned(inside, canvas.size, _FAST))
        return canvas.convert(mode)

    def _turned(self, image: Image.Image, size: Size, by: Image.Resampling) -> Image.Image:
        """Return `image`, turned about its middle, on a canvas of `size`."""
        cosine, sine = self._cosine_and_sine
        x, y = size[0] / 2, size[1] / 2
        # From where on the canvas to where in the picture.
        places = (
            *(cosine, sine, image.width / 2 - x * cosine - y * sine),
            *(-sine, cosine, image.height / 2 + x * sine - y * cosine),
        )
        return image.transform(size, Image.Transform.AFFINE, places, by)


def _rimmed(image: Image.Image) -> Image.Image:
    """Return `image` with its outermost pixels repeated around it."""
    rimmed = Image.new(image.mode, (image.width + 2, image.height + 2))
    # Each place is laid over the ones before, so that of these only the rim is left.
    for corner in itertools.product((0, 2, 1), (0, 2, 1)):
        rimmed.paste(image, corner)
    return rimmed


class Autorotate(Step, frozen=True):
    """Turn it upright, as its EXIF says: done first in every recipe, so here nothing is left to do.

    With `"autorotate":false` on the recipe it is not done at all.
    """

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        return ()


class Flip(Step, frozen=True):
    """Turn it upside down, as in a lake."""

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


class Flop(Step, frozen=True):
    """Turn left to right, as in a mirror."""

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
