"""The original of a render, decoded as often as needed and no oftener."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from actors.imaging.decode import Decoded, decode, draft_of, frames
from actors.imaging.exif import exif_kept
from actors.imaging.facts import Facts, Size
from actors.imaging.metadata import Metadata, metadata
from actors.imaging.recipe import Encoding


class Source:
    """Decodes the first frame once, for all outputs that are stills, at what the largest needs.

    `wanted` are the sizes, as stored, that stills are going to be scaled to; None for all of it.
    """

    def __init__(self, data: bytes, facts: Facts, wanted: Sequence[Size | None]) -> None:
        self.data = data
        self._facts = facts
        self._wanted = largest(wanted)
        self._reduced: dict[int, Decoded] = {}

    @cached_property
    def still(self) -> Decoded:
        """The first frame."""
        return decode(self.data, self._facts, self._wanted)

    def still_for(self, wanted: Size | None) -> Decoded:
        """Return the first frame at about the size at which it is decoded for this output alone.

        A small output then costs no more for being made together with a large one.
        """
        own = draft_of(self._facts, wanted)
        shrink = own // draft_of(self._facts, self._wanted)
        if shrink == 1:
            return self.still
        if shrink not in self._reduced:
            box = 0.0, 0.0, self._facts.width / own, self._facts.height / own
            image = self.still.image.reduce(shrink)
            self._reduced[shrink] = replace(self.still, image=image, box=box)
        return self._reduced[shrink]

    def frames(self) -> Iterator[tuple[Decoded, int]]:
        """Yield each frame, and for how many milliseconds it is shown."""
        whole = 0.0, 0.0, float(self._facts.width), float(self._facts.height)
        for image, duration in frames(self.data, self._facts):
            yield Decoded(image, whole, self._metadata.profile), duration

    def profile(self, encoding: Encoding) -> bytes | None:
        """Return the profile that an output keeps."""
        return self._metadata.profile if encoding.profile == "keep" else None

    def exif(self, encoding: Encoding, turned: int) -> bytes | None:
        """Return the EXIF that an output keeps, which has this orientation."""
        if encoding.metadata == "none":
            return None
        return exif_kept(self._metadata.exif, encoding.metadata, turned)

    @cached_property
    def _metadata(self) -> Metadata:
        return metadata(self.data, self._facts)


def largest(sizes: Sequence[Size | None]) -> Size | None:
    """Return what is at least as large as each of `sizes`; None for all of an original."""
    if None in sizes or not sizes:
        return None
    return max(size[0] for size in sizes if size), max(size[1] for size in sizes if size)
