"""Routes under /queue: how it stands with the queue, and what an operator has done to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeVar

import msgspec
from quart import Blueprint, request

from actors.messages import Count, Hold, ListDead, Redrive
from actors.storage.ports import Dead
from web.answers import text_of
from web.members import Members, from_json, meaning
from web.problems import Problem
from web.replies import json_reply
from web.uploads import upload

if TYPE_CHECKING:
    from quart_trio.wrappers import TrioResponse as Response

    from actors.storage.ports import Job, Tally
    from web.envoy import Envoy

S = TypeVar("S", bound=msgspec.Struct)

MOST_RETRIED: Final = 1000  # jobs in one request, which is one transaction
MOST_LISTED: Final = 100
MAX_BODY: Final = 1024  # bytes

ErrorCode = Literal[
    "not_an_image",
    "unsupported_format",
    "image_too_large",
    "impossible_recipe",
    "timed_out",
    "crashed",
    "out_of_space",
    "source_unreachable",
    "source_forbidden",
    "quota_exceeded",
]
Age = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class SwitchWords(msgspec.Struct):
    """Nothing: what is to be done the address says."""


class DeadWords(msgspec.Struct):
    """Which failed jobs to list; `older_than` is in seconds."""

    code: Annotated[ErrorCode, meaning("Only those with this `error_code`.")] | None = None
    older_than: Annotated[Age, meaning("Only those that failed so many seconds ago.")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_LISTED), meaning("How many at most.")] = (
        MOST_LISTED
    )
    cursor: Annotated[
        int, msgspec.Meta(ge=0, le=2**63 - 1), meaning("The `next` of the page before.")
    ] = 0


class RetryWords(msgspec.Struct):
    """Which failed jobs to try again."""

    code: Annotated[ErrorCode, meaning("Only those with this `error_code`.")] | None = None
    older_than: Annotated[Age, meaning("Only those that failed so many seconds ago.")] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_RETRIED), meaning("How many at most.")] = (
        MOST_RETRIED
    )


class QueueState(msgspec.Struct):
    """The queue at one moment. Of those `pending`, so many are `waiting` for their time."""

    paused: bool
    pending: int
    waiting: int
    processing: int
    failed: int
    oldest_pending_seconds: float | None


class DeadJob(msgspec.Struct):
    """What an operator is told of a job, whosever it is: nothing of its picture or its address."""

    id: str
    tenant: str
    operation: str
    error_code: str | None
    attempts: int
    created_at: str
    updated_at: str


class DeadJobs(msgspec.Struct):
    """A page of failed jobs, in the order in which they were accepted."""

    jobs: list[DeadJob]
    next: Annotated[
        str | None, msgspec.Meta(description="the `cursor` of the next page, if there is one")
    ]


class Retried(msgspec.Struct):
    """How many jobs are tried again; until it is 0 there may be more."""

    retried: int


def queue_blueprint(envoy: Envoy) -> Blueprint:
    """Routes under /queue: look, pause, resume, list dead jobs and try them again."""
    queue = Blueprint("queue", __name__, url_prefix="/queue")

    @queue.get("")
    async def look() -> Response:
        return _told(await envoy.ask(Count()))

    @queue.post("/pause")
    async def pause() -> Response:
        await _said(SwitchWords)
        await envoy.ask(Hold(paused=True))
        return _told(await envoy.ask(Count()))

    @queue.post("/resume")
    async def resume() -> Response:
        await _said(SwitchWords)
        await envoy.ask(Hold(paused=False))
        return _told(await envoy.ask(Count()))

    @queue.get("/dead")
    async def list_dead() -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(DeadWords)
        before = _before(words.older_than)
        which = Dead(
            limit=words.limit + 1, code=words.code, failed_before=before, after=words.cursor
        )
        found = await envoy.ask(ListDead(which))
        shown = found[: words.limit]
        following = str(shown[-1][0]) if len(found) > len(shown) else None
        jobs = [_dead_job(job) for _, job in shown]
        return json_reply(msgspec.json.encode(DeadJobs(jobs, following)))

    @queue.post("/retry")
    async def retry() -> Response:
        words = await _said(RetryWords)
        which = Dead(limit=words.limit, code=words.code, failed_before=_before(words.older_than))
        retried = await envoy.ask(Redrive(which))
        return json_reply(msgspec.json.encode(Retried(retried)))

    return queue


async def _said(kind: type[S]) -> S:
    """Return what the body says, which may be missing; the query says nothing."""
    Members.of_query(request.args.items(multi=True)).only(SwitchWords)
    body = await upload().read() or b"{}"
    if len(body) > MAX_BODY:
        raise Problem("too_large", f"The JSON has more than {MAX_BODY} bytes.")
    return Members.of_json(from_json(body, dict[str, msgspec.Raw])).only(kind)


def age_in_seconds(tally: Tally) -> float | None:
    """Return for how long the job could have been begun that has been due for longest."""
    if tally.oldest_pending is None:
        return None
    return (datetime.now(UTC) - tally.oldest_pending).total_seconds()


def _told(tally: Tally) -> Response:
    return json_reply(
        msgspec.json.encode(
            QueueState(
                paused=tally.paused,
                pending=tally.count("pending"),
                waiting=sum(tally.waiting.values()),
                processing=tally.count("processing"),
                failed=tally.count("failed"),
                oldest_pending_seconds=age_in_seconds(tally),
            )
        )
    )


def _before(age: float | None) -> datetime | None:
    return None if age is None else datetime.now(UTC) - timedelta(seconds=age)


def _dead_job(job: Job) -> DeadJob:
    return DeadJob(
        id=job.id,
        tenant=job.tenant,
        operation=job.operation,
        error_code=job.error_code,
        attempts=job.attempts,
        created_at=text_of(job.created_at),
        updated_at=text_of(job.updated_at),
    )
