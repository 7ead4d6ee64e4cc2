"""What chance makes of good input: the same for the same seed, and more of it for ever."""

import random
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Literal

from tests.imaging.pictures import PNG

# What the grammars of texts put together: names, numbers, and strings in quotes.
_TOKEN = re.compile(rb'"[^"\r\n]*"|[A-Za-z0-9_.%+-]+')
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)


def mutations(data: bytes, seed: int, words: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield what chance makes of `data`, without end, and the same for the same seed.

    Args:
      words: what has a meaning there, and is put in.
    """
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    ways = (_flipped, _cut, _swapped, _repeated, _without, _extreme, _extreme, _off_by_little)
    while True:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            if words and chance.random() < 0.6:
                way = chance.choice((_said, _said_instead, _said_instead))
                way(changed, chance, chance.choice(words))
            else:
                chance.choice(ways)(changed, chance)
        # Else hardly one of them would get past the sums.
        is_mended = data.startswith(PNG) and chance.random() < 0.7
        yield _mended(bytes(changed)) if is_mended else bytes(changed)


def _mended(data: bytes) -> bytes:
    """A PNG whose checksums are right."""
    parts, position = [data[:8]], 8
    while position + 12 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        body = data[position + 4 : end]
        parts += [data[position : position + 4], body, struct.pack(">I", zlib.crc32(body))]
        position = end + 4
    return b"".join(parts) + data[position:]


def _place(data: bytearray, chance: random.Random) -> int:
    """Somewhere, and often in the beginning, where most of the structure is."""
    most = len(data) if chance.random() < 0.5 else min(len(data), 700)
    return chance.randrange(most) if most else 0


def _block(data: bytearray, chance: random.Random) -> slice:
    start = _place(data, chance)
    return slice(start, start + chance.randint(1, 1 + len(data) // 4))


def _flipped(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 8) if data else 0):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _swapped(data: bytearray, chance: random.Random) -> None:
    here, there = sorted((_place(data, chance), _place(data, chance)))
    length = min(chance.randint(1, 64), there - here)
    data[here : here + length], data[there : there + length] = (
        data[there : there + length],
        data[here : here + length],
    )


def _repeated(data: bytearray, chance: random.Random) -> None:
    block, place = data[_block(data, chance)], _place(data, chance)
    data[place:place] = block


def _without(data: bytearray, chance: random.Random) -> None:
    del data[_block(data, chance)]


def _said(data: bytearray, chance: random.Random, word: bytes) -> None:
    """Put a word in, or in the place of as much."""
    start = _place(data, chance)
    data[start : start + chance.choice((0, 0, len(word)))] = word


def _said_instead(data: bytearray, chance: random.Random, word: bytes) -> None:
    """Put a word, or another token, in the place of a token."""
    tokens = [found.span() for found in _TOKEN.finditer(data)]
    if tokens:
        (start, stop), (first, last) = chance.choice(tokens), chance.choice(tokens)
        data[start:stop] = word if chance.random() < 0.5 else data[first:last]


def _extreme(data: bytearray, chance: random.Random) -> None:
    """Put into a field of 1, 2, 4 or 8 bytes what its reader may not expect."""
    start, size = _place(data, chance), chance.choice((1, 2, 4, 8))
    data[start : start + size] = bytes((chance.choice(_EXTREMES),)) * size


def _off_by_little(data: bytearray, chance: random.Random) -> None:
    """Change a number of 2 or 4 bytes, in either order of them, by little."""
    start, size = _place(data, chance), chance.choice((2, 4))
    order: Literal["little", "big"] = "little" if chance.random() < 0.5 else "big"
    number = int.from_bytes(data[start : start + size], order) + chance.randint(-9, 9)
    data[start : start + size] = (number % 256**size).to_bytes(size, order)
