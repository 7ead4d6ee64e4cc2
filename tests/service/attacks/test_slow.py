"""Clients that take their time, many of them at once.

What one of them meets is in `tests/web/test_connections.py`, uploads that are held back are in
`tests/service/test_uploads_at_once.py`, and a stream of events that is not read is in
`tests/service/test_events.py`.
"""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from tests.service.attacks.witness import MIB, another_client, memory_of
from tests.web import running
from tests.web.raw import ask, connect, head, read_answer, read_to_end, send
from tests.web.test_connections import noise
from web.uploads import MANY_PIECES

pytestmark = pytest.mark.service

SETTINGS = {
    "KEEP_ALIVE": 2,
    "SEND_TIMEOUT": 2,
    "BODY_RATE_PERIOD": 2,
    "MIN_BODY_RATE": 16,
    "MAX_UPLOAD_SIZE": 12_000_000,
    "MAX_CONNECTIONS": 600,
}
MANY = 300
STEP = 0.25  # seconds between two bytes; one a second is no other attack, and takes longer
ENDS_WITHIN = 20.0  # seconds, of which the settings take two
CHUNKED = ("Content-Type: image/png", "Transfer-Encoding: chunked")


@contextmanager
def crowd(
    port: int, number: int = MANY, buffer: int | None = None
) -> Iterator[list[socket.socket]]:
    """Many connections at once."""
    with ExitStack() as all_of_them:
        yield [all_of_them.enter_context(connect(port, buffer)) for _ in range(number)]


def trickle(connections: list[socket.socket], data: bytes) -> float:
    """Send a byte of `data` on each at a time until none is open; return the seconds it took."""
    begun = time.monotonic()
    open_ones = connections
    for number in range(int(ENDS_WITHIN / STEP)):
        byte = data[number : number + 1] or b"a"
        open_ones = [each for each in open_ones if send(each, byte)]
        if not open_ones:
            return time.monotonic() - begun
        time.sleep(STEP)
    raise AssertionError(f"{len(open_ones)} are still open")


def test_heads_that_trickle_in(attacked, photo):
    with another_client(attacked, photo, "slow heads"), crowd(attacked.port) as connections:
        trickle(connections, head("GET /health", "A: " + "b" * 1000))


def test_bodies_that_trickle_in(attacked, photo):
    with another_client(attacked, photo, "slow bodies"), crowd(attacked.port) as connections:
        for each in connections:
            send(each, head("POST /jobs?operation=thumbnail&width=9&height=9", *CHUNKED))
        trickle(connections, b"1\r\na\r\n" * 1000)


@pytest.fixture(scope="module")
def big_download(attacked) -> str:
    """The path of a result of many megabytes."""
    recipe = "operation=resize&width=1500&height=1500&output_format=png"
    told = ("Content-Type: image/png", "Prefer: wait=30")
    answer = ask(attacked.port, f"POST /jobs?{recipe}", *told, body=noise(800))
    assert answer.status == 200, answer
    job = json.loads(answer.body)
    assert job["outputs"][0]["size_bytes"] > 4 * MIB
    return f"/jobs/{job['id']}/download"


def test_results_that_nobody_reads(attacked, photo, big_download):
    most = 100 * 3 * MIB // 4  # a few pieces of 256 KiB for each
    with (
        another_client(attacked, photo, "slow readers", growth=most),
        crowd(attacked.port, 100, 4096) as connections,
    ):
        for each in connections:
            send(each, head(f"GET {big_download}"))
        begun = time.monotonic()
        while json.loads(ask(attacked.port, "GET /stats").body)["connections"]["open"] > 5:
            assert time.monotonic() - begun < ENDS_WITHIN
            time.sleep(0.2)


def test_streams_of_events_that_nobody_reads(attacked, photo):
    with (
        another_client(attacked, photo, "unread events") as witness,
        crowd(attacked.port, 100, 4096) as connections,
    ):
        for each in connections:
            send(each, head("GET /events"))
        # Each job of the witness is told to all of them.
        seen = len(witness.jobs)
        begun = time.monotonic()
        while len(witness.jobs) < seen + 3 and time.monotonic() - begun < ENDS_WITHIN:
            time.sleep(0.05)
        # They are served all the same, as soon as they do read.
        assert all(each.recv(100).startswith(b"HTTP/1.1 200 ") for each in connections)


def test_bodies_of_crumbs(attacked, photo):
    crumbs = b"1\r\na\r\n" * (2 * MANY_PIECES)
    with (
        another_client(attacked, photo, "chunks of a byte") as witness,
        crowd(attacked.port, 10) as connections,
    ):
        for each in connections:
            send(each, head("POST /jobs?operation=thumbnail&width=9&height=9", *CHUNKED) + crumbs)
        answers = [read_answer(each) for each in connections]
        rests = [read_to_end(each) for each in connections]
        spent = witness.spent

    assert {(each.status, each.code) for each in answers} == {(400, "malformed")}
    assert set(rests) == {b""}
    # Of 10 MiB in such chunks it would be 400 seconds for each.
    assert spent < 15


def test_a_thousand_idle_connections_cost_little_and_none_is_refused(tmp_path, photo):
    with running.start_server(tmp_path, MAX_CONNECTIONS=1010, KEEP_ALIVE=60) as server:
        with another_client(server, photo, "1,000 idle"), crowd(server.port, 1000) as connections:
            stats = json.loads(ask(server.port, "GET /stats").body)
            for each in connections[::50]:
                send(each, head("GET /health"))
                assert read_answer(each).status == 200
            all_in_all = memory_of(psutil.Process(server.process.pid))
        assert stats["connections"]["open"] >= 1000

    assert all_in_all < 200 * MIB


def test_clients_that_reset_their_connections(attacked, photo):
    abrupt = struct.pack("ii", 1, 0)
    with another_client(attacked, photo, "resets"):
        for number in range(1000):
            with connect(attacked.port) as connection:
                send(connection, head("GET /jobs")[: number % 40])
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abrupt)
