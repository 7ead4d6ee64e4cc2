"""From millions of colours to a palette of a few.

Pillow's median cut finds good colours, and its k-means better ones, but they take 1 ms for a
thousand pixels. So they see a sample, or of a drawing every colour, in which what is rare is less
rare: a cat's eyes are but few pixels.

The nearest of these colours Pillow finds by the upper six bits of each channel only, and as if the
lower ones were 0. So it is given another palette than the one that is written. In it those colours
that matter have such bits as well, and all others are moved by as much as it is off.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from PIL import Image, ImageChops, ImageStat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.imaging.facts import Size

# Alpha from which a pixel is opaque, where it can be only that or transparent.
OPAQUE_FROM = 128

_Rgb = tuple[int, int, int]
_Rgba = tuple[int, int, int, int]

# A drawing has no more colours than this, and each of them is looked at. Who knows Pillow's hash
# table can choose colours that it finds slowly: 16,000 of them took a second, so many 0.1 s.
_FEW = 2**10
# Pillow counts up to so many quickly, whatever they are; up to fewer it can take three times as
# long.
_COUNTABLE = 2**14
_STILL, _FRAME = 2**14, 2**12
_BAND = 2**18
# Where little of a picture is seen, its sample is larger, by this at most.
_LARGER = 16
# With at least so many colours, a number of pixels counts to this power. Fewer are for the most of
# the picture.
_MANY, _RARE = 32, 0.6
# K-means goes on until no more than this share of the sample is nearer to another colour.
_SETTLED = 0.01

_LOWER = 0b11
_CELLS = [level & ~_LOWER | 2 for level in range(256)] * 3
_BITS = [(level & _LOWER) << 2 * band for band in range(3) for level in range(256)]
# Make one channel of three.
_SUM, _ANY, _MEAN = (1.0, 1.0, 1.0, 0.0), (255.0, 255.0, 255.0, 0.0), (1 / 3, 1 / 3, 1 / 3, 0.0)
# What is further away than this, as a square, is not looked for again.
_NEAR = 20**2
_GREYS = [level for level in range(256) for _ in range(3)]

# Not dithered is what is off by less, as a mean square, or is exact in more than this share of it,
# as drawings are.
_CLOSE, _EXACT = 3.0, 0.5
# With at least so many colours there is a palette for what is opaque and one for what is not, of
# which the latter has so many at least, or half of all.
_FOR_ALPHA, _EDGES = 8, 32
# In which no channel has a larger standard deviation, that has one colour and many levels of alpha,
# as a shadow.
_ALIKE = 10.0
# The palette of a frame serves for the next if that is off by no more than so many times as much.
_SERVES = 1.15


@dataclass(frozen=True, slots=True)
class _Veil:
    """Where a picture is not seen, and has this colour instead, which is also seen elsewhere."""

    seen: Image.Image
    hidden: Image.Image
    colour: _Rgb


@dataclass(frozen=True, slots=True)
class _Palette:
    """Colours, what Pillow is to find them by, and which it should have found instead.

    The latter also depends on the lower bits of a pixel.
    """

    colours: list[_Rgb]
    guide: Image.Image
    corrections: bytes | None

    def laid_on(self, image: Image.Image) -> Image.Image:
        """Return `image` (RGB) in the nearest of these colours."""
        laid = image.quantize(palette=self.guide, dither=Image.Dither.NONE)
        if self.corrections is not None:
            laid = _looked_up(_indexes(laid), _bits(image), self.corrections)
        laid.putpalette(_flat(self.colours))
        return laid

    def dithered_on(self, image: Image.Image) -> Image.Image:
        """Return `image` (RGB) in these colours such that those nearby are right together."""
        return image.quantize(
            palette=_holding(_flat(self.colours)), dither=Image.Dither.FLOYDSTEINBERG
        )


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
        self._before: tuple[_Palette, float] | None = None

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
            image, veil = _veiled(image, seen)
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
        image.paste((0, 0, 0, 0), mask=_between(alpha, 0, 0))
        few = image.getcolors(_COUNTABLE)
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
        seen = _between(alpha, 1, 254)
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
            image.paste(_a_colour(image, seen), mask=_hidden(seen))
            laid = image.quantize(left, Image.Quantize.FASTOCTREE)
            levels = iter(laid.getpalette("RGBA") or [])
            collage.add(laid, list(zip(levels, levels, levels, levels, strict=True)), seen)
        return collage.finished()

    def _add_opaque(self, collage: _Collage, image: Image.Image, most: int) -> None:
        seen = _between(image.getchannel("A"), 255, 255)
        laid = self._paletted(*_veiled(image.convert("RGB"), seen), most)
        colours = [(*colour, 255) for colour in _triples(laid.getpalette() or [])]
        collage.add(laid, colours, seen)

    def _paletted(self, image: Image.Image, veil: _Veil | None, most: int) -> Image.Image:
        if image.mode == "L" and most == 256:
            return image.convert("P")
        image = image.convert("RGB")
        counts = _counted(image, _COUNTABLE)
        if counts and len(counts) <= most:
            return image.quantize(most, Image.Quantize.MEDIANCUT)
        if counts and len(counts) <= _FEW:
            palette = _for_drawing(_without(counts, veil), most, self._size)
        elif self._film:
            return self._laid_as_before(image, veil, most)
        else:
            palette = _for_photograph(image, veil, most, self._size)
        laid = palette.laid_on(image)
        if not self._film:
            fit = _fit(image, laid, veil)
            if fit.square > _CLOSE and fit.exact < _EXACT:
                inexact = fit.difference.convert("L", _ANY).convert("1", dither=Image.Dither.NONE)
                laid.paste(palette.dithered_on(image), mask=inexact)
        return laid

    def _laid_as_before(self, image: Image.Image, veil: _Veil | None, most: int) -> Image.Image:
        """Return a frame in the palette of the one before, or in another that suits it better."""
        if self._before:
            palette, square = self._before
            laid = palette.laid_on(image)
            if len(palette.colours) <= most and _fit(image, laid, veil).square <= _SERVES * square:
                return laid
        palette = _for_photograph(image, veil, most, self._size)
        laid = palette.laid_on(image)
        self._before = palette, _fit(image, laid, veil).square
        return laid

    @property
    def _size(self) -> int:
        return _FRAME if self._film else _STILL


def _exact(image: Image.Image, colours: list[_Rgba]) -> Image.Image:
    """Return `image` (RGBA), which has these colours, with a palette of them."""
    opaque = image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT)
    places = {colour: place for place, colour in enumerate(_triples(opaque.getpalette() or []))}
    table = bytearray(2**16)
    for index, (*colour, alpha) in enumerate(colours):
        table[alpha << 8 | places[cast("_Rgb", tuple(colour))]] = index
    result = _looked_up(_indexes(opaque), image.getchannel("A"), bytes(table))
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


def _between(alpha: Image.Image, first: int, last: int) -> Image.Image:
    """Return 255 where alpha is one of these levels, and 0 elsewhere."""
    return alpha.point([255 * (first <= level <= last) for level in range(256)])


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


def _veiled(image: Image.Image, seen: Image.Image) -> tuple[Image.Image, _Veil]:
    """Return `image` as RGB in which what is not seen has the colour of something that is."""
    image = image.convert("RGB")
    veil = _Veil(seen, _hidden(seen), cast("_Rgb", _a_colour(image, seen)))
    image.paste(veil.colour, mask=veil.hidden)
    return image, veil


def _hidden(seen: Image.Image) -> Image.Image:
    """Return where it is not seen; as bits, through which is pasted in a third of the time."""
    return ImageChops.invert(seen).convert("1", dither=Image.Dither.NONE)


def _a_colour(image: Image.Image, seen: Image.Image) -> tuple[int, ...]:
    """Return the colour of one pixel of `image` (RGB or RGBA) that is seen."""
    _, top, _, _ = seen.getbbox() or (0, 0, 0, 0)
    left, _, _, _ = seen.crop((0, top, seen.width, top + 1)).getbbox() or (0, 0, 0, 0)
    return cast("tuple[int, ...]", image.getpixel((left, top)))


def _counted(image: Image.Image, most: int) -> Counter[_Rgb] | None:
    """Return how often `image` (RGB) has which colour; nothing if there are more than `most`."""
    listed = cast("list[tuple[int, _Rgb]] | None", image.getcolors(most))
    return None if listed is None else Counter({colour: number for number, colour in listed})


def _without(counts: Counter[_Rgb], veil: _Veil | None) -> Counter[_Rgb]:
    return counts - Counter({veil.colour: veil.hidden.histogram()[255]}) if veil else counts


def _fit(image: Image.Image, laid: Image.Image, veil: _Veil | None) -> _Fit:
    difference = ImageChops.difference(image, laid.convert("RGB"))
    return _Fit(difference, difference.convert("L", _MEAN).histogram(veil.seen if veil else None))


def _for_photograph(image: Image.Image, veil: _Veil | None, most: int, size: int) -> _Palette:
    if veil:
        share = veil.seen.histogram()[255] / (image.width * image.height)
        size = round(size * min(_LARGER, 1 / share))
    sample = _reduced(image, size)
    if veil:
        veil = _Veil(_reduced(veil.seen, size), _reduced(veil.hidden, size), veil.colour)
    colours = _without(_all_counted(sample), veil)
    frequent = _frequent(colours, most)
    cells = _all_counted(sample.point(_CELLS))
    if veil:
        cells -= Counter({_cell(veil.colour): veil.hidden.histogram()[255]})
    cells -= Counter({_cell(colour): colours[colour] for colour in frequent})
    others, _ = _clusters(cells, most - len(frequent), size)
    if veil and not frequent and not others:
        # What is seen is so little that none of it is in the sample.
        others = [veil.colour]
    return _Palette(frequent + others, _guide(frequent, others), None)


def _reduced(image: Image.Image, size: int) -> Image.Image:
    """Return a sample of no more than about so many pixels."""
    scale = min(1.0, math.sqrt(size / (image.width * image.height)))
    width, height = (math.ceil(scale * edge) for edge in image.size)
    return image.resize((width, height), Image.Resampling.NEAREST)


def _all_counted(image: Image.Image) -> Counter[_Rgb]:
    return _counted(image, image.width * image.height) or Counter()


def _cell(colour: _Rgb) -> _Rgb:
    return cast("_Rgb", tuple(_CELLS[level] for level in colour))


def _frequent(counts: Counter[_Rgb], most: int) -> list[_Rgb]:
    """Return the colours that are to be exact, for they cover more than their share."""
    frequent: list[_Rgb] = []
    rest = counts.total()
    for colour, number in counts.most_common(most - 1):
        if number * (most - len(frequent)) < rest:
            break
        frequent.append(colour)
        rest -= number
    return frequent


def _clusters(counts: Mapping[_Rgb, int], most: int, size: int) -> tuple[list[_Rgb], list[int]]:
    """Return colours that stand for all these, and for each of these which one stands for it."""
    if not counts or not most:
        return [], []
    power = _RARE if most >= _MANY else 1.0
    weights = [number**power for number in counts.values()]
    unit = sum(weights) / size
    repeats = [math.ceil(weight / unit) for weight in weights]
    pixels = b"".join(
        bytes(colour) * number for colour, number in zip(counts, repeats, strict=True)
    )
    row = Image.frombytes("RGB", (sum(repeats), 1), pixels)
    clustered = row.quantize(most, Image.Quantize.MEDIANCUT, kmeans=1 + round(_SETTLED * row.width))
    found = clustered.tobytes()
    ends = itertools.accumulate(repeats)
    return _triples(clustered.getpalette() or []), [found[end - 1] for end in ends]


def _triples(flat: list[int]) -> list[_Rgb]:
    levels = iter(flat)
    return list(zip(levels, levels, levels, strict=True))


def _for_drawing(counts: Counter[_Rgb], most: int, size: int) -> _Palette:
    exact = _frequent(counts, most)
    exact += _typical(_except(counts, exact), most - len(exact), size)
    others, _ = _clusters(_except(counts, exact), most - len(exact), size)
    colours, guide = exact + others, _guide(exact, others)
    return _Palette(colours, guide, _corrections(counts, colours, guide))


def _except(counts: Counter[_Rgb], these: list[_Rgb]) -> Counter[_Rgb]:
    return counts - Counter({colour: counts[colour] for colour in these})


def _typical(counts: Counter[_Rgb], most: int, size: int) -> list[_Rgb]:
    """Return the colours that most of a cluster has."""
    clusters: defaultdict[int, Counter[_Rgb]] = defaultdict(Counter)
    _, places = _clusters(counts, most, size)
    for (colour, number), place in zip(counts.items(), places, strict=True):
        clusters[place][colour] = number
    modes = (cluster.most_common(1)[0] for cluster in clusters.values())
    return [
        colour
        for (colour, number), cluster in zip(modes, clusters.values(), strict=True)
        if 2 * number >= cluster.total()
    ]


def _guide(exact: list[_Rgb], others: list[_Rgb]) -> Image.Image:
    """Return what Pillow finds the colours by. Of two that are as near, it finds the former."""
    corners = [level & ~_LOWER for colour in exact for level in colour]
    return _holding([*corners, *(max(0, level - 2) for colour in others for level in colour)])


def _holding(palette: list[int]) -> Image.Image:
    image = Image.new("P", (1, 1))
    image.putpalette(palette)
    return image


def _flat(colours: list[_Rgb]) -> list[int]:
    return [level for colour in colours for level in colour]


def _looked_up(lower: Image.Image, upper: Image.Image, table: bytes) -> Image.Image:
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


def _indexes(image: Image.Image) -> Image.Image:
    """Return which colour of its palette each pixel has, as levels of grey."""
    image.putpalette(_GREYS)
    return image.convert("L")


def _bits(image: Image.Image) -> Image.Image:
    """Return the lower bits of all three channels in one."""
    return image.point(_BITS).convert("L", _SUM)


def _corrections(
    counts: Mapping[_Rgb, int], colours: list[_Rgb], guide: Image.Image
) -> bytes | None:
    """Return the colour to be taken, for each that is found and each set of lower bits.

    Not for all colours of a picture this can be right, but it is for those that are in the palette
    or close to more than one of it.
    """
    row = Image.frombytes("RGB", (len(counts), 1), bytes(_flat(list(counts))))
    found = row.quantize(palette=guide, dither=Image.Dither.NONE).tobytes()
    nearest = _Nearest(colours)
    alike: defaultdict[int, list[_Rgb]] = defaultdict(list)
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

    def __init__(self, colours: list[_Rgb]) -> None:
        self._colours = colours
        self._order = sorted(range(len(colours)), key=lambda index: sum(colours[index]))
        self._sums = [sum(colours[index]) for index in self._order]

    def __call__(self, colour: _Rgb, near: int) -> int:
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


def _apart(one: _Rgb, other: _Rgb) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
