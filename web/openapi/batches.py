"""What the routes under /batches take and give."""

from __future__ import annotations

from collections.abc import Mapping

from web import answers
from web.jobs import WaitWords
from web.openapi import examples, headers
from web.openapi.bodies import BATCH
from web.openapi.words import JSON, Answer, Body, Content, Route, json_of
from web.schema import COMPONENTS

ROUTES: Mapping[str, Route] = {
    "POST /batches": Route(
        tag="batches",
        name="submit_batch",
        summary="Submit many jobs at once",
        says="All of them are accepted, or none: every fault of every job is told. Each is what "
        "`POST /jobs` takes as JSON, but names its image by `image_id` or `image_url`; what it "
        "leaves out is as in `defaults`.",
        body=Body(content={JSON: Content({"$ref": COMPONENTS + BATCH}, examples.BATCHES)}),
        answers={
            202: Answer(
                "They were accepted.",
                json_of(answers.BatchAccepted, accepted=examples.BATCH_ACCEPTED),
                (headers.LOCATION,),
                {"batch_id": "/batch_id"},
            )
        },
        problems=(
            "not_acceptable",
            "unsupported_media_type",
            "invalid",
            "quota_exceeded",
            "draining",
        ),
    ),
    "GET /batches/<batch_id>": Route(
        tag="batches",
        name="look_at_batch",
        summary="Look at a batch, or wait for its end",
        says="How many of its jobs there are of each status. The jobs are listed by "
        "`GET /jobs?batch=…`.",
        query=(WaitWords,),
        answers={
            200: Answer(
                "The batch as it stands.",
                json_of(answers.Batch, running=examples.BATCH_RUNNING, ended=examples.BATCH_ENDED),
            )
        },
        problems=("not_found",),
    ),
    "POST /batches/<batch_id>/cancel": Route(
        tag="batches",
        name="cancel_batch",
        summary="Cancel all jobs of a batch that have not ended",
        says="Renders that are under way are stopped. A batch that has ended stays as it is.",
        answers={200: Answer("It has ended.", json_of(answers.Batch, ended=examples.BATCH_ENDED))},
        problems=("not_found",),
    ),
    "DELETE /batches/<batch_id>": Route(
        tag="batches",
        name="delete_batch",
        summary="Delete a batch",
        says="Its jobs are cancelled if need be, and forgotten with their files.",
        answers={204: Answer("It is gone.")},
        problems=("not_found",),
    ),
}
