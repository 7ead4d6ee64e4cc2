"""The bodies that bring an image: JSON, a form, or the image itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import msgspec

from web.openapi import examples as shown
from web.openapi.flat import flat_members
from web.openapi.shapes import members_of
from web.openapi.words import JSON, Body, Content, Json
from web.schema import COMPONENTS, Schema, schema

FORM = "multipart/form-data"
BYTES: Json = {"type": "string", "contentMediaType": "application/octet-stream"}
IMAGE_DATA: Json = {
    "description": "The image in standard base64 with padding, or as a `data:` URI in base64.",
    "type": "string",
    "minLength": 1,
    "contentEncoding": "base64",
}
_ITSELF: Mapping[str, Content] = {"image/*": Content(), "application/octet-stream": Content()}


@cache
def recipes() -> Schema:
    """Return the schema of recipes, made once."""
    return schema()


def submission(*words: type[msgspec.Struct], examples: Mapping[str, Json]) -> Body:
    """Return the body that brings an image and a recipe, and whatever `words` say."""
    sources = [{"required": [name]} for name in ("image_data", "image_id", "image_url")]
    fields = {name: each for word in words for name, (each, _) in members_of(word).items()}
    whole: Json = {
        "type": "object",
        "description": "Exactly one image, and what to make of it.",
        "allOf": [{"$ref": f"{COMPONENTS}Recipe"}, *words],
        "properties": {"image_data": IMAGE_DATA},
        "oneOf": sources,
        "unevaluatedProperties": False,
    }
    form: Json = {
        "type": "object",
        "description": "The image is the file; the rest is in fields, or in the part `request`.",
        "properties": {
            **fields,
            **flat_members(recipes()),
            # Not the `image` of a watermark.
            "image": BYTES,
            "request": {"description": "The same as JSON.", "type": "object"},
        },
        "additionalProperties": False,
    }
    return Body(
        content={
            JSON: Content(whole, examples),
            FORM: Content(form, shown.FORMS, {"request": JSON}),
            **_ITSELF,
        },
        # An `image_id` in the query needs none.
        required=False,
    )


def picture() -> Body:
    """Return the body that brings an image, and nothing else."""
    return Body(
        content={
            JSON: Content(
                {
                    "type": "object",
                    "properties": {"image_data": IMAGE_DATA},
                    "required": ["image_data"],
                    "additionalProperties": False,
                },
                shown.UPLOADS,
            ),
            FORM: Content(
                {
                    "type": "object",
                    "properties": {"image": BYTES},
                    "required": ["image"],
                    "additionalProperties": False,
                },
                {"file": {"image": "(the file)"}},
            ),
            **_ITSELF,
        }
    )
