"""What a client can ask to be made of an image.

The structs are also the JSON that clients send and the catalogue keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

from msgspec import DecodeError, Meta, Struct, json

from actors.imaging.expect import Expect
from actors.imaging.facts import Written
from actors.imaging.operations.covering import Background, Border, Redact, Round
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.filters import Blur, Pixelate, Sharpen
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Scale, Thumbnail
from actors.imaging.operations.tones import (
    Autocontrast,
    Brightness,
    Contrast,
    Duotone,
    Equalize,
    Gamma,
    Grayscale,
    Hue,
    Invert,
    Opacity,
    Posterize,
    Saturation,
    Sepia,
    Tint,
)
from actors.imaging.operations.turning import Autorotate, Flip, Flop, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.step import END, Color, Fault

Operation: TypeAlias = (
    Resize
    | Thumbnail
    | Scale
    | Crop
    | Trim
    | Pad
    | Rotate
    | Autorotate
    | Flip
    | Flop
    | Blur
    | Sharpen
    | Pixelate
    | Grayscale
    | Sepia
    | Invert
    | Autocontrast
    | Equalize
    | Brightness
    | Contrast
    | Saturation
    | Hue
    | Gamma
    | Tint
    | Duotone
    | Posterize
    | Opacity
    | Round
    | Border
    | Background
    | Redact
    | Watermark
)

Quality: TypeAlias = Annotated[int, Meta(ge=1, le=100)]
Name: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^[a-z0-9][a-z0-9_-]{{0,31}}{END}",
        description="up to 32 of a-z, 0-9, - and _, with none of the last two in front",
    ),
]

MAX_OPERATIONS = 32
MAX_OUTPUTS = 16
MAX_OTHERS = 8  # images that a recipe names besides; a Worker has them all in memory

# What is never written without loss. An AVIF could be, were the colours of its encoder not off by
# up to 3 levels.
LOSSY: frozenset[Written] = frozenset({"jpeg", "avif", "gif"})
# What is demanded of a picture, and not only wished for.
_DEMANDS = ("lossless", "max_bytes", "min_ssim", "expect")


class Encoding(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a result is written.

    What a format does not know is ignored, such as the `quality` of a PNG; but never `lossless`,
    `max_bytes`, `min_ssim` and `expect`, which are demands.

    `format` is that of the original unless it is given; what is made of a HEIC, which is not
    written, is then a JPEG, or a PNG if something shows through or it is `lossless`. `auto` is the
    one that suits the picture best of those that the client accepts. `json` is no picture, but the
    facts about it, of which nothing can be demanded.

    `quality` is 90 for JPEG and WebP and 75 for AVIF unless it is given. With `lossless` every
    pixel is as it was: `auto` is then a WebP or a PNG, and nothing is made a JPEG, an AVIF or a
    GIF. `progressive` is for JPEG, `subsampling` (of the colours, 4:2:0 unless it is given) for
    JPEG and AVIF. With more `effort` files are smaller and take longer. With `colors` a PNG or a
    GIF gets a palette of at most so many. `dpi` is noted in JPEG, PNG and TIFF, and changes no
    pixel.

    `max_bytes` takes the best quality that fits, and `min_ssim` the lowest one at which the picture
    still has that likeness to what was to be written, where 1 is the same. Neither takes more than
    `quality`, if that is given; if no quality will do, the job fails.

    Of the `metadata`, `copyright` keeps the names of the artist and of who holds the rights, and
    `all` what the EXIF says in texts, of up to 4,096 bytes, and in short numbers: how, when and by
    whom the picture was taken, and the place. Nothing that could hold a picture is ever kept: no
    thumbnail, no notes of the maker's, no field that the standard does not know, and neither XMP
    nor IPTC. What `autorotate` has not turned upright still says so with both, unless an operation
    turns it.

    `background` lies under what is transparent, where a format has no transparency. `profile` says
    what becomes of the colours that a profile explains: `srgb` converts them, `keep` leaves them as
    they are with their profile, `strip` without it; but inks (CMYK) are always converted. Of an
    `animation`, `first` is the first frame. What is in `expect` is checked of the finished file.
    """

    format: Written | Literal["auto", "json"] | None = None
    quality: Quality | None = None
    lossless: bool = False
    progressive: bool = False
    effort: Annotated[int, Meta(ge=1, le=9)] | None = None
    max_bytes: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    min_ssim: Annotated[float, Meta(gt=0, le=1)] | None = None
    subsampling: Literal["4:4:4", "4:2:2", "4:2:0"] | None = None
    colors: Annotated[int, Meta(ge=2, le=256)] | None = None
    dpi: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    background: Color = "white"
    metadata: Literal["none", "copyright", "all"] = "none"
    profile: Literal["srgb", "keep", "strip"] = "srgb"
    animation: Literal["keep", "first"] = "keep"
    expect: Expect | None = None

    def faults(self) -> Iterable[Fault]:
        """Return what is wrong with members that are right by themselves: which one, and why."""
        if self.format == "json":
            for name in _DEMANDS:
                if getattr(self, name):
                    yield name, "goes with no json"
        if self.lossless and self.format in LOSSY:
            yield "lossless", f"goes with no {self.format}, but with webp, png and tiff"
        if self.lossless and self.colors is not None:
            yield "colors", "goes with no lossless"


class Output(Encoding, frozen=True, kw_only=True):
    """One result: its `name`, what is done for it, in this order, and how it is written.

    `accepts` is what `auto` may choose from.
    """

    name: Name = "output"
    accepts: tuple[Written, ...] = ()
    operations: Annotated[tuple[Operation, ...], Meta(max_length=MAX_OPERATIONS)] = ()


class Recipe(Struct, frozen=True, forbid_unknown_fields=True):
    """What to make of an image: one or more `outputs`, each from the original.

    Unless `autorotate` is false it is turned upright first, as its EXIF says.
    """

    outputs: Annotated[tuple[Output, ...], Meta(min_length=1, max_length=MAX_OUTPUTS)]
    autorotate: bool = True

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the other images that its operations need, each once."""
        named = (
            name for output in self.outputs for step in output.operations for name in step.needs()
        )
        return tuple(dict.fromkeys(named))


# Made once, and now: what msgspec must know of a type, it finds out when it first decodes one, and
# the process dies if two threads do that at the same moment.
_DECODER = json.Decoder(Recipe)


def encode_recipe(recipe: Recipe) -> str:
    """Return `recipe` as JSON, with every default spelt out, so that it keeps its meaning."""
    return json.encode(recipe).decode()


def decode_recipe(text: str) -> Recipe:
    """Return the recipe that `text` holds.

    Raises:
      msgspec.DecodeError: if it is not JSON, or, as its subclass `ValidationError`, no recipe.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise DecodeError("It is nested too deep.") from error
