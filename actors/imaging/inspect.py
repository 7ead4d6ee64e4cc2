"""Tell what an image is from its structure alone, and refuse what is too large to touch."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from actors.imaging.avif import is_avif, read_avif
from actors.imaging.errors import ImageError, NotAnImage, UnsupportedFormat, contained
from actors.imaging.facts import DEFAULT_LIMITS, Facts, Format, Limits
from actors.imaging.gif import read_gif
from actors.imaging.heic import is_heic, read_heic
from actors.imaging.jpeg import read_jpeg
from actors.imaging.png import SIGNATURE, read_png
from actors.imaging.sizes import check_frames
from actors.imaging.tiff import is_tiff, read_tiff
from actors.imaging.webp import read_webp

__all__ = [
    "MEDIA_TYPES",
    "SUFFIXES",
    "Facts",
    "Format",
    "Limits",
    "count_pixels",
    "inspect",
    "sniff",
]

SUFFIXES: Mapping[Format, str] = MappingProxyType(
    {
        "jpeg": ".jpg",
        "png": ".png",
        "webp": ".webp",
        "gif": ".gif",
        "avif": ".avif",
        "tiff": ".tif",
        "heic": ".heic",
    }
)
MEDIA_TYPES: Mapping[Format, str] = MappingProxyType(
    {
        "jpeg": "image/jpeg",
        "png": "image/png",
        "webp": "image/webp",
        "gif": "image/gif",
        "avif": "image/avif",
        "tiff": "image/tiff",
        "heic": "image/heic",
    }
)

_NAMES: Mapping[Format, str] = MappingProxyType(
    {
        "jpeg": "JPEG",
        "png": "PNG",
        "webp": "WebP",
        "gif": "GIF",
        "avif": "AVIF",
        "tiff": "TIFF",
        "heic": "HEIC",
    }
)
_BEGINNINGS: Mapping[Format, Callable[[bytes], bool]] = MappingProxyType(
    {
        "jpeg": lambda data: data.startswith(b"\xff\xd8\xff"),
        "png": lambda data: data.startswith(SIGNATURE),
        "webp": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
        "gif": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
        "avif": is_avif,
        "tiff": is_tiff,
        "heic": is_heic,
    }
)
_READERS: Mapping[Format, Callable[[bytes, Limits], Facts]] = MappingProxyType(
    {
        "jpeg": read_jpeg,
        "png": read_png,
        "webp": read_webp,
        "gif": read_gif,
        "avif": read_avif,
        "tiff": read_tiff,
        "heic": read_heic,
    }
)

# Formats that are known, but not read here: the start of the file, and a name for the client.
_UNSUPPORTED = (
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"8BPS", "PSD"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"%PDF", "PDF"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\2\0", "CUR"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\1", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"gimp xcf", "XCF"),
    (b"SIMPLE  =", "FITS"),
    (b"icns", "ICNS"),
)
_HEIF = frozenset({b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})


def sniff(data: bytes) -> Format | None:
    """Return the format that `data` begins like, or None if it is not one that is read here."""
    return next((kind for kind, begins in _BEGINNINGS.items() if begins(data)), None)


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Facts:
    """Return the facts about the image in `data`, reading its structure and decoding nothing.

    The time it takes is bounded by the length of `data` and by `limits`, whatever the bytes say.

    Raises:
      NotAnImage: if the bytes are no image, or a truncated or broken one.
      UnsupportedFormat: if they are an image that is not read here, or not by these limits.
      ImageTooLarge: if it has more pixels, frames or parts than `limits` allow.
    """
    kind = sniff(data)
    if kind is None or kind not in limits.formats:
        raise _refusal(data, kind, limits)
    facts = _READERS[kind](data, limits)
    check_frames((facts.width, facts.height), facts.frames, limits)
    return facts


def count_pixels(data: bytes, limits: Limits = DEFAULT_LIMITS) -> int:
    """Return width x height x frames of an image; 0 of what nothing can be made of."""
    try:
        with contained():
            facts = inspect(data, limits)
    except ImageError:
        return 0
    return facts.width * facts.height * facts.frames


def _refusal(data: bytes, kind: Format | None, limits: Limits) -> NotAnImage | UnsupportedFormat:
    if not data:
        return NotAnImage("There is no image: it is 0 bytes long.")
    *others, last = [name for kind, name in _NAMES.items() if kind in limits.formats]
    advice = f"send {', '.join(others)} or {last}" if others else f"send {last}"
    name = _NAMES[kind] if kind is not None else _name_of_unsupported(data)
    if name is not None:
        return UnsupportedFormat(f"{name} is not supported; {advice}.")
    return NotAnImage(f"This is not an image; {advice}.")


def _name_of_unsupported(data: bytes) -> str | None:
    for start, name in _UNSUPPORTED:
        if data.startswith(start):
            return name
    if data.startswith(b"BM") and data[6:10] == b"\0\0\0\0":
        return "BMP"
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF:
        return "HEIF"
    text = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<") and b"<svg" in text:
        return "SVG"
    return None
