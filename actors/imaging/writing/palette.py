"""From millions of colours to a palette of a few."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageChops, ImageStat

from actors.imaging.facts import Size
from actors.imaging.writing.choosing import (
    COUNTABLE,
    FEW,
    counted,
    for_drawing,
    for_photograph,
    without,
)
from actors.imaging.writing.mapping import Palette, Rgb, indexes, looked_up, triples
from actors.imaging.writing.veil import Veil, a_colour, between, hidden_by, veiled

# Alpha from which a pixel is opaque, where it can be only that or transparent.
OPAQUE_FROM = 128

_Rgba = tuple[int, int, int, int]

_STILL, _FRAME = 2**14, 2**12

# Make one channel of three.
_ANY, _MEAN = (255.0, 255.0, 255.0, 0.0), (1 / 3, 1 / 3, 1 / 3, 0.0)

# Not dithered is what is off by less, as a mean square, or is exact in more than this share of it,
# as drawings are.
_CLOSE, _EXACT = 15.0, 0.5
# With at least so many colours there is a palette for what is opaque and one for what is not, of
# which the latter has so many at least, or half of all.
_FOR_ALPHA, _EDGES = 8, 32
# In which no channel has a larger standard deviation, that has one colour and many levels of alpha,
# as a shadow.
_ALIKE = 10.0
# The palette of a frame serves for the next if that is off by no more than so many times as much.
_SERVES = 1.15


@dataclass(frozen=True, slots=True)
class _Fit:
    """How far a picture is off in another's colours."""

    difference: Image.Image
    levels: list[int]

    @property
    def square(self) -> float:
        return sum(n * level**2 for level, n in enumerate(self.levels)) / sum(self.levels)

    @property
    def exact(self) -> float:
        return self.levels[0] / sum(self.levels)


class Palettes:
    """What gives palettes to a picture or to the frames of a film.

    Colours that are few enough are left as they are.
    Of other pictures, those that are not drawings are dithered. Films are not: it would flicker.
    In a film a palette serves for all frames that it suits as well as the one it was made for,
    which is faster, and keeps colours from flickering.
    """

    def __init__(self, colours: int, *, film: bool = False) -> None:
        self._most = colours
        self._film = film
        self._before: tuple[Palette, float] | None = None

    def paletted(self, image: Image.Image) -> Image.Image:
        """Return `image` (L or RGB) with a palette."""
        return self._paletted(image, None, self._most)

    def paletted_in_part(
        self, image: Image.Image, seen: Image.Image | None, *, reserve: bool = False
    ) -> tuple[Image.Image, int | None]:
        """Return `image` (L or RGB) with a palette, and which colour in it means transparent.

        Args:
          seen: 255 where `image` is, and 0 where it is transparent; None if it is so nowhere. Then
            there is no such colour, unless it is to be reserved.
        """
        veil = None
        if seen and seen.getextrema() != (255, 255):
            # What is not seen must not take a colour away from what is.
            image, veil = veiled(image, seen)
        elif not reserve:
            return self.paletted(image), None
        image = self._paletted(image, veil, self._most - 1)
        palette = image.getpalette() or []
        transparent = len(palette) // 3
        image.putpalette([*palette, 0, 0, 0])
        if veil:
            image.paste(transparent, mask=veil.hidden)
        return image, transparent

    def paletted_with_alpha(self, image: Image.Image) -> Image.Image:
        """Return `image` (LA or RGBA), some of it translucent, with a palette that has alpha."""
        image, alpha = image.convert("RGBA"), image.getchannel("A")
        image.paste((0, 0, 0, 0), mask=between(alpha, 0, 0))
        few = image.getcolors(COUNTABLE)
        if few and len(few) <= self._most:
            return _exact(image, [cast("_Rgba", colour) for _, colour in few])
        if self._most < _FOR_ALPHA:
            return image.quantize(self._most, Image.Quantize.FASTOCTREE)
        collage = _Collage(image.size)
        numbers = alpha.histogram()
        if numbers[0]:
            # An octree would have it a little visible, like what it takes for the same.
            collage.add(Image.new("P", image.size), [(0, 0, 0, 0)])
        if numbers[255]:
            left = self._most - len(collage.colours)
            opaque, translucent = math.sqrt(numbers[255]), math.sqrt(sum(numbers[1:255]))
            for_edges = max(
                min(_EDGES, (left + 1) // 2), int(left * translucent / (opaque + translucent))
            )
            self._add_opaque(collage, image, left - for_edges)
        seen = between(alpha, 1, 254)
        left = self._most - len(collage.colours)
        statistics = ImageStat.Stat(image.convert("RGB"), seen)
        if max(statistics.stddev) < _ALIKE:
            red, green, blue = statistics.median
            layers = _layers(numbers, left)
            lasts = [layer[-1] for layer in layers]
            places = alpha.point([bisect_left(lasts, level) for level in range(256)])
            means = (_mean(layer, numbers) for layer in layers)
            collage.add(places, [(red, green, blue, mean) for mean in means], seen)
        else:
            image.paste(a_colour(image, seen), mask=hidden_by(seen))
            laid = image.quantize(left, Image.Quantize.FASTOCTREE)
            levels = iter(laid.getpalette("RGBA") or [])
            collage.add(laid, list(zip(levels, levels, levels, levels, strict=True)), seen)
        return collage.finished()

    def _add_opaque(self, collage: _Collage, image: Image.Image, most: int) -> None:
        seen = between(image.getchannel("A"), 255, 255)
        laid = self._paletted(*veiled(image.convert("RGB"), seen), most)
        colours = [(*colour, 255) for colour in triples(laid.getpalette() or [])]
        collage.add(laid, colours, seen)

    def _paletted(self, image: Image.Image, veil: Veil | None, most: int) -> Image.Image:
        if image.mode == "L" and most == 256:
            return image.convert("P")
        image = image.convert("RGB")
        counts = counted(image, COUNTABLE)
        if counts and len(counts) <= most:
            return image.quantize(most, Image.Quantize.MEDIANCUT)
        if counts and len(counts) <= FEW:
            palette = for_drawing(without(counts, veil), most, self._size)
        elif self._film:
            return self._laid_as_before(image, veil, most)
        else:
            palette = for_photograph(image, veil, most, self._size)
        laid = palette.laid_on(image)
        if not self._film:
            fit = _fit(image, laid, veil)
            if fit.square > _CLOSE and fit.exact < _EXACT:
                inexact = fit.difference.convert("L", _ANY).convert("1", dither=Image.Dither.NONE)
                laid.paste(palette.dithered_on(image), mask=inexact)
        return laid

    def _laid_as_before(self, image: Image.Image, veil: Veil | None, most: int) -> Image.Image:
        """Return a frame in the palette of the one before, or in another that suits it better."""
        if self._before:
            palette, square = self._before
            laid = palette.laid_on(image)
            if len(palette.colours) <= most and _fit(image, laid, veil).square <= _SERVES * square:
                return laid
        palette = for_photograph(image, veil, most, self._size)
        laid = palette.laid_on(image)
        self._before = palette, _fit(image, laid, veil).square
        return laid

    @property
    def _size(self) -> int:
        return _FRAME if self._film else _STILL


def _exact(image: Image.Image, colours: list[_Rgba]) -> Image.Image:
    """Return `image` (RGBA), which has these colours, with a palette of them."""
    opaque = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT)
    places = {colour: place for place, colour in enumerate(triples(opaque.getpalette() or []))}
    table = bytearray(2**16)
    for index, (*colour, alpha) in enumerate(colours):
        table[alpha << 8 | places[cast("Rgb", tuple(colour))]] = index
    result = looked_up(indexes(opaque), image.getchannel("A"), bytes(table))
    result.putpalette([level for colour in colours for level in colour], "RGBA")
    return result


