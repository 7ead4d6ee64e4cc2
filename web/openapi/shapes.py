"""JSON Schema of the types that requests are read into and answers written from."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import cast

import msgspec

from web.openapi.words import Json
from web.schema import COMPONENTS


def components_of(kinds: Iterable[type]) -> dict[str, Json]:
    """Return the schemas of `kinds`, and of all that is in them, by name."""
    kinds = list(kinds)
    _, made = msgspec.json.schema_components(
        kinds, schema_hook=_anything, ref_template=COMPONENTS + "{name}"
    )
    leaving_out = {
        kind.__name__ for kind in _structs(kinds) if kind.__struct_config__.omit_defaults
    }
    return {
        name: _told(described, leaves_out=name in leaving_out) for name, described in made.items()
    }


def members_of(kind: type[msgspec.Struct]) -> Mapping[str, tuple[Json, bool]]:
    """Return the schema of each member as text can say it, and whether it must be said."""
    described = components_of([kind])[kind.__name__]
    properties = cast("Mapping[str, Json]", described["properties"])
    required = cast("list[str]", described.get("required", []))
    return {name: (without_null(each), name in required) for name, each in properties.items()}


def without_null(shape: Json) -> Json:
    """Return `shape` without the alternative of null."""
    if "anyOf" not in shape:
        return shape
    rest = {word: each for word, each in shape.items() if word != "anyOf"}
    if rest.get("default", 0) is None:
        del rest["default"]
    kept = [each for each in cast("list[Json]", shape["anyOf"]) if each != {"type": "null"}]
    return {**kept[0], **rest} if len(kept) == 1 else {"anyOf": kept, **rest}


def _told(described: Json, *, leaves_out: bool) -> Json:
    told = dict(described)
    if "description" in told:
        told["description"] = inspect.cleandoc(str(told["description"]))
    if leaves_out:
        # What is left out is never null.
        required = cast("list[str]", told.get("required", []))
        properties = cast("Mapping[str, Json]", told["properties"])
        told["properties"] = {
            name: each if name in required else without_null(each)
            for name, each in properties.items()
        }
    return told


def _structs(kinds: Iterable[type]) -> Iterable[type[msgspec.Struct]]:
    """Yield the structs among `kinds`, and those in them."""
    seen = list(msgspec.inspect.multi_type_info(kinds))
    known: set[type] = set()
    while seen:
        each = seen.pop()
        if isinstance(each, msgspec.inspect.StructType):
            if each.cls not in known:
                known.add(each.cls)
                yield each.cls
                seen += [field.type for field in each.fields]
            continue
        for name in ("type", "item_type", "value_type", "types", "item_types"):
            inner = getattr(each, name, ())
            seen += inner if isinstance(inner, tuple) else [inner]


def _anything(kind: type) -> Json:
    if kind is object:
        return {"description": "anything"}  # Of nothing, msgspec would not know that it is meant.
    raise NotImplementedError
