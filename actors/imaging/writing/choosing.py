"""Which few colours stand for all that a picture has.

Pillow's median cut finds good ones, and its k-means better ones, but they take 1 ms for a thousand
pixels. So they see a sample, or of a drawing every colour, in which what is rare is less rare: a
cat's eyes are but few pixels.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import cast

from PIL import Image

from actors.imaging.writing.mapping import LOWER, Palette, Rgb, corrections_of, guide_to, triples
from actors.imaging.writing.veil import Veil

# A drawing has no more colours than this, and each of them is looked at. Who knows Pillow's hash
# table can choose colours that it finds slowly: 16,000 of them took a second, so many 0.1 s.
FEW = 2**10
# Pillow counts up to so many quickly, whatever they are; up to fewer it can take three times as
# long.
COUNTABLE = 2**14
# Where little of a picture is seen, its sample is larger, by this at most.
_LARGER = 16
# With at least so many colours, a number of pixels counts to this power. Fewer are for the most of
# the picture.
_MANY, _RARE = 32, 0.6
# K-means goes on until no more than this share of the sample is nearer to another colour.
_SETTLED = 0.01

_CELLS = [level & ~LOWER | 2 for level in range(256)] * 3


def for_photograph(image: Image.Image, veil: Veil | None, most: int, size: int) -> Palette:
    """Return at most so many colours for an RGB picture, by a sample of about `size` pixels."""
    if veil:
        share = veil.seen.histogram()[255] / (image.width * image.height)
        size = round(size * min(_LARGER, 1 / share))
    sample = _reduced(image, size)
    if veil:
        veil = Veil(_reduced(veil.seen, size), _reduced(veil.hidden, size), veil.colour)
    colours = without(_all_counted(sample), veil)
    frequent = _frequent(colours, most)
    cells = _all_counted(sample.point(_CELLS))
    if veil:
        cells -= Counter({_cell(veil.colour): veil.hidden.histogram()[255]})
    cells -= Counter({_cell(colour): colours[colour] for colour in frequent})
    others, _ = _clusters(cells, most - len(frequent), size)
    if veil and not frequent and not others:
        # What is seen is so little that none of it is in the sample.
        others = [veil.colour]
    return Palette(frequent + others, guide_to(frequent, others), None)


def for_drawing(counts: Counter[Rgb], most: int, size: int) -> Palette:
    """Return at most so many colours for a picture with these, as if it had `size` pixels."""
    exact = _frequent(counts, most)
    exact += _typical(_except(counts, exact), most - len(exact), size)
    others, _ = _clusters(_except(counts, exact), most - len(exact), size)
    colours, guide = exact + others, guide_to(exact, others)
    return Palette(colours, guide, corrections_of(counts, colours, guide))


def counted(image: Image.Image, most: int) -> Counter[Rgb] | None:
    """Return how often `image` (RGB) has which colour; nothing if there are more than `most`."""
    listed = cast("list[tuple[int, Rgb]] | None", image.getcolors(most))
    return None if listed is None else Counter({colour: number for number, colour in listed})


def without(counts: Counter[Rgb], veil: Veil | None) -> Counter[Rgb]:
    """Return how often each colour is seen."""
    return counts - Counter({veil.colour: veil.hidden.histogram()[255]}) if veil else counts


def _reduced(image: Image.Image, size: int) -> Image.Image:
    """Return a sample of no more than about so many pixels."""
    scale = min(1.0, math.sqrt(size / (image.width * image.height)))
    width, height = (math.ceil(scale * edge) for edge in image.size)
    return image.resize((width, height), Image.Resampling.NEAREST)


def _all_counted(image: Image.Image) -> Counter[Rgb]:
    return counted(image, image.width * image.height) or Counter()


def _cell(colour: Rgb) -> Rgb:
    return cast("Rgb", tuple(_CELLS[level] for level in colour))


def _frequent(counts: Counter[Rgb], most: int) -> list[Rgb]:
    """Return the colours that are to be exact, for they cover more than their share."""
    frequent: list[Rgb] = []
    rest = counts.total()
    for colour, number in counts.most_common(most - 1):
        if number * (most - len(frequent)) < rest:
            break
        frequent.append(colour)
        rest -= number
    return frequent


def _clusters(counts: Mapping[Rgb, int], most: int, size: int) -> tuple[list[Rgb], list[int]]:
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
    return triples(clustered.getpalette() or []), [found[end - 1] for end in ends]


def _except(counts: Counter[Rgb], these: list[Rgb]) -> Counter[Rgb]:
    return counts - Counter({colour: counts[colour] for colour in these})


def _typical(counts: Counter[Rgb], most: int, size: int) -> list[Rgb]:
    """Return the colours that most of a cluster has."""
    clusters: defaultdict[int, Counter[Rgb]] = defaultdict(Counter)
    _, places = _clusters(counts, most, size)
    for (colour, number), place in zip(counts.items(), places, strict=True):
        clusters[place][colour] = number
    modes = (cluster.most_common(1)[0] for cluster in clusters.values())
    return [
        colour
        for (colour, number), cluster in zip(modes, clusters.values(), strict=True)
        if 2 * number >= cluster.total()
    ]
