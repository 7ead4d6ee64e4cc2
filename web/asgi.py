"""The corrections to Quart-Trio: what a request brings in, and how its answer goes out.

Quart takes a body in as fast as it comes and without a bound, and Quart-Trio cancels its own last
send when the server reports the end of the request at that very moment, which leaves the
connection neither idle nor closed. Each method says which of the two it corrects.
"""

from __future__ import annotations

import re
import secrets
import time
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import structlog
import trio
from quart.utils import encode_headers
from quart_trio.asgi import TrioASGIHTTPConnection

from actors import tracing
from web import metrics
from web.browsers import Cors, with_usual
from web.problems import Problem
from web.uploads import Upload

if TYPE_CHECKING:
    from hypercorn.typing import (
        ASGIReceiveCallable,
        ASGISendCallable,
        ASGISendEvent,
        HTTPResponseBodyEvent,
        HTTPResponseStartEvent,
    )
    from quart.typing import ResponseTypes
    from quart.wrappers import Request
    from quart.wrappers.response import ResponseBody

    from web.browsers import Fields

log = structlog.get_logger("calotype.web")

PIECE = 64 * 1024
# What Quart can take: no label of a name may be empty or longer than 63 bytes.
HOST = re.compile(
    rb"(?:(?:[\w~-]{1,63}\.)*[\w~-]{1,63}\.?|\[[0-9A-Fa-f:.]{2,45}\])?(?::[0-9]{0,5})?"
)
# Any token may be a method, and each would be a series of its own for as long as the process lives.
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
LAST_WORD = 15.0  # seconds; a connection gives up before
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
CLIENT_GONE = 499  # nginx's number for an answer that nobody waited for


class HTTPConnection(TrioASGIHTTPConnection):
    """One request and its answer. `cors` says who else may read it."""

    cors = Cors()

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve the request. A target or host that cannot be parsed is a 400 and not a crash."""
        try:
            self._make_path_absolute()
            self._check_host()
            request = self._create_request_from_scope(send)
        except ValueError:
            request_id = secrets.token_hex(8)
            problem = Problem("malformed", "The target or the Host cannot be parsed.")
            await _send_problem(_Answer(send, request_id, self._shared()), problem)
            log.info("request_refused", request_id=request_id, status=problem.kind.status)
            return
        upload = cast("Upload", request.body)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.handle_messages, nursery, request, receive)
                nursery.start_soon(self.handle_request, nursery, request, send)
        finally:
            upload.close()

    def _make_path_absolute(self) -> None:
        # A target may be a whole URL (RFC 9112, 3.2.2).
        if not self.scope["path"].startswith("/"):
            self.scope["path"] = urlsplit(self.scope["path"]).path or "/"

    def _check_host(self) -> None:
        for name, value in self.scope["headers"]:
            if name == b"host" and not HOST.fullmatch(value):
                raise ValueError(value)

    def _shared(self) -> Fields:
        if not self.cors.is_on:
            return []
        origins = [value for name, value in self.scope["headers"] if name == b"origin"]
        return self.cors.fields(origins[0] if len(origins) == 1 else None)

    async def handle_messages(  # type: ignore[override]  # as the parent does
        self, nursery: trio.Nursery, request: Request, receive: ASGIReceiveCallable
    ) -> None:
        """Take the body in within its bounds once it may come, then watch for the client to go."""
        upload = cast("Upload", request.body)
        await upload.admitted.wait()
        if await upload.fill(receive):
            while (await receive())["type"] != "http.disconnect":
                pass
        nursery.cancel_scope.cancel()

    async def handle_request(  # type: ignore[override]  # as the parent does
        self, nursery: trio.Nursery, request: Request, send: ASGISendCallable
    ) -> None:
        """Answer the request, count it and log it in one line."""
        given = request.headers.get("X-Request-ID", "")
        request_id = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        answer = _Answer(send, request_id, self._shared())
        begun = time.perf_counter()
        with tracing.request(self.scope["headers"]) as span:
            try:
                await super().handle_request(nursery, request, answer)
            finally:
                seconds = time.perf_counter() - begun
                route = request.url_rule.rule if request.url_rule else "none"
                method = request.method if request.method in METHODS else "other"
                metrics.REQUESTS.labels(method, route, answer.status).inc()
                metrics.REQUEST.labels(route).observe(seconds)
                log.info(
                    "request",
                    method=request.method,
                    path=request.path,
                    status=answer.status,
                    seconds=round(seconds, 4),
                    sent=answer.sent,
                )
                if span.recorded:
                    _describe(span, request, answer)

    async def _send_response(self, send: ASGISendCallable, response: ResponseTypes) -> None:
        """Send in small pieces, and see the end of the answer through to the connection."""
        # Opened first, so that nothing can come between a body and its closing.
        async with cast("ResponseBody", response.response) as body:
            await _start(send, response.status_code, encode_headers(response.headers))
            async for data in body:
                for offset in range(0, len(data), PIECE):
                    await _send_body(send, data[offset : offset + PIECE], more=True)
        # The server reports the end of the request while this is being sent, upon which
        # `handle_messages` cancels us, before the connection has been told that it is idle.
        with trio.move_on_after(LAST_WORD, shield=True):
            await _send_body(send, b"", more=False)


class _Answer:
    """The way out of one answer; remembers what went there, and completes its headers."""

    def __init__(self, send: ASGISendCallable, request_id: str, fields: Fields) -> None:
        self._send = send
        self._fields = [*fields, (b"x-request-id", request_id.encode())]
        self.status = CLIENT_GONE
        self.sent = 0

    async def __call__(self, event: ASGISendEvent) -> None:
        if event["type"] == "http.response.start":
            self.status = event["status"]
            event["headers"] = [*with_usual(event["headers"]), *self._fields]
        elif event["type"] == "http.response.body":
            self.sent += len(event["body"])
        await self._send(event)


def _describe(span: tracing.Span, request: Request, answer: _Answer) -> None:
    """Say of a request what OpenTelemetry's conventions for HTTP ask for, and whose it was.

    Not its query, in which the signature of a link may be.
    """
    known = request.method in METHODS
    method = request.method if known else "HTTP"
    if request.url_rule is not None:
        span.name(f"{method} {request.url_rule.rule}")
        span.note("http.route", request.url_rule.rule)
    else:
        span.name(method)
    span.note("http.request.method", request.method if known else "_OTHER")
    span.note("url.scheme", request.scheme)
    span.note("url.path", request.path)
    span.note("network.protocol.version", request.http_version)
    if answer.status == CLIENT_GONE:
        span.note("error.type", "client_gone")
    else:
        span.note("http.response.status_code", answer.status)
        if answer.status >= 500:
            span.fail(str(answer.status))
    said = structlog.contextvars.get_contextvars()
    span.note("calotype.request_id", said["request_id"])
    if "tenant" in said:
        span.note("calotype.tenant", said["tenant"])


async def _send_problem(send: ASGISendCallable, problem: Problem) -> None:
    body = problem.body()
    fields = {**problem.headers, "Content-Length": str(len(body))}
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    await _start(send, problem.kind.status, headers)
    await _send_body(send, body, more=False)


async def _start(send: ASGISendCallable, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    event: HTTPResponseStartEvent = {
        "type": "http.response.start",
        "status": status,
        "headers": headers,
        "trailers": False,
    }
    await send(event)


async def _send_body(send: ASGISendCallable, body: bytes, *, more: bool) -> None:
    event: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": more}
    await send(event)
