"""Tell what an image is from its structure alone, and refuse what is too large to touch."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from actors.imaging.errors import ImageTooLarge, NotAnImage, UnsupportedFormat
from actors.imaging.facts import DEFAULT_LIMITS, Facts, Format, Limits
from actors.imaging.gif import read_gif
from actors.imaging.jpeg import read_jpeg
from actors.imaging.png import SIGNATURE, read_png
from actors.imaging.webp import read_webp

__all__ = ["MEDIA_TYPES", "SUFFIXES", "Facts", "Format", "Limits", "inspect", "sniff"]

SUFFIXES: Mapping[Format, str] = MappingProxyType(
    {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "gif": ".gif"}
)
MEDIA_TYPES: Mapping[Format, str] = MappingProxyType(
    {"jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif"}
)

_READERS: Mapping[Format, Callable[[bytes, Limits], Facts]] = MappingProxyType(
    {"jpeg": read_jpeg, "png": read_png, "webp": read_webp, "gif": read_gif}
)

# Formats that are known, but not read here: the start of the file, and a name for the client.
_UNSUPPORTED = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
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
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"), "HEIF"
)


def sniff(data: bytes) -> Format | None:
    """Return the format that `data` begins like, or None if it is not one that is read here."""
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(SIGNATURE):
        return "png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return None


def inspect(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Facts:
    """Return the facts about the image in `data`, reading its structure and decoding nothing.

    The time it takes is bounded by the length of `data` and by `limits`, whatever the bytes say.

    Raises:
      NotAnImage: if the bytes are no image, or a truncated or broken one.
      UnsupportedFormat: if they are an image that is not read here.
      ImageTooLarge: if it has more pixels, frames or parts than `limits` allow.
    """
    kind = sniff(data)
    if kind is None:
        raise _refusal(data)
    facts = _READERS[kind](data, limits)
    _check(facts, limits)
    return facts


def _refusal(data: bytes) -> NotAnImage | UnsupportedFormat:
    name = _name_of_unsupported(data)
    if name is not None:
        return UnsupportedFormat(f"{name} is not supported; send JPEG, PNG, WebP or GIF.")
    if not data:
        return NotAnImage("There is no image: it is 0 bytes long.")
    return NotAnImage("This is not an image; send JPEG, PNG, WebP or GIF.")


def _name_of_unsupported(data: bytes) -> str | None:
    for start, name in _UNSUPPORTED:
        if data.startswith(start):
            return name
    if data.startswith(b"BM") and data[6:10] == b"\0\0\0\0":
        return "BMP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12])
    text = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"<") and b"<svg" in text:
        return "SVG"
    return None


def _check(facts: Facts, limits: Limits) -> None:
    width, height, frames = facts.width, facts.height, facts.frames
    if not width or not height:
        raise NotAnImage(f"The image has no area: it is {width} x {height} pixels.")
    size = f"The image is {width:,} x {height:,} pixels"
    if max(width, height) > limits.max_edge:
        raise ImageTooLarge(f"{size}; an edge of at most {limits.max_edge:,} is allowed.")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(f"{size}; at most {limits.max_pixels:,} in all are allowed.")
    if frames > limits.max_frames:
        raise ImageTooLarge(
            f"The image has {frames:,} frames; at most {limits.max_frames:,} are allowed."
        )
    if width * height * frames > limits.max_total_pixels:
        raise ImageTooLarge(
            f"{size} in {frames:,} frames; "
            f"at most {limits.max_total_pixels:,} in all frames are allowed."
        )
