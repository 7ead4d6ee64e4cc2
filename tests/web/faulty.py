"""A server that does, one connection after another, exactly what a test wants."""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from tests.web.raw import PATIENCE


class Asked(NamedTuple):
    """A request as it came in."""

    line: str
    headers: Mapping[str, str]
    body: bytes


# What to do on a connection, with the request that came in.
Step: TypeAlias = Callable[[socket.socket, Asked], None]


def answer(status: int, body: bytes = b"", **headers: object) -> Step:
    """Return a step that answers; `ETag` and the like are headers."""
    return cut(len(body), status, body, **headers)


def cut(after: int, status: int, body: bytes, **headers: object) -> Step:
    """Return a step that answers, and breaks off after so many bytes of the body."""
    fields = {"Content-Length": len(body), "Connection": "close"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in fields.items())]
    data = "\r\n".join([*lines, "", ""]).encode() + body[:after]

    def step(connection: socket.socket, _: Asked) -> None:
        connection.sendall(data)

    return step


def tell(status: int, members: object, **headers: object) -> Step:
    """Return a step that answers in JSON."""
    return answer(status, json.dumps(members).encode(), **headers)


def problem(status: int, code: str, **headers: object) -> Step:
    """Return a step that answers with a problem."""
    return tell(status, {"title": "No", "status": status, "detail": "No.", "code": code}, **headers)


def hang_up(_: socket.socket, __: Asked) -> None:
    """Close without an answer."""


def fall_silent(connection: socket.socket, _: Asked) -> None:
    """Say nothing until the client leaves."""
    while connection.recv(65536):
        pass


class Faulty:
    """Where it is, and what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Asked] = []


@contextmanager
def serve(*steps: Step) -> Iterator[Faulty]:
    """Serve one connection after another, as the steps say; in the end all must have come."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        server = Faulty(f"http://127.0.0.1:{listener.getsockname()[1]}")
        failures: list[Exception] = []

        def run() -> None:
            try:
                for step in steps:
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(PATIENCE)
                        asked = read_request(connection)
                        server.asked.append(asked)
                        step(connection, asked)
            except Exception as error:  # noqa: BLE001 - told below, in the test's own thread
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server
        finally:
            thread.join()
        assert not failures
        assert len(server.asked) == len(steps)


def read_request(connection: socket.socket) -> Asked:
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in fields)}
    if headers.get("transfer-encoding") == "chunked":
        while not body.endswith(b"0\r\n\r\n"):
            body += connection.recv(65536)
        body = b"".join(re.split(rb"(?:\r\n|^)[0-9a-f]+\r\n", body)).removesuffix(b"\r\n")
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Asked(line, headers, body)
