"""Bytes to and from a server, with nothing in between that would mend them."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPResponse
from typing import NamedTuple

PATIENCE = 15


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The code of the problem that it is."""
        assert self.headers["content-type"] == "application/problem+json"
        return str(json.loads(self.body)["code"])


@contextmanager
def connect(port: int, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    """Connect; whatever takes longer than the patience of a test raises TimeoutError."""
    with socket.socket() as connection:
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", port))
        yield connection


def send(connection: socket.socket, data: bytes) -> bool:
    """Send all of `data`; return False if the server does not want it."""
    try:
        connection.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def read_to_end(connection: socket.socket) -> bytes:
    """Return what comes until the server closes."""
    data = bytearray()
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return bytes(data)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """Return one answer, which must be the only one on its way."""
    response = HTTPResponse(connection, method=method)
    response.begin()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def exchange(port: int, *pieces: bytes, says_end: bool = False) -> bytes:
    """Send `pieces` on a connection of their own, and return all that comes until its end.

    Args:
      says_end: the server is told that there is no more, which it takes for the client's going.
    """
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        if all(send(connection, piece) for piece in pieces) and says_end:
            with suppress(OSError):  # It may have been closed already.
                connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def ask(port: int, line: str, *fields: str, body: bytes = b"") -> Answer:
    """Send one well-formed request, such as `ask(port, "GET /health")`, and return its answer."""
    with connect(port) as connection:
        send(connection, head(line, *fields, length=len(body) if body else None) + body)
        return read_answer(connection, line.split(maxsplit=1)[0])


def head(line: str, *fields: str, length: int | None = None) -> bytes:
    """Return the head of a request."""
    lines = [f"{line} HTTP/1.1", "Host: calotype", *fields]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def is_alive(port: int) -> bool:
    """Whether /health says so."""
    return ask(port, "GET /health").status == 200