class _Collage:
    """A picture with a palette, to which one part after another adds its colours."""

    def __init__(self, size: Size) -> None:
        self.colours: list[_Rgba] = []
        self._image = Image.new("P", size)

    def add(self, part: Image.Image, colours: list[_Rgba], seen: Image.Image | None = None) -> None:
        """Add these colours, and the part, which tells which it has, where it is seen."""
        first = len(self.colours)
        moved = part.point([min(first + index, 255) for index in range(256)])
        self._image.paste(moved, mask=seen)
        self.colours += colours

    def finished(self) -> Image.Image:
        """Return it."""
        self._image.putpalette([level for colour in self.colours for level in colour], "RGBA")
        return self._image


def _layers(numbers: list[int], most: int) -> list[list[int]]:
    """Return the levels of what is translucent in no more groups than that."""
    levels = [level for level in range(1, 255) if numbers[level]]
    if len(levels) <= most:
        return [[level] for level in levels]
    weights = [math.sqrt(numbers[level]) for level in levels]
    ends = itertools.accumulate(weights)
    middles = (end - weight / 2 for end, weight in zip(ends, weights, strict=True))
    layers: defaultdict[int, list[int]] = defaultdict(list)
    for level, middle in zip(levels, middles, strict=True):
        layers[int(middle / sum(weights) * most)].append(level)
    return list(layers.values())


def _mean(levels: list[int], numbers: list[int]) -> int:
    number = sum(numbers[level] for level in levels)
    return round(sum(level * numbers[level] for level in levels) / number)


def _fit(image: Image.Image, laid: Image.Image, veil: Veil | None) -> _Fit:
    difference = ImageChops.difference(image, laid.convert("RGB"))
    return _Fit(difference, difference.convert("L", _MEAN).histogram(veil.seen if veil else None))
