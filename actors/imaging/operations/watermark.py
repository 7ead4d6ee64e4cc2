"""Laying a mark over a picture: another picture, or a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from importlib import resources
from io import BytesIO
from typing import Annotated, TypeAlias

from msgspec import Meta
from msgspec.structs import replace
from PIL import Image, ImageDraw, ImageFont, ImageText

from actors.imaging.album import Album
from actors.imaging.errors import ImageError, ImpossibleRecipe
from actors.imaging.facts import Size
from actors.imaging.geometry import scale
from actors.imaging.modes import is_coloured, is_grey
from actors.imaging.operations.covering import canvas_of
from actors.imaging.operations.framing import over
from actors.imaging.operations.turning import Rotate
from actors.imaging.step import (
    END,
    Apply,
    Color,
    Direction,
    Fault,
    Offset,
    Rate,
    Scene,
    Step,
    in_pixels,
    place,
    resolved,
    rgba,
)

# A mark, and where its top left is.
_Laid: TypeAlias = tuple[Image.Image, tuple[int, int]]

_MAX_FONT_SIZE = 4096
# At which a text is measured.
_MEASURED_SIZE = 100
# At least so high is what is tiled at once.
_BAND = 128
# Unless it is told, letters are this share of the shorter edge, but can be read.
_FONT_SHARE, _LEAST_FONT_SIZE = 0.05, 12
# So many characters of that size cover little of a picture.
_SHORT = 50

Text: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        # The last two are newlines by another name, which Raqm refuses.
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]*$",
        description="1 to 500 characters, none of them for control but newlines",
    ),
]
ImageId: TypeAlias = Annotated[
    str, Meta(pattern=rf"^[A-Za-z0-9_-]{{1,64}}{END}", description="the image_id of an image")
]


class Watermark(Step, frozen=True):
    """Lay a mark over the picture: another `image`, by its id, or a `text`.

    It lies by `gravity`, `dx` and `dy` away from the edges there (to the right and down from the
    middle), always whole and inside the picture; or, with `tile`, again and again over all of it,
    `dx` and `dy` apart. It is turned clockwise by `angle` degrees. `opacity` is how much it covers.

    `scale` is the width before turning, as a share of the picture's. Without it an image is as
    large as it is, and the letters of a text are `font_size` pixels high, by default 5% of the
    shorter edge, but at least 12 pixels. What would not fit into the picture is made smaller. A
    text is written in `color`.

    A text can have several lines, and be in any script that DejaVu Sans has, such as Latin, Greek,
    Cyrillic, Arabic or Hebrew; any other character, as of Chinese, is shown as a box.
    """

    image: ImageId | None = None
    text: Text | None = None
    gravity: Direction = "center"
    dx: Offset = 0
    dy: Offset = 0
    opacity: Annotated[float, Meta(ge=0, le=1)] = 1
    scale: Annotated[float, Meta(gt=0, le=1)] | None = None
    tile: bool = False
    angle: Annotated[float, Meta(ge=-360, le=360)] = 0
    font_size: Annotated[int, Meta(ge=1, le=_MAX_FONT_SIZE)] | None = None
    color: Color = "white"

    def faults(self) -> Iterator[Fault]:
        """See `Step`."""
        if self.image is None:
            if self.text is None:
                yield "image", "or a text is missing"
            if self.font_size is not None and self.scale is not None:
                yield "font_size", "goes with no scale"
            if self.text is not None and self.text.isspace():
                yield "text", "must have something that can be seen"
            return
        if self.text is not None:
            yield "text", "goes with no image"
        if self.font_size is not None:
            yield "font_size", "goes with no image"
        if self.color != "white":
            yield "color", "goes with no image"

    @property
    def rate(self) -> Rate:
        """See `Step`."""
        # A picture can be covered by what is tiled, but with one narrow strip of it at a time.
        if self._is_short:
            return Rate(8, 10, kept=2 if self.tile else 0)
        return Rate(28, 30, kept=4)

    @property
    def _is_short(self) -> bool:
        """Whether it is a few words in letters that are small beside the picture."""
        if self.text is None or self.scale is not None or self.font_size is not None:
            return False
        return len(self.text) <= _SHORT and "\n" not in self.text

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """See `Step`."""
        across, down = scene.size
        return (replace(self, dx=in_pixels(self.dx, across), dy=in_pixels(self.dy, down)),)

    def needs(self) -> tuple[str, ...]:
        """See `Step`."""
        return () if self.image is None else (self.image,)

    def prepare(self, size: Size, album: Album) -> Apply:
        """See `Step`.

        Raises:
          ImpossibleRecipe: if the image cannot be read, or nothing of the text can be seen.
        """
        mark = self._written(size) if self.image is None else self._shown(size, self.image, album)
        # What is turned reaches a pixel or two further than was reckoned with.
        width, height = min(mark.width, size[0]), min(mark.height, size[1])
        x, y = place((width, height), mark.size, "center")
        mark = mark.crop((x, y, x + width, y + height))
        marks = tuple(self._tiles(mark, size)) if self.tile else (self._single(mark, size),)
        grey = mark.mode == "LA"

        def apply(image: Image.Image) -> Image.Image:
            canvas = canvas_of(image, grey=grey)
            for part, (x, y) in marks:
                box = (x, y, x + part.width, y + part.height)
                canvas.paste(over(canvas.crop(box), part), box)
            return canvas

        return apply

    def _shown(self, size: Size, name: str, album: Album) -> Image.Image:
        """Return an image as a mark."""
        try:
            width, height = map(float, album.size(name))
            if self.scale is not None:
                width, height = size[0] * self.scale, height * size[0] * self.scale / width
            room = self._room((width, height), size)
            wanted = max(1, round(width * room)), max(1, round(height * room))
            mark = album.picture(name, wanted)
        except ImageError as error:
            raise ImpossibleRecipe("the image that is its mark cannot be read") from error
        # A copy in any case.
        mark = mark.convert("RGBA" if is_coloured(mark) else "LA")
        mark = Rotate(self.angle).apply(mark)
        mark.putalpha(_faded(mark.getchannel("A"), self.opacity))
        return mark

    def _written(self, size: Size) -> Image.Image:
        """Return a text as a mark."""
        ink = self._ink(self._font_size(size))
        room = self._room(ink.size, size)
        if room < 1:
            # Letters do not shrink evenly, and none is smaller than a pixel.
            ink = scale(ink, (max(1, int(ink.width * room)), max(1, int(ink.height * room))))
        ink = Rotate(self.angle, "black").apply(ink)
        colour = rgba(self.color)
        mark = Image.new("RGB", ink.size, colour[:3]).convert("LA" if is_grey(colour) else "RGBA")
        mark.putalpha(_faded(ink, self.opacity * colour[3] / 255))
        return mark

    def _font_size(self, size: Size) -> float:
        """Return the one that is wanted, or what fits: a text must never be drawn far too large."""
        _, (width, height), _ = self._set(_MEASURED_SIZE)
        wanted = self.font_size or max(_LEAST_FONT_SIZE, _FONT_SHARE * min(size))
        if self.scale is not None:
            wanted = _MEASURED_SIZE * self.scale * size[0] / width
        growth = wanted / _MEASURED_SIZE
        room = self._room((width * growth, height * growth), size)
        return min(max(wanted * room, 1.0), _MAX_FONT_SIZE)

    def _ink(self, font_size: float) -> Image.Image:
        """Return the text as coverage, in letters of this size, cut to what is seen."""
        words, canvas, start = self._set(font_size)
        ink = Image.new("L", canvas)
        ImageDraw.Draw(ink).text(start, words, 255, align=self._align)
        seen = ink.getbbox()
        if seen is None:
            raise ImpossibleRecipe("nothing of its text can be seen")
        return ink.crop(seen)

    def _set(self, font_size: float) -> tuple[ImageText.Text[str], Size, tuple[int, int]]:
        """Return the text in letters of this size, how large a canvas it takes, and where on it.

        Blanks take room like any letter, so what fits is never far larger than what is seen.
        """
        # Laid out by Raqm, if Pillow has it: else without ligatures, and from left to right only.
        font = ImageFont.truetype(BytesIO(_font()), font_size)
        words = ImageText.Text(self.text or "", font, "L", spacing=round(font_size / 4))
        left, top, right, bottom = words.get_bbox(align=self._align)
        # Not further left, where Pillow rounds the other way; what is above is blank.
        x, y = max(0, math.ceil(-left)), math.ceil(-top)
        return words, (max(1, x + math.ceil(right)), max(1, y + math.ceil(bottom))), (x, y)

    @property
    def _align(self) -> str:
        if "west" in self.gravity:
            return "left"
        return "right" if "east" in self.gravity else "center"

    def _room(self, mark: tuple[float, float], size: Size) -> float:
        """Return how much smaller `mark` must be made to fit when it is turned; 1 if it fits."""
        turn = math.radians(self.angle)
        cosine, sine = round(abs(math.cos(turn)), 15), round(abs(math.sin(turn)), 15)
        across = mark[0] * cosine + mark[1] * sine
        down = mark[0] * sine + mark[1] * cosine
        return min(1.0, size[0] / across, size[1] / down)

    def _single(self, mark: Image.Image, size: Size) -> _Laid:
        x, y = place(mark.size, size, self.gravity)
        dx, dy = resolved(self.dx), resolved(self.dy)
        x += -dx if "east" in self.gravity else dx
        y += -dy if "south" in self.gravity else dy
        return mark, (
            min(max(x, 0), size[0] - mark.width),
            min(max(y, 0), size[1] - mark.height),
        )

    def _tiles(self, mark: Image.Image, size: Size) -> Iterator[_Laid]:
        """Yield bands of tiles, as wide as the picture: of the smallest tiles too there are few."""
        across = mark.width + resolved(self.dx)
        down = mark.height + resolved(self.dy)
        x, y = place(mark.size, size, self.gravity)
        row = Image.new(mark.mode, (size[0], mark.height))
        for left in range(x % across - across, size[0], across):
            row.paste(mark, (left, 0))
        rows = max(1, _BAND // down)
        band = Image.new(mark.mode, (size[0], (rows - 1) * down + mark.height))
        for number in range(rows):
            band.paste(row, (0, number * down))
        for top in range(y % down - down, size[1], rows * down):
            first, last = max(top, 0), min(top + band.height, size[1])
            if first < last:
                # Bands that are whole are the same picture, not as many copies of it.
                cut = band.crop((0, first - top, size[0], last - top))
                yield (band if cut.size == band.size else cut), (0, first)


@cache
def _font() -> bytes:
    return resources.files("actors.imaging").joinpath("fonts", "DejaVuSans.ttf").read_bytes()


def _faded(alpha: Image.Image, opacity: float) -> Image.Image:
    return alpha.point([round(level * opacity) for level in range(256)])
