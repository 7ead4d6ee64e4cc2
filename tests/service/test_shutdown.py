"""The end of the service: what is in hand is finished, what waits is kept, and nobody holds it up.

The grace is either so long that an end within the tests' patience cannot come from it, or so
short that it is what the test is about.
"""

import signal
import socket
import sqlite3
from contextlib import asynccontextmanager, closing

import pytest
import trio

from tests.service.asking import (
    PATIENCE,
    close_gate,
    end_of,
    files_in,
    open_api,
    until,
)

pytestmark = pytest.mark.service

LONG = 10 * PATIENCE
STOPS = [signal.SIGTERM, signal.SIGINT]


@asynccontextmanager
async def connect(server, *, buffer=None):
    """A bare connection to `server`, with a receive buffer of at most so many bytes."""
    with trio.socket.socket() as connection:
        if buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        await connection.connect(("127.0.0.1", server.port))
        yield trio.SocketStream(connection)


async def read_all(stream):
    """Return what still comes, until the other side closes or breaks off."""
    data = bytearray()
    with trio.fail_after(PATIENCE):
        try:
            async for piece in stream:
                data += piece
        except trio.BrokenResourceError:
            pass
    return bytes(data)


async def until_closed(server):
    """Wait until nobody listens any more."""

    async def refused():
        try:
            async with connect(server):
                return False
        except OSError:
            return True

    await until(refused)


def statuses(server):
    """The status and the attempts of each job, as the ended process has left them."""
    with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
        rows = catalogue.execute("select id, status, attempts from jobs")
        return {job_id: (status, attempts) for job_id, status, attempts in rows}


@pytest.mark.parametrize("stop", STOPS)
async def test_it_ends_promptly_with_idle_connections_open(start_server, stop):
    with start_server(SHUTDOWN_GRACE=LONG, KEEP_ALIVE=LONG) as server:
        async with connect(server) as used, connect(server) as unused, open_api(server) as api:
            await used.send_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = b""
            while b"healthy" not in answer:
                answer += await used.receive_some()
            await api.until_stats(lambda stats: stats.connections == 3)

            server.process.send_signal(stop)
            code = await end_of(server.process)

            assert code == 0
            assert await read_all(used) == b""
            assert await read_all(unused) == b""


@pytest.mark.parametrize(
    "settings",
    [
        {"SEND_TIMEOUT": 1, "SHUTDOWN_GRACE": LONG},
        {"SEND_TIMEOUT": LONG, "SHUTDOWN_GRACE": 3},
    ],
    ids=["send-timeout", "grace"],
)
async def test_a_client_that_never_reads_does_not_hold_it_up(start_server, hubble, settings):
    with start_server(**settings) as server:
        async with open_api(server) as api:
            large = {"operation": "resize", "width": 2600, "height": 2600, "output_format": "png"}
            job = await api.ended(await api.submit(hubble, **large))
        async with connect(server, buffer=4096) as client:
            target = f"/jobs/{job['id']}/download".encode()
            await client.send_all(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await client.receive_some(256)

            server.process.send_signal(signal.SIGTERM)
            code = await end_of(server.process)

            assert code == 0
            assert head.startswith(b"HTTP/1.1 200")
            # It had not been sent whole: something was in the way of the end.
            assert len(await read_all(client)) < job["outputs"][0]["size_bytes"]


UPLOAD = b"POST /jobs?operation=thumbnail&width=9&height=9 HTTP/1.1\r\nHost: x\r\n"


async def test_a_stalled_upload_does_not_hold_it_up(start_server):
    with start_server(SHUTDOWN_GRACE=3, BODY_RATE_PERIOD=LONG) as server:
        async with open_api(server) as api, connect(server) as client:
            head = b"Content-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n"
            await client.send_all(UPLOAD + head + bytes(1000))
            await api.until_stats(lambda stats: stats.bodies["in_memory"] == 1000)

            server.process.send_signal(signal.SIGTERM)
            code = await end_of(server.process)

            assert code == 0
            assert b" 202 " not in await read_all(client)
            assert statuses(server) == {}
            assert files_in(server.dir / "uploads") == []


async def test_an_upload_that_ends_while_it_stops_is_refused_with_a_reason(start_server, rocket):
    with start_server(SHUTDOWN_GRACE=LONG) as server:
        async with open_api(server) as api, connect(server) as client:
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(rocket)}\r\n\r\n".encode()
            await client.send_all(UPLOAD + head + rocket[:-1])
            await api.until_stats(lambda stats: stats.bodies["in_memory"] == len(rocket) - 1)
            server.process.send_signal(signal.SIGTERM)
            await until_closed(server)

            await client.send_all(rocket[-1:])
            answer = await read_all(client)
            code = await end_of(server.process)

            assert answer.startswith(b"HTTP/1.1 503")
            assert b"retry-after: 1" in answer.lower()
            assert b'"code":"draining"' in answer
            assert code == 0
            assert statuses(server) == {}


