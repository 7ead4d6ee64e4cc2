"""Animations, as a viewer sees them: each frame whole, with what earlier ones have left on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from actors.imaging.facts import Size

Disposal = Literal["keep", "clear", "restore"]

_Place = tuple[int, int, int, int]

_NOTHING = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Patch:
    """What a frame changes: `image` is put on the canvas with its upper left corner at `place`.

    Where it is transparent, what is there shines through, unless it `replaces` that.
    After `duration` milliseconds the place is kept, made transparent, or restored to what it was.
    """

    image: Image.Image
    place: tuple[int, int]
    duration: int
    disposal: Disposal
    replaces: bool = False


def play(
    size: Size, mode: Literal["RGB", "RGBA"], patches: Iterator[Patch]
) -> Iterator[tuple[Image.Image, int]]:
    """Yield the canvas after each patch, and for how many milliseconds it is seen.

    The canvas is transparent at first, or black in a `mode` without transparency. What is yielded
    must not be changed: the next patch is put on it.
    """
    canvas = Image.new(mode, size, _NOTHING[: len(mode)])
    cleared: _Place | None = None
    for patch in patches:
        if cleared is not None:
            canvas = canvas.copy()
            canvas.paste(_NOTHING[: len(mode)], cleared)
        shown, place = _put(patch, canvas)
        cleared = place if patch.disposal == "clear" else None
        if patch.disposal != "restore":
            canvas = shown
        duration = patch.duration
        # Pictures are large: the next patch is not to be made while this one is still there.
        del patch
        yield shown, duration


def _put(patch: Patch, canvas: Image.Image) -> tuple[Image.Image, _Place | None]:
    """Return a canvas with `patch` on it, and where that is; None if it is beyond the canvas."""
    (left, top), (width, height) = patch.place, patch.image.size
    right, bottom = min(left + width, canvas.width), min(top + height, canvas.height)
    if left >= right or top >= bottom:
        return canvas, None
    place = left, top, right, bottom
    image = patch.image
    if image.size != (right - left, bottom - top):
        image = image.crop((0, 0, right - left, bottom - top))
    covers = patch.replaces or image.mode in {"L", "RGB"}
    if image.mode != canvas.mode and (covers or canvas.mode == "RGBA"):
        image = image.convert(canvas.mode)
    if image.size == canvas.size and covers:
        return image, place
    if image.size == canvas.size and canvas.mode == "RGBA":
        return Image.alpha_composite(canvas, image), place
    canvas = canvas.copy()
    if covers:
        canvas.paste(image, place)
    elif canvas.mode == "RGB":
        canvas.paste(image, place, image)
    else:
        canvas.alpha_composite(image, patch.place)
    return canvas, place
