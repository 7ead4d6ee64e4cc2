"""The colours of a picture: the few that tell what it is like, and their mean."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from math import dist, sqrt
from operator import mul
from typing import TypeAlias

from PIL import Image

from actors.imaging.modes import has_alpha
from actors.imaging.perception import Place, oklab

Rgb: TypeAlias = tuple[float, float, float]

# Colours that are told apart at first: more of them cost more, and change nothing that one sees.
_SHADES = 32
# Colours that look more alike than this are one colour.
_ALIKE = 0.05
# A difference in hue weighs more than the same one in lightness: shadows are no colours of their
# own.
_HUE = sqrt(3)
# A colour that is hardly there tells nothing of the whole.
_LEAST_SHARE = 0.005


@dataclass(frozen=True, slots=True)
class _Cluster:
    weight: float
    colour: Rgb
    place: Place

    def merged(self, other: _Cluster) -> _Cluster:
        weight = self.weight + other.weight
        share = other.weight / weight
        return _Cluster(
            weight,
            _between(self.colour, other.colour, share),
            _between(self.place, other.place, share),
        )

    def loss(self, other: _Cluster) -> float:
        """Return what is lost when the two become one.

        It is between the distance alone, by which each stray colour would stay, and Ward's
        criterion, by which none would that is only an accent.
        """
        both = self.weight * other.weight / (self.weight + other.weight)
        return dist(self.place, other.place) ** 2 * sqrt(both)


def palette(image: Image.Image, most: int) -> list[tuple[Rgb, float]]:
    """Return up to `most` colours, each with its share of what is visible, the greatest first.

    Each is the mean of those pixels that look more like each other than like the rest. Colours
    with less than a 200th are left out. Of an invisible picture there are none.

    Args:
      image: in one of the modes L, LA, RGB and RGBA; a small one, since all of it is looked at.
    """
    shades = [(weight, colour) for weight, colour in _shades(image) if weight]
    total = sum(weight for weight, _ in shades)
    clusters = [_Cluster(weight / total, colour, _place(colour)) for weight, colour in shades]
    found = sorted(_merged(clusters, most), key=lambda each: (-each.weight, each.colour))
    return [(each.colour, each.weight) for each in found if each.weight >= _LEAST_SHARE]


def mean(image: Image.Image) -> Rgb | None:
    """Return the mean of each level, each pixel weighed by how opaque it is.

    An invisible picture has none.
    """
    *bands, alpha = (band.tobytes() for band in image.convert("RGBA").split())
    visible = sum(alpha)
    if not visible:
        return None
    red, green, blue = (sum(map(mul, band, alpha)) / visible for band in bands)
    return red, green, blue


def _shades(image: Image.Image) -> list[tuple[int, Rgb]]:
    """Return the colours that can be told apart, each with how much there is of it."""
    colours = image.convert("RGB")
    alpha = image.getchannel("A") if has_alpha(image) else None
    if alpha is not None:
        middle = mean(image)
        if middle is None:
            return []
        # What nobody sees takes no place from what one sees.
        red, green, blue = map(round, middle)
        ground = Image.new("RGB", image.size, (red, green, blue))
        ground.paste(colours, mask=alpha.point([0, *[255] * 255]))
        colours = ground
    indexed = _indexed(colours)
    entries = indexed.getpalette() or []
    if alpha is None:
        weights: Sequence[int] = indexed.histogram()
    else:
        weights = [0] * 256
        for index, share in zip(indexed.tobytes(), alpha.tobytes(), strict=True):
            weights[index] += share
    return [
        (weights[start // 3], (entries[start], entries[start + 1], entries[start + 2]))
        for start in range(0, len(entries), 3)
    ]


def _indexed(colours: Image.Image) -> Image.Image:
    return colours.quantize(_SHADES, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _place(colour: Rgb) -> Place:
    lightness, *hue = oklab(colour)
    return lightness, hue[0] * _HUE, hue[1] * _HUE


def _between(one: Rgb, other: Rgb, share: float) -> Rgb:
    return (
        one[0] + (other[0] - one[0]) * share,
        one[1] + (other[1] - one[1]) * share,
        one[2] + (other[2] - one[2]) * share,
    )


def _merged(clusters: Sequence[_Cluster], most: int) -> list[_Cluster]:
    """Return `clusters` with those merged that lose least by it.

    It ends when there are no more than `most` and no two that look alike.
    """
    living = dict(enumerate(clusters))
    losses = [
        (one.loss(other), number, later)
        for number, one in living.items()
        for later, other in living.items()
        if number < later
    ]
    heapq.heapify(losses)
    following = len(living)
    while losses:
        _, number, later = heapq.heappop(losses)
        if number not in living or later not in living:
            continue
        one, other = living[number], living[later]
        if len(living) <= most and dist(one.place, other.place) > _ALIKE:
            continue
        del living[number], living[later]
        whole = one.merged(other)
        for name, each in living.items():
            heapq.heappush(losses, (each.loss(whole), name, following))
        living[following] = whole
        following += 1
    return list(living.values())
