"""The bodies that bring an image: JSON, a form, or the image itself."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import cast

import msgspec

from web.batch_order import BatchWords
from web.openapi import examples as shown
from web.openapi.flat import flat_members
from web.openapi.shapes import components_of, members_of
from web.openapi.words import JSON, Body, Content, Json
from web.schema import COMPONENTS, Schema, schema
from web.wire import MAX_PARTS, ImageWords, JobWords, NoteWords

# What a submission says besides its recipe.
WORDS = (ImageWords, JobWords)
# And what it can say in JSON alone.
WORDS_OF_JSON = (*WORDS, NoteWords)
SUBMISSION = "Submission"
BATCH, BATCH_JOB = "BatchSubmission", "BatchJob"
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


def components() -> Mapping[str, Json]:
    """Return the schemas that submissions are made of, by name."""
    described = recipes()
    forms = [str(form["$ref"]).removeprefix(COMPONENTS) for form in _forms(described)]
    sources = [{"required": [name]} for name in ("image_data", "image_id", "image_url")]
    return {
        SUBMISSION: {
            "description": "Exactly one image, and what to make of it in one of four ways: one "
            "operation, several in order, many outputs, or a preset.",
            "type": "object",
            "anyOf": _forms(described),
            "oneOf": sources,
        },
        BATCH: {
            "description": "Jobs, and what those have that do not say it themselves.",
            "type": "object",
            "properties": {
                "jobs": {"type": "array", "items": _reference(BATCH_JOB), "minItems": 1},
                "defaults": _reference(BATCH_JOB),
                **_words(BatchWords, NoteWords),
            },
            "required": ["jobs"],
            "additionalProperties": False,
        },
        BATCH_JOB: {
            "description": "What a `Submission` says, but for `image_data`: a job has all of it "
            "together with the defaults.",
            "type": "object",
            "properties": _words(*WORDS_OF_JSON),
        },
        "ImageData": IMAGE_DATA,
        **components_of((*WORDS_OF_JSON, BatchWords)),
        **described.components,
        **{form: _whole(described.components[form]) for form in forms},
    }


def _forms(described: Schema) -> list[Json]:
    return cast("list[Json]", described.recipe["anyOf"])


def _whole(form: Json) -> Json:
    """Return a way to say a recipe with all that a submission may say besides, and nothing more."""
    image: Json = {"image_data": _reference("ImageData")}
    own, words = cast("Mapping[str, Json]", form["properties"]), _words(*WORDS_OF_JSON)
    twice = {name: {"anyOf": [own[name], words[name]]} for name in own.keys() & words.keys()}
    properties = {**own, **image, **words, **twice}
    return {**form, "properties": properties, "additionalProperties": False}


def _words(*kinds: type[msgspec.Struct]) -> Json:
    return {
        name: _reference(f"{kind.__name__}/properties/{name}")
        for kind in kinds
        for name in members_of(kind)
    }


def _reference(path: str) -> Json:
    return {"$ref": COMPONENTS + path}


def submission(examples: Mapping[str, Json]) -> Body:
    """Return the body that brings an image and what to make of it."""
    fields = {name: each for kind in WORDS for name, (each, _) in members_of(kind).items()}
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
        "maxProperties": MAX_PARTS,
        "additionalProperties": False,
    }
    return Body(
        content={
            JSON: Content({"$ref": COMPONENTS + SUBMISSION}, examples),
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
