"""From the bytes of a file to the pixels of its first picture, no more of them than are needed."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image, ImageFile, PngImagePlugin
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from actors.imaging.colour import plain, with_gamma
from actors.imaging.errors import ImageTooLarge, NotAnImage
from actors.imaging.facts import Facts, Format, Size
from actors.imaging.geometry import Box
from actors.imaging.jpeg import jpeg_without_metadata
from actors.imaging.png import png_gamma, png_profile, png_without_metadata

# `inspect` has measured the image before Pillow sees it, by limits that Pillow knows nothing of.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024
# Pillow warns of faults in metadata, which are dropped anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Not through `Image.open`, which tries every format, and takes a photograph with a second picture
# behind it for something else than a JPEG. And not with the metadata: Pillow reads it with much
# effort, and it is dropped anyway.
_OPENERS: Mapping[Format, Callable[[bytes], ImageFile.ImageFile]] = MappingProxyType(
    {
        "jpeg": lambda data: JpegImageFile(io.BytesIO(jpeg_without_metadata(data))),
        "png": lambda data: PngImageFile(io.BytesIO(png_without_metadata(data))),
        "webp": lambda data: WebPImageFile(io.BytesIO(data)),
        "gif": lambda data: GifImageFile(io.BytesIO(data)),
    }
)

# A JPEG can be decoded at a fraction of its size for a fraction of the cost. What is left to
# resample away must be enough to hide that the fraction was not the wanted one.
_DRAFTS = (8, 4, 2)
_LEAST_SURPLUS = 1.2


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture as it is stored, not yet turned, in one of the modes that `plain` promises.

    The whole picture is the part of `image` in `box`; a reduced one can have a seam beyond it.
    `profile` says what its colours mean.
    """

    image: Image.Image
    box: Box
    profile: bytes | None


def decode(data: bytes, facts: Facts, wanted: Size | None) -> Decoded:
    """Decode the first picture in `data`.

    Args:
      wanted: the size, not turned yet, that it is going to be scaled to. It may be decoded at less
        than its own size, if that is well above this one. None for all of it.

    Raises:
      NotAnImage: if it cannot be decoded.
      ImageTooLarge: if there is no memory for it.
    """
    with _codec():
        image = _OPENERS[facts.format](data)
        if image.size != (facts.width, facts.height):
            raise NotAnImage("The image is broken: its parts disagree about its size.")
        # In one piece: a decoder fed in small ones fights for the interpreter at each of them.
        image.decodermaxblock = len(data)
        box = _draft(image, wanted)
        extent = image.tile[0].extents if image.tile else None
        image.load()
        profile = image.info.get("icc_profile")
        decoded = plain(image, facts.depth)
        if facts.format == "gif" and extent is not None:
            decoded = _on_canvas(decoded, extent)
        if facts.format == "png":
            profile = png_profile(data)
            decoded = with_gamma(decoded, png_gamma(data))
        return Decoded(decoded, box, profile if isinstance(profile, bytes) else None)


@contextmanager
def _codec() -> Iterator[None]:
    try:
        yield
    except NotAnImage:
        raise
    except MemoryError as error:
        raise ImageTooLarge("The image needs more memory than there is.") from error
    except Exception as error:  # Pillow raises more kinds than it documents
        raise NotAnImage("The image is broken: it cannot be decoded.") from error


def _draft(image: ImageFile.ImageFile, wanted: Size | None) -> Box:
    width, height = image.size
    if isinstance(image, JpegImageFile) and wanted is not None:
        for step in _DRAFTS:
            if (
                width >= step * wanted[0] * _LEAST_SURPLUS
                and height >= step * wanted[1] * _LEAST_SURPLUS
            ):
                image.draft(None, (width // step, height // step))
                return 0.0, 0.0, width / step, height / step
    return 0.0, 0.0, float(width), float(height)


def _on_canvas(image: Image.Image, extent: tuple[int, int, int, int]) -> Image.Image:
    """Return `image` with what its frame does not cover made transparent."""
    if extent == (0, 0, *image.size):
        return image
    canvas = Image.new("RGBA", image.size, (0, 0, 0, 0))
    canvas.paste(image.crop(extent).convert("RGBA"), extent)
    return canvas
