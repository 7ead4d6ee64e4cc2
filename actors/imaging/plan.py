"""What a recipe would make of an image, told from its header alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import get_args

from actors.imaging.album import EMPTY
from actors.imaging.cost import Cost, Work, cost_of
from actors.imaging.course import Course
from actors.imaging.decode import draft_of
from actors.imaging.encode import check_writable
from actors.imaging.errors import ImpossibleRecipe, Misfit, Misfits
from actors.imaging.facts import Facts, Limits, Size, Written
from actors.imaging.inspect import inspect
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
from actors.imaging.recipe import Output, Recipe
from actors.imaging.source import largest
from actors.imaging.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One output as it would be.

    `operations` end before what must look at the picture (`trim`, `smart`). How much a `trim`
    leaves is not known before: `width` and `height` are None then. Which format `auto` chooses
    depends on the picture as well; and so do the `frames` of a WebP, whose encoder makes one of
    neighbours that look the same.
    """

    name: str
    format: str
    width: int | None
    height: int | None
    frames: int
    operations: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a render would do, and what it would take."""

    facts: Facts
    outputs: tuple[Foreseen, ...]
    cost: Cost


def foresee(data: bytes, recipe: Recipe, limits: Limits) -> Plan:
    """Return what `render` would make of `data`, decoding nothing.

    Raises:
      NotAnImage, UnsupportedFormat, ImageTooLarge: as `render` does, as far as a header tells.
      Misfits: if a step does not fit the image, or an output cannot be written, with that of every
        output.
      ImpossibleRecipe: if it would take too long.
    """
    facts = inspect(data, limits)
    if not recipe.autorotate:
        facts = replace(facts, orientation=1)
    foreseen: list[Foreseen] = []
    works: list[Work] = []
    misfits: list[Misfit] = []
    for number, said in enumerate(recipe.outputs):
        output = settled(said, facts)
        try:
            seen, work = _foreseen(output, told_apart(output, recipe), facts, limits)
            foreseen.append(seen)
            works.append(work)
        except ImpossibleRecipe as error:
            misfits.append(Misfit(number, error.step, str(error)))
    if misfits:
        raise Misfits(*misfits)
    cost = cost_of(len(data), facts, _draft(works, facts), works)
    if cost.seconds > limits.max_seconds:
        raise ImpossibleRecipe(
            f"It would take about {cost.seconds:,.0f} seconds of a core; "
            f"at most {limits.max_seconds:,} are allowed."
        )
    return Plan(facts=facts, outputs=tuple(foreseen), cost=cost)


def _foreseen(
    output: Output, name: str | None, facts: Facts, limits: Limits
) -> tuple[Foreseen, Work]:
    course = Course(output.operations, facts.size_as_shown, limits, EMPTY, name)
    ahead = course.foresee()
    width, height = ahead.size if ahead.is_sized else (None, None)
    with naming(output):
        _check(output, facts, limits, ahead.size if ahead.is_sized else None)
    foreseen = Foreseen(
        name=output.name,
        format=str(output.format),
        width=width,
        height=height,
        frames=facts.frames if moves(output, facts) else 1,
        operations=tuple(course.resolved),
    )
    if output.format == "json":
        # What is worked on is a small copy, which is nobody's wish.
        course = Course(steps_of(output), facts.size_as_shown, limits, EMPTY)
        ahead = course.foresee()
    kinds = _kinds(output)
    return foreseen, Work(output, kinds, course.window, ahead, moves(output, facts))


def _check(output: Output, facts: Facts, limits: Limits, size: Size | None) -> None:
    """Check what `render` is going to, as far as it is known by now."""
    if size is not None and moves(output, facts):
        check_frames(size, facts.frames, limits)
    if output.format == "auto":
        # Which of several it will be, nobody knows yet.
        chosen(output, MOVING if moves(output, facts) else (*CLEAR, *OPAQUE))
        return
    for kind in _kinds(output):
        check_writable(kind, output, size)


def _draft(works: Sequence[Work], facts: Facts) -> int:
    stills = [wanted(work.window, facts) for work in works if not work.moves]
    return draft_of(facts, largest(stills))


def _kinds(output: Output) -> tuple[Written, ...]:
    """Return the formats that it may be written in."""
    match output.format:
        case "json" | None:
            return ()
        case "auto":
            return output.accepts or get_args(Written)
        case kind:
            return (kind,)
