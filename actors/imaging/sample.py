"""A picture with the texture of a photograph, for those who have none at hand."""

import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from actors.imaging.encode import encode
from actors.imaging.recipe import Encoding

# Cells along the longer edge, and how much of each layer is seen: light, shapes, surfaces.
_LAYERS = ((5, 1.0), (24, 0.35), (160, 0.18))
_SHAPES = 24
# Of 256 levels: about what a small sensor adds on a dull day.
_NOISE = 12
_QUALITY = 90


def photo(width: int, height: int, seed: int) -> bytes:
    """Return a JPEG of this size: soft gradients, edges and noise. The same seed, the same bytes.

    Two megapixels make about 450 KB, as many a telephone does.
    """
    dice = random.Random(seed)  # noqa: S311 - nothing here is secret
    image = Image.new("RGB", (width, height))
    for cells, weight in _LAYERS:
        image = Image.blend(image, _gradients(dice, (width, height), cells), weight)
    image = ImageChops.blend(image, _shapes(dice, image), 0.5)
    return encode([_noisy(dice, image)], "jpeg", Encoding(quality=_QUALITY)).data


def _gradients(dice: random.Random, size: tuple[int, int], cells: int) -> Image.Image:
    across = max(2, cells * size[0] // max(size))
    down = max(2, cells * size[1] // max(size))
    coarse = Image.frombytes("RGB", (across, down), dice.randbytes(3 * across * down))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def _shapes(dice: random.Random, image: Image.Image) -> Image.Image:
    shapes = image.copy()
    pen = ImageDraw.Draw(shapes)
    edge = max(image.size)
    for _ in range(_SHAPES):
        x, y = dice.randrange(image.width), dice.randrange(image.height)
        radius = dice.uniform(0.01, 0.12) * edge
        box = (x - radius, y - radius * dice.uniform(0.3, 1), x + radius, y + radius)
        pen.ellipse(box, fill=(*dice.randbytes(3),))
    return shapes.filter(ImageFilter.GaussianBlur(edge / 1_500))


def _noisy(dice: random.Random, image: Image.Image) -> Image.Image:
    grain = Image.frombytes("L", image.size, dice.randbytes(image.width * image.height))
    grain = grain.point([_NOISE * level // 255 for level in range(256)])
    return ImageChops.add(image, Image.merge("RGB", (grain, grain, grain)), offset=-_NOISE // 2)
