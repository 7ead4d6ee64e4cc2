"""GET /events and GET /jobs/{id}/events: what becomes of jobs, as it happens."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import structlog
from quart import Blueprint, request
from quart_trio.wrappers import TrioResponse as Response

from actors.messages import ReadEvents
from actors.storage.events import Change
from actors.storage.ports import STATUSES
from web.gate import caller
from web.members import Members
from web.problems import Fault, Problem, invalid
from web.replies import no_content
from web.streams import EventStream

if TYPE_CHECKING:
    from web.envoy import Envoy
    from web.streams import Streams

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    # So that nginx passes on what comes when it comes.
    "X-Accel-Buffering": "no",
}
MAX_NUMBER = 2**63 - 1
NUMBER = re.compile(r"[0-9]{1,19}")
CHANGES: tuple[Change, ...] = (*STATUSES, "deleted")

Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_NUMBER)]


class StreamWords(msgspec.Struct):
    """The query of a stream."""

    last_event_id: Number | None = None


class FilterWords(StreamWords):
    """The query of the stream of all jobs."""

    status: str | None = None


def events_blueprint(envoy: Envoy, streams: Streams) -> Blueprint:
    """The two routes."""
    events = Blueprint("events", __name__)

    async def stream(message: ReadEvents) -> Response:
        reader = caller()
        streams.check(reader.tenant)
        told = await envoy.ask(message)
        if message.after is not None and told.over and not told.events:
            # To a browser this says that it need not come again.
            return no_content()
        streams.check(reader.tenant)
        if request.method == "HEAD":
            response = Response(None, 200, HEADERS)
            del response.headers["Content-Length"]
            return response
        response = Response(EventStream(streams, envoy, reader, message, told), 200, HEADERS)
        response.timeout = None
        return response

    @events.get("/events")
    async def all_jobs() -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(FilterWords)
        return await stream(ReadEvents(_after(words), statuses=_statuses(words.status)))

    @events.get("/jobs/<job_id>/events")
    async def one_job(job_id: str) -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(StreamWords)
        structlog.contextvars.bind_contextvars(job_id=job_id)
        return await stream(ReadEvents(_after(words), job_id))

    return events


def _after(words: StreamWords) -> int | None:
    """Return the number of the last event that the client has seen.

    A client that comes again says so in the header, and its address is the same as before.
    """
    seen = read_event_id(request.headers.get("Last-Event-ID", ""))
    return words.last_event_id if seen is None else seen


def read_event_id(text: str) -> int | None:
    """Return the number in a field Last-Event-ID; None if it is empty.

    Raises:
      Problem: `malformed`.
    """
    given = text.strip()
    if not given:
        return None
    if not NUMBER.fullmatch(given) or int(given) > MAX_NUMBER:
        raise Problem("malformed", "The Last-Event-ID is none of ours.")
    return int(given)


def _statuses(text: str | None) -> frozenset[Change]:
    wanted = [] if text is None else text.split(",")
    if not set(wanted) <= set(CHANGES):
        raise invalid([Fault("/status", f"must be some of {', '.join(CHANGES)}, with commas")])
    return frozenset(cast("list[Change]", wanted))
