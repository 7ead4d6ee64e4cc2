"""Operations that lay something over or under what is seen."""

from __future__ import annotations

import math
from typing import Literal

from msgspec.structs import replace
from PIL import Image, ImageChops, ImageStat

from actors.imaging.album import Album
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import Size
from actors.imaging.modes import coloured, has_alpha, is_coloured, is_grey, premultiplied
from actors.imaging.operations.framing import on_ground, over
from actors.imaging.step import (
    Apply,
    Color,
    Length,
    Offset,
    Rate,
    Scene,
    Step,
    exactly,
    in_pixels,
    resolved,
    rgba,
)

# Scanlines in each row of pixels that a rounded edge crosses.
_SCANLINES = 32

# What may be left of a redacted region: so many averages along its longer edge, each of a block at
# least so many pixels long, and in steps of so many of the 256 levels. A finer mosaic of what has
# few possible shapes, such as digits, can be undone by trying which of them has these averages.
_BLOCKS = 4
_BLOCK_EDGE = 16
_STEP = 17


class Round(Step, frozen=True):
    """Round the corners off, by arcs of `radius`; what they cut off is `background`.

    A share is one of the shorter edge: "50%" makes a circle of a square, and of anything else a
    shape with two half circles for ends. A larger radius does the same. `background` also shows
    through where the picture is transparent.
    """

    radius: Length
    background: Color = "transparent"

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        # It takes 25, and the allocator may keep two more.
        return Rate(27, 65, kept=1)

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        # Upwards: half of an odd edge must still be a half circle.
        radius = math.ceil(exactly(self.radius, min(scene.size)))
        return (replace(self, radius=radius),) if radius else ()

    def prepare(self, size: Size, album: Album) -> Apply:
        """See `Step`."""
        mask = _rounded(size, min(resolved(self.radius), min(size) / 2))

        def apply(image: Image.Image) -> Image.Image:
            canvas, image = on_ground(image, image.size, self.background)
            clear = image.convert("RGBA" if is_coloured(image) else "LA")
            clear.putalpha(ImageChops.multiply(clear.getchannel("A"), mask))
            return over(canvas, clear)

        return apply


def _rounded(size: Size, radius: float) -> Image.Image:
    """Return how much of each pixel is left when the corners are rounded off."""
    mask = Image.new("L", size, 255)
    corner = _corner(radius)
    right, bottom = size[0] - corner.width, size[1] - corner.height
    for cut, x, y in (
        (corner, 0, 0),
        (corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT), right, 0),
        (corner.transpose(Image.Transpose.FLIP_TOP_BOTTOM), 0, bottom),
        (corner.transpose(Image.Transpose.ROTATE_180), right, bottom),
    ):
        # Two corners can meet in one pixel, and each takes its part of it.
        box = (x, y, x + cut.width, y + cut.height)
        mask.paste(ImageChops.subtract(mask.crop(box), cut), box)
    return mask


def _corner(radius: float) -> Image.Image:
    """Return how much of each pixel is cut off at the top left."""
    edge = math.ceil(radius)
    rows = bytearray()
    for y in range(edge):
        # How far each scanline is cut; the further up, the further.
        cuts = [
            radius - math.sqrt(radius**2 - max(0.0, radius - y - (number + 0.5) / _SCANLINES) ** 2)
            for number in range(_SCANLINES)
        ]
        first, last = math.floor(cuts[-1]), math.ceil(cuts[0])
        rows += b"\xff" * first
        rows += bytes(
            round(255 * sum(min(max(cut - x, 0.0), 1.0) for cut in cuts) / _SCANLINES)
            for x in range(first, last)
        )
        rows += bytes(edge - last)
    return Image.frombytes("L", (edge, edge), bytes(rows))


