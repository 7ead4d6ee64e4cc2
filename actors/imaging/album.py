"""The other images that a recipe names, decoded as often as needed and no oftener."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from PIL import Image

from actors.imaging.colour import to_srgb
from actors.imaging.decode import decode
from actors.imaging.facts import NO_LIMITS, Facts, Limits, Size, as_turned
from actors.imaging.geometry import scale, upright
from actors.imaging.inspect import inspect

# In pixels of 4 bytes, for one render: a logo in each of 16 sizes, or one mark over a photograph.
_MOST_KEPT = 4_000_000


class Album:
    """Looks up other images by their names, for one render.

    A picture that is asked for at the same size again is not decoded again, unless it is so large,
    or there have been so many since, that it was let go of.

    Args:
      files: the images, by their names.
      limits: those under which they are read.
    """

    def __init__(self, files: Mapping[str, bytes], limits: Limits) -> None:
        self._files = files
        self._limits = limits
        self._facts: dict[str, Facts] = {}
        # The one that was asked for the longest time ago is the first.
        self._kept: dict[tuple[str, Size], Image.Image] = {}

    def size(self, name: str) -> Size:
        """Return the size of an image as it is shown.

        Raises:
          NotAnImage, UnsupportedFormat, ImageTooLarge: if it may not be read.
        """
        return self._facts_of(name).size_as_shown

    def picture(self, name: str, size: Size) -> Image.Image:
        """Return an image upright, in sRGB and at `size`. It must not be changed: it is shared.

        Raises:
          NotAnImage, UnsupportedFormat, ImageTooLarge: if it cannot be read.
        """
        picture = self._kept.pop((name, size), None) or self._decoded(name, size)
        if size[0] * size[1] <= _MOST_KEPT:
            self._kept[name, size] = picture
            while sum(width * height for _, (width, height) in self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return picture

    def _decoded(self, name: str, size: Size) -> Image.Image:
        facts = self._facts_of(name)
        stored = as_turned(size, facts.orientation)
        decoded = decode(self._files[name], facts, stored)
        image = upright(scale(decoded.image, stored, decoded.box), facts.orientation)
        return to_srgb(image, decoded.profile)

    def _facts_of(self, name: str) -> Facts:
        if name not in self._facts:
            self._facts[name] = inspect(self._files[name], self._limits)
        return self._facts[name]


EMPTY: Final = Album({}, NO_LIMITS)
