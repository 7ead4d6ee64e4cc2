"""Connections on Hypercorn's HTTP/1.1 protocol, each in a guard and under deadlines.

Hypercorn 0.18 runs all connections in one nursery without a guard, so that one that sends garbage
ends the process; it never gives up a send; and it speaks protocols that nobody asked for.
So the tasks around its protocol are ours, and the protocol itself is its.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Self, cast

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Response
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from web import metrics
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.events import Event
    from hypercorn.protocol.events import Event as StreamEvent
    from hypercorn.typing import (
        AppWrapper,
        ASGIFramework,
        ASGIReceiveEvent,
        ASGISendEvent,
        HTTPScope,
        Scope,
    )

log = structlog.get_logger("calotype.web")

HEAD_READ = 16 * 1024  # small, since what is read of a head is held before it is checked
BODY_READ = 256 * 1024
READ_MEMORY = 16 * 1024 * 1024  # for what all connections together read at once, about
SEND_PIECE = 64 * 1024
QUEUED_EVENTS = 0  # between a connection and its request; any more costs memory and is slower
LINGER = 2.0  # seconds, and
LINGER_BYTES = 16 * 1024 * 1024  # what is read of a body that is not wanted any more
BACKLOG = 1024
FAREWELLS = 32  # connections beyond the limit that are told so at the same moment
VERSIONS = {b"1.0", b"1.1"}


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The bounds of connections.

    `connections`: how many at once. `header_size`: bytes of a request's head.
    `keep_alive`: seconds until a connection that is idle, or slow to send a head, is closed.
    `send`: seconds without progress after which an answer is given up.
    """

    connections: int
    header_size: int
    keep_alive: float
    send: float


