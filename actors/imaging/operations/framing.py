"""Operations that choose, turn or surround what is seen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace
from PIL import Image, ImageChops

from actors.imaging.attention import most_striking
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import Size
from actors.imaging.step import (
    END,
    Color,
    Direction,
    Fault,
    Gravity,
    Length,
    Offset,
    Rate,
    Scene,
    Step,
    in_pixels,
    nearest,
    place,
    resolved,
    rgba,
)

_ASPECT = rf"^[1-9][0-9]{{0,4}}:[1-9][0-9]{{0,4}}{END}"

_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}

# Of a pixel: less is an error of the arithmetic.
_NOTHING = 1e-6

# Bicubic is sharper, and takes more than twice as long. Where there are more pixels than this,
# nobody looks at each of them.
_FINE, _FAST = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR
_MOST_FINE = 4_000_000


class Crop(Step, frozen=True):
    """Keep a part: of `width` x `height`, at `x`, `y` or by `gravity`; or by `aspect`.

    With an `aspect` it is the largest part that has it, by `gravity`. The part must be inside the
    picture.
    """

    x: Offset | None = None
    y: Offset | None = None
    width: Length | None = None
    height: Length | None = None
    aspect: Annotated[str, Meta(pattern=_ASPECT, description="as in 16:9")] | None = None
    gravity: Gravity = "center"

    @property
    def looks(self) -> bool:
        """See `Step`."""
        return self.gravity == "smart"

    def faults(self) -> Iterator[Fault]:
        """See `Step`."""
        if self.aspect is not None:
            for name in ("x", "y", "width", "height"):
                if getattr(self, name) is not None:
                    yield name, "goes with no aspect"
            return
        for name in ("width", "height"):
            if getattr(self, name) is None:
                yield name, "is missing"
        if (self.x is None) != (self.y is None):
            yield ("x" if self.x is None else "y"), "is missing"
        if self.x is not None and self.gravity != "center":
            yield "gravity", "goes with no x and y"

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        across, down = scene.size
        if self.aspect is not None:
            width, height = _largest(self.aspect, scene.size)
        else:
            width = in_pixels(self.width or 0, across)
            height = in_pixels(self.height or 0, down)
        if not (1 <= width <= across and 1 <= height <= down):
            raise ImpossibleRecipe(
                f"a part of {width} x {height} pixels is not in a picture of {across} x {down}"
            )
        if self.x is not None and self.y is not None:
            x = _start(self.x, self.width, across)
            y = _start(self.y, self.height, down)
        elif self.gravity == "smart":
            x, y = most_striking(scene.look(), (width, height))
        else:
            x, y = place((width, height), scene.size, self.gravity)
        if x + width > across or y + height > down:
            raise ImpossibleRecipe(
                f"a part of {width} x {height} pixels at {x}, {y} "
                f"is not in a picture of {across} x {down}"
            )
        return (Crop(x=x, y=y, width=width, height=height),)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The left, upper, right and lower edge, of a resolved one."""
        x, y, width, height = (
            resolved(length) for length in (self.x, self.y, self.width, self.height)
        )
        return x, y, x + width, y + height

    def unseen(self) -> Crop:
        """See `Step`."""
        return replace(self, gravity="center")

    def size_after(self, size: Size) -> Size:
        """See `Step`."""
        left, top, right, bottom = self.box
        return right - left, bottom - top

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        return image.crop(self.box)


def _start(start: int | str, length: int | str | None, whole: int) -> int:
    """Return where a part of `whole` starts.

    Two halves of 7 pixels are 4 each, of which the second one starts at 3; so are those of any edge
    that is odd, and no pixel of it is in neither.
    """
    if isinstance(start, str) and isinstance(length, str):
        end = Decimal(start.removesuffix("%")) + Decimal(length.removesuffix("%"))
        return in_pixels(f"{end}%", whole) - in_pixels(length, whole)
    return in_pixels(start, whole)


def _largest(aspect: str, size: Size) -> Size:
    across, down = map(int, aspect.split(":"))
    ratio = Fraction(across, down)
    width, height = size
    if width >= height * ratio:
        return max(1, nearest(height * ratio)), height
    return width, max(1, nearest(width / ratio))


