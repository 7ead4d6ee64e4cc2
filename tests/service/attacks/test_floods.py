"""Very many of something: connections, frames, streams, names and jobs.

What one flood of connections takes is also in `tests/web/test_connections.py`, a full backlog in
`tests/service/test_limits.py`, and what is remembered of names in
`tests/service/test_idempotency.py`.
"""

import json
import resource
import shlex
import socket
import sqlite3
import struct
import subprocess
import time
from contextlib import ExitStack, closing

import psutil
import pytest

from tests.service.attacks.witness import MIB, another_client, seconds_of
from tests.web import running
from tests.web.raw import ask, connect, exchange, head, read_answer, read_to_end, send
from tests.web.test_connections import PREFACE, frame, request_frame

pytestmark = pytest.mark.service

SETTINGS = {
    "MAX_CONNECTIONS": 100,
    "MAX_IDEMPOTENCY_KEYS": 100,
    "SEND_TIMEOUT": 2,
    "MAX_STREAMS": 50,
}
JSON = "Content-Type: application/json"
CLOSING = "Connection: close"


def flood(stack: ExitStack, port: int, number: int) -> list[socket.socket]:
    """Open connections, and keep them open."""
    return [stack.enter_context(connect(port)) for _ in range(number)]


# --- Connections ----------------------------------------------------------------------------------


def test_idle_connections_far_beyond_the_limit(attacked, photo):
    with another_client(attacked, photo, "2,000 connections for 100 places"), ExitStack() as stack:
        for _ in range(20):
            flood(stack, attacked.port, 100)
            time.sleep(0.05)


def test_half_a_head_on_connections_far_beyond_the_limit(attacked, photo):
    with another_client(attacked, photo, "2,000 half heads for 100 places"), ExitStack() as stack:
        for _ in range(20):
            for each in flood(stack, attacked.port, 100):
                send(each, b"GET /health HTTP/1.1\r\nA: b")


def test_a_system_that_gives_few_files_bounds_the_connections(tmp_path, photo):
    few = 900
    # What is left for connections depends on how much is done at a time: here it is for 214.
    server = running.Server(tmp_path, MAX_CONNECTIONS=1000, MAX_RENDERS=2, WORKER_POOL_SIZE=10)
    # It is inherited by what is started, as the limit of a container is.
    lowered = f"ulimit -n {few}; exec {shlex.join(running.COMMAND)} serve"
    with server.log.open("wb") as log:
        server.process = subprocess.Popen(
            ["sh", "-c", lowered], cwd=tmp_path, env=server.environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + running.PATIENCE
        while not server.is_ready():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with another_client(server, photo, "1,000 for 900 files"), ExitStack() as stack:
            for _ in range(10):
                flood(stack, server.port, 100)
                time.sleep(0.05)
            assert psutil.Process(server.process.pid).num_fds() < few - 100
        assert '"event":"too_few_files"' in server.log.read_text()
        server.stop()
    finally:
        server.kill()


def test_no_files_at_all_for_a_while(tmp_path, photo):
    """What the service cannot foresee: the limit is lowered under its feet."""
    with running.start_server(tmp_path, MAX_CONNECTIONS=500) as server:
        process = psutil.Process(server.process.pid)
        with another_client(server, photo, "before"):
            pass
        with connect(server.port) as friend, ExitStack() as stack:
            send(friend, head("GET /health"))
            assert read_answer(friend).status == 200
            limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
            taken = process.num_fds()
            resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (taken + 20, limits[1]))
            written = server.log.stat().st_size
            flood(stack, server.port, 200)
            time.sleep(0.3)
            spent, begun = seconds_of(process), time.monotonic()
            while time.monotonic() - begun < 2:
                # Who is there is served.
                send(friend, head("GET /health"))
                assert read_answer(friend).status == 200
                time.sleep(0.1)
            share = (seconds_of(process) - spent) / (time.monotonic() - begun)
            told = ("Content-Type: image/jpeg", "Prefer: wait=1")
            line = head("POST /jobs?operation=grayscale", *told, length=len(photo))
            send(friend, line + photo)
            refused = read_answer(friend)
            log = server.log.read_bytes()[written:]
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        print(f"no files: {share:.2f} of a core, {len(log)} bytes of log in 2.3 s")  # noqa: T201

        assert process.num_fds() < limits[0]
        with another_client(server, photo, "after there were no files"):
            pass
    assert (refused.status, refused.code) == (503, "storage_unavailable")
    # It tries again ten times a second, and does not spin.
    assert share < 0.5
    assert len(log) < MIB // 4


# --- Other protocols ------------------------------------------------------------------------------

