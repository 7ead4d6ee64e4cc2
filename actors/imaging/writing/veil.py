"""What of a picture is not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageChops

from actors.imaging.writing.mapping import Rgb


@dataclass(frozen=True, slots=True)
class Veil:
    """Where a picture is not seen, and has this colour instead, which is also seen elsewhere."""

    seen: Image.Image
    hidden: Image.Image
    colour: Rgb


def veiled(image: Image.Image, seen: Image.Image) -> tuple[Image.Image, Veil]:
    """Return `image` as RGB in which what is not seen has the colour of something that is."""
    image = image.convert("RGB")
    veil = Veil(seen, hidden_by(seen), cast("Rgb", a_colour(image, seen)))
    image.paste(veil.colour, mask=veil.hidden)
    return image, veil


def hidden_by(seen: Image.Image) -> Image.Image:
    """Return where it is not seen; as bits, through which is pasted in a third of the time."""
    return ImageChops.invert(seen).convert("1", dither=Image.Dither.NONE)


def a_colour(image: Image.Image, seen: Image.Image) -> tuple[int, ...]:
    """Return the colour of one pixel of `image` (RGB or RGBA) that is seen."""
    _, top, _, _ = seen.getbbox() or (0, 0, 0, 0)
    left, _, _, _ = seen.crop((0, top, seen.width, top + 1)).getbbox() or (0, 0, 0, 0)
    return cast("tuple[int, ...]", image.getpixel((left, top)))


def between(alpha: Image.Image, first: int, last: int) -> Image.Image:
    """Return 255 where alpha is one of these levels, and 0 elsewhere."""
    return alpha.point([255 * (first <= level <= last) for level in range(256)])
