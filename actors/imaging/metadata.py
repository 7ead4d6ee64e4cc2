"""What a file says besides its pixels, for results that keep it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from actors.imaging.avif import avif_exif, avif_has_metadata, avif_profile
from actors.imaging.facts import Facts, Format
from actors.imaging.gif import gif_has_metadata
from actors.imaging.heic import heic_exif, heic_has_metadata, heic_profile
from actors.imaging.jpeg import jpeg_exif, jpeg_has_metadata, jpeg_profile
from actors.imaging.png import png_exif, png_has_metadata, png_profile
from actors.imaging.tiff import tiff_exif, tiff_has_metadata, tiff_profile
from actors.imaging.webp import webp_exif, webp_has_metadata, webp_profile


@dataclass(frozen=True, slots=True)
class Metadata:
    """EXIF as it is written, or nothing, for `exif_kept` to choose from; and what colours mean."""

    exif: bytes
    profile: bytes | None


_EXIF: Mapping[Format, Callable[[bytes], bytes]] = MappingProxyType(
    {
        "jpeg": jpeg_exif,
        "png": png_exif,
        "webp": webp_exif,
        "avif": avif_exif,
        "tiff": tiff_exif,
        "heic": heic_exif,
    }
)
_PROFILES: Mapping[Format, Callable[[bytes], bytes | None]] = MappingProxyType(
    {
        "jpeg": jpeg_profile,
        "png": png_profile,
        "webp": webp_profile,
        "avif": avif_profile,
        "tiff": tiff_profile,
        "heic": heic_profile,
    }
)
_HAVE_METADATA: Mapping[Format, Callable[[bytes], bool]] = MappingProxyType(
    {
        "jpeg": jpeg_has_metadata,
        "png": png_has_metadata,
        "webp": webp_has_metadata,
        "gif": gif_has_metadata,
        "avif": avif_has_metadata,
        "tiff": tiff_has_metadata,
        "heic": heic_has_metadata,
    }
)


def metadata(data: bytes, facts: Facts) -> Metadata:
    """Return what `data`, of which `inspect` has told the facts, says besides its pixels.

    Neither is checked. A profile of more than `MAX_PROFILE` bytes is none.
    """
    read = _EXIF.get(facts.format)
    return Metadata(read(data) if read is not None else b"", profile(data, facts))


def profile(data: bytes, facts: Facts) -> bytes | None:
    """Return what the colours in `data` mean, if it says so in no more than `MAX_PROFILE` bytes."""
    read = _PROFILES.get(facts.format)
    return read(data) if read is not None else None


def has_metadata(data: bytes, facts: Facts) -> bool:
    """Tell whether `data` says more than what a picture looks like: EXIF, XMP, texts or comments.

    Whatever is not known to be about the look counts; profiles and the pixels to an inch are.
    """
    return _HAVE_METADATA[facts.format](data)
