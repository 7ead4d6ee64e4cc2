"""Routes about the service itself: health, stats, metrics, the pool and the problems."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import prometheus_client
import trio
from msgspec import Meta
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from actors.messages import Resize
from web.members import Members, from_json, meaning
from web.problems import KINDS, Fault, Problem, invalid
from web.replies import json_reply
from web.uploads import upload
from web.watch import set_gauges

if TYPE_CHECKING:
    from actors.mailbox import Address
    from web.watch import Watch


MAX_POOL_BODY = 1024  # bytes


class PoolWords(msgspec.Struct):
    """The body that changes the pool."""

    workers: Annotated[
        int,
        meaning("How many there shall be, up to `MAX_POOL_SIZE`."),
        Meta(extra_json_schema={"minimum": 1}),
    ]


class Healthy(msgspec.Struct):
    """The service is there; the time is that of its clock, in Unix time."""

    status: Literal["healthy"]
    timestamp: int


class State(msgspec.Struct):
    """What the service says of itself."""

    status: Literal["live", "ready"]


class ProblemMeaning(msgspec.Struct):
    """What the code of a problem means."""

    code: str
    title: str
    status: int


@dataclass(slots=True)
class Health:
    """Whether the service takes requests; set by whoever starts and stops it."""

    draining: bool = False


def health_blueprint(health: Health) -> Blueprint:
    """Routes under /health."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/health")
    async def healthy() -> Response:
        return _json(Healthy("healthy", int(time.time())))

    @blueprint.get("/health/live")
    async def live() -> Response:
        return _json(State("live"))

    @blueprint.get("/health/ready")
    async def ready() -> Response:
        if health.draining:
            raise Problem("draining", "The service is shutting down.")
        return _json(State("ready"))

    return blueprint


def problems_blueprint() -> Blueprint:
    """Routes under /problems: what the `type` of a problem leads to."""
    blueprint = Blueprint("problems", __name__)

    @blueprint.get("/problems/<code>")
    async def problem(code: str) -> Response:
        kind = KINDS.get(code)
        if kind is None:
            raise Problem("not_found", "There is no such problem.")
        return _json(ProblemMeaning(code, kind.title, kind.status))

    return blueprint


def stats_blueprint(watch: Watch, dispatcher: Address, *, max_pool: int) -> Blueprint:
    """GET /stats, GET /metrics and PATCH /pool."""
    blueprint = Blueprint("stats", __name__)

    @blueprint.get("/stats")
    async def stats() -> Response:
        return _json(await watch.look())

    @blueprint.get("/metrics")
    async def scrape() -> Response:
        set_gauges(await watch.look())
        return Response(
            prometheus_client.generate_latest(),
            200,
            {"Content-Type": prometheus_client.CONTENT_TYPE_LATEST},
        )

    @blueprint.patch("/pool")
    async def resize() -> Response:
        body = await upload().read()
        if len(body) > MAX_POOL_BODY:
            raise Problem("too_large", f"The JSON has more than {MAX_POOL_BODY} bytes.")
        words = Members.of_json(from_json(body, dict[str, msgspec.Raw])).only(PoolWords)
        if not 1 <= words.workers <= max_pool:
            raise invalid([Fault("/workers", f"must be from 1 to {max_pool}")])
        with trio.fail_after(watch.patience):
            pool = await dispatcher.ask(Resize(words.workers))
        return _json(pool)

    return blueprint


def _json(value: object) -> Response:
    return json_reply(msgspec.json.encode(value))
