"""What the routes about the queue take and give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from web.openapi import examples
from web.openapi.words import Answer, Body, Json, Route, json_of
from web.queue import DeadJobs, DeadWords, QueueState, Retried, RetryWords

_RUNNING: Final[Json] = {
    "paused": False,
    "pending": 3,
    "waiting": 1,
    "processing": 2,
    "failed": 0,
    "oldest_pending_seconds": 0.8,
}
_DEAD: Final[Json] = {
    "jobs": [
        {
            "id": examples.JOB_ID,
            "tenant": "acme",
            "operation": "thumbnail",
            "error_code": "source_unreachable",
            "attempts": 3,
            "created_at": "2026-03-01T12:00:00.999858Z",
            "updated_at": "2026-03-01T12:01:01.031995Z",
        }
    ],
    "next": None,
}

ROUTES: Mapping[str, Route] = {
    "GET /queue": Route(
        tag="service",
        name="look_at_queue",
        summary="See how it stands with the queue",
        answers={200: Answer("The queue at this moment.", json_of(QueueState, running=_RUNNING))},
    ),
    "POST /queue/pause": Route(
        tag="service",
        name="pause_queue",
        summary="Begin no further job",
        says="Also after a restart. What is begun goes on to its end, and jobs are accepted.",
        answers={
            200: Answer(
                "The queue, paused.", json_of(QueueState, paused={**_RUNNING, "paused": True})
            )
        },
        problems=("invalid",),
    ),
    "POST /queue/resume": Route(
        tag="service",
        name="resume_queue",
        summary="Begin jobs again",
        answers={200: Answer("The queue, running.", json_of(QueueState, running=_RUNNING))},
        problems=("invalid",),
    ),
    "GET /queue/dead": Route(
        tag="service",
        name="list_dead_jobs",
        summary="List failed jobs, whosever they are",
        says="Jobs whose files have gone are not among them.",
        query=(DeadWords,),
        answers={200: Answer("A page of them.", json_of(DeadJobs, one=_DEAD))},
        problems=("invalid",),
    ),
    "POST /queue/retry": Route(
        tag="service",
        name="retry_dead_jobs",
        summary="Try failed jobs again, whosever they are",
        body=Body(
            content=json_of(RetryWords, sources={"code": "source_unreachable", "older_than": 600}),
            required=False,
        ),
        answers={200: Answer("How many they are.", json_of(Retried, some={"retried": 12}))},
        problems=("invalid", "overloaded"),
    ),
}
