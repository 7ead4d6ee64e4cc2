"""Requests to the application itself, with no server in between."""

from collections.abc import Iterable

import trio
from quart import Quart

from tests.web.raw import Answer
from web.gate import ANONYMOUS, Caller


class OpenGate:
    """A gate that lets everybody in, to every route."""

    def check(self, routes: Iterable[str]) -> None:
        """See `Gate.check`."""

    async def admit(self) -> Caller:
        """See `Gate.admit`."""
        return ANONYMOUS

    async def would_admit(self, caller: Caller) -> bool:
        """See `Gate.would_admit`."""
        return caller is ANONYMOUS


OPEN_GATE = OpenGate()


async def ask(
    app: Quart,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes = b"",
    *,
    seconds_a_piece: float = 0,
    peer: str | None = None,
) -> Answer:
    """Have `app` answer one request, from `peer`, and return what it sends."""
    path, _, query = path.partition("?")
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, object] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"calotype"), *fields],
        "extensions": {},
        "client": peer and (peer, 1),
    }
    events = [{"type": "http.request", "body": body, "more_body": False}]
    sent = []

    async def receive():
        return events.pop() if events else await trio.sleep_forever()

    async def send(event) -> None:
        await trio.sleep(seconds_a_piece)
        sent.append(event)

    await app(scope, receive, send)  # type: ignore[arg-type]  # A dictionary is what it is.
    start, *rest = sent
    told = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], told, b"".join(event["body"] for event in rest))
