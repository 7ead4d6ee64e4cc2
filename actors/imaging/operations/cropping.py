"""Operations that choose what is seen."""

from __future__ import annotations

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