async def test_jobs_in_hand_are_finished(start_server, hubble):
    slow = {"operation": "resize", "height": 2000, "output_format": "png"}
    with start_server(WORKER_POOL_SIZE=2, MAX_RENDERS=2, SHUTDOWN_GRACE=LONG) as server:
        async with open_api(server) as api:
            # Each of another size: the same work would be done once.
            job_ids = [await api.submit(hubble, width=2000 + each, **slow) for each in range(6)]
            await api.until_stats(lambda stats: stats.cpu["used"] == 2)

            server.process.send_signal(signal.SIGTERM)
            code = await end_of(server.process)

        left = statuses(server)
        assert code == 0
        assert left.keys() == set(job_ids)
        assert ("completed", 1) in left.values()
        assert set(left.values()) <= {("completed", 1), ("pending", 0)}

        server.start()
        async with open_api(server) as api:
            jobs = await api.all_ended(job_ids)
            assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}


async def test_nothing_is_begun_once_it_stops(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, SHUTDOWN_GRACE=LONG) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            waiting = [await api.submit(rocket, width=64 + each) for each in range(100)]

        server.process.send_signal(signal.SIGTERM)
        await until_closed(server)
        gate.open()
        code = await end_of(server.process)

        left = statuses(server)
        assert code == 0
        assert left.pop(gate.job_id) == ("failed", 2)
        assert left == dict.fromkeys(waiting, ("pending", 0))

        server.start()
        async with open_api(server) as api:
            jobs = await api.all_ended(waiting)
            assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}


async def test_a_long_wait_is_answered_early(start_server):
    with start_server(SHUTDOWN_GRACE=LONG, MAX_WAIT=LONG) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            async with connect(server) as client:
                handled, looks = (await api.stats()).handled["store"], 0
                target = f"/jobs/{gate.job_id}?wait={LONG}".encode()
                await client.send_all(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

                async def waits():
                    # It asks the Store once, and so do we at each look.
                    nonlocal looks
                    looks += 1
                    return (await api.stats()).handled["store"] - handled - looks == 1

                await until(waits)
                server.process.send_signal(signal.SIGTERM)
                answer = await read_all(client)
                still_running = server.process.poll() is None
                gate.open()
                code = await end_of(server.process)

                assert answer.startswith(b"HTTP/1.1 200")
                assert b'"status":"processing"' in answer
                assert still_running
                assert code == 0


@pytest.mark.parametrize("second", STOPS)
async def test_a_second_signal_ends_it_at_once_and_loses_nothing(start_server, rocket, second):
    with start_server(SHUTDOWN_GRACE=LONG) as server:
        async with open_api(server) as api:
            gate = await close_gate(api, rocket)

        server.process.send_signal(signal.SIGTERM)
        await until_closed(server)
        server.process.send_signal(second)
        code = await end_of(server.process)

        assert code == 128 + second
        assert statuses(server) == {gate.job_id: ("processing", 1)}

        gate.open()
        server.start()
        async with open_api(server) as api:
            job = await api.ended(gate.job_id)
            assert (job["status"], job["attempts"]) == ("completed", 2)


async def test_a_thread_that_hangs_cannot_keep_it_from_ending(start_server):
    with start_server(SHUTDOWN_GRACE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)

        server.process.send_signal(signal.SIGTERM)
        code = await end_of(server.process)

        assert code == 1
        assert '"stuck"' in server.log.read_text()
        assert statuses(server) == {gate.job_id: ("processing", 2)}
