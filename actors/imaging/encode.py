"""From pixels to the bytes of a file: free of metadata, and without holding up other threads.

Pillow's JPEG and GIF encoders let other threads run only while they write to a real descriptor;
its PNG and WebP encoders always do.
"""

import errno
import os
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from PIL import Image

from actors.imaging.colour import flatten
from actors.imaging.errors import ImpossibleRecipe, NoRoom
from actors.imaging.facts import Format

_WEBP_MAX_EDGE = 16_383
_OPAQUE_FROM = 128
# A file in memory counts against the limits on files and on memory.
_FULL = {errno.EFBIG, errno.ENOSPC, errno.ENOMEM}

# Photographs are faster to write, and no larger, when only runs are looked for; drawings and text
# can be ten times smaller when more is.
_WORTH_IT = 0.9


def encode(image: Image.Image, kind: Format, quality: int) -> bytes:
    """Return `image` as a file. The same pixels and arguments give the same bytes.

    Args:
      image: in one of the modes L, LA, RGB and RGBA, without metadata.
      quality: from 1 to 100, for the formats that lose some.

    Raises:
      ImpossibleRecipe: if the format has no room for a picture of this size.
      NoRoom: if the system has none for the file.
    """
    return _ENCODERS[kind](image, quality)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    return _written(lambda file: flatten(image).save(file, "JPEG", quality=quality))


def _webp(image: Image.Image, quality: int) -> bytes:
    if max(image.size) > _WEBP_MAX_EDGE:
        raise ImpossibleRecipe(
            f"The picture would be {image.width:,} x {image.height:,} pixels; "
            f"an edge of a WebP has at most {_WEBP_MAX_EDGE:,}."
        )
    image = image.convert("RGBA" if image.mode in {"LA", "RGBA"} else "RGB")
    return _written(lambda file: image.save(file, "WEBP", quality=quality, method=4))


def _gif(image: Image.Image, _quality: int) -> bytes:
    if image.mode == "L":
        return _written(lambda file: image.save(file, "GIF"))
    if image.mode == "RGB":
        palette = image.quantize(256, Image.Quantize.FASTOCTREE)
        return _written(lambda file: palette.save(file, "GIF"))
    # A pixel of a GIF is transparent or opaque: one colour of the palette is kept for the former.
    clear = image.getchannel("A").point(
        [255 if level < _OPAQUE_FROM else 0 for level in range(256)]
    )
    palette = image.convert("RGB").quantize(255, Image.Quantize.FASTOCTREE)
    palette.paste(255, mask=clear)
    return _written(lambda file: palette.save(file, "GIF", transparency=255))


def _png(image: Image.Image, _quality: int) -> bytes:
    sample = _sample(image)
    is_flat = len(_flat_png(sample)) < _WORTH_IT * len(_photographic_png(sample))
    return _flat_png(image) if is_flat else _photographic_png(image)


def _flat_png(image: Image.Image) -> bytes:
    return _written(lambda file: image.save(file, "PNG", compress_level=3))


def _photographic_png(image: Image.Image) -> bytes:
    return _written(lambda file: image.save(file, "PNG", compress_type=zlib.Z_RLE))


def _sample(image: Image.Image) -> Image.Image:
    """Return three bands of `image`, small enough to be compressed twice for a try."""
    width, height = min(image.width, 256), min(image.height, 16)
    left = (image.width - width) // 2
    sample = Image.new(image.mode, (width, 3 * height))
    for band in range(3):
        top = (image.height - height) * (2 * band + 1) // 6
        sample.paste(image.crop((left, top, left + width, top + height)), (0, band * height))
    return sample


def _written(write: Callable[[BinaryIO], None]) -> bytes:
    try:
        with os.fdopen(os.memfd_create("image"), "w+b") as file:
            write(file)
            file.seek(0)
            return file.read()
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoom("There was no room to write the result.") from error


_ENCODERS: Mapping[Format, Callable[[Image.Image, int], bytes]] = MappingProxyType(
    {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif}
)
