"""Where a picture draws the eye."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from PIL import Image, ImageChops, ImageFilter, ImageStat

from actors.imaging.facts import Size
from actors.imaging.geometry import fit_inside, scale
from actors.imaging.modes import has_alpha
from actors.imaging.step import place

# Enough to tell a face in a group, and few enough pixels to add up one by one.
_LONGEST_EDGE = 96

# Shares of the longer edge: what is finer than the first is detail, and it draws the eye to all
# that is as near as the second.
_FINE, _NEAR = 1 / 64, 1 / 32
_GAIN = [min(255, 8 * difference) for difference in range(256)]

# Detail without colour counts as much as this, of 255 each for the strongest colour and for skin.
_COLOURLESS = 20
# How much more than what is clear something counts that is there at all.
_PRESENCE = 8


def _near(typical: int, spread: int) -> list[int]:
    return [round(255 * math.exp(-(((level - typical) / spread) ** 2))) for level in range(256)]


# Skin of every tone has much the same hue, and differs in lightness. That counts for little here:
# what is nearly black or white has hardly a hue.
_SKIN_BLUE, _SKIN_RED = _near(110, 17), _near(150, 14)
_SKIN_LIGHT = _near(140, 100)

# Photographers put the subject into the middle, and its head above it: where that is, as a share,
# and how much less than there something counts half a picture away.
_ACROSS, _DOWN = (0.5, 0.4), (0.38, 0.7)

# What is at the edge of the part counts once, and what is in its middle three times: each of these
# shares of its length is taken off on both sides, and what is left counts once more.
_INSETS = (0, 1 / 8, 1 / 4)


def most_striking(image: Image.Image, size: Size) -> tuple[int, int]:
    """Return the top left of the part of this `size` that draws the eye most.

    Fine detail draws it, the more so the stronger its colour is, and most where it has the colour
    of skin. What is transparent does not. Of parts that draw it alike, the one nearest to the
    centre is taken.

    Args:
      image: in one of the modes L, LA, RGB and RGBA.
      size: no larger than the picture.
    """
    centre = place(size, image.size, "center")
    seen = scale(image, fit_inside(image.size, (_LONGEST_EDGE, _LONGEST_EDGE), enlarge=False))
    interest = _interest(seen)
    if not any(interest):
        return centre
    (width, height), (across, down) = size, seen.size
    part = _reduced(width, image.width, across), _reduced(height, image.height, down)
    room = across - part[0], down - part[1]
    x, y = _best(_sums(interest, across, down), part, room)
    return (
        round(x * (image.width - width) / room[0]) if room[0] else centre[0],
        round(y * (image.height - height) / room[1]) if room[1] else centre[1],
    )


def _reduced(length: int, whole: int, reduced: int) -> int:
    return min(max(1, round(length * reduced / whole)), reduced)


def _interest(image: Image.Image) -> list[int]:
    """Return how much each pixel draws the eye, row by row."""
    alpha = image.getchannel("A") if has_alpha(image) else None
    image = image.convert("RGB") if alpha is None else _on_its_mean(image.convert("RGB"), alpha)
    light, blue, red = image.convert("YCbCr").split()
    edge = max(image.size)
    detail = ImageChops.difference(light, light.filter(ImageFilter.GaussianBlur(edge * _FINE)))
    drawn = detail.point(_GAIN).filter(ImageFilter.GaussianBlur(edge * _NEAR)).tobytes()
    skin = ImageChops.multiply(blue.point(_SKIN_BLUE), red.point(_SKIN_RED))
    skin = ImageChops.multiply(skin, light.point(_SKIN_LIGHT))
    _hue, saturation, value = image.convert("HSV").split()
    colour = ImageChops.multiply(saturation, value)
    interest = [
        detail * (_COLOURLESS + colourful + like_skin)
        for detail, colourful, like_skin in zip(
            drawn, colour.tobytes(), skin.tobytes(), strict=True
        )
    ]
    if alpha is None:
        return interest
    shares = alpha.tobytes()
    least = min(shares)
    return [
        share * (each + 255 * _PRESENCE * (share - least)) // 255
        for each, share in zip(interest, shares, strict=True)
    ]


def _on_its_mean(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Return `image` on a ground that adds no edges and no colour of its own."""
    if alpha.getbbox() is None:
        return Image.new(image.mode, image.size)
    mean = ImageStat.Stat(image, alpha).mean
    ground = Image.new(image.mode, image.size, tuple(map(round, mean)))
    ground.paste(image, mask=alpha)
    return ground


def _sums(interest: Sequence[int], across: int, down: int) -> list[list[int]]:
    """Return for each corner what is above and to the left of it, weighed by where it is."""
    columns = _weights(across, *_ACROSS)
    sums = [[0] * (across + 1)]
    for y, weight in enumerate(_weights(down, *_DOWN)):
        row = interest[y * across : (y + 1) * across]
        pulled = (weight * column * each for column, each in zip(columns, row, strict=True))
        above = sums[-1]
        sums.append([a + b for a, b in zip(above, accumulate(pulled, initial=0), strict=True)])
    return sums


def _weights(length: int, middle: float, loss: float) -> list[int]:
    places = (2 * ((at + 0.5) / length - middle) for at in range(length))
    return [max(1, round(100 * (1 - loss * place**2))) for place in places]


def _best(sums: Sequence[Sequence[int]], part: Size, room: Size) -> tuple[int, int]:
    most, best = (-1, 0), (0, 0)
    for y in range(room[1] + 1):
        scores = _scores(sums, y, part, room)
        highest = max(scores)
        if highest < most[0]:
            continue
        x = min(
            (at for at, score in enumerate(scores) if score == highest),
            key=lambda at: abs(2 * at - room[0]),
        )
        found = highest, -abs(2 * x - room[0]) - abs(2 * y - room[1])
        if found > most:
            most, best = found, (x, y)
    return best


def _scores(sums: Sequence[Sequence[int]], y: int, part: Size, room: Size) -> list[int]:
    """Return for each x how much the part at `x`, `y` draws the eye."""
    scores = [0] * (room[0] + 1)
    for inset in _INSETS:
        # Only where there is a choice: what is at the edges of the whole is as good as the rest.
        left = int(part[0] * inset) if room[0] else 0
        above = int(part[1] * inset) if room[1] else 0
        upper, lower = sums[y + above], sums[y + part[1] - above]
        band = [low - high for high, low in zip(upper, lower, strict=True)]
        starts, ends = band[left : left + len(scores)], band[part[0] - left :]
        scores = [
            score + end - start
            for score, start, end in zip(scores, starts, ends[: len(scores)], strict=True)
        ]
    return scores
