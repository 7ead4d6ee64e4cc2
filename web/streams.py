"""Streams of events: text/event-stream, after the WHATWG's HTML standard (9.2).

The reader sets the pace: the next events are asked for when the ones before have been taken, so
there is no buffer that a slow one could fill.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import trio
from quart.wrappers.response import ResponseBody

from actors.errors import AskFailed, Draining, MailboxFull
from actors.storage.ports import StorageError
from web import metrics
from web.answers import text_of
from web.problems import Problem

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from actors.messages import ReadEvents, Told
    from actors.storage.events import Event
    from web.envoy import Envoy
    from web.gate import Caller, Gate

RETRY = 2_000  # milliseconds after which a client whose stream has ended comes again
PAUSE = 0.5  # seconds before the actors are asked again that have no room


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """The bounds of streams: `all` at once, and `of_tenant` of one tenant.

    `keep_alive`: seconds without an event until a stream says that it is still there, and until
    it is asked anew whether its reader may still read.
    """

    all: int
    of_tenant: int
    keep_alive: float


class Streams:
    """The streams that are open."""

    def __init__(self, limits: StreamLimits, gate: Gate) -> None:
        self.limits = limits
        self.gate = gate
        self._open = Counter[str]()

    def check(self, tenant: str) -> None:
        """Raise `Problem` if there is no room for another one of this tenant."""
        if self._open.total() >= self.limits.all:
            raise Problem("overloaded", "Too many streams are open. Try again later.")
        if self._open[tenant] >= self.limits.of_tenant:
            raise Problem("quota_exceeded", "Too many of your streams are open.")

    def enter(self, tenant: str) -> None:
        """Count one more."""
        self._open[tenant] += 1
        metrics.STREAMS.set(self._open.total())

    def leave(self, tenant: str) -> None:
        """Count one less."""
        self._open[tenant] -= 1
        if not self._open[tenant]:
            del self._open[tenant]
        metrics.STREAMS.set(self._open.total())


class EventStream(ResponseBody):
    """The body of an answer that goes on: what was `told`, and then what the Store tells.

    It ends when the job has ended that it is of; when the service stops or the Store fails, upon
    which a client comes again and misses nothing; and when its reader may read no more.
    """

    def __init__(
        self, streams: Streams, envoy: Envoy, reader: Caller, message: ReadEvents, told: Told
    ) -> None:
        self._streams = streams
        self._envoy = envoy.of(reader)
        self._reader = reader
        self._message = replace(message, after=told.until)
        self._told: Told | None = told
        self._is_over = told.over
        self._check_at = 0.0

    async def __aenter__(self) -> Self:  # noqa: ASYNC910 (no checkpoint, on purpose: see `check`)
        self._streams.enter(self._reader.tenant)
        self._check_at = trio.current_time() + self._streams.limits.keep_alive
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._streams.leave(self._reader.tenant)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece of the stream, when there is something to say."""
        if self._told:
            told, self._told = self._told, None
            return _beginning(told)
        keep_alive = self._streams.limits.keep_alive
        with trio.move_on_after(keep_alive):
            while not self._is_over:
                text = _text(await self._next())
                if text:
                    return text
        if self._is_over:
            raise StopAsyncIteration
        return f": \nid: {self._message.after}\n\n".encode()

    async def _next(self) -> Told:
        """Return what the Store tells next. Raises: StopAsyncIteration."""
        try:
            if trio.current_time() >= self._check_at:
                if not await self._streams.gate.would_admit(self._reader):
                    raise StopAsyncIteration
                self._check_at = trio.current_time() + self._streams.limits.keep_alive
            told = await self._ask()
        except (AskFailed, Draining, StorageError, trio.TooSlowError):
            raise StopAsyncIteration from None
        self._message = replace(self._message, after=told.until)
        self._is_over = told.over
        return told

    async def _ask(self) -> Told:
        while True:
            try:
                return await self._envoy.wait(self._message)
            except MailboxFull:
                await trio.sleep(PAUSE)


class _Data(msgspec.Struct, omit_defaults=True):
    """What an event says of a job."""

    job_id: str
    status: str
    attempt: int
    time: str
    reason: str | None = None
    error_code: str | None = None


def _beginning(told: Told) -> bytes:
    return f"retry: {RETRY}\n".encode() + (_text(told) or f"id: {told.until}\n\n".encode())


def _text(told: Told) -> bytes:
    blocks = [_block(event) for event in told.events]
    if told.missed:
        first, last = told.missed
        # With the number before what follows.
        number = told.events[0].number if told.events else told.until
        data = msgspec.json.encode({"first": first, "last": last})
        blocks.insert(0, b"id: %d\nevent: reset\ndata: %b\n\n" % (number, data))
    metrics.EVENTS_SENT.inc(len(blocks))
    return b"".join(blocks)


def _block(event: Event) -> bytes:
    data = msgspec.json.encode(
        _Data(
            job_id=event.job_id,
            status=event.status,
            attempt=event.attempt,
            time=text_of(event.time),
            reason=event.reason,
            error_code=event.error_code,
        )
    )
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.number, event.status.encode(), data)
