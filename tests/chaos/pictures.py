"""What clients send."""

import io
from functools import cache
from random import Random

from PIL import Image

LARGE = (1600, 1200)
TWINS = 3


def encode(image: Image.Image, kind: str = "JPEG") -> bytes:
    """Return the file of a picture."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


@cache
def large() -> Image.Image:
    """A picture that takes some tens of milliseconds."""
    return Image.effect_mandelbrot(LARGE, (-2.0, -1.2, 1.0, 1.2), 40).convert("RGB")


def draw(kind: str, chance: int) -> bytes:
    """Return what a client sends that does work of this kind."""
    dice = Random(chance)  # noqa: S311 - nothing here is secret
    if kind == "garbage":
        return b"no picture" + dice.randbytes(100)
    if kind == "twin":
        dice = Random(chance % TWINS)  # noqa: S311 - nothing here is secret
    image = large().copy() if kind == "large" else Image.new("RGB", (48, 32), "#1b3558")
    for _ in range(40):
        place = dice.randrange(image.width), dice.randrange(image.height)
        image.putpixel(place, tuple(dice.randbytes(3)))
    return encode(image, "JPEG" if kind == "large" else dice.choice(("JPEG", "PNG")))
