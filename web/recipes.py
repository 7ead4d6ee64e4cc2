"""The recipe in a request: three ways to say one, and every fault of it pointed at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, get_args

import msgspec

from actors.imaging.facts import Written
from actors.imaging.recipe import (
    MAX_OPERATIONS,
    MAX_OTHERS,
    MAX_OUTPUTS,
    Encoding,
    Name,
    Operation,
    Output,
    Recipe,
)

if TYPE_CHECKING:
    from web.members import Members

OPERATIONS: dict[str, type[Operation]] = {
    str(each.__struct_config__.tag): each for each in get_args(Operation)
}
# What some operation has.
PARAMETERS = frozenset(
    field.name for each in OPERATIONS.values() for field in msgspec.structs.fields(each)
)


class Form(NamedTuple):
    """A way to say a recipe: pointers to an output, to a step of it, and to the image of that."""

    output: str
    step: str
    image: str


_STEP = "/operations/{step}"
_OUTPUT = "/outputs/{output}"
# By the member that each is known by.
FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "operation": Form("", "", "/image"),
        "operations": Form("", _STEP, f"{_STEP}/image"),
        "outputs": Form(_OUTPUT, _OUTPUT + _STEP, f"{_OUTPUT}{_STEP}/image"),
        "preset": Form("/preset", "/preset", "/preset"),
    }
)
# What an older client calls it in the short form.
NOT_RENAMED: Mapping[str, str] = MappingProxyType({})
RENAMED: Mapping[str, str] = MappingProxyType({"format": "output_format"})


class Named(NamedTuple):
    """A recipe, and what it was called: the name of its only operation, or of its preset.

    `form` is how it was said. `places` are the pointers to where it names other images, by the ids
    of these.
    """

    recipe: Recipe
    operation: str = ""
    preset: str | None = None
    form: Form = FORMS["operation"]
    places: Mapping[str, str] = MappingProxyType({})


def take_recipe(
    members: Members, presets: Mapping[str, Recipe], accepts: tuple[Written, ...] = ()
) -> Named | None:
    """Take the recipe out of `members`; None if something is wrong with it.

    Args:
      accepts: the formats that `auto` may choose from.
    """
    forms = [form for form in FORMS if form in members.values]
    if len(forms) > 1:
        for form in forms[1:]:
            members.blame(form, f"goes with no {forms[0]}")
            del members.values[form]
    form = forms[0] if forms else "operation"
    rest = _Rest() if form == "preset" else members.take(_Rest)
    match form:
        case "preset":
            said = _preset(members, presets)
        case "outputs":
            said = _outputs(members)
        case "operations":
            said = _operations(members)
        case _:
            said = _short(members)
    if said is None or rest is None:
        return None
    if len(said.recipe.needs) > MAX_OTHERS:
        members.blame(form, f"must name at most {MAX_OTHERS} other images")
        return None
    outputs = tuple(
        msgspec.structs.replace(output, accepts=accepts) if output.format == "auto" else output
        for output in said.recipe.outputs
    )
    autorotate = said.recipe.autorotate and rest.autorotate
    recipe = Recipe(outputs, autorotate)
    places = dict(_places(recipe, FORMS[form].image))
    return said._replace(recipe=recipe, form=FORMS[form], places=places)


def _places(recipe: Recipe, image: str) -> Iterator[tuple[str, str]]:
    for m, output in enumerate(recipe.outputs):
        for n, step in enumerate(output.operations):
            for image_id in step.needs():
                yield image_id, image.format(output=m, step=n)


class _Rest(msgspec.Struct):
    """What a request says of the recipe as a whole."""

    autorotate: bool = True


class _NameWords(msgspec.Struct):
    name: Name


def _preset(members: Members, presets: Mapping[str, Recipe]) -> Named | None:
    name = members.values.pop("preset")
    recipe = presets.get(name) if isinstance(name, str) else None
    if recipe is None:
        known = ", ".join(sorted(presets)) or "none, since none is configured"
        members.blame("preset", f"must be one of {known}")
        return None
    return Named(recipe, preset=str(name))


def _short(members: Members) -> Named | None:
    # Of the operation and the output, each knows a background, and both mean this one.
    background = members.values.get("background")
    step = _step(members, "operation")
    if step and background is not None:
        members.values["background"] = background
    encoding = _encoding(members, RENAMED)
    if step is None or encoding is None:
        return None
    return Named(Recipe((_output((step,), encoding),)), operation=_name_of(step))


def _operations(members: Members) -> Named | None:
    steps = _steps(members)
    inner = members.inside("output")
    encoding = _encoding(inner) if inner else None
    if inner:
        inner.refuse_rest("is no parameter of an output")
    if steps is None or encoding is None:
        return None
    operation = _name_of(steps[0]) if len(steps) == 1 else ""
    return Named(Recipe((_output(steps, encoding),)), operation=operation)


def _outputs(members: Members) -> Named | None:
    names: set[str] = set()
    outputs = [
        _named_output(inner, names) if inner else None
        for inner in members.objects("outputs", least=1, most=MAX_OUTPUTS)
    ]
    sound = tuple(output for output in outputs if output)
    return Named(Recipe(sound)) if len(sound) == len(outputs) else None


def _named_output(members: Members, names: set[str]) -> Output | None:
    named = members.take(_NameWords)
    if named and named.name in names:
        members.blame("name", "is the name of another output")
    names |= {named.name} if named else set()
    steps = _steps(members) if "operations" in members.values else ()
    encoding = _encoding(members)
    members.refuse_rest("is no parameter of an output")
    if named is None or steps is None or encoding is None:
        return None
    return _output(steps, encoding, named.name)


def _steps(members: Members) -> tuple[Operation, ...] | None:
    steps: list[Operation | None] = []
    for inner in members.objects("operations", least=0, most=MAX_OPERATIONS):
        steps.append(_step(inner, "op") if inner else None)
        if inner:
            inner.refuse_rest("is no parameter of this operation")
    sound = tuple(step for step in steps if step)
    return sound if len(sound) == len(steps) else None


def _step(members: Members, name_of_name: str) -> Operation | None:
    name = members.values.pop(name_of_name, None)
    kind = OPERATIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        members.blame(name_of_name, f"must be one of {', '.join(OPERATIONS)}")
        # Nobody knows which of these would be right.
        for each in PARAMETERS & members.values.keys():
            del members.values[each]
        return None
    step = members.take(kind)
    for field, why in step.faults() if step else ():
        members.blame(field, why)
    return step


def _encoding(members: Members, renamed: Mapping[str, str] = NOT_RENAMED) -> Encoding | None:
    name = renamed.get("format", "format")
    if members.values.get(name) == "jpg":
        members.values[name] = "jpeg"
    encoding = members.take(Encoding, renamed)
    for field, why in encoding.faults() if encoding else ():
        members.blame(field, why)
    return encoding


def _output(steps: tuple[Operation, ...], encoding: Encoding, name: str = "output") -> Output:
    return Output(name=name, operations=steps, **msgspec.structs.asdict(encoding))


def _name_of(step: Operation) -> str:
    return str(step.__struct_config__.tag)
