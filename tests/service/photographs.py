"""Real photographs, and what must have become of them."""

import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

NAMES = (
    "rocket.jpg",
    "retina.jpg",
    "hubble_deep_field.jpg",
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
)
# Mean difference in brightness at 16 x 16 pixels: two encodings of one photograph differ by less
# than 3, two different photographs by more than 30.
ALIKE = 10


def directory() -> Path:
    """Where scikit-image keeps its pictures; it need not be imported for that."""
    found = find_spec("skimage")
    assert found
    assert found.origin
    return Path(found.origin).parent / "data"


@dataclass(frozen=True)
class Photograph:
    """A file, and the picture in it."""

    name: str
    data: bytes
    format: str
    width: int
    height: int

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"

    def is_whole_in(self, data: bytes, kind: str, box: tuple[int, int], *, exact: bool) -> bool:
        """Whether `data` is this photograph as a `kind`, filling `box` or fitting into it."""
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            fits = image.size == box if exact else self._fits_into(box, image.size)
            return image.format == kind.upper() and fits and self._looks_like(image)

    def _fits_into(self, box: tuple[int, int], size: tuple[int, int]) -> bool:
        scale = min(box[0] / self.width, box[1] / self.height)
        off = abs(size[0] - self.width * scale), abs(size[1] - self.height * scale)
        inside = size[0] <= box[0] and size[1] <= box[1]
        return inside and (size[0] == box[0] or size[1] == box[1]) and max(off) <= 0.5

    def _looks_like(self, image: Image.Image) -> bool:
        with Image.open(io.BytesIO(self.data)) as original:
            return difference(original, image) < ALIKE


def difference(one: Image.Image, other: Image.Image) -> float:
    """How much two pictures differ when seen from afar, from 0 to 255."""
    small = [each.convert("L").resize((16, 16), Image.Resampling.BOX) for each in (one, other)]
    return float(ImageStat.Stat(ImageChops.difference(*small)).mean[0])


def load(name: str) -> Photograph:
    """Return the photograph in the file of this name."""
    data = (directory() / name).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        assert image.format
        return Photograph(name, data, image.format.lower(), *image.size)