class Server:
    """The listener and its connections."""

    app: AppWrapper

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.context = WorkerContext(None)
        self.config = Config()
        self.config.h11_max_incomplete_size = limits.header_size
        self.config.include_server_header = False
        self.config.max_app_queue_size = QUEUED_EVENTS
        self.config.errorlog = None
        self.open: set[Connection] = set()
        self._farewells = 0

    async def serve(
        self,
        app: ASGIFramework,
        host: str,
        port: int,
        stop: trio.Event,
        grace: Callable[[], float],
        *,
        task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve `app` until `stop`, then let open requests finish within `grace()` seconds.

        `started` gets the listeners. Idle connections are closed at once.

        Raises:
          OSError: if it cannot listen there.
        """
        self.app = ASGIWrapper(app)
        listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as listening:
                listening.start_soon(
                    partial(
                        trio.serve_listeners,
                        self._guarded,
                        listeners,
                        handler_nursery=connections,
                    )
                )
                task_status.started(listeners)
                await stop.wait()
                listening.cancel_scope.cancel()
            await self.context.terminated.set()
            for connection in list(self.open):
                connection.retire()
            connections.cancel_scope.deadline = trio.current_time() + grace()

    async def _guarded(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever goes wrong in it ends it alone."""
        if len(self.open) >= self.limits.connections:
            await self._turn_away(stream)
            return
        connection = Connection(self, stream)
        self.open.add(connection)
        try:
            await connection.run()
        except* Exception:
            log.warning("connection_failed", exc_info=True)
        finally:
            self.open.discard(connection)

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        """Say that there are too many connections; say nothing if there are far too many.

        For each of those has a descriptor, and files need some as well.
        """
        if self._farewells >= FAREWELLS:
            return
        self._farewells += 1
        try:
            with trio.move_on_after(LINGER):
                await stream.send_all(_TOO_MANY)
                await stream.send_eof()
                while await stream.receive_some(HEAD_READ):
                    pass
        except trio.BrokenResourceError:
            pass  # The client broke it off.
        finally:
            self._farewells -= 1


def _written(problem: Problem) -> bytes:
    body = problem.body()
    fields = {**problem.headers, "Content-Length": len(body), "Connection": "close"}
    lines = [
        f"HTTP/1.1 {problem.kind.status} ",
        *(f"{name}: {value}" for name, value in fields.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


_TOO_MANY = _written(Problem("overloaded", "Too many connections. Try again later."))


class Connection:
    """One connection: a task that reads, and one for the request that is being served."""

    def __init__(self, server: Server, stream: trio.SocketStream) -> None:
        self._server = server
        self._stream = stream
        self._sending = trio.Lock()
        self._whole = trio.CancelScope()
        self._reading = trio.CancelScope()
        self._idle = True
        self._finished = False
        self._protocol: _Protocol

    async def run(self) -> None:
        """Serve requests until one side closes, or the connection has been idle too long."""
        with self._whole:
            async with self._stream, _Tasks() as tasks:
                self._protocol = _Protocol(self._server, self._stream, tasks, self._send)
                self._rest()
                with self._reading:
                    await self._read()
                # What still runs, runs for nobody.
                self._whole.cancel()

    def retire(self) -> None:
        """Close the connection if it is idle. If not, it closes after its present request."""
        if self._idle:
            self._reading.cancel()

    async def _read(self) -> None:
        unwanted = 0
        while unwanted < LINGER_BYTES:
            try:
                data = await self._stream.receive_some(self._read_size())
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if self._finished:
                unwanted += len(data)
            else:
                await self._protocol.handle(RawData(bytes(data)))
            if not data:
                return

    def _read_size(self) -> int:
        """Big pieces for a few; small ones for many, since each holds a piece or two."""
        share = READ_MEMORY // len(self._server.open)
        return HEAD_READ if self._idle else min(BODY_READ, max(HEAD_READ, share))

    async def _send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._send_all(event.data)
        elif isinstance(event, Closed):
            await self._finish()
        elif isinstance(event, Updated):
            self._idle = event.idle
            if event.idle:
                self._rest()
            else:
                self._reading.deadline = math.inf

    def _rest(self) -> None:
        self._reading.deadline = trio.current_time() + self._server.limits.keep_alive
        if self._server.context.terminated.is_set():
            self._reading.cancel()

    async def _send_all(self, data: bytes) -> None:
        async with self._sending:
            for offset in range(0, len(data), SEND_PIECE):
                piece = data[offset : offset + SEND_PIECE]
                try:
                    with trio.fail_after(self._server.limits.send):
                        await self._stream.send_all(piece)
                except trio.TooSlowError:
                    metrics.GIVEN_UP.inc()
                    self._break_off()
                    return
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    self._break_off()
                    return
                except trio.Cancelled:
                    # What was sent ends in the middle of something.
                    self._break_off()
                    raise

    def _break_off(self) -> None:
        self._finished = True
        self._whole.cancel()

    async def _finish(self) -> None:
        """Say goodbye: send no more, and read on for a moment what is on its way.

        Closing at once with something unread would send a reset, and a reset makes the client's
        system forget an answer that the client has not read yet (RFC 9112, 9.6).
        """
        if self._sending.locked():
            # An answer is on its way that the client may never take, and this cannot overtake it.
            self._break_off()
        elif not self._finished:
            self._finished = True
            self._reading.deadline = trio.current_time() + LINGER
            try:
                await self._stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._break_off()
        await self._protocol.handle(Closed())


class _Requests(h11.Connection):
    """The requests of one connection, and nothing behind the one that is its last.

    h11 takes that for a violation of the protocol, for which the answer would be broken off.
    """

    def receive_data(self, data: bytes) -> None:
        """Take in what comes; drop it if no request can follow."""
        if not data or self.their_state is not h11.MUST_CLOSE:
            super().receive_data(data)

    def next_event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """Return the next event; none if no request can follow."""
        return h11.NEED_DATA if self.their_state is h11.MUST_CLOSE else super().next_event()


class _Protocol(H11Protocol):
    """HTTP/1.1 and nothing else: no h2c, no HTTP/2 by prior knowledge, no WebSocket."""

    def __init__(
        self,
        server: Server,
        stream: trio.SocketStream,
        tasks: _Tasks,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        self._tasks = tasks
        socket = stream.socket
        super().__init__(
            server.app,
            server.config,
            server.context,
            tasks,
            ConnectionState({}),
            False,  # No TLS here: a proxy's business.
            _peer(socket),
            parse_socket_addr(socket.family, socket.getsockname()),
            send,
        )
        self.connection = _Requests(
            h11.SERVER, max_incomplete_event_size=self.config.h11_max_incomplete_size
        )

    async def stream_send(self, event: StreamEvent) -> None:
        """Send a part of an answer; its head says so if the connection will close after it."""
        if isinstance(event, Response) and (
            self.connection.their_state is h11.SEND_BODY or self.context.terminated.is_set()
        ):
            # What is left of the body is not read, and a client must not count on more.
            event = replace(event, headers=[*event.headers, (b"connection", b"close")])
        await super().stream_send(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Let no request change the protocol."""

    async def _create_stream(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            # Two ends of one body are how requests are smuggled (RFC 9112, 6.1).
            await self._refuse(400)
            return
        if self._head_size(request) > self.config.h11_max_incomplete_size:
            # h11 looks at the size of a head that is not all there yet, and never again.
            await self._refuse(431)
            return
        if request.http_version not in VERSIONS:
            await self._refuse(505)
            return
        if b"upgrade" in names:
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=[(name, value) for name, value in request.headers if name != b"upgrade"],
                http_version=request.http_version,
            )
        self._tasks.method = request.method.decode("ascii")
        await super()._create_stream(request)

    @staticmethod
    def _head_size(request: h11.Request) -> int:
        around = len(": \r\n")
        fields = sum(len(name) + len(value) + around for name, value in request.headers)
        return len(request.method) + len(request.target) + fields

    async def _refuse(self, status: int) -> None:
        await self._send_error_response(status)
        await self.send(Closed())


def _peer(socket: trio.socket.SocketType) -> tuple[str, int] | None:
    """Return the address of the client; None of one that has gone."""
    try:
        host, port, *_ = socket.getpeername()
    except OSError:
        return None
    return host, port


class _Tasks(TaskGroup):
    """The tasks of one connection.

    `method` is that of the present request as it was sent, since it is another in another spelling
    (RFC 9110, 9.1): Hypercorn tells of all in capitals.
    """

    method = ""

    async def __aenter__(self) -> Self:
        """Open the nursery that they are in."""
        await super().__aenter__()
        return self

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start serving a request; return the way to send it what comes from the client."""
        cast("HTTPScope", scope)["method"] = self.method
        give, take = trio.open_memory_channel["ASGIReceiveEvent"](config.max_app_queue_size)

        async def receive() -> ASGIReceiveEvent:
            try:
                return await take.receive()
            except trio.EndOfChannel:
                return {"type": "http.disconnect"}

        async def serve() -> None:
            try:
                with take:
                    await app(scope, receive, send, trio.to_thread.run_sync, trio.from_thread.run)
            finally:
                await send(None)  # noqa: ASYNC102 (when cancelled, nobody waits for the end)

        async def put(event: ASGIReceiveEvent) -> None:
            if event["type"] == "http.disconnect":
                # Not sent, since this must neither wait nor get lost: it may be the application's
                # own last send that brings it about, while nobody receives.
                give.close()
                return
            # Broken or closed when the answer is given: the rest makes no difference then.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await give.send(event)

        self.spawn(serve)
        return put
