"""From pixels to the bytes of a file: free of metadata, and without holding up other threads.

Pillow gives the interpreter free while it writes to a descriptor, but not while it writes to a Python object.
"""

import os
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import BinaryIO

from PIL import Image, ImageChops

from actors.imaging.colour import flatten
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import Format

_WEBP_MAX_EDGE = 16_383
_OPAQUE_FROM = 128


def encode(image: Image.Image, kind: Format, quality: int) -> bytes:
    """Return `image` as a file. The same pixels and arguments give the same bytes.

    Args:
      image: in one of the modes L, LA, RGB and RGBA, without metadata.
      quality: from 1 to 100, for the formats that lose some.

    Raises:
      ImpossibleRecipe: if the format has no room for a picture of this size.
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
    # A GIF is transparent or opaque, nothing between: one colour of the palette is kept for the former.
    clear = image.getchannel("A").point(
        [255 if level < _OPAQUE_FROM else 0 for level in range(256)]
    )
    palette = image.convert("RGB").quantize(255, Image.Quantize.FASTOCTREE)
    palette.paste(255, mask=clear)
    return _written(lambda file: palette.save(file, "GIF", transparency=255))


def _png(image: Image.Image, _quality: int) -> bytes:
    if _is_flat(image):
        return _written(lambda file: image.save(file, "PNG", compress_level=3))
    return _written(lambda file: image.save(file, "PNG", compress_type=zlib.Z_RLE))


def _is_flat(image: Image.Image) -> bool:
    """Tell drawings, screenshots and text from photographs: most of their neighbours are equal."""
    width, height = image.size
    rows = image.resize((width, min(height, 64)), Image.Resampling.NEAREST)
    left, right = rows.crop((0, 0, width - 1, rows.height)), rows.crop((1, 0, width, rows.height))
    changes = ImageChops.difference(left, right).convert("L").histogram()
    return 2 * changes[0] > sum(changes)


def _written(write: Callable[[BinaryIO], None]) -> bytes:
    with os.fdopen(os.memfd_create("image"), "w+b") as file:
        write(file)
        file.seek(0)
        return file.read()


_ENCODERS: Mapping[Format, Callable[[Image.Image, int], bytes]] = MappingProxyType(
    {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif}
)