class Trim(Step, frozen=True):
    """Cut away a border of one colour: `background`, or that of the top left corner.

    What differs from it by at most `threshold` in every channel belongs to the border.
    """

    threshold: Annotated[int, Meta(ge=0, le=255)] = 10
    background: Color | None = None

    @property
    def looks(self) -> bool:
        """See `Step`."""
        return True

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(16, 24)

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`. A picture that is nothing but border stays as it is."""
        # Premultiplied, since what is transparent has a colour too, which nobody sees.
        image = scene.look().convert("RGBA").convert("RGBa")
        corner = image.crop((0, 0, 1, 1))
        if self.background is not None:
            corner = Image.new("RGBA", (1, 1), rgba(self.background)).convert("RGBa")
        border = Image.new("RGBa", image.size, corner.getpixel((0, 0)))
        inside = [255 if level > self.threshold else 0 for level in range(256)]
        differs = ImageChops.difference(image, border).point(inside * 4)
        box = differs.getbbox(alpha_only=False)
        if box is None:
            return ()
        left, top, right, bottom = box
        return (Crop(x=left, y=top, width=right - left, height=bottom - top),)


class Pad(Step, frozen=True):
    """Add a margin of `background`.

    It is as wide as `top`, `right`, `bottom` and `left` say; or it makes the picture `width` and
    `height`, with the picture in it by `gravity`. What is larger already gets no margin there.
    """

    top: Offset | None = None
    right: Offset | None = None
    bottom: Offset | None = None
    left: Offset | None = None
    width: Length | None = None
    height: Length | None = None
    gravity: Direction = "center"
    background: Color = "transparent"

    def faults(self) -> Iterator[Fault]:
        """See `Step`."""
        sides = [n for n in ("top", "right", "bottom", "left") if getattr(self, n) is not None]
        if self.width is None and self.height is None:
            if not sides:
                yield "top", "or another side, or a width or a height, is missing"
        else:
            for name in sides:
                yield name, "goes with no width or height"

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`. What is larger than `width` or `height` already gets no margin there."""
        across, down = scene.size
        if self.width is None and self.height is None:
            top, bottom = in_pixels(self.top or 0, down), in_pixels(self.bottom or 0, down)
            left, right = in_pixels(self.left or 0, across), in_pixels(self.right or 0, across)
        else:
            width = max(across, in_pixels(self.width or 0, across))
            height = max(down, in_pixels(self.height or 0, down))
            left, top = place(scene.size, (width, height), self.gravity)
            right, bottom = width - across - left, height - down - top
        return (Pad(top=top, right=right, bottom=bottom, left=left, background=self.background),)

    @property
    def _sides(self) -> tuple[int, ...]:
        return tuple(resolved(side) for side in (self.top, self.right, self.bottom, self.left))

    def size_after(self, size: Size) -> Size:
        """See `Step`."""
        top, right, bottom, left = self._sides
        return size[0] + left + right, size[1] + top + bottom

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        top, _, _, left = self._sides
        if not any(self._sides):
            return image
        canvas, image = on_ground(image, self.size_after(image.size), self.background)
        canvas.paste(image, (left, top))
        return canvas


def premultiplied(image: Image.Image) -> Image.Image:
    """Return `image` as La or RGBa if it has transparency: what is invisible has no colour then."""
    mode = _PREMULTIPLIED.get(image.mode)
    return image.convert(mode) if mode else image


def over(ground: Image.Image, image: Image.Image) -> Image.Image:
    """Return `ground` with `image` of the same size laid over it, in the mode of `ground`."""
    laid = Image.alpha_composite(ground.convert("RGBA"), image.convert("RGBA"))
    return laid.convert(ground.mode)


def on_ground(image: Image.Image, size: Size, background: str) -> tuple[Image.Image, Image.Image]:
    """Return a canvas of `size` in `background`, and `image` in a mode that both have."""
    colour = rgba(background)
    grey = colour[0] == colour[1] == colour[2] and image.mode in {"L", "LA"}
    clear = colour[3] < 255 or image.mode in {"LA", "RGBA"}
    mode = ("LA" if clear else "L") if grey else ("RGBA" if clear else "RGB")
    fill = (colour[:1] if grey else colour[:3]) + (colour[3:] if clear else ())
    return Image.new(mode, size, fill), image.convert(mode)


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
