"""Good files of every format, and what chance makes of them."""

import random
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

from PIL import Image

from tests.imaging import heics
from tests.imaging.containers import avif, coded, grid, ispe, plain_tiff, reference, sequence
from tests.imaging.heics import assembled, heic
from tests.imaging.pictures import PNG, colour_profile, exif, photograph, written

_RED, _GREEN, _BLUE = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)


def good_files() -> dict[str, bytes]:
    """Make small files that use what there is in each format."""
    photo = photograph(64, 64)
    clear = photo.convert("RGBA")
    clear.putalpha(photograph(64, 64, 2).convert("L"))
    indexed = photo.quantize(32)
    frames = [photograph(64, 64, seed) for seed in (3, 4)]
    marked = [Image.new("RGB", (64, 64), "teal") for _ in range(3)]
    for number, image in enumerate(marked):
        image.paste("gold", (10 * number, 5, 10 * number + 8, 40))
    said = {"exif": exif(6), "icc_profile": colour_profile(_RED, _GREEN, _BLUE)}
    stream, config = coded(photo)
    still, hvcc = heics.coded(photo)
    tiles = [(b"grid", grid(2, 1, 128, 64)), (b"av01", stream), (b"av01", stream)]

    def moving(images, kind, **options):
        rest = images[1:]
        return written(images[0], kind, save_all=True, append_images=rest, duration=50, **options)

    return {
        "jpeg": written(photo, "jpeg", **said),
        "jpeg-progressive": written(photo, "jpeg", progressive=True),
        "jpeg-of-inks": written(photo.convert("CMYK"), "jpeg"),
        "png": written(photo, "png", **said),
        "png-indexed": written(indexed, "png", transparency=3),
        "png-moving": moving(marked, "png"),
        "gif": written(indexed, "gif", transparency=3),
        "gif-moving": moving(marked, "gif", disposal=2, loop=3),
        "webp": written(photo, "webp", **said),
        "webp-lossless": written(clear, "webp", lossless=True),
        "webp-moving": moving([photo, *frames], "webp", loop=3),
        "avif": written(clear, "avif", **said),
        "avif-of-tiles": avif(
            tiles,
            [ispe(128, 64), ispe(64, 64), config],
            {1: [1], 2: [2, 3], 3: [2, 3]},
            references=reference(b"dimg", 1, 2, 3),
        ),
        "avif-moving": moving([photo, *frames], "avif"),
        "avif-of-samples": sequence([stream] * 3, config, (64, 64)),
        "heic": heic(clear, **said),
        "heic-of-tiles": heic(photograph(100, 70), tile_size=64),
        "heic-of-parts": assembled([(b"hvc1", still)], [ispe(64, 64), hvcc], {1: [1, 2]}),
        "tiff": written(photo, "tiff", compression="tiff_lzw", **said),
        "tiff-deflated": written(clear, "tiff", compression="tiff_adobe_deflate"),
        "tiff-in-strips": plain_tiff(
            40, 4, t273=(4, *(8 + 40 * row for row in range(4))), t278=(4, 1), t279=(4, *[40] * 4)
        ),
    }


def mutations(data: bytes, seed: int) -> Iterator[bytes]:
    """Yield what chance makes of `data`, without end, and the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    ways = (_flipped, _cut, _swapped, _repeated, _without, _extreme, _extreme, _off_by_little)
    while True:
        changed = bytearray(data)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
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
