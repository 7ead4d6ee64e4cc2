"""Writing PNG."""

import itertools
import zlib
from collections.abc import Mapping

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.modes import has_alpha
from actors.imaging.writing.draft import Draft
from actors.imaging.writing.film import Reel, Timing
from actors.imaging.writing.memory import written
from actors.imaging.writing.palette import Palettes

# Photographs are faster to write, and no larger, when only runs are looked for; drawings and text
# can be ten times smaller when more is.
_PHOTOGRAPH = {"compress_type": zlib.Z_RLE}
_DRAWING = {"compress_level": 3}
_WORTH_IT = 0.97
_TILES, _TILE = 8, (32, 8)

# In milliseconds: as a fraction of a second it takes no more than the 16 bits that there are.
_LONGEST_DURATION = 2**16 - 1

# zlib's level for each effort. Its 9th takes a third longer than the 8th, for 1 %.
_LEVELS = (1, 2, 3, 4, 5, 6, 6, 7, 8)


def write_png(draft: Draft, _quality: int) -> bytes:
    """Return the film as a PNG, with a palette if a number of colours is asked for.

    Raises:
      ImpossibleRecipe: if it moves and is to have a palette, which it would have only one of.
    """
    if draft.timing is not None:
        return _moving(draft, draft.timing)
    image, transparent = draft.film.frame(0), None
    if draft.encoding.colors is not None:
        image, transparent = _reduced(image, draft.encoding.colors)
    options = _compression(draft, image) | _about(draft)
    if transparent is not None:
        options["transparency"] = transparent
    return _written(image, options)


def _moving(draft: Draft, timing: Timing) -> bytes:
    if draft.encoding.colors is not None:
        raise ImpossibleRecipe("a PNG that moves is not written with a palette, but a GIF is")
    film = draft.film
    options = _compression(draft, film.frame(0)) | _about(draft)
    options |= {
        "save_all": True,
        "duration": [min(duration, _LONGEST_DURATION) for duration in timing.durations],
        "loop": timing.loops,
    }
    return _written(Reel(film.frame, len(film)), options)


def _compression(draft: Draft, image: Image.Image) -> dict[str, object]:
    if draft.encoding.effort is None:
        return dict(_fast(image))
    return {"compress_level": _LEVELS[draft.encoding.effort - 1]}


def _about(draft: Draft) -> dict[str, object]:
    about: dict[str, object] = {"icc_profile": draft.icc, "exif": draft.exif}
    if draft.encoding.dpi is not None:
        about["dpi"] = (draft.encoding.dpi, draft.encoding.dpi)
    return about


def _reduced(image: Image.Image, colours: int) -> tuple[Image.Image, int | None]:
    if not has_alpha(image):
        return Palettes(colours).paletted(image), None
    alpha = image.getchannel("A")
    levels = {level for level, number in enumerate(alpha.histogram()) if number}
    if levels <= {0, 255}:
        return Palettes(colours).paletted_in_part(image.convert(image.mode[:-1]), alpha)
    return Palettes(colours).paletted_with_alpha(image), None


def _fast(image: Image.Image) -> Mapping[str, int]:
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
