"""Levels of sRGB: how much light they are, and how different they look."""

from __future__ import annotations

from collections.abc import Sequence
from math import cbrt
from typing import TypeAlias

Place: TypeAlias = tuple[float, float, float]

# Of 1, for each level.
LIGHT = tuple(
    share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
    for share in (level / 255 for level in range(256))
)


def level(light: float) -> int:
    """Return the level that is so much light, or the nearest end of the scale."""
    light = min(max(light, 0), 1)
    share = 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055
    return int(255 * share + 0.5)


def oklab(colour: Sequence[float]) -> Place:
    """Return the place of red, green and blue levels in Oklab, Björn Ottosson's space of colours.

    The first number is the lightness, from 0 to 1. Two colours look the more different, the
    farther apart they are.
    """
    red, green, blue = (LIGHT[round(each)] for each in colour)
    long = cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )
