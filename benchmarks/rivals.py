"""Others that make a smaller picture of a picture: bare Pillow, naive Pillow and libvips."""

from __future__ import annotations

import functools
import importlib
import io
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from PIL import Image, ImageSequence
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

if TYPE_CHECKING:
    from types import ModuleType

    from PIL.ImageFile import ImageFile

# Makes of a file another one of a size.
Rival = Callable[[bytes, tuple[int, int]], bytes]

_OPENERS: Mapping[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "AVIF": AvifImageFile,
}

# A JPEG is decoded at a fraction of its size that leaves so much more than is wanted.
_SURPLUS = 1.2
_GAP = 2.0


def bare(kind: str, **options: object) -> Rival:
    """Return the fastest use of Pillow that we know of, with nothing around it.

    The plugin without `Image.open`, a JPEG at a fraction, the file in one piece, what is far larger
    averaged before LANCZOS, and encoded to a real descriptor, which lets go of the interpreter.
    """

    def make(data: bytes, size: tuple[int, int]) -> bytes:
        image = _OPENERS[kind](io.BytesIO(data))
        image.decodermaxblock = len(data)
        image.draft(None, (int(size[0] * _SURPLUS), int(size[1] * _SURPLUS)))
        return _saved(image.resize(size, Image.Resampling.LANCZOS, None, _GAP), kind, options)

    return make


def bare_clip(**options: object) -> Rival:
    """Return the same for an animated GIF: an octree's colours, and of these always the nearest."""

    def make(data: bytes, size: tuple[int, int]) -> bytes:
        frames = []
        for frame in ImageSequence.Iterator(GifImageFile(io.BytesIO(data))):
            image = frame.convert("RGB").resize(size, Image.Resampling.LANCZOS, None, _GAP)
            palette = image.quantize(256, Image.Quantize.FASTOCTREE)
            frames.append(image.quantize(palette=palette, dither=Image.Dither.NONE))
        return _saved(frames[0], "GIF", {**options, **_all(frames)})

    return make


def naive(kind: str, **options: object) -> Rival:
    """Return what everybody writes: open, resize, save."""

    def make(data: bytes, size: tuple[int, int]) -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            small = image.resize(size, Image.Resampling.LANCZOS)
        file = io.BytesIO()
        small.save(file, kind, **options)
        return file.getvalue()

    return make


def naive_clip(**options: object) -> Rival:
    """Return the same for an animation."""

    def make(data: bytes, size: tuple[int, int]) -> bytes:
        with Image.open(io.BytesIO(data)) as image:
            frames = [
                frame.convert("RGB").resize(size, Image.Resampling.LANCZOS)
                for frame in ImageSequence.Iterator(image)
            ]
        file = io.BytesIO()
        frames[0].save(file, "GIF", **options, **_all(frames))
        return file.getvalue()

    return make


def libvips(suffix: str, *, load: str = "", **options: object) -> Rival:
    """Return what libvips does in one thread. It takes pyvips: see `has_libvips`.

    Args:
      load: what its loader is told, as in "n=-1" for all frames.
    """

    def make(data: bytes, size: tuple[int, int]) -> bytes:
        small = _pyvips().Image.thumbnail_buffer(
            data, size[0], height=size[1], size="force", option_string=load
        )
        made: bytes = small.write_to_buffer(suffix, **options)
        return made

    return make


def has_libvips() -> bool:
    """Return whether it is there: `pip install pyvips[binary]`."""
    return find_spec("pyvips") is not None


@functools.cache
def _pyvips() -> ModuleType:
    # It reads this when it is loaded.
    os.environ["VIPS_CONCURRENCY"] = "1"
    vips = importlib.import_module("pyvips")
    # Or it would remember what it made of the same bytes a moment ago.
    vips.cache_set_max(0)
    return vips


def _all(frames: list[Image.Image]) -> dict[str, object]:
    return {"save_all": True, "append_images": frames[1:]}


def _saved(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    with os.fdopen(os.memfd_create("bare"), "w+b") as file:
        image.save(file, kind, **options)
        file.seek(0)
        return file.read()
