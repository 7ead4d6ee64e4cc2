"""A picture in a few characters: as a blurred placeholder, and to find pictures that look alike."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import copysign, cos, floor, pi
from operator import mul

from PIL import Image

from actors.imaging.colour import flatten
from actors.imaging.perception import LIGHT, level

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_LONGER, _SHORTER = 4, 3


def blurhash(image: Image.Image) -> str:
    """Return the BlurHash, of 4 components along the longer edge and 3 along the shorter one.

    The algorithm is by Dag Ågren, for Wolt. What is transparent is laid on white.

    Args:
      image: in one of the modes L, LA, RGB and RGBA; a small one, since all of it is looked at.
    """
    across, down = (_LONGER, _SHORTER) if image.width >= image.height else (_SHORTER, _LONGER)
    bands = flatten(image).convert("RGB").split()
    # Unlike other transforms of its kind it takes each pixel at its left upper corner.
    columns = [_wave(image.width, number, 0) for number in range(across)]
    rows = [_wave(image.height, number, 0) for number in range(down)]
    terms = [
        [
            term * (2 if number else 1)
            for number, term in enumerate(_terms([LIGHT[each] for each in band], columns, rows))
        ]
        for band in (band.tobytes() for band in bands)
    ]
    (red, *reds), (green, *greens), (blue, *blues) = terms
    strongest = max(map(abs, (*reds, *greens, *blues)))
    scale = min(max(floor(strongest * 166 - 0.5), 0), 82)
    return "".join(
        (
            _base_83(across - 1 + 9 * (down - 1), 1),
            _base_83(scale, 1),
            _base_83(level(red) << 16 | level(green) << 8 | level(blue), 4),
            *(
                _base_83(_in_19_steps(term, (scale + 1) / 166), 2)
                for term in zip(reds, greens, blues, strict=True)
            ),
        )
    )


def _in_19_steps(colour: Sequence[float], scale: float) -> int:
    number = 0
    for term in colour:
        share = copysign(abs(term / scale) ** 0.5, term)
        number = number * 19 + min(max(floor(share * 9 + 9.5), 0), 18)
    return number


def _base_83(number: int, length: int) -> str:
    digits = (number // 83**place % 83 for place in reversed(range(length)))
    return "".join(_DIGITS[digit] for digit in digits)


def thumbhash(image: Image.Image) -> str:
    """Return the ThumbHash, in Base64.

    The algorithm is by Evan Wallace. It keeps the proportions, and what is transparent.

    Args:
      image: in one of the modes L, LA, RGB and RGBA, and no larger than 100 x 100 pixels.
    """
    width, height = image.size
    *bands, alpha = ([each / 255 for each in band.tobytes()] for band in _bands(image))
    visible = sum(alpha)
    has_alpha = visible < width * height
    red, green, blue = (_on_its_mean(band, alpha, visible) for band in bands)
    most = 5 if has_alpha else 7
    across = max(1, _rounded(most * width / max(image.size)))
    down = max(1, _rounded(most * height / max(image.size)))
    lightness = [sum(pixel) / 3 for pixel in zip(red, green, blue, strict=True)]
    yellow = [(r + g) / 2 - b for r, g, b in zip(red, green, blue, strict=True)]
    reddish = [r - g for r, g in zip(red, green, strict=True)]
    light = _Channel(lightness, image.size, max(3, across), max(3, down))
    warm, pink = (_Channel(each, image.size, 3, 3) for each in (yellow, reddish))
    is_wide = width > height
    head = (
        _rounded(63 * light.constant)
        | _rounded(31.5 + 31.5 * warm.constant) << 6
        | _rounded(31.5 + 31.5 * pink.constant) << 12
        | _rounded(31 * light.scale) << 18
        | has_alpha << 23
        | (down if is_wide else across) << 24
        | _rounded(63 * warm.scale) << 27
        | _rounded(63 * pink.scale) << 33
        | is_wide << 39
    )
    data, channels = head.to_bytes(5, "little"), [light, warm, pink]
    if has_alpha:
        clear = _Channel(alpha, image.size, 5, 5)
        data += bytes([_rounded(15 * clear.constant) | _rounded(15 * clear.scale) << 4])
        channels.append(clear)
    nibbles = [nibble for channel in channels for nibble in channel.nibbles()]
    nibbles += [0] * (len(nibbles) % 2)
    data += bytes(low | high << 4 for low, high in zip(nibbles[::2], nibbles[1::2], strict=True))
    return base64.b64encode(data).decode()


def _bands(image: Image.Image) -> tuple[Image.Image, ...]:
    return image.convert("RGBA").split()


def _on_its_mean(band: Sequence[float], alpha: Sequence[float], visible: float) -> list[float]:
    mean = sum(map(mul, band, alpha)) / visible if visible else 0
    return [mean * (1 - share) + share * each for each, share in zip(band, alpha, strict=True)]


class _Channel:
    """What of a channel is kept: its mean, and how it varies, slowly before quickly."""

    def __init__(self, channel: Sequence[float], size: tuple[int, int], nx: int, ny: int) -> None:
        columns = [_wave(size[0], number, 0.5) for number in range(nx)]
        rows = [_wave(size[1], number, 0.5) for number in range(ny)]
        terms = list(_terms(channel, columns, rows))
        # Of those that vary in both directions, the quickest are left out.
        self.constant, *self._varying = (
            terms[x + y * nx] for y in range(ny) for x in range(nx) if x * ny < nx * (ny - y)
        )
        self.scale = max(map(abs, self._varying))

    def nibbles(self) -> Iterator[int]:
        """Yield each term that varies, in 16 steps of the scale."""
        for term in self._varying:
            yield _rounded(15 * (0.5 + 0.5 / self.scale * term)) if self.scale else 0


def dhash(image: Image.Image) -> str:
    """Return the difference hash: 64 bits in hexadecimal, row by row.

    The picture is made grey and 9 x 8 pixels small. A bit is 1 where a pixel is brighter than the
    one to its left. Of pictures that look alike only few bits differ. The package imagehash makes
    the same one of an opaque picture; here, what is transparent is laid on white.

    Args:
      image: in one of the modes L, LA, RGB and RGBA.
    """
    small = flatten(image).convert("L").resize((9, 8), Image.Resampling.LANCZOS).tobytes()
    rows = (small[start : start + 9] for start in range(0, 72, 9))
    bits = (right > left for row in rows for left, right in pairwise(row))
    return f"{sum(bit << place for place, bit in zip(range(63, -1, -1), bits, strict=True)):016x}"


def _wave(length: int, number: int, offset: float) -> list[float]:
    return [cos(pi * number * (at + offset) / length) for at in range(length)]


def _terms(
    channel: Sequence[float], columns: Sequence[Sequence[float]], rows: Sequence[Sequence[float]]
) -> Iterator[float]:
    """Yield how much of each product of two waves there is in `channel`, on the average."""
    width, height = len(columns[0]), len(rows[0])
    lines = [channel[start : start + width] for start in range(0, width * height, width)]
    along = [[sum(map(mul, line, column)) for line in lines] for column in columns]
    for row in rows:
        for sums in along:
            yield sum(map(mul, sums, row)) / (width * height)


def _rounded(number: float) -> int:
    """Round as JavaScript does, in which the algorithm is written: halves upwards."""
    return floor(number + 0.5)
