"""From the bytes of a file to pixels, no more of them than are needed."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO

from PIL import AvifImagePlugin, Image, ImageFile, PngImagePlugin
from PIL.AvifImagePlugin import AvifImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from actors.imaging.animation import Disposal, Patch, play
from actors.imaging.avif import avif_without_metadata
from actors.imaging.colour import cut_out, plain, with_gamma
from actors.imaging.errors import ImageError, ImageTooLarge, NotAnImage
from actors.imaging.facts import Facts, Format, Size
from actors.imaging.geometry import Box
from actors.imaging.gif import gif_frames
from actors.imaging.heic import heic_pixels, heic_window
from actors.imaging.heic_decoder import open_heic
from actors.imaging.jpeg import jpeg_first_scan, jpeg_without_metadata
from actors.imaging.metadata import profile
from actors.imaging.png import png_frames, png_gamma, png_without_metadata
from actors.imaging.tiff import tiff_without_metadata

# `inspect` has measured the image before Pillow sees it, by limits that Pillow knows nothing of.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
PngImagePlugin.MAX_TEXT_MEMORY = 4 * 1024 * 1024
# There are as many renders as cores, so that more threads for one of them would be in the way.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
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
        "avif": lambda data: AvifImageFile(io.BytesIO(avif_without_metadata(data))),
        "tiff": lambda data: _tiff(tiff_without_metadata(data)),
        "heic": lambda data: open_heic(heic_pixels(data)),
    }
)

# A JPEG can be decoded at a fraction of its size for a fraction of the cost. What is left to
# resample away must be enough to hide that the fraction was not the wanted one.
_DRAFTS = (8, 4, 2)
_LEAST_SURPLUS = 1.2

# What libjpeg shows where the data of a JPEG have ended, and in CMYK. It says so to nobody.
_NOTHING = frozenset({128, 127})
# It takes these for pixels, whichever restart comes next, if it is still in want of some.
_FOOD = b"".join(
    bytes(number**3 % 251 for number in range(512 * restart, 512 * (restart + 1)))
    + bytes((0xFF, 0xD0 + restart % 8))
    for restart in range(16)
)

# As these formats number what happens to a frame's place after it was shown. Some programs write a
# 4 in GIF where they mean 3.
_DISPOSALS_OF_GIF: Mapping[int, Disposal] = {2: "clear", 3: "restore", 4: "restore"}
_DISPOSALS_OF_PNG: Mapping[int, Disposal] = {1: "clear", 2: "restore"}


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
        if facts.format == "gif":
            whole = 0.0, 0.0, float(facts.width), float(facts.height)
            return Decoded(_still_gif(data, facts), whole, None)
        if facts.format == "heic":
            whole = 0.0, 0.0, float(facts.width), float(facts.height)
            return Decoded(_heic(data), whole, profile(data, facts))
        # While what has just been read of the file, and what reads it, is still in the caches.
        colours = profile(data, facts)
        image = _opened(data, facts)
        box = _draft(image, facts, wanted)
        decoded = _whole(image, facts.depth)
        if facts.format == "jpeg":
            _check_end(decoded, data, facts)
        if facts.format == "png":
            decoded = with_gamma(decoded, png_gamma(data))
        return Decoded(decoded, box, colours)


def draft_of(facts: Facts, wanted: Size | None) -> int:
    """Return by how much each edge is divided when it is decoded for `wanted`, as in `decode`."""
    if facts.format != "jpeg" or wanted is None:
        return 1
    width, height = (edge * _LEAST_SURPLUS for edge in wanted)
    fitting = (
        step for step in _DRAFTS if facts.width >= step * width and facts.height >= step * height
    )
    return next(fitting, 1)


def mode_as_stored(data: bytes, facts: Facts) -> str:
    """Return Pillow's name for the way in which the pixels in `data` are stored.

    Raises:
      NotAnImage: if it cannot be decoded.
      ImageTooLarge: if there is no memory for it.
    """
    if facts.format == "gif":
        return "P"
    with _codec():
        return _OPENERS[facts.format](data).mode


def frames(data: bytes, facts: Facts) -> Iterator[tuple[Image.Image, int]]:
    """Yield what a viewer sees of each frame, and for how many milliseconds, one after the other.

    Each picture is of the size of the canvas, not yet turned, and in one of the modes that `plain`
    promises, the same for all. The durations are as they are written: browsers show for 100
    milliseconds what a GIF says to show for 10 or less. A picture without frames is its only one.
    They must not be changed, for what follows is put upon them.

    Raises:
      NotAnImage: if one of them cannot be decoded.
      ImageTooLarge: if there is no memory for it.
    """
    if facts.frames == 1:
        yield decode(data, facts, None).image, 0
        return
    with _codec():
        yield from _PLAYERS[facts.format](data, facts)


def _still_gif(data: bytes, facts: Facts) -> Image.Image:
    """Return the first frame, transparent where it does not cover the canvas."""
    frame = next(gif_frames(data))
    image = _whole(GifImageFile(io.BytesIO(frame.data)))
    if image.size == (facts.width, facts.height):
        return image
    canvas = Image.new("RGBA", (facts.width, facts.height), (0, 0, 0, 0))
    canvas.paste(image.convert("RGBA"), frame.box[:2])
    return canvas


def _heic(data: bytes) -> Image.Image:
    """Return what is seen of a HEIC, which is coded in blocks and can have a border."""
    image = _whole(_OPENERS["heic"](data))
    size, window = heic_window(data)
    if image.size != size:
        raise NotAnImage("The image is broken: its parts disagree about its size.")
    return image if window == (0, 0, *size) else image.crop(window)


def _play_gif(data: bytes, facts: Facts) -> Iterator[tuple[Image.Image, int]]:
    size = facts.width, facts.height
    drawn = list(gif_frames(data))
    first = drawn[0]
    # What is transparent later shows what is there already.
    is_opaque = (
        first.box == (0, 0, *size)
        and not first.is_transparent
        and _DISPOSALS_OF_GIF.get(first.disposal) is None
        and not any(_DISPOSALS_OF_GIF.get(frame.disposal) == "clear" for frame in drawn)
    )
    patches = (
        Patch(
            _whole(GifImageFile(io.BytesIO(frame.data))),
            frame.box[:2],
            frame.duration,
            _DISPOSALS_OF_GIF.get(frame.disposal, "keep"),
        )
        for frame in drawn
    )
    return play(size, "RGB" if is_opaque else "RGBA", patches)


def _play_png(data: bytes, facts: Facts) -> Iterator[tuple[Image.Image, int]]:
    gamma = png_gamma(data)
    patches = (
        Patch(
            with_gamma(_whole(PngImageFile(io.BytesIO(frame.data)), facts.depth), gamma),
            frame.box[:2],
            frame.duration,
            _DISPOSALS_OF_PNG.get(frame.disposal, "keep"),
            replaces=frame.blend == 0,
        )
        for frame in png_frames(data)
    )
    return play((facts.width, facts.height), "RGBA", patches)


def _play_stream(data: bytes, facts: Facts) -> Iterator[tuple[Image.Image, int]]:
    """Yield the frames of a format whose decoder puts them together by itself."""
    image = _opened(data, facts)
    if getattr(image, "n_frames", 1) != facts.frames:
        raise NotAnImage("The image is broken: its parts disagree about its frames.")
    for number in range(facts.frames):
        image.seek(number)
        frame = _whole(image, facts.depth)
        # The next one is to have pixels of its own.
        image._im = None  # noqa: SLF001 - a copy is the only other way
        yield frame, image.info["duration"]


_PLAYERS: Mapping[Format, Callable[[bytes, Facts], Iterator[tuple[Image.Image, int]]]] = (
    MappingProxyType(
        {"gif": _play_gif, "png": _play_png, "webp": _play_stream, "avif": _play_stream}
    )
)


def _opened(data: bytes, facts: Facts) -> ImageFile.ImageFile:
    image = _OPENERS[facts.format](data)
    if image.size != (facts.width, facts.height):
        raise NotAnImage("The image is broken: its parts disagree about its size.")
    # In one piece: a decoder fed in small ones fights for the interpreter at each of them.
    image.decodermaxblock = len(data)
    return image


def _tiff(data: bytes) -> TiffImageFile:
    image = TiffImageFile(io.BytesIO(data))
    # libtiff has put the bytes of numbers in the order of this machine. Pillow knows that, but not
    # of fractions.
    image.tile = [
        tile._replace(args=(tile.args[0].replace("F;32BF", "F;32NF"), *tile.args[1:]))
        if tile.codec_name == "libtiff" and isinstance(tile.args, tuple)
        else tile
        for tile in image.tile
    ]
    return image


def _whole(image: ImageFile.ImageFile, depth: int = 8) -> Image.Image:
    file = image.fp
    image.load()
    # Only what has been decoded: the object of the file would keep its decoder for as long, which
    # for WebP and AVIF has more pixels than the picture.
    pixels = image._new(image.im)  # noqa: SLF001 - a copy is the only other way
    if pixels.mode == "I;16B":
        pixels = Image.frombytes("I;16", pixels.size, pixels.tobytes(), "raw", "I;16B")
    if depth == 16 and pixels.mode == "RGB" and "transparency" in pixels.info and file:
        return cut_out(pixels, _lower_halves(file))
    return plain(pixels, depth)


def _lower_halves(file: IO[bytes]) -> Image.Image:
    """Return what Pillow leaves out of the colours of 16 bits in a PNG."""
    file.seek(0)
    image = PngImageFile(file)
    image.tile = [tile._replace(args="RGB;16L") for tile in image.tile]
    image.load()
    return image


@contextmanager
def _codec() -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge("The image needs more memory than there is.") from error
    except Exception as error:  # Pillow raises more kinds than it documents
        raise NotAnImage("The image is broken: it cannot be decoded.") from error


def _draft(image: ImageFile.ImageFile, facts: Facts, wanted: Size | None) -> Box:
    step = draft_of(facts, wanted)
    if step > 1:
        image.draft(None, (facts.width // step, facts.height // step))
    return 0.0, 0.0, facts.width / step, facts.height / step


def _check_end(image: Image.Image, data: bytes, facts: Facts) -> None:
    """Check that the data of a JPEG do not end before its picture.

    The last pixel tells that they can; more data then tell whether they do, for a picture that has
    all of its own does not heed them. What is not found is what a progressive JPEG lacks after its
    first scan, so that it is whole and less sharp, or in the last two rows of blocks of this.
    """
    last = image.getpixel((image.width - 1, image.height - 1))
    if not _NOTHING.issuperset(last if isinstance(last, tuple) else (last,)):
        return
    tiny, fed = (_tiny(jpeg_first_scan(data, more), facts) for more in (b"", _FOOD))
    if tiny.tobytes() != fed.tobytes():
        raise NotAnImage("The image is broken: its data end before the picture does.")


def _tiny(data: bytes, facts: Facts) -> Image.Image:
    image = _opened(data, facts)
    image.draft(None, (1, 1))
    image.load()
    return image
