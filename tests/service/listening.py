"""A client of streams that knows nothing of our code but the standard (WHATWG HTML, 9.2.6)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import h11
import trio

from tests.web.running import Server


@dataclass(frozen=True)
class Heard:
    """An event as a browser would dispatch it."""

    number: int
    kind: str
    data: Any


class Parser:
    """Takes in text piece by piece. `last` and `retry` are what the stream has said of them."""

    def __init__(self) -> None:
        self.last = ""
        self.retry: int | None = None
        self.comments = 0
        self._rest = b""
        self._id = ""
        self._kind = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[Heard]:
        """Return the events that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [heard for line in lines for heard in self._line(line.decode())]

    def _line(self, line: str) -> list[Heard]:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments += 1
            case "id":
                self._id = value
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "retry":
                self.retry = int(value)
        return []

    def _dispatch(self) -> list[Heard]:
        self.last = self._id
        kind, data = self._kind or "message", self._data
        self._kind, self._data = "", []
        return [Heard(int(self.last), kind, json.loads("\n".join(data)))] if data else []


class Listener:
    """A connection on which a stream comes. `has_ended`: it came to its end, and was not cut."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self.parser = Parser()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.has_ended = False

    async def ask(self, path: str, last: str, key: str | None) -> None:
        """Ask for the stream, and read the head of the answer."""
        fields = [("Host", "calotype"), ("Accept", "text/event-stream")]
        fields += [("Last-Event-ID", last)] if last else []
        fields += [("Authorization", f"Bearer {key}")] if key else []
        request = self._http.send(h11.Request(method="GET", target=path, headers=fields))
        await self._stream.send_all(request + self._http.send(h11.EndOfMessage()))
        answer = await self._event()
        assert isinstance(answer, h11.Response)
        self.status = answer.status_code
        self.headers = {name.decode(): value.decode() for name, value in answer.headers}

    async def more(self) -> list[Heard]:
        """Return the events in what comes next."""
        event = await self._event()
        if isinstance(event, h11.Data):
            self.body += bytes(event.data)
            return self.parser.feed(bytes(event.data))
        assert isinstance(event, h11.EndOfMessage), event
        self.has_ended = True
        return []

    async def take(self, count: int) -> list[Heard]:
        """Return the next events, so many at least unless the stream ends."""
        heard: list[Heard] = []
        while len(heard) < count and not self.has_ended:
            heard += await self.more()
        return heard

    async def rest(self) -> list[Heard]:
        """Return all events until the end."""
        return await self.take(10**9)

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive_some(4096))
        return event


@asynccontextmanager
async def listen(
    server: Server, path: str = "/events", *, last: object = "", key: str | None = None
) -> AsyncIterator[Listener]:
    """Open a stream of `server`, from after the event `last`. Leaving cuts the connection."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        listener = Listener(stream)
        await listener.ask(path, str(last), key)
        yield listener
