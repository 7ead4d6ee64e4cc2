"""From every colour to the nearest one of a palette.

Pillow finds it by the upper six bits of each channel only, and as if the lower ones were 0. So it
is given another palette than the one that is written. In it those colours that matter have such
bits as well, and all others are moved by as much as it is off.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

Rgb: TypeAlias = tuple[int, int, int]

LOWER = 0b11
_BITS = [(level & LOWER) << 2 * band for band in range(3) for level in range(256)]
# Makes one channel of three.
_SUM = (1.0, 1.0, 1.0, 0.0)
_BAND = 2**18
# What is further away than this, as a square, is not looked for again.
_NEAR = 20**2
_GREYS = [level for level in range(256) for _ in range(3)]


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours, what Pillow is to find them by, and which it should have found instead.

    The latter also depends on the lower bits of a pixel.
    """

    colours: list[Rgb]
    guide: Image.Image
    corrections: bytes | None

    def laid_on(self, image: Image.Image) -> Image.Image:
        """Return `image` (RGB) in the nearest of these colours."""
        laid = image.quantize(palette=self.guide, dither=Image.Dither.NONE)
        if self.corrections is not None:
            laid = looked_up(indexes(laid), _bits(image), self.corrections)
        laid.putpalette(_flat(self.colours))
        return laid

    def dithered_on(self, image: Image.Image) -> Image.Image:
        """Return `image` (RGB) in these colours such that those nearby are right together."""
        return image.quantize(
            palette=_holding(_flat(self.colours)), dither=Image.Dither.FLOYDSTEINBERG
        )


def guide_to(exact: list[Rgb], others: list[Rgb]) -> Image.Image:
    """Return what Pillow finds the colours by. Of two that are as near, it finds the former."""
    corners = [level & ~LOWER for colour in exact for level in colour]
    return _holding([*corners, *(max(0, level - 2) for colour in others for level in colour)])


def _holding(palette: list[int]) -> Image.Image:
    image = Image.new("P", (1, 1))
    image.putpalette(palette)
    return image


def _flat(colours: list[Rgb]) -> list[int]:
    return [level for colour in colours for level in colour]


def triples(flat: list[int]) -> list[Rgb]:
    """Return the colours of a palette, of which Pillow has the levels one after the other."""
    levels = iter(flat)
    return list(zip(levels, levels, levels, strict=True))


def looked_up(lower: Image.Image, upper: Image.Image, table: bytes) -> Image.Image:
    """Return, as indexes, what the table has for each pair of bytes (L)."""
    result = Image.new("P", lower.size)
    # In bands, since in between it takes ten times as much memory.
    height = max(1, _BAND // lower.width)
    for top in range(0, lower.height, height):
        box = 0, top, lower.width, min(top + height, lower.height)
        pairs = Image.merge("LA", (lower.crop(box), upper.crop(box)))
        numbers = Image.frombytes("I;16", pairs.size, pairs.tobytes()).convert("I")
        result.paste(numbers.point(table, "L"), box)
    return result


def indexes(image: Image.Image) -> Image.Image:
    """Return which colour of its palette each pixel has, as levels of grey."""
    image.putpalette(_GREYS)
    return image.convert("L")


def _bits(image: Image.Image) -> Image.Image:
    """Return the lower bits of all three channels in one."""
    return image.point(_BITS).convert("L", _SUM)


def corrections_of(
    counts: Mapping[Rgb, int], colours: list[Rgb], guide: Image.Image
) -> bytes | None:
    """Return the colour to be taken, for each that is found and each set of lower bits.

    Not for all colours of a picture this can be right, but it is for those that are in the palette
    or close to more than one of it.
    """
    row = Image.frombytes("RGB", (len(counts), 1), bytes(_flat(list(counts))))
    found = row.quantize(palette=guide, dither=Image.Dither.NONE).tobytes()
    nearest = _Nearest(colours)
    alike: defaultdict[int, list[Rgb]] = defaultdict(list)
    for colour, index, bits in zip(counts, found, _bits(row).tobytes(), strict=True):
        alike[bits << 8 | index].append(colour)
    corrections = bytearray(range(256)) * 256
    for key, those in alike.items():
        index = corrections[key]
        best = {nearest(colour, index) for colour in those}
        if best != {index}:
            corrections[key] = min(
                sorted(best | {index}),
                key=lambda one: sum(
                    counts[colour] * _apart(colour, colours[one]) for colour in those
                ),
            )
    return bytes(corrections) if corrections != bytes(range(256)) * 256 else None


class _Nearest:
    """Finds the nearest of some colours, of which one is known that is near."""

    def __init__(self, colours: list[Rgb]) -> None:
        self._colours = colours
        self._order = sorted(range(len(colours)), key=lambda index: sum(colours[index]))
        self._sums = [sum(colours[index]) for index in self._order]

    def __call__(self, colour: Rgb, near: int) -> int:
        least = _apart(colour, self._colours[near])
        if least > _NEAR:
            return near
        # The sums of two colours differ by no more than this.
        reach = math.isqrt(3 * least)
        place = sum(colour)
        those = self._order[
            bisect_left(self._sums, place - reach) : bisect_right(self._sums, place + reach)
        ]
        return min([near, *those], key=lambda index: _apart(colour, self._colours[index]))


def _apart(one: Rgb, other: Rgb) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
