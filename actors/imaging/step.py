"""What an operation is: a struct that says what is wanted, and in it the function that does it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, TypeAlias

from msgspec import Meta, Struct
from PIL import Image, ImageColor

from actors.imaging.facts import Size

if TYPE_CHECKING:
    from actors.imaging.album import Album

MAX_LENGTH = 16_384
Colour: TypeAlias = tuple[int, int, int, int]
Fault: TypeAlias = tuple[str, str]
Apply: TypeAlias = Callable[[Image.Image], Image.Image]

# By itself, `$` also fits in front of a newline that is the last character.
END = r"(?!\n)$"

_SHARE = rf"(?:[0-9]{{1,3}}|[0-9]{{1,3}}\.[0-9]{{1,4}})%{END}"
# In any case, and so that the patterns of JSON Schema, which are JavaScript's, can say it too.
_NAMES = "|".join(
    "".join(f"[{letter}{letter.upper()}]" for letter in name)
    for name in sorted((*ImageColor.colormap, "transparent"))
)
_DIGITS = "|".join(f"[0-9a-fA-F]{{{number}}}" for number in (3, 4, 6, 8))
_ShareOrNothing: TypeAlias = Annotated[str, Meta(pattern=f"^{_SHARE}")]
Share: TypeAlias = Annotated[str, Meta(pattern=rf"^(?!0+(?:\.0+)?%){_SHARE}")]

# `description` is what a client is told who says something else.
Length: TypeAlias = Annotated[
    Annotated[int, Meta(ge=1, le=MAX_LENGTH)] | Share,
    Meta(description=f'pixels from 1 to {MAX_LENGTH}, or a share above 0 such as "25%"'),
]
Offset: TypeAlias = Annotated[
    Annotated[int, Meta(ge=0, le=MAX_LENGTH)] | _ShareOrNothing,
    Meta(description=f'pixels from 0 to {MAX_LENGTH}, or a share such as "25%"'),
]
Color: TypeAlias = Annotated[
    str,
    Meta(
        pattern=rf"^(?:#(?:{_DIGITS})|{_NAMES}){END}",
        description="a color: #rgb, #rgba, #rrggbb, #rrggbbaa, a CSS name or transparent",
    ),
]


class FocalPoint(Struct, frozen=True, forbid_unknown_fields=True):
    """A point to keep, as shares of the width and of the height from the top left."""

    x: Annotated[float, Meta(ge=0, le=1)]
    y: Annotated[float, Meta(ge=0, le=1)]


Direction: TypeAlias = Literal[
    "center",
    "north",
    "northeast",
    "east",
    "southeast",
    "south",
    "southwest",
    "west",
    "northwest",
]
Gravity: TypeAlias = Annotated[
    Direction | Literal["smart"] | FocalPoint,
    Meta(description='a direction such as north, or smart, or a point such as {"x":0.5,"y":0.3}'),
]

_PULLS: Mapping[str, tuple[float, float]] = {
    "center": (0.5, 0.5),
    "north": (0.5, 0.0),
    "northeast": (1.0, 0.0),
    "east": (1.0, 0.5),
    "southeast": (1.0, 1.0),
    "south": (0.5, 1.0),
    "southwest": (0.0, 1.0),
    "west": (0.0, 0.5),
    "northwest": (0.0, 0.0),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """The picture where a step is due: its `size`, and what it looks like.

    `look` may be called only by a step that says that it `looks`. Of an animation it is the first
    frame, so that every frame is treated alike.
    """

    size: Size
    look: Callable[[], Image.Image]


class Rate(NamedTuple):
    """What a step takes for each pixel, of the picture before it or of that after: of the larger.

    `memory` is in bytes, with what it makes but without what it is given; `time` is in nanoseconds
    of a core. Of the memory, `kept` is what it is done with, and is still there for the next frame
    of an animation. They are measured: see docs/planning.md.
    """

    memory: float
    time: float
    kept: float = 0


class Step(Struct, frozen=True, forbid_unknown_fields=True, tag_field="op", tag=str.lower):
    """One operation.

    A picture is in one of the modes L, LA, RGB and RGBA, not premultiplied, and in sRGB; what
    `apply` makes of it must be as well. A picture that comes in is never changed: it may be shared.
    """

    @property
    def looks(self) -> bool:
        """Whether `resolve` depends on the pixels."""
        return False

    def faults(self) -> Iterable[Fault]:
        """Return what is wrong with members that are right by themselves: which one, and why."""
        return ()

    def resolve(self, scene: Scene) -> tuple[Step, ...]:
        """Return the same in whole pixels; a step that is so already returns itself.

        Raises:
          ImpossibleRecipe: if the step does not fit the picture.
        """
        return (self,)

    def size_after(self, size: Size) -> Size:
        """Return the size of what a resolved step makes of a picture of `size`."""
        return size

    def unseen(self) -> Step | None:
        """Return what makes a picture of the same size as a step that looks, without looking.

        None if the size depends on the pixels.
        """
        return None

    @property
    def rate(self) -> Rate:
        """What a resolved step takes at most, and a step that looks to be resolved."""
        return Rate(8, 10)

    def needs(self) -> tuple[str, ...]:
        """Return the names of the other pictures that `prepare` must be given."""
        return ()

    def prepare(self, size: Size, album: Album) -> Apply:
        """Return what a resolved step does to each frame; all frames are of this `size`.

        Args:
          album: the other pictures that the recipe names.
        """
        return self.apply

    def apply(self, image: Image.Image) -> Image.Image:
        """Return what a resolved step makes of `image`."""
        raise NotImplementedError(type(self).__name__)


def in_pixels(length: int | str, whole: int) -> int:
    """Return a `Length` or an `Offset` in whole pixels; a share is one of `whole`."""
    return nearest(exactly(length, whole))


def exactly(length: int | str, whole: int) -> Fraction:
    """Return a `Length` or an `Offset` in pixels and parts of them; a share is one of `whole`."""
    if isinstance(length, int):
        return Fraction(length)
    return whole * Fraction(length.removesuffix("%")) / 100


def nearest(length: Fraction | float) -> int:
    """Return the whole number that is next to `length`: from a half on, the larger one."""
    return (math.floor(2 * length) + 1) // 2


def resolved(length: int | str | None) -> int:
    """Return a length of a resolved step, which is in whole pixels."""
    if not isinstance(length, int):
        raise TypeError("only a resolved step has its lengths in pixels")
    return length


def rgba(color: str) -> Colour:
    """Return a `Color` as red, green, blue and alpha."""
    if color.lower() == "transparent":
        return 0, 0, 0, 0
    red, green, blue, *alpha = ImageColor.getrgb(color)
    return red, green, blue, alpha[0] if alpha else 255


def place(inner: Size, outer: Size, gravity: Direction | FocalPoint) -> tuple[int, int]:
    """Return where the top left of `inner` is in `outer`, or in which it is the other way round.

    A direction puts the two edges or corners together. A focal point of `outer` comes as near to
    the middle of `inner` as their edges allow.
    """
    across, down = outer[0] - inner[0], outer[1] - inner[1]
    if isinstance(gravity, FocalPoint):
        x = round(gravity.x * outer[0] - inner[0] / 2)
        y = round(gravity.y * outer[1] - inner[1] / 2)
        return min(max(x, 0), max(across, 0)), min(max(y, 0), max(down, 0))
    pull_x, pull_y = _PULLS[gravity]
    return math.floor(across * pull_x), math.floor(down * pull_y)