RESETS = b"".join(
    request_frame((b":method", b"GET"), (b":path", b"/"), (b":scheme", b"http"), stream=number)
    + frame(3, struct.pack("!L", 8), stream=number)
    for number in range(1, 2001, 2)
)


@pytest.mark.parametrize(
    "frames",
    [
        frame(4) + RESETS,
        frame(4) + request_frame((b":method", b"GET"), flags=0) + frame(9, b"\0" * 99, 0, 1) * 5000,
        frame(4, struct.pack("!HL", 4, 1) * 100) * 2000,
        frame(6, bytes(8)) * 20_000,
    ],
    ids=["rapid reset", "continuation", "settings", "ping"],
)
def test_floods_of_http2_frames(attacked, photo, frames):
    with another_client(attacked, photo, "HTTP/2 frames") as witness:
        for _ in range(20):
            answer = exchange(attacked.port, PREFACE + frames)
            # Of the first line alone is anything made.
            assert answer.startswith(b"HTTP/1.1 505 ")
            assert answer.count(b"HTTP/1.1") == 1
        assert witness.spent < 10


def test_floods_of_websocket_frames(attacked, photo):
    upgrade = head(
        "GET /events",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    garbage = (b"\x89\xfe" + b"\xff" * 126 + b"\x81\x87\0\0\0\0hel") * 5000
    with another_client(attacked, photo, "WebSocket frames"):
        for _ in range(20):
            with connect(attacked.port) as connection:
                send(connection, upgrade + garbage)
                # An ordinary stream, and what follows is no request.
                assert connection.recv(12) == b"HTTP/1.1 200"


# --- Streams --------------------------------------------------------------------------------------


def test_streams_that_come_and_go(attacked, photo):
    """Ten thousand take as much for each, and no more memory; see docs/operations.md."""
    with another_client(attacked, photo, "1,000 streams that come and go"):
        for each in range(1000):
            with connect(attacked.port) as connection:
                send(connection, head("GET /events"))
                if each % 2:
                    assert connection.recv(12) in {b"HTTP/1.1 200", b"HTTP/1.1 503"}
    deadline = time.monotonic() + 10
    while metric(attacked.port, "calotype_event_streams"):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def metric(port: int, name: str) -> float:
    lines = ask(port, "GET /metrics").body.decode().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


# --- Names and jobs -------------------------------------------------------------------------------


def test_idempotency_keys_without_end(attacked, photo):
    with another_client(attacked, photo, "300 idempotency keys"), connect(attacked.port) as one:
        for number in range(300):
            fields = (f"Idempotency-Key: {number}-{'k' * 100}", *((CLOSING,) * (number == 299)))
            send(one, head("POST /queue/resume", *fields, length=0))
            assert read_answer(one).status == 200
        assert read_to_end(one) == b""
    with closing(sqlite3.connect(attacked.dir / "data" / "jobs.db")) as catalogue:
        tables = [name for (name,) in catalogue.execute("select name from sqlite_master")]
        assert "repeats" in tables, tables
        assert catalogue.execute("select count(*) from repeats").fetchone()[0] <= 100 + 50


@pytest.mark.parametrize("key", ["k" * 10_000, "", '"' * 300, "\t", "a, b"])
def test_an_idempotency_key_that_is_none_is_refused(attacked, key):
    answer = ask(attacked.port, "POST /queue/resume", f"Idempotency-Key: {key}", JSON, body=b"{}")

    assert answer.status in {200, 400, 422}
    assert len(answer.body) < 1000


def batch(*jobs: object) -> bytes:
    return json.dumps({"jobs": jobs}, separators=(",", ":")).encode()


def test_batches_at_the_limit(attacked, photo):
    told = ask(attacked.port, "POST /images", "Content-Type: image/jpeg", body=photo)
    image = json.loads(told.body)["image_id"]
    jobs = [
        {"image_id": image, "operation": "thumbnail", "width": 9, "height": 1 + n, "delay": 9999}
        for n in range(1000)
    ]
    nonsense = [{"image_id": image, "operation": "thumbnail", "width": "x" * 500}] * 1000
    with another_client(attacked, photo, "batches") as witness:
        for _ in range(3):
            answer = ask(attacked.port, "POST /batches", JSON, body=batch(*jobs))
            assert answer.status == 202
            place = f"/batches/{json.loads(answer.body)['batch_id']}"
            assert ask(attacked.port, f"DELETE {place}").status == 204
        for many in (batch(*jobs, jobs[0]), batch(*[{}] * 100_000), batch(*nonsense)):
            answer = ask(attacked.port, "POST /batches", JSON, body=many)
            assert answer.status in {400, 413, 422}
            assert len(answer.body) < MIB
        assert witness.spent < 20
