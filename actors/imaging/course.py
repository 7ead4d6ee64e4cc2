"""The way of one output: from the picture as it is stored to the one that is written.

The crops and the scaling that come first are done while decoding, as a window on the original.
What follows is resolved on the first frame, and done to every other one in the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from PIL import Image

from actors.imaging.album import Album
from actors.imaging.errors import ImpossibleRecipe, RenderStopped
from actors.imaging.facts import Limits, Size
from actors.imaging.geometry import Part
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.scaling import Resize
from actors.imaging.recipe import Operation
from actors.imaging.step import Apply, Scene, Step

Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the upright original in `box`, at `size`: what crops and one scaling come to.

    `scaled` is the part that was scaled, None if none was. What had been cropped away by then must
    not be looked at; but what was later on is still a neighbour of what is seen.
    """

    box: Part
    size: Size
    scaled: Part | None = None

    @classmethod
    def on(cls, size: Size) -> Window:
        """Return the window on all of a picture of `size`."""
        return cls((Fraction(0), Fraction(0), Fraction(size[0]), Fraction(size[1])), size)

    def after(self, step: Step) -> Window | None:
        """Return the window on what a resolved `step` makes; None if it is no window any more."""
        match step:
            case Crop():
                left, top, right, bottom = self.box
                across, down = (right - left) / self.size[0], (bottom - top) / self.size[1]
                x, y, x_end, y_end = step.box
                box = (
                    *(left + x * across, top + y * down),
                    *(left + x_end * across, top + y_end * down),
                )
                return replace(self, box=box, size=step.size_after(self.size))
            case Resize():
                size = step.size_after(self.size)
                if size == self.size:
                    return self
                return None if self.scaled else replace(self, size=size, scaled=self.box)
            case _:
                return None


class Stage(NamedTuple):
    """A step that is foreseen, and the sizes before and after it: at most, if it must look."""

    step: Step
    before: Size
    after: Size


class Foresight(NamedTuple):
    """What is to come, each step with what it is done to, and the `size` in the end.

    Unless `is_sized`, a step must look to know how much to leave, and the sizes are at most so.
    """

    stages: tuple[Stage, ...]
    size: Size
    is_sized: bool


class _Due(NamedTuple):
    """A step that is still to be done, and what the client called it."""

    number: int
    name: str
    step: Step


class Course:
    """What is to be done for one output, in the order of its operations.

    `window` is what the first of them come to, known before a pixel is.
    `resolved` are the operations so far as they were done, in whole pixels.

    Args:
      output: its name, where there are several.

    Raises:
      ImpossibleRecipe: from every method, with the number of the step that does not fit.
    """

    def __init__(
        self,
        operations: tuple[Operation, ...],
        size: Size,
        limits: Limits,
        album: Album,
        output: str | None = None,
    ) -> None:
        self._output = output
        self._limits = limits
        self._album = album
        self._ahead = deque(
            _Due(number, str(step.__struct_config__.tag), step)
            for number, step in enumerate(operations, 1)
        )
        # The picture where the next step is due, as far as it is known by then.
        self._size = size
        self._image: Image.Image | None = None
        self.resolved: list[Step] = []
        self.window = Window.on(size)
        for due in self._resolve():
            window = self.window.after(due.step)
            if window is None:
                self._ahead.appendleft(due)
                break
            self.window = window
            self._size = window.size
            self.resolved.append(due.step)

    def begin(
        self, image: Image.Image, stopped: Stopped, kept: list[Apply] | None = None
    ) -> Image.Image:
        """Do what is left to the first frame, of which `image` is the window.

        Args:
          kept: gets what was done, for `repeat`. A step can hold as much as a picture.
        """
        self._image = image
        for due in self._resolve():
            go_on(stopped)
            with self._named(due):
                apply = due.step.prepare(image.size, self._album)
                image = apply(image)
            if kept is not None:
                kept.append(apply)
            del apply
            self._image, self._size = image, image.size
            self.resolved.append(due.step)
        self._image = None
        return image

    def foresee(self) -> Foresight:
        """Return what follows the window, as far as a header tells."""
        stages: list[Stage] = []
        looked, sized = False, True
        while self._ahead:
            try:
                for due in self._resolve():
                    before, self._size = self._size, due.step.size_after(self._size)
                    stages.append(Stage(due.step, before, self._size))
                    if not looked:
                        self.resolved.append(due.step)
            except ImpossibleRecipe:
                if sized:
                    raise
                break  # It may well fit what is left of the picture.
            if self._ahead:
                looked = True
                due = self._ahead.popleft()
                stages.append(Stage(due.step, self._size, self._size))
                blind = due.step.unseen()
                if blind is None:
                    sized = False
                else:
                    self._ahead.appendleft(due._replace(step=blind))
        return Foresight(tuple(stages), self._size, sized)

    def _resolve(self) -> Iterator[_Due]:
        """Yield one step after another in whole pixels, until one must look and cannot."""
        while self._ahead and (self._image or not self._ahead[0].step.looks):
            due = self._ahead.popleft()
            with self._named(due):
                parts = due.step.resolve(Scene(self._size, self._look))
                if parts == (due.step,):
                    self._check(due.step.size_after(self._size))
            if parts == (due.step,):
                yield due
            else:
                self._ahead.extendleft(due._replace(step=part) for part in reversed(parts))

    def _look(self) -> Image.Image:
        if self._image is None:
            raise AssertionError("only a step that looks may look")
        return self._image

    def _check(self, size: Size) -> None:
        width, height = size
        if width * height > self._limits.max_pixels:
            raise ImpossibleRecipe(
                f"the picture would be {width:,} x {height:,} pixels; "
                f"at most {self._limits.max_pixels:,} in all are allowed"
            )

    @contextmanager
    def _named(self, due: _Due) -> Iterator[None]:
        try:
            yield
        except ImpossibleRecipe as error:
            step = "Step" if self._output is None else f"Output {self._output}, step"
            why = f"{step} {due.number} ({due.name}): {error}."
            raise ImpossibleRecipe(why, due.number - 1) from error


def repeat(kept: Iterable[Apply], image: Image.Image, stopped: Stopped) -> Image.Image:
    """Do to another frame what was done to the first one."""
    for apply in kept:
        go_on(stopped)
        image = apply(image)
    return image


def go_on(stopped: Stopped) -> None:
    """Raise `RenderStopped` if `stopped` says so."""
    if stopped():
        raise RenderStopped
