"""What hostile, slow and odd clients can do to a running service: nothing that others notice."""

import base64
import errno
import json
import math
import os
import random
import socket
import struct
import threading
import time
import zlib
from functools import partial

import hpack
import psutil
import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from tests.web import running
from tests.web.raw import (
    ask,
    connect,
    exchange,
    head,
    is_alive,
    read_answer,
    read_to_end,
    send,
)
from web.connections import ConnectionLimits, Server

pytestmark = pytest.mark.service

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CLOSING = "Connection: close"
RESET = struct.pack("ii", 1, 0)  # as SO_LINGER, makes the end of a connection abrupt
SEEDED = random.Random  # so that what fails can be had again


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A service with little patience."""
    with running.start_server(
        tmp_path_factory.mktemp("strict"),
        KEEP_ALIVE=0.7,
        SEND_TIMEOUT=0.7,
        BODY_RATE_PERIOD=0.7,
        MAX_CONNECTIONS=40,
        MAX_UPLOAD_SIZE=3_000_000,
        MAX_JSON_SIZE=1_000,
    ) as server:
        yield server


@pytest.fixture(autouse=True)
def unharmed(request):
    """After each test, the same process must be well, and must not have met with a bug."""
    server = request.getfixturevalue("strict" if "strict" in request.fixturenames else "server")
    before = server.log.stat().st_size

    yield

    assert server.process.poll() is None
    assert is_alive(server.port)
    with server.log.open("rb") as log:
        log.seek(before)
        assert b"Traceback" not in log.read()


def open_connections(server) -> float:
    answer = ask(server.port, "GET /stats", CLOSING)
    return int(json.loads(answer.body)["connections"]["open"]) if answer.status == 200 else math.inf


def wait_until_alone(server) -> None:
    """Wait until the only open connection is the one that asks how many there are."""
    deadline = time.monotonic() + 10
    while open_connections(server) > 1:
        assert time.monotonic() < deadline, "connections stay open"
        time.sleep(0.05)


@pytest.fixture
async def broken_port(nursery):
    """Where an application is served that has no file descriptors left."""

    async def app(*_: object) -> None:  # noqa: ASYNC124 (as applications are)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    limits = ConnectionLimits(connections=1, header_size=1024, keep_alive=1, send=1)
    serve = partial(Server(limits).serve, app, "127.0.0.1", 0, trio.Event(), lambda: 0)
    listeners = await nursery.start(serve)
    return listeners[0].socket.getsockname()[1]


async def test_a_fault_of_our_own_is_not_taken_for_a_clients_going(broken_port):
    with capture_logs() as events:
        async with await trio.open_tcp_stream("127.0.0.1", broken_port) as client:
            await client.send_all(head("GET /"))
            await trio.testing.wait_all_tasks_blocked()

    assert [event["event"] for event in events] == ["connection_failed"]


async def test_a_client_that_has_gone_before_it_is_served_is_no_fault(broken_port):
    with capture_logs() as events:
        with connect(broken_port) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await trio.testing.wait_all_tasks_blocked()

    assert events == []


# --- Other protocols ------------------------------------------------------------------------------


def settings(*pairs: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("!HL", number, value) for number, value in pairs)


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack("!BBL", kind, flags, stream) + payload


def request_frame(*fields: tuple[bytes, bytes], stream: int = 1, flags: int = 5) -> bytes:
    return frame(1, hpack.Encoder().encode(fields), flags, stream)


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


GOOD = ((b":method", b"GET"), (b":path", b"/health"), (b":scheme", b"http"), (b":authority", b"x"))


@pytest.mark.parametrize(
    "settings",
    [
        b"A",
        b"AAA",
        b"",
        b"\xff",
        base64url(settings((4, 2**32 - 1))),
        base64url(settings((5, 0))),
        base64url(settings((2, 7))),
        base64url(settings((1, 4096))),
    ],
)
def test_an_upgrade_to_http2_is_not_taken_up_whatever_its_settings_are(server, settings):
    upgrade = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\n"
    fields = b"Upgrade: h2c\r\nHTTP2-Settings: " + settings + b"\r\n\r\n"

    answer = exchange(server.port, upgrade + fields)

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"healthy"' in answer


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        frame(4),
        frame(4) + b"".join(frame(2, bytes(5), stream=1 + 2 * n) for n in range(1000)),
        frame(4) + request_frame(GOOD[0], (b":path", b"/\xff\xfe"), *GOOD[2:]),
        frame(4) + request_frame((b":method", b"G\xc3\xa9T"), *GOOD[1:]),
        frame(4) + request_frame((b":method", b"CONNECT"), GOOD[3]),
        frame(4) + request_frame(*GOOD) + frame(0, b"more", stream=1),
        frame(4) + request_frame(*GOOD, flags=4) + frame(0, stream=1) * 5000,
        frame(4, settings((4, 2**32 - 1))),
        b"\xff" * 5000,
    ],
    ids=[
        "nothing",
        "settings",
        "priorities",
        "path",
        "method",
        "connect",
        "data after the end",
        "empty data",
        "window",
        "garbage",
    ],
)
def test_http2_by_prior_knowledge_is_refused_and_closed(server, frames):
    answer = exchange(server.port, PREFACE + frames)

    assert answer.startswith(b"HTTP/1.1 505 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("path", ["/health", "/jobs", "/nothing"])
def test_a_websocket_upgrade_with_bytes_behind_it_is_an_ordinary_request(server, path):
    fields = (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )

    answer = exchange(server.port, head(f"GET {path}", *fields) + b"\x81\x87\0\0\0\0hel\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 404 " if path == "/nothing" else b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in answer  # what follows is no request


def test_a_tunnel_is_not_opened(server):
    answer = exchange(server.port, head("CONNECT calotype:443", CLOSING))

    assert answer.startswith(b"HTTP/1.1 404 ")


# --- Odd requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.9", "2.0", "3.0", "9.9"])
def test_no_version_of_http_but_one_is_spoken(server, version):
    answer = exchange(server.port, f"GET /health HTTP/{version}\r\nHost: x\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize("target", ["http://[/health", "http://[::1/health", "//[", "http://]["])
def test_a_target_that_cannot_be_parsed_is_a_400(server, target):
    answer = ask(server.port, f"GET {target}")

    assert answer.status in {400, 404}
    assert answer.code in {"malformed", "not_found"}
    assert int(answer.headers["content-length"]) == len(answer.body)


def test_a_refused_request_with_a_body_and_another_behind_it_is_answered(server):
    # Nobody takes its body, and the request behind it holds up the reader.
    refused = head("POST http://[/", length=2) + b"{}"

    answer = exchange(server.port, refused + head("GET /health", CLOSING))

    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "host",
    [
        b"[",
        b"[::",
        b"]",
        b"a..b",
        b".",
        b"..",
        b"a" * 64,
        b"a." + b"b" * 64,
        b"a b",
        b"a/b",
        b"a@b",
        b"a:b",
        b"a:1:2",
        b"a,b",
        b"\xff",
        b"a\tb",
    ],
)
def test_a_host_that_is_none_is_a_400(server, host):
    request = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"

    answer = exchange(server.port, request)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b'"code":"malformed"' in answer


@pytest.mark.parametrize(
    "host", [b"", b"localhost", b"127.0.0.1:80", b"[::1]:8080", b"a.example.", b"a_b", b"a:"]
)
def test_a_host_that_is_one_is_no_obstacle(server, host):
    request = b"GET /health HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"

    assert exchange(server.port, request).startswith(b"HTTP/1.1 200 ")


def test_http_1_0_needs_no_host(server):
    assert exchange(server.port, b"GET /health HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("chunks", [b"0\r\n\r\n", b""])
def test_a_body_with_two_ends_is_a_400_and_a_close(server, chunks):
    fields = ("Transfer-Encoding: chunked", "Content-Type: image/png")
    smuggled = head("GET /health")

    answer = exchange(server.port, head("POST /jobs", *fields, length=4) + chunks + smuggled)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    ("request_", "statuses"),
    [
        (b"\0" * 100, {b"400"}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), {b"400"}),
        (b"GET\r\n\r\n", {b"400"}),
        (b"GET / \r\n\r\n", {b"400"}),
        (b"GET /health HTTP/1.1\r\n\r\n", {b"400"}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {b"400"}),
        (b"GET /health HTTP/1.1\r\nHost : a\r\n\r\n", {b"400"}),
        (b"GET /health HTTP/1.1\r\n Host: a\r\n\r\n", {b"400"}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n\xff: b\r\n\r\n", {b"400"}),
        (head("POST /jobs", "Content-Length: -1"), {b"400"}),
        (head("POST /jobs", "Content-Length: 1, 2"), {b"400"}),
        (head("POST /jobs", "Content-Length: 1", "Content-Length: 2"), {b"400"}),
        (head("POST /jobs", "Content-Length: " + "9" * 5000), {b"400"}),
        (head("POST /jobs", "Transfer-Encoding: gzip"), {b"501"}),
        (head("POST /jobs", "Transfer-Encoding: chunked, chunked"), {b"501"}),
        (head("POST /jobs", "Transfer-Encoding: chunked") + b"zz\r\n", {b"400"}),
        (head("POST /jobs", "Transfer-Encoding: chunked") + b"5\r\nhelloX\r\n", {b"400"}),
        (head("POST /jobs", "Transfer-Encoding: chunked") + b"f" * 21 + b"\r\n", {b"400"}),
        (b"GET /" + b"a" * 100_000, {b"431"}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 20_000, {b"431"}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 1_000_000, {b"431"}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 16_400 + b"\r\n\r\n", {b"431"}),
        (b"GET /health?" + b"b" * 16_400 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {b"431"}),
    ],
)
def test_what_is_no_http_is_refused_and_closed(server, request_, statuses):
    answer = exchange(server.port, request_)

    assert answer[:9] == b"HTTP/1.1 "
    assert answer[9:12] in statuses
    assert answer.count(b"HTTP/1.1") == 1


def test_connection_close_is_obeyed_at_once(server):
    with connect(server.port) as connection:
        send(connection, head("GET /health", CLOSING))
        begun = time.monotonic()
        answer = read_to_end(connection)
        seconds = time.monotonic() - begun

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert seconds < 1


@pytest.mark.parametrize(
    "request_",
    [
        head("GET /health", CLOSING),
        head("GET /health", length=10) + bytes(10),
        head("POST /nothing", CLOSING, length=10) + bytes(10),
    ],
)
@pytest.mark.parametrize("behind", [b"\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70_000])
def test_what_is_behind_the_last_request_does_not_break_its_answer_off(server, request_, behind):
    for _ in range(5):
        with connect(server.port) as connection:
            send(connection, request_ + behind)
            answer = read_answer(connection)

        assert answer.status == (404 if b"nothing" in request_ else 200)
        assert len(answer.body) == int(answer.headers["content-length"]) > 0


def test_head_is_get_without_a_body(server):
    answer = exchange(server.port, head("HEAD /problems/gone", CLOSING))
    whole = ask(server.port, "GET /problems/gone")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\n")
    assert f"content-length: {len(whole.body)}".encode() in answer


def test_pipelined_requests_are_answered_in_order(server):
    paths = [b"/health", b"/nothing", b"/problems/gone", b"/health/live"] * 25
    requests = b"".join(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" for path in paths)

    answers = exchange(server.port, requests + head("GET /stats", CLOSING)).split(b"HTTP/1.1 ")[1:]

    words = [b'"healthy"', b'"not_found"', b'"gone"', b'"live"'] * 25 + [b'"connections"']
    assert len(answers) == len(words)
    assert all(word in answer for word, answer in zip(words, answers, strict=True))


def test_a_request_may_come_byte_by_byte(server):
    with connect(server.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head("GET /health"):
            send(connection, bytes([byte]))
        answer = read_answer(connection)

    assert answer.status == 200


@pytest.mark.parametrize("method", ["get", "Get", "hEAD"])
def test_a_method_is_another_in_another_spelling(server, method):
    answer = ask(server.port, f"{method} /health")

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert ask(server.port, "GET /health").status == 200


def test_methods_of_the_clients_own_are_counted_as_one(server):
    for number in range(50):
        ask(server.port, f"METHOD{number} /health")

    metrics = ask(server.port, "GET /metrics").body.decode()

    assert "METHOD" not in metrics
    assert 'method="other"' in metrics


# --- Slow clients ---------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [b"", b"GET /health HTTP/1.1\r\nHost: x\r\n"])
def test_a_head_that_does_not_come_to_its_end_is_not_waited_for(strict, request_):
    begun = time.monotonic()

    answer = exchange(strict.port, request_)

    assert answer == b""
    assert time.monotonic() - begun < 3


def test_a_head_that_trickles_in_does_not_gain_time_by_that(strict):
    with connect(strict.port) as connection:
        begun = time.monotonic()
        while send(connection, b"GET /health HTTP/1.1\r\nA: b\r\n"[:1]):
            assert time.monotonic() - begun < 5
            time.sleep(0.1)


def test_an_idle_connection_is_closed(strict):
    with connect(strict.port) as connection:
        for _ in range(2):
            send(connection, head("GET /health"))
            assert read_answer(connection).status == 200
        begun = time.monotonic()

        assert read_to_end(connection) == b""
        assert 0.3 < time.monotonic() - begun < 3


@pytest.mark.parametrize("start", [b"", b"2\r\nab\r\n"])
def test_a_body_slower_than_the_floor_is_a_408(strict, start):
    request = head("POST /jobs", "Content-Type: image/png", "Transfer-Encoding: chunked") + start

    with connect(strict.port) as connection:
        send(connection, request)
        answer = read_answer(connection)
        rest = read_to_end(connection)

    assert (answer.status, answer.code, rest) == (408, "too_slow", b"")


def test_trailers_that_never_end_are_a_408_as_well(strict):
    request = head("POST /jobs", "Content-Type: image/png", "Transfer-Encoding: chunked")

    with connect(strict.port) as connection:
        send(connection, request + b"1\r\na\r\n0\r\nA: b\r\n")
        answer = read_answer(connection)

    assert answer.status == 408


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_too_much_can_read_why(strict, chunked):
    size = 12_000_000
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    body = b"%x\r\n" % size + bytes(size) if chunked else bytes(size)

    with connect(strict.port) as connection:
        taken = send(connection, head("POST /jobs", "Content-Type: image/png", framing) + body)
        answer = read_answer(connection)
        rest = read_to_end(connection)

    assert taken
    assert (answer.status, answer.code, rest) == (413, "too_large", b"")
    assert answer.headers["connection"] == "close"


def test_a_client_that_sends_without_end_is_cut(strict):
    request = head("POST /jobs", "Content-Type: image/png", length=10**12)

    with connect(strict.port) as connection:
        send(connection, request)
        sent = 0
        while send(connection, bytes(1_000_000)):
            sent += 1
            assert sent < 200

    wait_until_alone(strict)


def test_an_early_answer_to_a_long_upload_leaves_nothing_behind(strict):
    for _ in range(10):
        with connect(strict.port) as connection:
            send(connection, head("POST /nothing", length=2_500_000) + bytes(1_000_000))
            answer = read_answer(connection)
            assert (answer.status, answer.code) == (404, "not_found")
            # Or a client would send its next request into the void.
            assert answer.headers["connection"] == "close"

    wait_until_alone(strict)
    bodies = json.loads(ask(strict.port, "GET /stats").body)["bodies"]
    assert (bodies["in_memory"], bodies["on_disk"]) == (0, 0)


def test_clients_that_go_in_the_middle_of_anything_leave_nothing_behind(strict):
    upload = head("POST /jobs", "Content-Type: image/png", length=2_500_000) + bytes(200_000)
    for length in (1, 30, len(upload) - 200_000, len(upload)):
        for abruptly in (False, True):
            with connect(strict.port) as connection:
                send(connection, upload[:length])
                if abruptly:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    wait_until_alone(strict)
    bodies = json.loads(ask(strict.port, "GET /stats").body)["bodies"]
    assert (bodies["in_memory"], bodies["on_disk"]) == (0, 0)


# --- Too many connections -------------------------------------------------------------------------


def test_a_connection_too_many_is_told_so(strict):
    wait_until_alone(strict)
    with contextmany(strict.port, 40):
        answer = ask(strict.port, "GET /health")

    assert (answer.status, answer.code) == (503, "overloaded")
    assert answer.headers["retry-after"] == "1"
    wait_until_alone(strict)


def test_a_flood_of_connections_does_not_take_all_descriptors(strict):
    wait_until_alone(strict)
    process = psutil.Process(strict.process.pid)
    before = process.num_fds()
    with contextmany(strict.port, 400):
        time.sleep(0.3)
        taken = process.num_fds() - before

    assert taken < 40 + 32 + 10
    wait_until_alone(strict)


class contextmany:  # noqa: N801  (used like a function)
    """Many idle connections at once."""

    def __init__(self, port: int, number: int) -> None:
        self._all = [socket.create_connection(("127.0.0.1", port)) for _ in range(number)]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for each in self._all:
            each.close()


# --- Slow readers ---------------------------------------------------------------------------------


def noise(edge: int) -> bytes:
    """Return a PNG that cannot be compressed."""
    rows = SEEDED(1).randbytes(edge * (3 * edge + 1))
    lines = b"".join(
        b"\0" + rows[n * (3 * edge + 1) + 1 : (n + 1) * (3 * edge + 1)] for n in range(edge)
    )

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")
        )

    size = struct.pack("!LLBBBBB", edge, edge, 8, 2, 0, 0, 0)
    data = zlib.compress(lines, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def big_download(strict) -> str:
    """The path of a result of many megabytes, which no socket's buffers hold."""
    picture = noise(960)
    recipe = "operation=resize&width=2300&height=2300&output_format=png"
    answer = ask(
        strict.port,
        f"POST /jobs?{recipe}",
        "Content-Type: image/png",
        "Prefer: wait=30",
        body=picture,
    )
    assert answer.status == 200, answer.body
    job = json.loads(answer.body)
    assert job["outputs"][0]["size_bytes"] > 9_000_000
    return f"/jobs/{job['id']}/download"


