"""A picture in words and numbers."""

from __future__ import annotations

import contextlib
import hashlib
import io
from typing import TypeAlias

from msgspec import Struct, json
from PIL import Image, ImageCms

from actors.imaging.camera import Value, camera
from actors.imaging.decode import mode_as_stored
from actors.imaging.facts import Facts, Format
from actors.imaging.geometry import fit_inside
from actors.imaging.hashes import blurhash, dhash, thumbhash
from actors.imaging.metadata import metadata
from actors.imaging.modes import has_alpha
from actors.imaging.palette import Rgb, mean, palette

Hex: TypeAlias = str

_COLOURS = 6
# Of the copies from which colours are counted and placeholders made. They show less than that.
_EDGE_FOR_COLOURS, _EDGE_FOR_HASHES = 64, 32
_LONGEST_NAME = 200


class Share(Struct, frozen=True):
    """A `color`, and its `share` of what is visible, from 0 to 1."""

    color: Hex
    share: float


class Portrait(Struct, frozen=True, kw_only=True):
    """The facts about an image.

    Of the file: `format`, its length (`size_bytes`), its `sha256` in hexadecimal, how many `frames`
    it has, in which `mode` it has them and with how many bits for a sample (`depth`); `width` and
    `height` as a viewer sees it. `mode` is L for grey levels, P for a palette, RGB, CMYK, 1 for
    black and white, I;16 for grey levels of 16 bits, F for fractions; with an A where a channel
    says how opaque it is.

    `exif` has those of these that the file has, by the names and in the units of EXIF, fractions
    as numbers: Make, Model, Software, LensMake, LensModel, DateTime, DateTimeOriginal,
    OffsetTimeOriginal, ExposureTime (in seconds), FNumber, PhotographicSensitivity,
    ExposureBiasValue, Flash, FocalLength (in millimetres), FocalLengthIn35mmFilm, Orientation,
    Artist, Copyright. Never a place.
    `icc_profile` is what the colour profile calls itself.

    Of what the operations made of it, of an animation the first frame: `opaque` is whether nothing
    shows through. `palette` is up to 6 colours, the greatest share first; what takes less than a
    200th is left out. `dominant_color` is the first of them. `mean_color` is the mean of each
    level. What is transparent counts for as little as it shows, and an invisible picture has no
    colours.

    `blurhash` (4 x 3 components) and `thumbhash` (in Base64) are placeholders to show while the
    picture loads. `dhash` is 64 bits in hexadecimal. Of two pictures that look alike few of them
    differ, of others about half: up to 10 is worth a look.
    """

    format: Format
    size_bytes: int
    sha256: Hex
    width: int
    height: int
    frames: int
    mode: str
    depth: int
    exif: dict[str, Value]
    icc_profile: str | None
    opaque: bool
    dominant_color: Hex | None
    mean_color: Hex | None
    palette: tuple[Share, ...]
    blurhash: str
    thumbhash: str
    dhash: Hex


def describe(data: bytes, facts: Facts, image: Image.Image) -> bytes:
    """Return the `Portrait` as JSON.

    Args:
      data: the original, which has been decoded without an error.
      facts: what `inspect` said of it.
      image: what was made of it, in one of the modes L, LA, RGB and RGBA. A small one will do.
    """
    said = metadata(data, facts)
    small = _reduced(image, _EDGE_FOR_COLOURS)
    tiny = _reduced(small, _EDGE_FOR_HASHES)
    colours = palette(small, _COLOURS)
    average = mean(small)
    width, height = facts.size_as_shown
    return json.encode(
        Portrait(
            format=facts.format,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            width=width,
            height=height,
            frames=facts.frames,
            mode=mode_as_stored(data, facts),
            depth=facts.depth,
            exif=camera(said.exif),
            icc_profile=_name(said.profile),
            opaque=is_opaque(image),
            dominant_color=_hex(colours[0][0]) if colours else None,
            mean_color=_hex(average) if average else None,
            palette=tuple(Share(_hex(colour), round(share, 4)) for colour, share in colours),
            blurhash=blurhash(tiny),
            thumbhash=thumbhash(tiny),
            dhash=dhash(image),
        )
    )


def _reduced(image: Image.Image, edge: int) -> Image.Image:
    # Each pixel is a mean of those that it stands for, and no more: what is sharper than that has
    # colours at its edges that are in no picture.
    size = fit_inside(image.size, (edge, edge), enlarge=False)
    return image if size == image.size else image.resize(size, Image.Resampling.BOX)


def is_opaque(image: Image.Image) -> bool:
    """Return whether nothing shows through."""
    if not has_alpha(image):
        return True
    least, _most = image.getchannel("A").getextrema()
    return least == 255


def _hex(colour: Rgb) -> Hex:
    return "#" + "".join(f"{round(level):02x}" for level in colour)


def _name(profile: bytes | None) -> str | None:
    if not profile:
        return None
    # A broken profile is no reason to withhold the rest.
    with contextlib.suppress(Exception):
        described = ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.profile_description
        text = "".join(filter(str.isprintable, described or "")).strip()
        return text[:_LONGEST_NAME] or None
    return None
