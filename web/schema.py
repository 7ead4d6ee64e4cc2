"""What a request says of its recipe, as JSON Schema, made from the structs.

It is a fragment of an OpenAPI document (3.1). What one member says of another, such as that a crop
has two lengths or an aspect, is in no schema: that is for `faults`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import msgspec

from actors.imaging.recipe import MAX_OPERATIONS, MAX_OUTPUTS, Encoding, Name, Operation
from actors.imaging.step import Color
from web.recipes import OPERATIONS, RENAMED

Json: TypeAlias = dict[str, object]

COMPONENTS = "#/components/schemas/"


class Schema(NamedTuple):
    """`recipe` describes the members of a request that say it; `components` are what it refers to.

    A request has other members as well, so these objects are open; `web/openapi` closes them.
    """

    recipe: Json
    components: Mapping[str, Json]


def schema() -> Schema:
    """Return what describes every way to say a recipe."""
    (operation, _, color, name), made = msgspec.json.schema_components(
        (Operation, Encoding, Color, Name), ref_template=COMPONENTS + "{name}"
    )
    structs: dict[str, Json] = {
        each: {
            **_with_references(described, color),
            "description": inspect.cleandoc(described["description"]),
        }
        for each, described in made.items()
    }
    shared: dict[str, Json] = {"Operation": operation, "Color": color, "Name": name}
    forms: dict[str, Json] = {
        **{f"{kind.__name__}Alone": _alone(kind) for kind in OPERATIONS.values()},
        "InOrder": _form({"operations": _operations(), "output": _reference("Encoding")}),
        "ManyOutputs": _form({"outputs": _outputs()}),
        "Preset": {
            "type": "object",
            "properties": {"preset": {"type": "string"}},
            "required": ["preset"],
        },
    }
    return Schema({"anyOf": [_reference(form) for form in forms]}, structs | shared | forms)


def _alone(kind: type[Operation]) -> Json:
    """Describe the short form, in which the members of an operation and its output are together."""
    output = {RENAMED.get(name, name): each for name, each in _members(Encoding).items()}
    required = (field.name for field in msgspec.structs.fields(kind) if field.required)
    operation = {"operation": {"enum": [kind.__struct_config__.tag]}}
    return _form(operation | output | _members(kind), required)


def _form(members: Json, required: Iterable[str] = ()) -> Json:
    first = next(iter(members))
    return {
        "type": "object",
        "properties": {**members, "autorotate": {"type": "boolean", "default": True}},
        "required": [first, *required],
    }


def _outputs() -> Json:
    members = {"name": _reference("Name"), "operations": _operations(), **_members(Encoding)}
    output: Json = {
        "type": "object",
        "properties": members,
        "required": ["name"],
        "additionalProperties": False,
    }
    return {"type": "array", "items": output, "minItems": 1, "maxItems": MAX_OUTPUTS}


def _operations() -> Json:
    return {"type": "array", "items": _reference("Operation"), "maxItems": MAX_OPERATIONS}


def _members(kind: type[msgspec.Struct]) -> Json:
    return {
        field.name: _reference(f"{kind.__name__}/properties/{field.name}")
        for field in msgspec.structs.fields(kind)
    }


def _reference(path: str) -> Json:
    return {"$ref": COMPONENTS + path}


def _with_references(described: Json, color: Json) -> Json:
    """Return `described` with every color, which is long, by reference."""

    def replaced(value: object) -> object:
        if isinstance(value, list):
            return [replaced(each) for each in value]
        if not isinstance(value, dict):
            return value
        if color.items() <= value.items():
            rest = {name: each for name, each in value.items() if name not in color}
            return _reference("Color") | rest
        return {name: replaced(each) for name, each in value.items()}

    return {name: replaced(each) for name, each in described.items()}