@pytest.mark.parametrize("following", [b"", head("GET /health")])
def test_a_client_that_does_not_read_is_given_up(strict, big_download, following):
    wait_until_alone(strict)
    with connect(strict.port, receive_buffer=4096) as connection:
        send(connection, head(f"GET {big_download}") + following)
        connection.recv(100)
        begun = time.monotonic()
        wait_until_alone(strict)

    assert time.monotonic() - begun < 5


def test_a_client_that_reads_slowly_gets_it_all(strict, big_download):
    whole = ask(strict.port, f"GET {big_download}")
    with connect(strict.port, receive_buffer=65536) as connection:
        send(connection, head(f"GET {big_download}", CLOSING))
        data = bytearray()
        while piece := connection.recv(131072):
            data += piece
            time.sleep(0.005)

    assert bytes(data).endswith(whole.body)


def test_garbage_while_the_answer_is_under_way_ends_the_connection_alone(strict, big_download):
    wait_until_alone(strict)
    with connect(strict.port, receive_buffer=4096) as connection:
        send(connection, head(f"GET {big_download}", "Transfer-Encoding: chunked"))
        connection.recv(100)
        time.sleep(0.1)
        send(connection, b"garbage\r\n")
        wait_until_alone(strict)


# --- Anything at all ------------------------------------------------------------------------------

