"""Clients that hold back the ends of their uploads cost the disk something, and nobody else."""

import psutil
import pytest
import trio

from tests.service.asking import PATIENCE, open_api

pytestmark = [pytest.mark.service, pytest.mark.slow]

CLIENTS = 200
SIZE = 10 * 1024 * 1024
MIB = 1024 * 1024
HEAD = (
    "POST /jobs?operation=thumbnail&width=64&height=64 HTTP/1.1\r\n"
    "Host: calotype\r\n"
    "Content-Type: image/jpeg\r\n"
    f"Content-Length: {SIZE}\r\n"
    "\r\n"
)


async def hold_back(port: int, *, task_status: trio.TaskStatus[None]) -> None:
    """Send an upload but for its last byte, and then stall."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(HEAD.encode())
        piece = bytes(MIB)
        for _ in range(SIZE // MIB - 1):
            await stream.send_all(piece)
        await stream.send_all(piece[:-1])
        task_status.started()
        await trio.sleep_forever()


async def test_two_hundred_stalled_uploads_cost_little_and_stop_nobody(
    start_server, rocket, record_property
):
    with start_server() as server:
        process = psutil.Process(server.process.pid)
        most = before = process.memory_info().rss
        slowest = 0.0
        async with open_api(server) as api:
            await api.ended(await api.submit(rocket))

            async def use_it(*, until: trio.Event) -> None:
                """Live a normal life, and watch the memory."""
                nonlocal most, slowest
                while not until.is_set():
                    begun = trio.current_time()
                    assert (await api.http.get("/health")).status_code == 200
                    slowest = max(slowest, trio.current_time() - begun)
                    most = max(most, process.memory_info().rss)
                    await trio.sleep(0.02)

            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    all_sent = trio.Event()

                    async with trio.open_nursery() as clients:
                        nursery.start_soon(lambda: use_it(until=all_sent))
                        async with trio.open_nursery() as starting:
                            for _ in range(CLIENTS):
                                starting.start_soon(clients.start, hold_back, server.port)
                        begun = trio.current_time()
                        job = await api.ended(await api.submit(rocket))
                        took = trio.current_time() - begun
                        stats = await api.until_stats(
                            lambda stats: (
                                stats.bodies["in_memory"] + stats.bodies["on_disk"]
                                == CLIENTS * (SIZE - 1)
                            )
                        )
                        all_sent.set()
                        clients.cancel_scope.cancel()
                after = await api.until_stats(
                    lambda stats: stats.bodies["in_memory"] == stats.bodies["on_disk"] == 0
                )

    grown = (most - before) // MIB
    record_property("grown_mib", grown)
    print(  # noqa: T201  (with -s, for whoever tunes it)
        f"RSS {before // MIB} MiB + {grown} MiB, health {slowest:.3f} s at worst, job {took:.3f} s"
    )
    assert job["status"] == "completed"
    assert stats.connections > CLIENTS
    assert after.connections < CLIENTS
    assert most < 400 * MIB
    assert slowest < 2
    assert took < 5
