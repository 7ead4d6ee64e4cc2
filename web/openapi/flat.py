"""What of a recipe can be said as text, in a query or in the fields of a form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import cast

from web.openapi.shapes import without_null
from web.openapi.words import Json
from web.recipes import OPERATIONS
from web.schema import COMPONENTS, Schema

# As text, 1 is as good as true.
TRUTH: Json = {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}]}


def flat_members(schema: Schema) -> Mapping[str, Json]:
    """Return the schema of each parameter, of all operations together."""
    kinds = sorted(OPERATIONS)
    members: dict[str, Json] = {
        "operation": {"description": "One operation, with its parameters.", "enum": kinds},
        "preset": {
            "description": "The name of a recipe of the service's own. With it nothing else can be "
            "said of the recipe.",
            "type": "string",
        },
        "autorotate": {
            "description": "Whether the picture is turned upright first, as its EXIF says.",
            **TRUTH,
            "default": True,
        },
    }
    found: dict[str, list[Json]] = defaultdict(list)
    users: dict[str, list[str]] = defaultdict(list)
    for kind, struct in OPERATIONS.items():
        alone = cast(
            "Mapping[str, Json]", schema.components[f"{struct.__name__}Alone"]["properties"]
        )
        own = set(cast("Json", schema.components[struct.__name__]["properties"]))
        for name, reference in alone.items():
            if name in members:
                continue
            shape = _flat(reference, schema)
            if shape is not None and shape not in found[name]:
                found[name].append(shape)
            if name in own:
                users[name].append(kind)
    for name, shapes in found.items():
        if shapes:
            said = ", ".join(f"`{kind}`" for kind in users[name]) or "the output"
            members[name] = {"description": f"Of {said}.", **_any_of(shapes)}
    return members


def _any_of(shapes: list[Json]) -> Json:
    return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}


def _flat(shape: Json, schema: Schema) -> Json | None:
    """Return what of `shape` is no object, and not null; None if nothing is."""
    path = str(shape.get("$ref", "")).removeprefix(COMPONENTS)
    if "/" in path:
        name, _, member = path.partition("/properties/")
        properties = cast("Mapping[str, Json]", schema.components[name]["properties"])
        return _flat(properties[member], schema)
    if path:
        return None if schema.components[path].get("type") == "object" else shape
    if shape.get("type") == "boolean":
        return TRUTH
    if "anyOf" not in shape:
        return None if shape.get("type") in {"object", "array"} else _bare(shape)
    kept = [
        flat
        for each in cast("Iterable[Json]", without_null(shape).get("anyOf", [without_null(shape)]))
        if (flat := _flat(each, schema)) is not None
    ]
    return (
        _bare({**shape, **_any_of(kept)}, but=() if len(kept) > 1 else ("anyOf",)) if kept else None
    )


def _bare(shape: Json, but: Iterable[str] = ()) -> Json:
    """Return `shape` without its default, which differs by operation."""
    return {word: each for word, each in shape.items() if word not in {"default", *but}}
