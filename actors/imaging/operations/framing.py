"""Putting a picture on a larger ground."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

from actors.imaging.facts import Size
from actors.imaging.modes import has_alpha, is_coloured, is_grey
from actors.imaging.step import (
    Color,
    Direction,
    Fault,
    Length,
    Offset,
    Scene,
    Step,
    in_pixels,
    place,
    resolved,
    rgba,
)


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


def over(ground: Image.Image, image: Image.Image) -> Image.Image:
    """Return `ground` with `image` of the same size laid over it, in the mode of `ground`."""
    laid = Image.alpha_composite(ground.convert("RGBA"), image.convert("RGBA"))
    return laid.convert(ground.mode)


def on_ground(image: Image.Image, size: Size, background: str) -> tuple[Image.Image, Image.Image]:
    """Return a canvas of `size` in `background`, and `image` in a mode that both have."""
    colour = rgba(background)
    grey = is_grey(colour) and not is_coloured(image)
    clear = colour[3] < 255 or has_alpha(image)
    mode = ("LA" if clear else "L") if grey else ("RGBA" if clear else "RGB")
    fill = (colour[:1] if grey else colour[:3]) + (colour[3:] if clear else ())
    return Image.new(mode, size, fill), image.convert(mode)
