"""What the tests of operations share: any picture, and a step done to it."""

import numpy as np
import pytest
from PIL import Image

from actors.imaging.album import EMPTY
from actors.imaging.step import Direction, Scene, Step

MODES = ["L", "LA", "RGB", "RGBA"]
SIZES = [(1, 1), (1, 7), (8, 1), (33, 20)]
GRAVITIES: dict[Direction, tuple[float, float]] = {
    "northwest": (0, 0),
    "north": (0.5, 0),
    "northeast": (1, 0),
    "west": (0, 0.5),
    "center": (0.5, 0.5),
    "east": (1, 0.5),
    "southwest": (0, 1),
    "south": (0.5, 1),
    "southeast": (1, 1),
}


def noise(mode, size, seed=1) -> Image.Image:
    """Any pixels, any transparency; some are fully transparent, and some not at all."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    levels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], bands))
    if mode.endswith("A"):
        levels[..., -1] = (levels[..., -1] * 2 - 128).clip(0, 255)
    return Image.frombytes(mode, size, levels.astype(np.uint8).tobytes())


def perform(step: Step, image: Image.Image) -> Image.Image:
    """Return what `step` makes of `image`, which it must leave alone."""
    before = image.tobytes()
    parts = step.resolve(Scene(image.size, lambda: image))
    for part in parts:
        if parts == (step,):
            result = part.prepare(image.size, EMPTY)(image)
            assert result.size == part.size_after(image.size)
        else:
            result = perform(part, image)
        assert result.mode in MODES
        assert image.tobytes() == before
        image, before = result, result.tobytes()
    return image


def levels(image: Image.Image) -> np.ndarray:
    """The channels as they are, as signed integers: height x width x channels."""
    return np.asarray(image).astype(int).reshape(image.height, image.width, -1)


def shown(image: Image.Image) -> np.ndarray:
    """Red, green, blue and alpha as signed integers."""
    return np.asarray(image.convert("RGBA")).astype(int)


def premultiplied(image: Image.Image) -> np.ndarray:
    """Red, green and blue as far as they are seen, and alpha, from 0 to 255."""
    pixels = shown(image).astype(float)
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels


def with_other_hidden_colours(image: Image.Image) -> Image.Image:
    """Return the same picture, with other colours where it is fully transparent."""
    pixels = levels(image)
    hidden = pixels[..., -1] == 0
    assert hidden.any()
    pixels[hidden, :-1] = 255 - pixels[hidden, :-1]
    return Image.frombytes(image.mode, image.size, pixels.astype(np.uint8).tobytes())


def unseen(width, height):
    """The size of a picture that nobody may look at."""
    return Scene((width, height), lambda: pytest.fail("this step has no need to look"))


def faulty(step):
    """The members at fault."""
    return [name for name, _ in step.faults()]
