"""What is known of an output before it is made, from its recipe and the header of the image."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from actors.imaging.course import Window
from actors.imaging.encode import ANIMATED
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import Facts, Limits, Size, Written, as_turned
from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.recipe import LOSSY, Operation, Output, Recipe

# What `auto` prefers, if the client takes it: for what moves, for what one can see through, and for
# all else.
MOVING: tuple[Written, ...] = ("webp", "avif", "gif", "png")
CLEAR: tuple[Written, ...] = ("avif", "webp", "png", "gif", "jpeg")
OPAQUE: tuple[Written, ...] = ("avif", "webp", "jpeg", "png", "gif")

# Facts are told of a small copy.
_DESCRIBED = Thumbnail(512, 512, enlarge=False)


def told_apart(output: Output, recipe: Recipe) -> str | None:
    """Return the name that tells `output` from others; None if there are none."""
    return output.name if len(recipe.outputs) > 1 else None


def settled(output: Output, facts: Facts) -> Output:
    """Return `output` with a format also if it names none: that of the original.

    What is read here and never written becomes what everything can show, with all that is seen.
    """
    if output.format is not None:
        return output
    if facts.format == "heic":
        return replace(output, format="auto", accepts=("jpeg", "png"))
    return replace(output, format=facts.format)


def steps_of(output: Output) -> tuple[Operation, ...]:
    """Return what is done for `output`: what it says, and for facts a small copy."""
    if output.format == "json":
        return (*output.operations, _DESCRIBED)
    return output.operations


def moves(output: Output, facts: Facts) -> bool:
    """Whether `output` of an image, which is `settled`, keeps every frame."""
    formats = _candidates(output) if output.format == "auto" else (output.format,)
    return (
        facts.frames > 1
        and output.animation == "keep"
        and any(each in ANIMATED for each in formats)
    )


def chosen(output: Output, liked: Iterable[Written]) -> Written:
    """Return which format `auto` is, of those that suit the picture, the best first.

    Raises:
      ImpossibleRecipe: if the client takes none of them.
    """
    candidates = _candidates(output)
    kind = next((each for each in liked if each in candidates), None)
    if kind is None:
        raise ImpossibleRecipe("the client takes no format that would do")
    return kind


def _candidates(output: Output) -> tuple[Written, ...]:
    """Return what `auto` may choose from."""
    if not output.lossless:
        return output.accepts
    return tuple(each for each in output.accepts if each not in LOSSY)


@contextmanager
def naming(output: Output) -> Iterator[None]:
    """Have what is impossible inside say that it is this output, as a whole."""
    try:
        yield
    except ImpossibleRecipe as error:
        raise ImpossibleRecipe(f"Output {output.name}: {error}.") from error


def check_frames(size: Size, frames: int, limits: Limits) -> None:
    """Check that so many frames of this size may be made.

    Raises:
      ImpossibleRecipe: if they have too many pixels.
    """
    pixels = size[0] * size[1] * frames
    if pixels > limits.max_total_pixels:
        raise ImpossibleRecipe(
            f"{frames} frames would have {pixels:,} pixels; "
            f"at most {limits.max_total_pixels:,} in all are allowed"
        )


def wanted(window: Window, facts: Facts) -> Size | None:
    """Return the size of the whole original, as stored, from which the window can be taken.

    None if that is not less than all of it.
    """
    if window.scaled is None:
        return None
    left, top, right, bottom = window.box
    width, height = facts.size_as_shown
    needed = (
        math.ceil(window.size[0] * width / (right - left)),
        math.ceil(window.size[1] * height / (bottom - top)),
    )
    return as_turned(needed, facts.orientation)
