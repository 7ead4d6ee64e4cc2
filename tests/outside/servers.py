"""Servers on loopback that answer as a test says, and remember what they were asked."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

Script: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Return the bytes of an answer; its headers may say other than what is true."""
    told = {
        "Content-Length": str(len(body)),
        **{k.replace("_", "-"): v for k, v in headers.items()},
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items() if value)
    return f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode() + body


class Server:
    """Reads a request, then answers with the next of `answers`, or the last one for ever.

    An answer is sent as it is; or it is a function that may do what it likes with the connection.
    """

    def __init__(self, *answers: bytes | Script) -> None:
        self._answers = list(answers)
        self.asked: list[bytes] = []
        self.connections = 0
        self.ended = trio.Event()
        self.port = 0

    async def run(
        self,
        tls: ssl.SSLContext | None,
        host: str,
        port: int,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until it is cancelled."""
        (listener,) = await trio.open_tcp_listeners(port, host=host)
        self.port = listener.socket.getsockname()[1]
        serving = listener if tls is None else trio.SSLListener(listener, tls)
        task_status.started()
        await trio.serve_listeners(self._serve, [serving])

    async def _serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        try:
            async with stream:
                await self._converse(stream)
        except (trio.BrokenResourceError, ssl.SSLError):
            pass
        finally:
            self.ended.set()

    async def _converse(self, stream: trio.abc.Stream) -> None:
        request = b""
        while b"\r\n\r\n" not in request or not _is_whole(request):
            piece = await stream.receive_some()
            if not piece:
                return
            request += piece
        self.asked.append(request)
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(said, bytes):
            await stream.send_all(said)
        else:
            await said(stream)


def _is_whole(request: bytes) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.split(b":")[1])
    return True
