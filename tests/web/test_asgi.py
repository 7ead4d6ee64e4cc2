"""The corrections to Quart-Trio, each of which must still be needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from quart import Blueprint, Quart
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from quart_trio.wrappers import TrioResponse as Response

from tests.conftest import PATIENCE
from tests.web.inside import OPEN_GATE
from tests.web.raw import head
from web import asgi
from web.app import create_app
from web.asgi import PIECE, HTTPConnection
from web.connections import ConnectionLimits, Server
from web.uploads import UploadLimits, Uploads

LIMITS = ConnectionLimits(connections=10, header_size=16384, keep_alive=60, send=5)


@pytest.fixture
def routes():
    blueprint = Blueprint("routes", __name__)

    @blueprint.get("/hello")
    async def hello() -> Response:
        return Response(b"hello")

    @blueprint.get("/long")
    async def long() -> Response:
        return Response(bytes(3 * PIECE + 1))

    return blueprint


@pytest.fixture
def ours(routes, tmp_path):
    uploads = Uploads(UploadLimits(1000, 1000, 1, tmp_path, 1, 60, 10))
    return create_app([routes], uploads, OPEN_GATE)


@pytest.fixture
def stock(routes):
    app = QuartTrio("stock")
    app.register_blueprint(routes)
    return app


class Running:
    """A server in this process."""

    def __init__(self, server: Server, port: int, stop: trio.Event) -> None:
        self.server = server
        self.port = port
        self.stop = stop

    async def ask(self, request: bytes) -> trio.SocketStream:
        """Return a connection on which the request has been sent and answered."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        await stream.send_all(request)
        while b"hello" not in await stream.receive_some():
            pass
        return stream


@asynccontextmanager
async def running(app: Quart) -> AsyncIterator[Running]:
    server, stop = Server(LIMITS), trio.Event()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                server.serve, app, "127.0.0.1", 0, stop, lambda: float(PATIENCE)
            )
            yield Running(server, listeners[0].socket.getsockname()[1], stop)
            stop.set()


async def sees_its_answer_through(app) -> bool:
    """Whether the end of an answer is sent to its end if the request ends at that moment.

    As with Hypercorn, where sending the end of the answer is what ends the request.
    """
    ended, sent = trio.Event(), []

    async def receive():
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(event) -> None:
        if event["type"] == "http.response.body" and not event["more_body"]:
            ended.set()
            await trio.testing.wait_all_tasks_blocked()
        sent.append(event)

    with trio.fail_after(PATIENCE):
        await app(SCOPE | {"method": "GET"}, fed(receive), send)
    return sent[-1].get("more_body") is False


def fed(receive):
    """Have the empty body of the request come before what `receive` brings."""
    bodies = [{"type": "http.request", "body": b"", "more_body": False}]

    async def first_the_body():
        return bodies.pop() if bodies else await receive()

    return first_the_body


async def test_stock_quart_trio_cancels_the_end_of_its_own_answer(stock):
    # When this fails, `HTTPConnection._send_response` needs no shield any more.
    assert stock.asgi_http_class is TrioASGIHTTPConnection
    assert not await sees_its_answer_through(stock)


async def test_ours_sees_the_end_of_its_answer_through(ours):
    assert issubclass(ours.asgi_http_class, HTTPConnection)
    assert await sees_its_answer_through(ours)


async def test_a_connection_is_idle_after_an_answer_and_ends_with_the_service(ours):
    begun = trio.current_time()

    async with running(ours) as service, await service.ask(head("GET /hello")) as stream:
        await trio.testing.wait_all_tasks_blocked()
        [connection] = service.server.open
        assert connection._idle
        service.stop.set()
        assert await stream.receive_some() == b""

    assert trio.current_time() - begun < 3


async def test_connection_close_is_obeyed_at_once(ours):
    async with running(ours) as service:
        begun = trio.current_time()
        async with await service.ask(head("GET /hello", "Connection: close")) as stream:
            assert await stream.receive_some() == b""
        assert trio.current_time() - begun < 1


SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/hello",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"calotype")],
    "extensions": {},
    "client": ("127.0.0.1", 1),
    "server": ("127.0.0.1", 2),
}


class Wire:
    """What one request receives and sends."""

    def __init__(self, *events: dict[str, object]) -> None:
        self._events = list(events or [{"type": "http.request", "body": b"", "more_body": False}])
        self.sent: list[dict[str, object]] = []

    async def receive(self) -> dict[str, object]:
        if self._events:
            return self._events.pop(0)
        return await trio.sleep_forever()

    async def send(self, event) -> None:
        await trio.lowlevel.checkpoint()
        self.sent.append(event)

    async def ask(self, app, **changes: object) -> int:
        """Have `app` answer; return the status."""
        with trio.fail_after(PATIENCE):
            await app(SCOPE | changes, self.receive, self.send)
        assert isinstance(self.sent[0]["status"], int)
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        headers = self.sent[0]["headers"]
        assert isinstance(headers, list)
        return {name.lower(): value for name, value in headers}

    @property
    def pieces(self) -> list[bytes]:
        return [event["body"] for event in self.sent[1:]]  # type: ignore[misc]  # Bodies are.


async def test_an_answer_goes_out_in_pieces(ours):
    wire = Wire()

    await wire.ask(ours, path="/long")

    assert [len(piece) for piece in wire.pieces] == [PIECE, PIECE, PIECE, 1, 0]
    assert [event["more_body"] for event in wire.sent[1:]] == [True] * 4 + [False]


@pytest.mark.parametrize("given", ["a", "A.b-c_9", "x" * 64])
async def test_a_request_keeps_the_id_it_came_with(ours, given):
    wire = Wire()

    await wire.ask(ours, headers=[*SCOPE["headers"], (b"x-request-id", given.encode())])

    assert wire.headers[b"x-request-id"] == given.encode()


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b"a\r\nb: c", b"\xe4", b"a/b"])
async def test_an_id_that_could_do_harm_is_replaced(ours, given):
    wire = Wire()

    await wire.ask(ours, headers=[*SCOPE["headers"], (b"x-request-id", given)])

    assert len(wire.headers[b"x-request-id"]) == 16


@pytest.mark.parametrize(
    "path", ["http://calotype/hello", "http://other:80/hello", "https://[::1]/hello"]
)
async def test_a_target_may_be_a_whole_url(ours, path):
    assert await Wire().ask(ours, path=path) == 200


@pytest.mark.parametrize(
    "changes",
    [{"path": "http://[/"}, {"path": "http://[/hello"}, {"headers": [(b"host", b"[")]}],
)
async def test_what_cannot_be_parsed_is_a_problem_with_a_length(ours, changes):
    wire = Wire()

    assert await wire.ask(ours, **changes) == 400

    assert wire.headers[b"content-type"] == b"application/problem+json"
    assert int(wire.headers[b"content-length"]) == sum(map(len, wire.pieces))


@pytest.mark.parametrize("path", ["", "*", "?", "%", "a", "\0", "/\ud7ff", "http:", "x:y"])
async def test_any_other_path_is_nowhere(ours, path):
    assert await Wire().ask(ours, path=path) == 404


async def test_a_client_that_goes_cancels_its_request(ours, monkeypatch):
    wire = Wire({"type": "http.disconnect"})
    ended = trio.Event()

    @ours.before_request
    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    with trio.fail_after(PATIENCE):
        await ours(SCOPE, wire.receive, wire.send)

    assert ended.is_set()
    assert wire.sent == []


async def test_a_last_word_that_nobody_takes_has_an_end(ours, monkeypatch, autojump_clock):
    wire = Wire()
    send = wire.send

    async def send_but_not_the_end(event) -> None:
        if event.get("more_body") is False:
            await trio.sleep_forever()
        await send(event)

    await ours(SCOPE, wire.receive, send_but_not_the_end)

    assert trio.current_time() == asgi.LAST_WORD
