"""From pixels to the bytes of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from PIL import Image

from actors.imaging.colour import flatten
from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import Size, Written
from actors.imaging.modes import has_alpha
from actors.imaging.recipe import LOSSY, Encoding
from actors.imaging.writing.avif import write_avif
from actors.imaging.writing.draft import Draft, Encoded
from actors.imaging.writing.film import Film, Timing
from actors.imaging.writing.gif import write_gif
from actors.imaging.writing.jpeg import write_jpeg
from actors.imaging.writing.likeness import likeness
from actors.imaging.writing.palette import OPAQUE_FROM
from actors.imaging.writing.png import write_png
from actors.imaging.writing.search import best_within, smallest_like
from actors.imaging.writing.tiff import write_tiff
from actors.imaging.writing.webp import write_webp

__all__ = ["ANIMATED", "QUALITIES", "Encoded", "Timing", "check_writable", "encode"]

ANIMATED: Final[frozenset[Written]] = frozenset({"webp", "avif", "gif", "png"})

# What is used where nothing is asked for: at 75 an AVIF is as like the original as a JPEG at 90 by
# SSIM, in two thirds of the bytes.
QUALITIES: Final[Mapping[Written, int]] = MappingProxyType({"jpeg": 90, "webp": 90, "avif": 75})
_HIGHEST = 100

# What an encoder can write, and decoders read: libavif's refuse what is longer.
_LONGEST_EDGES: Mapping[Written, int] = MappingProxyType(
    {"jpeg": 65_500, "webp": 16_383, "gif": 65_535, "avif": 32_768}
)
# In milliseconds: what fits into the 24 bits that WebP has for it. It is four hours.
_LONGEST_DURATION = 2**24 - 1
_NAMES: Mapping[Written, str] = MappingProxyType(
    {"jpeg": "a JPEG", "webp": "a WebP", "gif": "a GIF", "avif": "an AVIF"}
)
_WRITERS: Mapping[Written, Callable[[Draft, int], bytes]] = MappingProxyType(
    {
        "jpeg": write_jpeg,
        "png": write_png,
        "webp": write_webp,
        "gif": write_gif,
        "avif": write_avif,
        "tiff": write_tiff,
    }
)


def encode(
    frames: Sequence[Image.Image],
    kind: Written,
    encoding: Encoding,
    *,
    timing: Timing | None = None,
    icc: bytes | None = None,
    exif: bytes | None = None,
    measured: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Encoded:
    """Return `frames` as a file, as `encoding` says. The same arguments give the same bytes.

    With `min_ssim` it is the lowest quality that looks like it, with `max_bytes` the best one that
    fits; the highest that is tried is `encoding.quality`, or else 100.

    Args:
      frames: one or more, in one of the modes L, LA, RGB and RGBA, without metadata; all of the
        same mode and size. They are taken one after the other, and once more for each quality that
        is tried. What cannot move shows the first.
      kind: the format; that in `encoding` is not looked at.
      timing: how they move. Without it the first is shown.
      icc: the profile that is said to explain the colours.
      exif: a TIFF without pixels, which fits into a segment of a JPEG.
      measured: whether the SSIM is wanted in any case, and not only where one is searched for.
      stopped: asked before each frame is written; when it returns True, the work is given up.

    Raises:
      ImpossibleRecipe: if the format has no room for a picture of this size, or cannot be written
        as it should be; or if no quality meets the demands.
      NoRoom: if the system has none for the file.
      RenderStopped: if `stopped` said so.
    """
    check_writable(kind, encoding, frames[0].size)
    moves = _bounded(timing) if timing and kind in ANIMATED and len(frames) > 1 else None
    film = Film(frames if moves else [frames[0]], _fitting(kind, encoding.background), stopped)
    draft = Draft(film, encoding, moves, icc, exif or None)
    usual = None if kind == "webp" and encoding.lossless else QUALITIES.get(kind)

    def attempt(quality: int) -> Encoded:
        data = _WRITERS[kind](draft, quality)
        compared = measured or encoding.min_ssim is not None
        seen = likeness(film, moves, data) if compared else None
        return Encoded(data, None if usual is None else quality, seen)

    return _best(attempt, encoding, usual)


def _best(attempt: Callable[[int], Encoded], encoding: Encoding, usual: int | None) -> Encoded:
    max_bytes, min_ssim = encoding.max_bytes, encoding.min_ssim
    highest = encoding.quality or _HIGHEST
    guess = encoding.quality or usual or _HIGHEST
    if usual is not None and min_ssim is not None:
        encoded = smallest_like(attempt, min_ssim, highest=highest, guess=guess)
    elif usual is not None and max_bytes is not None:
        encoded = best_within(attempt, max_bytes, highest=highest, guess=guess)
    else:
        encoded = attempt(guess)
    size, seen = len(encoded.data), encoded.ssim
    if min_ssim is not None and seen is not None and seen < min_ssim:
        raise ImpossibleRecipe(f"the SSIM is {seen:.4f}, and min_ssim is {min_ssim}")
    if max_bytes is not None and size > max_bytes:
        wanted = "the file" if encoded.quality is None else f"an SSIM of {min_ssim}"
        raise ImpossibleRecipe(f"{wanted} takes {size:,} bytes, and max_bytes is {max_bytes:,}")
    return encoded


def check_writable(kind: Written, encoding: Encoding, size: Size | None) -> None:
    """Check that a picture of `size`, or of any if that is not known, can be written as is said.

    Raises:
      ImpossibleRecipe: if the format has no room for it, or cannot be written so.
    """
    longest = _LONGEST_EDGES.get(kind)
    if longest is not None and size is not None and max(size) > longest:
        raise ImpossibleRecipe(
            f"the picture would be {size[0]:,} x {size[1]:,} pixels, "
            f"and an edge of {_NAMES[kind]} has at most {longest:,}"
        )
    if encoding.lossless and kind in LOSSY:
        raise ImpossibleRecipe(
            f"{_NAMES[kind]} is not written without loss; WebP, PNG and TIFF are"
        )


def _bounded(timing: Timing) -> Timing:
    durations = tuple(min(duration, _LONGEST_DURATION) for duration in timing.durations)
    return replace(timing, durations=durations)


def _fitting(kind: Written, background: str) -> Callable[[Image.Image], Image.Image]:
    """Return what makes of a picture one that the format can hold."""
    if kind == "jpeg":
        return lambda image: flatten(image, background)
    if kind == "gif":
        return lambda image: _cut_out(image, background)
    return lambda image: image


def _cut_out(image: Image.Image, background: str) -> Image.Image:
    """Return `image` with nothing translucent: either gone, or on the background."""
    if not has_alpha(image):
        return image
    alpha = image.getchannel("A").point([255 if a >= OPAQUE_FROM else 0 for a in range(256)])
    image = flatten(image, background)
    image.putalpha(alpha)
    return image
