"""What a client expects of an output, checked before the output counts as finished."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from actors.imaging.errors import ImpossibleRecipe
from actors.imaging.facts import NO_LIMITS, Facts
from actors.imaging.inspect import inspect
from actors.imaging.metadata import has_metadata

_Edge = Annotated[int, Meta(ge=1, le=65_535)]


class Expect(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """At most `max_bytes`, at least `min_ssim`, all `frames`, no `metadata`, just this `size`.

    `min_ssim` is of luminance and of colours, in the frame that is least like what was to be
    written.

    Metadata are EXIF, XMP, IPTC, texts and comments; the profile and `dpi` are none.
    """

    max_bytes: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    min_ssim: Annotated[float, Meta(gt=0, le=1)] | None = None
    frames: Literal["same"] | None = None
    metadata: Literal["none"] | None = None
    size: tuple[_Edge, _Edge] | None = None


def check(expect: Expect, original: Facts, data: bytes, ssim: float | None) -> None:
    """Check the file of a finished output.

    Args:
      ssim: how like it is to what was to be written.

    Raises:
      ImpossibleRecipe: if it is not as expected, with what was measured.
    """
    broken = "; ".join(_broken(expect, original, data, ssim))
    if broken:
        raise ImpossibleRecipe(f"it is not as expected: {broken}")


def _broken(expect: Expect, original: Facts, data: bytes, ssim: float | None) -> Iterator[str]:
    # What a reader of the file finds, and not what the writer meant.
    facts = inspect(data, NO_LIMITS)
    if expect.max_bytes is not None and len(data) > expect.max_bytes:
        yield f"it has {len(data):,} bytes, and not at most {expect.max_bytes:,}"
    if expect.min_ssim is not None and ssim is not None and ssim < expect.min_ssim:
        yield f"its SSIM is {ssim:.4f}, and not at least {expect.min_ssim}"
    if expect.frames is not None and facts.frames != original.frames:
        yield f"it has {facts.frames} frames, and the original {original.frames}"
    if expect.metadata is not None and has_metadata(data, facts):
        yield "it has metadata"
    if expect.size is not None and (facts.width, facts.height) != expect.size:
        width, height = expect.size
        yield f"it has {facts.width} x {facts.height} pixels, and not {width} x {height}"
