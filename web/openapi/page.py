"""The document as one page of HTML, to be read without anything else: no script, no network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

import msgspec
from jinja2 import Environment
from markupsafe import Markup, escape

from web.openapi.words import Json
from web.schema import COMPONENTS

_DIRECTORY = Path(__file__).parent
STYLE = (_DIRECTORY / "page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
# The page has its own style, and may load nothing, run nothing, send nothing, be framed by nobody.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Bounds, as they read in a line.
_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minLength": "its length at least",
    "maxLength": "its length at most",
    "minItems": "its number at least",
    "maxItems": "its number at most",
}
_JOINTS = {"anyOf": Markup(" or "), "oneOf": Markup(" or "), "allOf": Markup(" and ")}
_LONG = 120  # characters of a pattern that nobody wants to read


def page(document: Json) -> bytes:
    """Return `document` as HTML."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        prose=_prose, shape=_shape, members=_members, example=_example, anchor=_anchor
    )
    template = environment.from_string((_DIRECTORY / "page.html").read_text("utf-8"))
    # Escaping would change its hash.
    return template.render(document=document, style=Markup(STYLE)).encode()  # noqa: S704


def _prose(text: str) -> Markup:
    """Return `text`, in which backticks are the only Markdown, as paragraphs."""
    paragraphs = (
        re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(each)))
        for each in re.split(r"\n\s*\n", text.strip())
    )
    return Markup("".join(f"<p>{each}</p>" for each in paragraphs))  # noqa: S704  (escaped above)


def _example(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _anchor(path: str) -> str:
    return re.sub(r"[^\w]+", "-", path).strip("-")


def _members(shape: Json) -> Iterable[tuple[str, Json, bool]]:
    """Yield the members of an object: name, schema, and whether it must be there."""
    required = cast("list[str]", shape.get("required", []))
    for name, each in cast("Mapping[str, Json]", shape.get("properties", {})).items():
        yield name, each, name in required


def _shape(shape: Json) -> Markup:
    """Return what values `shape` allows, as a phrase."""
    if "$ref" in shape:
        return _link(str(shape["$ref"]).removeprefix(COMPONENTS))
    for word, joint in _JOINTS.items():
        if word in shape:
            said = [
                each for each in cast("Iterable[Json]", shape[word]) if set(each) != {"required"}
            ]
            if said:
                return joint.join(dict.fromkeys(_shape(each) for each in said))
    if "enum" in shape:
        values = cast("list[object]", shape["enum"])
        return Markup(", ").join(Markup("<code>{}</code>").format(each) for each in values)
    kind = str(shape.get("type", "anything"))
    phrase = escape(f"{shape['format']}" if "format" in shape else kind)
    if "prefixItems" in shape:
        phrase = Markup(" and ").join(map(_shape, cast("Iterable[Json]", shape["prefixItems"])))
    elif kind == "array":
        phrase = Markup("list of {}").format(_shape(cast("Json", shape.get("items", {}))))
    values_of = shape.get("additionalProperties")
    if kind == "object" and isinstance(values_of, dict):
        phrase = Markup("object of {}").format(_shape(values_of))
    notes = [f"{said} {shape[word]}" for word, said in _BOUNDS.items() if word in shape]
    if "contentEncoding" in shape:
        notes.append(f"in {shape['contentEncoding']}")
    if "pattern" in shape and len(str(shape["pattern"])) <= _LONG:
        return phrase + Markup(" <code>{}</code>").format(shape["pattern"])
    return phrase + (f", {', '.join(notes)}" if notes else "")


def _link(path: str) -> Markup:
    name, _, member = path.partition("/properties/")
    if member:
        return Markup('as in <a href="#{}">{}</a>').format(_anchor(f"schema-{name}"), name)
    return Markup('<a href="#{}">{}</a>').format(_anchor(f"schema-{name}"), name)
