"""What the routes about the service itself take and give."""

from __future__ import annotations

from collections.abc import Mapping

import prometheus_client

from actors.messages import Pool
from web.about import Healthy, PoolWords, ProblemMeaning, State
from web.openapi import examples, headers
from web.openapi.words import Answer, Body, Content, Route, json_of
from web.watch import Stats

_PAGES = (headers.ETAG, headers.CACHE_CONTROL)
_UNCHANGED = Answer("It is there already.", {}, _PAGES)

ROUTES: Mapping[str, Route] = {
    "PATCH /pool": Route(
        tag="service",
        name="resize_pool",
        summary="Change the number of Workers",
        says="Until the next start. A Worker that must go finishes its job first.",
        body=Body(content=json_of(PoolWords, four={"workers": 4})),
        answers={200: Answer("The pool at this moment.", json_of(Pool, changing=examples.POOL))},
        problems=("invalid",),
    ),
    "GET /stats": Route(
        tag="service",
        name="look_at_service",
        summary="See what each part is doing",
        answers={200: Answer("The service at this moment.", json_of(Stats))},
    ),
    "GET /metrics": Route(
        tag="service",
        name="scrape",
        summary="Metrics, for Prometheus",
        answers={
            200: Answer(
                "The metrics.", {prometheus_client.CONTENT_TYPE_LATEST: Content({"type": "string"})}
            )
        },
    ),
    "GET /health": Route(
        tag="service",
        name="health",
        summary="Is it there?",
        answers={
            200: Answer(
                "It is.", json_of(Healthy, health={"status": "healthy", "timestamp": 1772366400})
            )
        },
    ),
    "GET /health/live": Route(
        tag="service",
        name="live",
        summary="Does its event loop turn?",
        answers={200: Answer("It does.", json_of(State, live={"status": "live"}))},
    ),
    "GET /health/ready": Route(
        tag="service",
        name="ready",
        summary="Does it take requests?",
        answers={200: Answer("It does.", json_of(State, ready={"status": "ready"}))},
        problems=("draining",),
    ),
    "GET /problems/<code>": Route(
        tag="service",
        name="explain_problem",
        summary="What the code of a problem means",
        answers={
            200: Answer(
                "Its title and status.",
                json_of(
                    ProblemMeaning, gone={"code": "gone", "title": "Image gone", "status": 410}
                ),
            )
        },
        problems=("not_found",),
    ),
    "GET /openapi.json": Route(
        tag="service",
        name="describe",
        summary="This document",
        headers=(headers.IF_NONE_MATCH,),
        answers={
            200: Answer("OpenAPI 3.1.", json_of({"type": "object"}), _PAGES),
            304: _UNCHANGED,
        },
    ),
    "GET /docs": Route(
        tag="service",
        name="docs",
        summary="This document, to be read",
        headers=(headers.IF_NONE_MATCH,),
        answers={
            200: Answer(
                "A page that needs nothing else.",
                {"text/html; charset=utf-8": Content({"type": "string"})},
                (*_PAGES, headers.SECURITY_POLICY),
            ),
            304: _UNCHANGED,
        },
    ),
}
