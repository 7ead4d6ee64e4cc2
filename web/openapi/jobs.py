"""What the routes under /jobs take and give."""

from __future__ import annotations

from collections.abc import Mapping

from actors.imaging.inspect import MEDIA_TYPES
from actors.imaging.portrait import Portrait
from web import answers
from web.jobs import DownloadWords, ListWords, WaitWords
from web.links import LinkMade, LinkWords
from web.openapi import examples, headers
from web.openapi.bodies import WORDS, submission
from web.openapi.words import JSON, Answer, Body, Content, Route, json_of

_PICTURES: Mapping[str, Content] = {kind: Content() for kind in MEDIA_TYPES.values()}
_LOCATED = (headers.LOCATION,)

ROUTES: Mapping[str, Route] = {
    "POST /jobs": Route(
        tag="jobs",
        name="submit_job",
        summary="Submit a job",
        says="An image, and what to make of it. The body is JSON, a form, or the image itself with "
        "the rest in the query; with JSON or a form, the query is not looked at. The image can be "
        "named by `image_id` or `image_url` in place of being sent; in a query, the body is empty "
        "then. With `Prefer: wait=N` and an `Accept` that likes pictures better than JSON, the "
        "answer to a job that ended in time is the picture.",
        query=WORDS,
        recipe_in_query=True,
        headers=(headers.PREFER,),
        body=submission(examples.JOBS),
        answers={
            202: Answer(
                "It was accepted.",
                json_of(answers.Accepted, accepted=examples.ACCEPTED),
                _LOCATED,
                {"job_id": "/job_id"},
            ),
            200: Answer(
                "It ended in the time that `Prefer` gave it.",
                {**json_of(answers.Job, completed=examples.COMPLETED), **_PICTURES},
                (headers.PREFERENCE_APPLIED, headers.CONTENT_LOCATION),
            ),
        },
        problems=(
            "not_found",
            "not_acceptable",
            "gone",
            "unsupported_media_type",
            "quota_exceeded",
            "draining",
        ),
    ),
    "GET /jobs": Route(
        tag="jobs",
        name="list_jobs",
        summary="List jobs, newest first",
        query=(ListWords,),
        answers={
            200: Answer("A page.", json_of(answers.Jobs, page=examples.PAGE), (headers.LINK,))
        },
    ),
    "GET /jobs/<job_id>": Route(
        tag="jobs",
        name="look_at_job",
        summary="Look at a job, or wait for its end",
        query=(WaitWords,),
        answers={
            200: Answer(
                "The job as it stands.",
                json_of(
                    answers.Job,
                    pending=examples.PENDING,
                    completed=examples.COMPLETED,
                    failed=examples.FAILED,
                ),
            )
        },
        problems=("not_found",),
    ),
    "GET /jobs/<job_id>/download": Route(
        tag="jobs",
        name="download_output",
        summary="Download a result",
        says="The first output, or the one that is named. In place of a key, a link will do.",
        query=(DownloadWords,),
        headers=(headers.IF_NONE_MATCH, headers.RANGE, headers.IF_RANGE),
        answers={
            200: Answer(
                "All of it. JSON if it is facts.",
                {**_PICTURES, JSON: Content(Portrait, {"facts": examples.FACTS})},
                headers.OF_FILES,
            ),
            206: Answer(
                "The range.",
                {**_PICTURES, JSON: Content()},
                (*headers.OF_FILES, headers.CONTENT_RANGE),
            ),
            304: Answer("It is there already.", {}, (headers.ETAG, headers.CACHE_CONTROL)),
        },
        problems=(
            "not_found",
            "not_ready",
            "job_failed",
            "job_cancelled",
            "gone",
            "range_not_satisfiable",
        ),
    ),
    "POST /jobs/<job_id>/cancel": Route(
        tag="jobs",
        name="cancel_job",
        summary="Cancel a job",
        says="A render that is under way is stopped, and its result never seen.",
        answers={
            200: Answer("It is cancelled.", json_of(answers.Job, cancelled=examples.CANCELLED))
        },
        problems=("not_found", "conflict"),
    ),
    "POST /jobs/<job_id>/retry": Route(
        tag="jobs",
        name="retry_job",
        summary="Try a job again that failed or was cancelled",
        answers={
            202: Answer(
                "It is pending again.", json_of(answers.Job, pending=examples.PENDING), _LOCATED
            )
        },
        problems=("not_found", "conflict", "gone", "quota_exceeded"),
    ),
    "DELETE /jobs/<job_id>": Route(
        tag="jobs",
        name="delete_job",
        summary="Delete a job",
        says="It is cancelled if need be, and forgotten with its files.",
        answers={204: Answer("It is gone.")},
        problems=("not_found",),
    ),
    "POST /jobs/<job_id>/links": Route(
        tag="jobs",
        name="make_link",
        summary="Make a link to a result",
        says="Whoever has it may download that result for a while, without a key.",
        body=Body(content=json_of(LinkWords, hour={"expires_in": 3600})),
        answers={201: Answer("The link.", json_of(LinkMade, link=examples.LINK))},
        problems=("not_found", "job_failed", "job_cancelled", "gone", "invalid"),
    ),
}
