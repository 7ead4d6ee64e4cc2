"""Writing PNG."""

import itertools
import zlib
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from actors.imaging.writing.draft import Draft
from actors.imaging.writing.memory import written
from actors.imaging.writing.palette import Palettes

# Photographs are faster to write, and no larger, when only runs are looked for; drawings and text
# can be ten times smaller when more is.
_PHOTOGRAPH = {"compress_type": zlib.Z_RLE}
_DRAWING = {"compress_level": 3}
_WORTH_IT = 0.97
_TILES, _TILE = 8, (32, 8)

# zlib's level for each effort. Its 9th takes a third longer than the 8th, for 1 %.
_LEVELS = (1, 2, 3, 4, 5, 6, 6, 7, 8)


def write_png(draft: Draft, _quality: int) -> bytes:
    """Return the first frame as a PNG, with a palette if a number of colours is asked for."""
    image, transparent = draft.film.frame(0), None
    if draft.encoding.colors is not None:
        image, transparent = _reduced(image, draft.encoding.colors)
    if draft.encoding.effort is None:
        compression = _fast(image)
    else:
        compression = {"compress_level": _LEVELS[draft.encoding.effort - 1]}
    about: dict[str, object] = {"icc_profile": draft.icc, "exif": draft.exif}
    if transparent is not None:
        about["transparency"] = transparent
    if draft.encoding.dpi is not None:
        about["dpi"] = (draft.encoding.dpi, draft.encoding.dpi)
    return _written(image, {**compression, **about})


def _reduced(image: Image.Image, colours: int) -> tuple[Image.Image, int | None]:
    if image.mode not in {"LA", "RGBA"}:
        return Palettes(colours).paletted(image), None
    alpha = image.getchannel("A")
    levels = {level for level, number in enumerate(alpha.histogram()) if number}
    if levels <= {0, 255}:
        return Palettes(colours).paletted_in_part(image.convert(image.mode[:-1]), alpha)
    return Palettes(colours).paletted_with_alpha(image), None


def _fast(image: Image.Image) -> dict[str, int]:
    sample = _sample(image)
    is_drawing = len(_written(sample, _DRAWING)) < _WORTH_IT * len(_written(sample, _PHOTOGRAPH))
    return _DRAWING if is_drawing else _PHOTOGRAPH


def _sample(image: Image.Image) -> Image.Image:
    """Return tiles from all over `image`, small enough to be compressed twice for a try."""
    width, height = (min(edge, most) for edge, most in zip(image.size, _TILE, strict=True))
    sample = Image.new(image.mode, (_TILES * width, _TILES * height))
    for column, row in itertools.product(range(_TILES), repeat=2):
        left = (image.width - width) * column // (_TILES - 1)
        top = (image.height - height) * row // (_TILES - 1)
        tile = image.crop((left, top, left + width, top + height))
        sample.paste(tile, (column * width, row * height))
    return sample


def _written(image: Image.Image, options: Mapping[str, object]) -> bytes:
    return written(lambda file: image.save(file, PngImageFile.format, **options))
