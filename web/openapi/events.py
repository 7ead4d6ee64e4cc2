"""What the routes of events take and give."""

from __future__ import annotations

from collections.abc import Mapping

from web.events import FilterWords, StreamWords
from web.openapi import headers
from web.openapi.words import Answer, Content, Route

_STREAM = Answer(
    "Server-Sent Events, until there is nothing more to say. Each has the members `id`, `event` "
    "(a status, `deleted`, or `reset`) and `data`, which is JSON.",
    {"text/event-stream": Content()},
    (headers.CACHE_CONTROL, headers.NO_BUFFERING),
)

ROUTES: Mapping[str, Route] = {
    "GET /events": Route(
        tag="events",
        name="follow_jobs",
        summary="Follow what becomes of all jobs",
        says="From now on, or from after the event that is named: who comes again with the number "
        "of the last one misses nothing. The stream goes on until the client leaves, or the "
        "service stops.",
        query=(FilterWords,),
        headers=(headers.LAST_EVENT_ID,),
        answers={200: _STREAM},
        problems=("quota_exceeded", "draining"),
    ),
    "GET /jobs/<job_id>/events": Route(
        tag="events",
        name="follow_job",
        summary="Follow what becomes of a job",
        says="As it stands, and then until its end; or from after the event that is named.",
        query=(StreamWords,),
        headers=(headers.LAST_EVENT_ID,),
        answers={
            200: _STREAM,
            204: Answer("The job has ended, and all that is known of it is known."),
        },
        problems=("not_found", "quota_exceeded", "draining"),
    ),
}