class Border(Step, frozen=True):
    """Draw a border of `width` inside the picture, which stays as large as it is.

    A share is one of the shorter edge. Through a translucent `color` the picture is seen.
    """

    width: Length
    color: Color = "black"

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        width = in_pixels(self.width, min(scene.size))
        return (replace(self, width=width),) if width else ()

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        width = resolved(self.width)
        across, down = image.size
        left, top = min(width, across), min(width, down)
        right, bottom = max(across - width, left), max(down - width, top)
        colour = rgba(self.color)
        canvas = canvas_of(image, grey=is_grey(colour))
        for box in (
            (0, 0, across, top),
            (0, bottom, across, down),
            (0, top, left, bottom),
            (right, top, across, bottom),
        ):
            side = canvas.crop(box)
            canvas.paste(over(side, Image.new("RGBA", side.size, colour)), box)
        return canvas


class Background(Step, frozen=True):
    """Lay `color` under the picture, so that nothing is transparent any more if `color` is not."""

    color: Color = "white"

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        return Rate(20, 18)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        if not has_alpha(image):
            return image
        flat = over(*on_ground(image, image.size, self.color))
        return flat.convert(flat.mode.removesuffix("A")) if rgba(self.color)[3] == 255 else flat


class Redact(Step, frozen=True):
    """Make a region unrecognisable, such as a face or a number plate.

    The region, `width` x `height` at `x`, `y`, must be inside the picture; every pixel that a share
    touches belongs to it. The `style` `fill` makes it black, and leaves nothing. `pixelate` and
    `blur` leave a few averages, and nothing else: at most 4 x 4, each of a block about 16 pixels
    long or longer, where the region is so large, and in 16 steps. They tell roughly how bright the
    region was, of what colour and how transparent, in an animation for every frame. Where that is
    too much, use `fill`.
    """

    x: Offset
    y: Offset
    width: Length
    height: Length
    style: Literal["pixelate", "blur", "fill"] = "pixelate"

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        left, right = _touched(self.x, self.width, scene.size[0])
        top, bottom = _touched(self.y, self.height, scene.size[1])
        return (replace(self, x=left, y=top, width=right - left, height=bottom - top),)

    def apply(self, image: Image.Image) -> Image.Image:
        """See `Step`."""
        x, y, width, height = (
            resolved(length) for length in (self.x, self.y, self.width, self.height)
        )
        box = (x, y, x + width, y + height)
        if self.style == "fill":
            cover = Image.new(image.mode, (width, height), "black")
        else:
            blurs = self.style == "blur"
            method = Image.Resampling.BILINEAR if blurs else Image.Resampling.NEAREST
            cover = _averages(image.crop(box)).resize((width, height), method).convert(image.mode)
        redacted = image.copy()
        redacted.paste(cover, box)
        return redacted


def _touched(offset: int | str, length: int | str, whole: int) -> tuple[int, int]:
    """Return the first pixel that is touched, and the first one that is not any more."""
    start = exactly(offset, whole)
    end = start + exactly(length, whole)
    # Shares that come to a little more than 100 % have been rounded by whoever sent them.
    first, last = math.floor(start), min(math.ceil(end), whole)
    if end >= whole + 1 or first >= last:
        raise ImpossibleRecipe(
            f"a region of {length} from {offset} on is not in an edge of {whole} pixels"
        )
    return first, last


def _averages(part: Image.Image) -> Image.Image:
    """Return the averages of the blocks of `part`, one pixel for each, premultiplied."""
    side = max(_BLOCK_EDGE, math.ceil(max(part.size) / _BLOCKS))
    columns, rows = (max(1, round(edge / side)) for edge in part.size)
    # What is transparent has a colour too, and that would be a part of the average.
    shown = premultiplied(part)
    levels = bytearray()
    for row in range(rows):
        for column in range(columns):
            block = shown.crop(
                (
                    column * part.width // columns,
                    row * part.height // rows,
                    (column + 1) * part.width // columns,
                    (row + 1) * part.height // rows,
                )
            )
            # By histogram, which is exact: Pillow's own ways to shrink round once for each axis,
            # and so tell a little of what is inside a block.
            levels += bytes(round(mean / _STEP) * _STEP for mean in ImageStat.Stat(block).mean)
    return Image.frombytes(shown.mode, (columns, rows), bytes(levels))


def canvas_of(image: Image.Image, *, grey: bool) -> Image.Image:
    """Return a copy of `image` to paint on in any colour, or in any that is `grey`."""
    return image.copy() if grey or is_coloured(image) else coloured(image)