SEEDS = [
    head("GET /health"),
    head("GET /jobs?limit=5&status=pending"),
    head("HEAD /metrics", CLOSING),
    head("OPTIONS *"),
    head("DELETE /jobs/550e8400-e29b-41d4-a716-446655440000"),
    head("POST /jobs", "Content-Type: application/json", length=2) + b"{}",
    head("POST /jobs", "Content-Type: multipart/form-data; boundary=B", length=9)
    + b"--B--\r\n\r\n",
    head(
        "POST /jobs",
        "Transfer-Encoding: chunked",
        "Content-Type: image/gif",
        "Expect: 100-continue",
    )
    + b"3\r\nGIF\r\n0\r\n\r\n",
    head("GET /jobs/x/download", "Range: bytes=1-2", "If-None-Match: *", "Prefer: wait=0"),
    PREFACE + frame(4) + request_frame(*GOOD),
]


def mutated(chance: random.Random) -> bytes:
    """Return requests in which something is changed, left out, doubled or put in."""
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.choice([1, 1, 2, 3]))))
    for _ in range(chance.choice([0, 1, 2, 8])):
        at = chance.randrange(len(data))
        span = chance.randrange(1, 20)
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1 if len(data) > span + 1:
                del data[at : at + span]
            case 2:
                data[at:at] = data[at : at + span]
            case _:
                data[at:at] = chance.choice([b"\r\n", b"\0", b":", b" ", b"9" * 30, b"\r\n\r\n"])
        if not data:
            data = bytearray(b"x")
    return bytes(data)


def throw(port: int, seed: int, rounds: int, faults: list[str]) -> None:
    """Send garbage for a number of rounds, sometimes with a look at what comes back."""
    chance = SEEDED(seed)
    for number in range(rounds):
        data = mutated(chance) if number % 4 else chance.randbytes(chance.randrange(1, 600))
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
                connection.sendall(data)
                if chance.random() < 0.5:
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
        except (ConnectionResetError, BrokenPipeError):
            pass
        except OSError as error:
            faults.append(f"seed {seed}, round {number}: {error!r} after {data!r}")


def test_thousands_of_random_requests_harm_nobody(server):
    pid = server.process.pid
    faults: list[str] = []
    threads = [
        threading.Thread(target=throw, args=(server.port, seed, 750, faults)) for seed in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    os.kill(pid, 0)
    wait_until_alone(server)
