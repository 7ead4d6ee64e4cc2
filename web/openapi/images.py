"""What the routes under /images take and give, and /plan."""

from __future__ import annotations

from collections.abc import Mapping

from actors.imaging.inspect import MEDIA_TYPES
from actors.imaging.portrait import Portrait
from web import answers
from web.openapi import examples, headers
from web.openapi.bodies import WORDS, picture, submission
from web.openapi.words import Answer, Content, Route, json_of

_PICTURES: Mapping[str, Content] = {kind: Content() for kind in MEDIA_TYPES.values()}
# What the catalogue knows is written into what was seen.
_IMAGE = json_of({"allOf": [answers.Image, Portrait]}, image=examples.IMAGE)

ROUTES: Mapping[str, Route] = {
    "POST /images": Route(
        tag="images",
        name="keep_image",
        summary="Upload an image for use in many jobs",
        body=picture(),
        answers={
            201: Answer(
                "It is kept. What was seen in it.",
                _IMAGE,
                (headers.LOCATION,),
                {"image_id": "/image_id"},
            ),
        },
        problems=("unsupported_media_type", "invalid", "draining"),
    ),
    "GET /images/<image_id>": Route(
        tag="images",
        name="look_at_image",
        summary="Look at an image",
        answers={200: Answer("What was seen in it.", _IMAGE)},
        problems=("not_found",),
    ),
    "GET /images/<image_id>/content": Route(
        tag="images",
        name="download_image",
        summary="Download an image",
        headers=(headers.IF_NONE_MATCH, headers.RANGE, headers.IF_RANGE),
        answers={
            200: Answer("The bytes as they were sent.", _PICTURES, headers.OF_FILES),
            206: Answer("The range.", _PICTURES, (*headers.OF_FILES, headers.CONTENT_RANGE)),
            304: Answer("It is there already.", {}, (headers.ETAG, headers.CACHE_CONTROL)),
        },
        problems=("not_found", "gone", "range_not_satisfiable"),
    ),
    "DELETE /images/<image_id>": Route(
        tag="images",
        name="delete_image",
        summary="Delete an image",
        says="No new job can use it. Those that use it already go on.",
        answers={204: Answer("It is gone.")},
        problems=("not_found",),
    ),
    "POST /plan": Route(
        tag="images",
        name="plan_job",
        summary="Foresee what a job would make",
        says="Takes what `POST /jobs` takes, but no `image_url`, and makes nothing: it looks at "
        "the header of the image alone.",
        query=WORDS,
        recipe_in_query=True,
        body=submission(examples.PLANS),
        answers={200: Answer("What would be made.", json_of(answers.Plan, crop=examples.PLAN))},
        problems=("not_acceptable", "gone", "unsupported_media_type"),
    ),
}
