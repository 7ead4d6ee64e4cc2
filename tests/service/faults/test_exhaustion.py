"""The system has no more of something: descriptors, threads, memory."""

import errno
import resource
import socket
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import psutil
import pytest
import trio

from tests.service.asking import files_in, open_api

pytestmark = pytest.mark.service

MIB = 1024 * 1024


@contextmanager
def limited(server, what, most):
    """Let the process have no more of this than `most`."""
    soft, hard = resource.prlimit(server.process.pid, what)
    resource.prlimit(server.process.pid, what, (most, hard))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, what, (soft, hard))


def descriptors(server):
    return max(int(each.name) for each in Path(f"/proc/{server.process.pid}/fd").iterdir()) + 1


async def test_more_clients_than_descriptors_wait_and_cost_nothing(start_server, rocket):
    with start_server(LOG_LEVEL="warning") as server, ExitStack() as clients:
        async with open_api(server) as api:
            done = await api.ended(await api.submit(rocket))
            process = psutil.Process(server.process.pid)
            with limited(server, resource.RLIMIT_NOFILE, descriptors(server) + 8):
                for _ in range(64):
                    client = socket.create_connection(("127.0.0.1", server.port))
                    clients.enter_context(client)
                await trio.sleep(0.5)
                used = sum(process.cpu_times()[:2])
                await trio.sleep(2)
                used = sum(process.cpu_times()[:2]) - used
                # On a connection that it has.
                health = await api.http.get("/health")
                looked_at = await api.job(done["id"])
                refused = await api.send(rocket, width=65)
                clients.close()
            later = await api.ended(await api.submit(rocket, width=66))

            assert used < 1
            assert health.status_code == 200
            assert looked_at == done
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert later["status"] == "completed"
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 2
        assert server.log.stat().st_size < 200_000


async def test_without_threads_nothing_is_accepted_and_nothing_lost(start_faulty, rocket):
    with start_faulty() as server:
        async with open_api(server) as api:
            await api.post("/queue/pause")
            waiting = await api.submit(rocket)
            await trio.sleep(11)  # Until those are gone that it had started.
            with server.faults.thread.failing(errno.EAGAIN) as threads:
                refused = [await api.send(rocket, width=65 + each) for each in range(8)]
                health = await api.http.get("/health")
            await api.post("/queue/resume")
            job = await api.ended(waiting)
            later = await api.ended(await api.submit(rocket, width=80))

            assert threads.failed >= 8
            for each in refused:
                assert (each.status_code, each.json()["code"]) == (503, "storage_unavailable")
            assert health.status_code == 200
            assert [each["status"] for each in (job, later)] == ["completed", "completed"]
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 2
        assert "actor_crashed" not in server.log.read_text()


async def test_without_memory_it_drops_requests_and_recovers(start_server, rocket):
    large = rocket + bytes(9 * MIB)
    with start_server() as server:
        async with open_api(server) as api:
            done = await api.ended(await api.submit(rocket))
            pid, used = server.process.pid, psutil.Process(server.process.pid).memory_info().vms
            with limited(server, resource.RLIMIT_AS, used + 4 * MIB):
                refused = [await status_of(api, large, 65 + each) for each in range(3)]
                health = await api.http.get("/health")
                looked_at = await api.job(done["id"])
            later = await api.ended(await api.submit(large, width=80))

            assert set(refused) <= {None, 500, 503}
            assert health.status_code == 200
            assert looked_at == done
            assert later["status"] == "completed"
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 2
            assert psutil.pid_exists(pid)


async def status_of(api, picture, width):
    """Return the status that a submission had; None if it had no answer."""
    try:
        return (await api.send(picture, width=width)).status_code
    except httpx2.TransportError:
        return None
