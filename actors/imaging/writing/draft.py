"""What is to become a file, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from actors.imaging.recipe import Encoding
from actors.imaging.writing.film import Film, Timing

# Of 1 to 9. What it means is up to each format.
USUAL_EFFORT = 5


@dataclass(frozen=True, slots=True)
class Draft:
    """All that a file is made of, but the quality.

    A `timing` is there if it moves. `icc` and `exif` are what is to be said besides, as it is kept
    in all formats: a profile, and a TIFF without pixels.
    """

    film: Film
    encoding: Encoding
    timing: Timing | None
    icc: bytes | None
    exif: bytes | None

    @property
    def effort(self) -> int:
        """From 1, the fastest, to 9, the smallest."""
        return self.encoding.effort or USUAL_EFFORT


@dataclass(frozen=True, slots=True)
class Encoded:
    """A file. `quality` is the one it was written at, for formats that have one.

    `ssim` tells how like what was to be written it looks, if that was measured; 1 is the same.
    """

    data: bytes
    quality: int | None = None
    ssim: float | None = None
