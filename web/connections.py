"""Connections on Hypercorn's HTTP/1.1 protocol, each in a guard and under deadlines.

Hypercorn 0.18 runs all connections in one nursery without a guard, so that one that sends garbage
ends the process; it never gives up a send; and it speaks protocols that nobody asked for.
So the tasks around its protocol are ours, and the protocol itself is its.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import h11
import structlog
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hypercorn.events import Event
    from hypercorn.typing import (
        AppWrapper,
        ASGIFramework,
        ASGIReceiveEvent,
        ASGISendEvent,
        Scope,
    )

log = structlog.get_logger("calotype.web")

HEAD_READ = 16 * 1024  # small, since what is read of a head is held before it is checked
BODY_READ = 256 * 1024
SEND_PIECE = 64 * 1024
QUEUED_EVENTS = 2  # of at most BODY_READ bytes each, between a connection and its request
LINGER = 2.0  # seconds, and
LINGER_BYTES = 16 * 1024 * 1024  # what is read of a body that is not wanted any more
BACKLOG = 1024


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
            await _turn_away(stream, self.limits.send)
            return
        connection = Connection(self, stream)
        self.open.add(connection)
        try:
            await connection.run()
        except* OSError:
            pass  # The client broke it off.
        except* Exception:
            log.warning("connection_failed", exc_info=True)
        finally:
            self.open.discard(connection)


async def _turn_away(stream: trio.SocketStream, patience: float) -> None:
    problem = Problem("overloaded", "Too many connections. Try again later.")
    body = problem.body()
    head = [f"{name}: {value}" for name, value in problem.headers.items()]
    lines = ["HTTP/1.1 503", *head, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    with trio.move_on_after(patience):
        async with stream:
            try:
                await stream.send_all("\r\n".join(lines).encode() + body)
                await stream.send_eof()
                await stream.receive_some(HEAD_READ)
            except trio.BrokenResourceError:
                pass


class Connection:
    """One connection: a task that reads, and one for the request that is being served."""

    def __init__(self, server: Server, stream: trio.SocketStream) -> None:
        self._server = server
        self._stream = stream
        self._sending = trio.Lock()
        self._reading = trio.CancelScope()
        self._idle = True
        self._finished = False
        self._protocol: _Protocol

    async def run(self) -> None:
        """Serve requests until one side closes, or the connection has been idle too long."""
        async with self._stream, _Tasks() as tasks:
            self._protocol = _Protocol(self._server, self._stream, tasks, self._send)
            self._rest()
            with self._reading:
                await self._read()
            await self._protocol.handle(Closed())

    def retire(self) -> None:
        """Close the connection if it is idle. If not, it closes after its present request."""
        if self._idle:
            self._reading.cancel()

    async def _read(self) -> None:
        unwanted = 0
        while unwanted < LINGER_BYTES:
            try:
                data = await self._stream.receive_some(HEAD_READ if self._idle else BODY_READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if self._finished:
                unwanted += len(data)
            else:
                await self._protocol.handle(RawData(bytes(data)))
            if not data:
                return

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
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    self._break_off()
                    return
                except trio.Cancelled:
                    # What was sent ends in the middle of something.
                    self._break_off()
                    raise

    def _break_off(self) -> None:
        self._finished = True
        self._reading.cancel()

    async def _finish(self) -> None:
        """Say goodbye: send no more, and read on for a moment what is on its way.

        Closing at once with something unread would send a reset, and a reset makes the client's
        system forget an answer that the client has not read yet (RFC 9112, 9.6).
        """
        if not self._finished:
            self._finished = True
            self._reading.deadline = trio.current_time() + LINGER
            try:
                await self._stream.send_eof()
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._reading.cancel()
        await self._protocol.handle(Closed())


class _Protocol(H11Protocol):
    """HTTP/1.1 and nothing else: no h2c, no HTTP/2 by prior knowledge, no WebSocket."""

    def __init__(
        self,
        server: Server,
        stream: trio.SocketStream,
        tasks: TaskGroup,
        send: Callable[[Event], Awaitable[None]],
    ) -> None:
        socket = stream.socket
        super().__init__(
            server.app,
            server.config,
            server.context,
            tasks,
            ConnectionState({}),
            False,  # No TLS here: a proxy's business.
            parse_socket_addr(socket.family, socket.getpeername()),
            parse_socket_addr(socket.family, socket.getsockname()),
            send,
        )

    async def _check_protocol(self, event: h11.Request) -> None:
        """Let no request change the protocol."""

    async def _create_stream(self, request: h11.Request) -> None:
        names = {name for name, _ in request.headers}
        if {b"content-length", b"transfer-encoding"} <= names:
            # Two ends of one body are how requests are smuggled (RFC 9112, 6.1).
            await self._send_error_response(400)
            await self.send(Closed())
            return
        if b"upgrade" in names:
            request = h11.Request(
                method=request.method,
                target=request.target,
                headers=[(name, value) for name, value in request.headers if name != b"upgrade"],
                http_version=request.http_version,
            )
        await super()._create_stream(request)


class _Tasks(TaskGroup):
    """The tasks of one connection."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start serving a request; return the way to send it what comes from the client."""
        give, take = trio.open_memory_channel["ASGIReceiveEvent"](config.max_app_queue_size)

        async def serve() -> None:
            try:
                with take:
                    await app(
                        scope, take.receive, send, trio.to_thread.run_sync, trio.from_thread.run
                    )
            finally:
                await send(None)

        async def put(event: ASGIReceiveEvent) -> None:
            # Broken when the answer is given: the rest of the request makes no difference then.
            with suppress(trio.BrokenResourceError):
                await give.send(event)

        self.spawn(serve)
        return put
