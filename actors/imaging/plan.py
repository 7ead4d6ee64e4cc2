"""What a recipe would make of an image, told from its header alone."""

from __future__ import annotations

from dataclasses import dataclass, replace

from actors.imaging.course import Course
from actors.imaging.facts import Facts, Format, Limits
from actors.imaging.inspect import inspect
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import moves
from actors.imaging.step import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """One output as it would be.

    What a step makes that must look at the picture (`trim`, `smart`) cannot be foreseen: `width`
    and `height` are None then, and `operations` end before it. Which format `auto` chooses depends
    on the picture as well.
    """

    name: str
    format: Format | str
    width: int | None
    height: int | None
    frames: int
    operations: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a render would do."""

    facts: Facts
    outputs: tuple[Foreseen, ...]


def foresee(data: bytes, recipe: Recipe, limits: Limits) -> Plan:
    """Return what `render` would make of `data`, decoding nothing.

    Raises:
      NotAnImage, UnsupportedFormat, ImageTooLarge: as `render` does, as far as a header tells.
      ImpossibleRecipe: if a step does not fit the image.
    """
    facts = inspect(data, limits)
    if not recipe.autorotate:
        facts = replace(facts, orientation=1)
    outputs = tuple(_foresee(output, facts, limits) for output in recipe.outputs)
    return Plan(facts=facts, outputs=outputs)


def _foresee(output: Output, facts: Facts, limits: Limits) -> Foreseen:
    course = Course(output.operations, facts.size_as_shown, limits, {})
    size = course.window.size
    for size in course.foresee():  # noqa: B007  (the last one counts)
        pass
    known = size if course.is_foreseen else (None, None)
    return Foreseen(
        name=output.name,
        format=output.format or facts.format,
        width=known[0],
        height=known[1],
        frames=facts.frames if moves(output, facts) else 1,
        operations=tuple(course.resolved),
    )
