"""Make of an image what a recipe says."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import cast

from PIL import Image

from actors.imaging.album import EMPTY, Album
from actors.imaging.colour import to_srgb
from actors.imaging.course import Course, Stopped, go_on, repeat
from actors.imaging.decode import Decoded
from actors.imaging.encode import Timing, encode
from actors.imaging.errors import ImageTooLarge, ImpossibleRecipe
from actors.imaging.expect import check
from actors.imaging.facts import DEFAULT_LIMITS, NO_LIMITS, Facts, Limits, Size, Written, as_turned
from actors.imaging.geometry import Part, confined, cut, scale, unturned, upright
from actors.imaging.inspect import inspect
from actors.imaging.made import Made
from actors.imaging.modes import coloured, is_coloured
from actors.imaging.operations.turning import Flip, Flop, Rotate
from actors.imaging.outlook import (
    CLEAR,
    MOVING,
    OPAQUE,
    check_frames,
    chosen,
    moves,
    naming,
    settled,
    steps_of,
    told_apart,
    wanted,
)
from actors.imaging.portrait import describe, is_opaque
from actors.imaging.recipe import Output, Recipe
from actors.imaging.source import Source
from actors.imaging.step import Apply

_TURNS = (Rotate, Flip, Flop)


def keep_memory(renders: int) -> None:
    """Have Pillow keep memory for so many renders at once, two blocks of 16 MiB for each.

    Without it each picture is mapped, cleared and unmapped by the system anew, and threads stand
    in each other's way there. It holds for the whole process.
    """
    # What PILLOW_BLOCKS_MAX sets when Pillow is imported ("Block allocator" in its documentation).
    Image.core.set_blocks_max(2 * renders)  # type: ignore[attr-defined]  # not re-exported


def never() -> bool:
    """Return False: there is nobody who could ask a render to stop."""
    return False


def render(
    original: bytes,
    recipe: Recipe,
    limits: Limits = DEFAULT_LIMITS,
    stopped: Stopped = never,
    others: Mapping[str, bytes] = MappingProxyType({}),
) -> tuple[Made, ...]:
    """Return what `recipe` wants of `original`: its outputs, in their order.

    The same arguments give the same bytes, with the same versions of the codecs.

    Args:
      stopped: asked between the steps; when it returns True, the work is given up.
      others: the other images that the recipe names, by their names.

    Raises:
      NotAnImage: if the bytes cannot be decoded.
      UnsupportedFormat: if they are an image that is not read here.
      ImageTooLarge: if the image exceeds `limits`, or the memory.
      ImpossibleRecipe: if a step does not fit the image.
      RenderStopped: if `stopped` said so.
    """
    try:
        return _render(original, recipe, limits, stopped, Album(others, limits))
    except MemoryError as error:
        raise ImageTooLarge("The image needs more memory than there is.") from error


def _render(
    original: bytes, recipe: Recipe, limits: Limits, stopped: Stopped, album: Album
) -> tuple[Made, ...]:
    facts, turned = inspect(original, limits), 1
    if not recipe.autorotate:
        facts, turned = replace(facts, orientation=1), facts.orientation
    outputs = (settled(output, facts) for output in recipe.outputs)
    works = deque(
        _Work(output, facts, limits, album, stopped, turned, told_apart(output, recipe))
        for output in outputs
    )
    source = Source(original, facts, [work.wanted for work in works if not work.moves])
    made: list[Made] = []
    # What one of them holds is let go of before the next one begins.
    while works:
        if works[0].moves and not works[0].is_played:
            _play(source, _together(works, limits))
        made.append(works.popleft().finish(source))
    return tuple(made)


def _together(works: Iterable[_Work], limits: Limits) -> list[_Work]:
    """Return the first of the films that are still to be played, and more if there is room."""
    films = [work for work in works if work.moves and not work.is_played]
    room = itertools.accumulate(film.pixels for film in films)
    fitting = sum(1 for pixels in room if pixels <= limits.max_total_pixels)
    return films[: max(1, fitting)]


def _play(source: Source, films: list[_Work]) -> None:
    """Decode every frame once, for all of `films`."""
    for decoded, duration in source.frames():
        for film in films:
            film.take(decoded, duration)


class _Work:
    """One output in the making. The original is `turned` by this orientation, which it keeps."""

    def __init__(
        self,
        output: Output,
        facts: Facts,
        limits: Limits,
        album: Album,
        stopped: Stopped,
        turned: int,
        name: str | None,
    ) -> None:
        self._output = output
        self._facts = facts
        self._limits = limits
        self._stopped = stopped
        # Whoever turns it, turns it the way that it is to be seen.
        self._turned = 1 if any(isinstance(s, _TURNS) for s in output.operations) else turned
        self._was_cmyk = False
        self._course = Course(steps_of(output), facts.size_as_shown, limits, album, name)
        self._frames: list[Image.Image] = []
        self._durations: list[int] = []
        self._steps: list[Apply] = []

    @property
    def moves(self) -> bool:
        """Whether every frame is kept."""
        return moves(self._output, self._facts)

    @property
    def wanted(self) -> Size | None:
        """At least how large the original must be decoded."""
        return wanted(self._course.window, self._facts)

    @property
    def pixels(self) -> int:
        """At most how many pixels all finished frames have together; 0 if a step does not fit."""
        steps, size = steps_of(self._output), self._facts.size_as_shown
        try:
            width, height = Course(steps, size, self._limits, EMPTY).foresee().size
        except ImpossibleRecipe:
            return 0
        return width * height * self._facts.frames

    @property
    def is_played(self) -> bool:
        """Whether it has taken all frames of a film."""
        return len(self._frames) == self._facts.frames

    def take(self, decoded: Decoded, duration: int) -> None:
        """Make the next frame of a film, which is shown for so many milliseconds."""
        go_on(self._stopped)
        image = self._seen(decoded)
        if self._frames:
            image = repeat(self._steps, image, self._stopped)
        else:
            image = self._course.begin(image, self._stopped, self._steps)
            with naming(self._output):
                check_frames(image.size, self._facts.frames, self._limits)
        self._frames.append(image)
        self._durations.append(duration)
        if self.is_played:
            self._steps.clear()  # They can hold as much as the frames.

    def finish(self, source: Source) -> Made:
        """Return the finished output; a film must have been played before."""
        go_on(self._stopped)
        if self.moves:
            timing = Timing(tuple(self._durations), self._facts.loops)
            return self._written(source, self._frames, timing)
        seen = self._seen(source.still_for(self.wanted))
        still = self._course.begin(seen, self._stopped)
        go_on(self._stopped)
        if self._output.format == "json":
            return self._described(source, still)
        return self._written(source, [still], None)

    def _described(self, source: Source, image: Image.Image) -> Made:
        # That a small copy is described is nobody's wish.
        operations = tuple(self._course.resolved[:-1])
        size = self._facts.size_as_shown
        for step in operations:
            size = step.size_after(size)
        return Made(
            name=self._output.name,
            data=describe(source.data, self._facts, image),
            format="json",
            width=size[0],
            height=size[1],
            operations=operations,
        )

    def _written(self, source: Source, frames: list[Image.Image], timing: Timing | None) -> Made:
        first = frames[0]
        expect = self._output.expect
        icc = source.profile(self._output) if self._keeps_colours else None
        if icc is not None:
            frames, icc = _explained(frames, icc)
        with naming(self._output):
            kind = self._kind(first)
            encoded = encode(
                frames,
                kind,
                self._output,
                timing=timing,
                icc=icc,
                exif=source.exif(self._output, self._turned),
                measured=expect is not None and expect.min_ssim is not None,
                stopped=self._stopped,
            )
            if expect is not None:
                check(expect, self._facts, encoded.data, encoded.ssim)
        return Made(
            name=self._output.name,
            data=encoded.data,
            format=kind,
            width=first.width,
            height=first.height,
            # An encoder may make one of several that look the same.
            frames=inspect(encoded.data, NO_LIMITS).frames if len(frames) > 1 else 1,
            quality=encoded.quality,
            ssim=encoded.ssim,
            operations=tuple(self._course.resolved),
        )

    @property
    def _keeps_colours(self) -> bool:
        """Whether the numbers of the original stay as they are, so that its profile fits them."""
        return self._output.profile != "srgb" and not self._was_cmyk

    def _seen(self, decoded: Decoded) -> Image.Image:
        """Return what can be seen of a frame through the window: upright and in its colours."""
        window, orientation = self._course.window, self._facts.orientation
        image, part = decoded.image, self._stored(window.box, decoded)
        if window.scaled is None:
            image = cut(image, part)
        else:
            scaled = self._stored(window.scaled, decoded)
            image, box = confined(image, decoded.box, scaled, part)
            image = scale(image, as_turned(window.size, orientation), box)
        image = upright(image, orientation)
        self._was_cmyk = image.mode == "CMYK"
        return image if self._keeps_colours else to_srgb(image, decoded.profile)

    def _stored(self, box: Part, decoded: Decoded) -> Part:
        """Return where in `decoded` a part of the upright original is."""
        facts = self._facts
        left, top, right, bottom = unturned(box, facts.size_as_shown, facts.orientation)
        # It may have been decoded at less than its size.
        across = Fraction(decoded.box[2]) / facts.width
        down = Fraction(decoded.box[3]) / facts.height
        return left * across, top * down, right * across, bottom * down

    def _kind(self, image: Image.Image) -> Written:
        if self._output.format != "auto":
            return cast("Written", self._output.format)
        liked = MOVING if self.moves else OPAQUE if is_opaque(image) else CLEAR
        return chosen(self._output, liked)


def _explained(frames: list[Image.Image], icc: bytes) -> tuple[list[Image.Image], bytes | None]:
    """Return `frames` in modes that the profile can explain, and it; None if there is no such."""
    space = icc[16:20]
    if space == b"RGB ":
        return [coloured(frame) for frame in frames], icc
    return frames, icc if space == b"GRAY" and not is_coloured(frames[0]) else None
