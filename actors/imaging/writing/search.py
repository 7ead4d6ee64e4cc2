"""The quality that is just good enough, or just small enough."""

from __future__ import annotations

import math
from collections.abc import Callable

from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.writing.draft import Encoded

# Enough to find one of 255 qualities, whatever the measures say.
MAX_ATTEMPTS = 8

# What is the same would be infinitely much better than what nearly is.
_ALL_BUT_THE_SAME = 1e-7

# In so many steps of quality, be it of JPEG, WebP or AVIF, the size changes by about a factor of e,
# and so does what the likeness lacks.
_USUAL_STEPS = 30

Attempt = Callable[[int], Encoded]
_Point = tuple[int, float]


def smallest_like(attempt: Attempt, min_ssim: float, *, highest: int, guess: int) -> Encoded:
    """Return the result of the lowest quality, up to the `highest`, whose SSIM is `min_ssim`.

    Raises:
      ImpossibleRecipe: if there is none.
    """
    good: Encoded | None = None
    best = 0.0

    def surplus(quality: int) -> float:
        nonlocal good, best
        encoded = attempt(quality)
        ssim = encoded.ssim or 0.0
        good, best = (encoded, best) if ssim >= min_ssim else (good, ssim)
        # The differences, which are what ssim lacks, shrink by about the same factor at each step.
        return math.log((1 - min_ssim + _ALL_BUT_THE_SAME) / (1 - ssim + _ALL_BUT_THE_SAME))

    crossing(surplus, highest, guess)
    if good is None:
        raise ImpossibleRecipe(
            f"the SSIM that quality {highest} gives is {best:.4f}, and min_ssim is {min_ssim}"
        )
    return good


def best_within(attempt: Attempt, max_bytes: int, *, highest: int, guess: int) -> Encoded:
    """Return the result of the best quality, up to the `highest`, in at most `max_bytes`.

    Raises:
      ImpossibleRecipe: if there is none.
    """
    small: Encoded | None = None
    least = 0

    def excess(quality: int) -> float:
        nonlocal small, least
        encoded = attempt(quality)
        size = len(encoded.data)
        small, least = (encoded, least) if size <= max_bytes else (small, size)
        # Files grow by about the same factor at each step.
        return math.log(size / (max_bytes + 1))

    crossing(excess, highest, guess)
    if small is None:
        raise ImpossibleRecipe(
            f"the smallest that quality 1 gives is {least:,} bytes, and max_bytes is {max_bytes:,}"
        )
    return small


def crossing(measure: Callable[[int], float], highest: int, guess: int) -> int:
    """Return the lowest number from 1 to `highest` at which `measure` is not negative.

    It is presumed to rise; if it is negative everywhere the answer is `highest` + 1. At most 8
    numbers are asked for, among them the two between which it crosses 0, if they are in the range.

    Args:
      highest: at most 255.
      guess: what is asked for first.
    """
    low, high = 0, highest + 1
    below: _Point | None = None
    above: _Point | None = None
    last: _Point | None = None
    for left in reversed(range(MAX_ATTEMPTS)):
        if high - low == 1:
            break
        # As near to the guess as lets halving, with the attempts that are left, find the rest.
        room = 2**left
        number = min(max(guess, high - room, low + 1), low + room, high - 1)
        here = number, measure(number)
        if here[1] < 0:
            low, below, beyond = number, here, above
        else:
            high, above, beyond = number, here, below
        guess = _root(here, beyond or last or (number + _USUAL_STEPS, here[1] + 1))
        last = here
    return high


def _root(one: _Point, other: _Point) -> int:
    """Return where the straight line through two points crosses 0."""
    rise = other[1] - one[1]
    return round(one[0] - one[1] * (other[0] - one[0]) / rise) if rise else (one[0] + other[0]) // 2
