"""The decoder of HEIC: libheif in pillow-heif, which is an extra and loaded when it is needed."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile


def open_heic(data: bytes) -> ImageFile:
    """Return the picture in a HEIC that holds nothing else, as `heic_pixels` makes it.

    Raises:
      SyntaxError: if it cannot be decoded; when it is loaded, any error.
    """
    return load_heic()(io.BytesIO(data))


@cache
def load_heic() -> Callable[[io.BytesIO], ImageFile]:
    """Return what opens a HEIC, once it is loaded."""
    # It takes 60 ms and 20 MB, which nobody is to pay who reads no HEIC.
    from pillow_heif import HeifImageFile, options  # noqa: PLC0415

    # There are as many renders as cores, so that more threads for one of them would be in the way.
    options.DECODE_THREADS = 0
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    return HeifImageFile
