"""Too much of something, or too little: it is refused by name, and nothing is left behind.

What there is much of is of another size each time: the same work would be done once.
"""

import itertools
import os
import re
import resource
import signal
import socket
import struct
import subprocess
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio

from tests.service.asking import PATIENCE, close_gate, files_in, open_api, until
from tests.web.running import COMMAND, Server, environment

pytestmark = pytest.mark.service

MIB = 1024 * 1024


# --- Too many jobs --------------------------------------------------------------------------------


async def test_a_full_backlog_refuses_and_keeps_what_it_has_accepted(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, MAX_PENDING=5) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            answers = [await api.send(rocket, width=64 + each) for each in range(12)]
            retry = await api.post(f"/jobs/{gate.job_id}/cancel")
            gate.open()
            accepted = [each for each in answers if each.status_code == 202]
            refused = [each for each in answers if each.status_code != 202]
            jobs = await api.all_ended([each.json()["job_id"] for each in accepted])
            later = await api.ended(await api.submit(rocket))

            assert retry.status_code == 200
            assert len(accepted) == 5
            for each in refused:
                assert (each.status_code, each.json()["code"]) == (503, "overloaded")
                assert int(each.headers["Retry-After"]) >= 1
            assert {job["status"] for job in [*jobs, later]} == {"completed"}
            assert [job["outputs"][0]["width"] for job in jobs] == [64, 65, 66, 67, 68]
            # What was refused has left no trace.
            assert len(await api.jobs()) == 1 + 5 + 1
            assert len(files_in(server.dir / "uploads")) == 1 + 5 + 1


async def test_a_rush_on_the_backlog_never_gets_more_in_than_it_holds(start_server, rocket):
    answers = []
    with start_server(WORKER_POOL_SIZE=1, MAX_PENDING=8) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)

            async def rush(number):
                answers.append(await api.send(rocket, width=64 + number))

            async with trio.open_nursery() as nursery:
                for each in range(40):
                    nursery.start_soon(rush, each)
            pending = (await api.stats()).queue["pending"]
            gate.open()
            accepted = [each.json()["job_id"] for each in answers if each.status_code == 202]
            jobs = await api.all_ended(accepted)

            assert {each.status_code for each in answers} == {202, 503}
            assert pending == len(accepted) <= 8
            assert {job["status"] for job in jobs} == {"completed"}


# --- Too little room ------------------------------------------------------------------------------


LARGE = {"operation": "resize", "width": 1500, "height": 1500, "output_format": "png"}


@contextmanager
def no_file_larger_than(server, size):
    """Have the system refuse whatever would make a file of the service larger than this.

    Unlike a small file system, it needs neither a mount nor the rights to make one.
    """
    unlimited = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, unlimited[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, unlimited)


@pytest.mark.parametrize("form", ["json", "multipart", "bare"])
async def test_an_upload_without_room_is_507_and_leaves_nothing(start_server, rocket, form):
    # What follows the end of a JPEG is no part of it.
    large = rocket + bytes(2 * MIB)
    with start_server() as server:
        async with open_api(server) as api:
            with no_file_larger_than(server, MIB):
                refused = await api.send(large, form=form)
                fits = await api.ended(await api.submit(rocket, form=form))
            later = await api.ended(await api.submit(large, form=form))

            assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
            assert fits["status"] == later["status"] == "completed"
            assert len(await api.jobs()) == 2
            assert len(files_in(server.dir / "uploads")) == 2


async def test_an_upload_that_does_not_fit_into_memory_needs_room_too(start_server, rocket):
    large = rocket + bytes(2 * MIB)
    with start_server(UPLOAD_MEMORY=MIB // 2) as server:
        async with open_api(server) as api:
            with no_file_larger_than(server, MIB):
                refused = await api.send(large)
            stats = await api.stats()
            later = await api.ended(await api.submit(large))

            assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
            assert (stats.bodies["in_memory"], stats.bodies["on_disk"]) == (0, 0)
            assert later["status"] == "completed"


@pytest.mark.parametrize("kind", ["png", "jpeg"])
async def test_a_result_without_room_fails_its_job_and_leaves_nothing(start_server, hubble, kind):
    large = {**LARGE, "output_format": kind, "quality": 100}
    with start_server() as server:
        async with open_api(server) as api:
            with no_file_larger_than(server, MIB):
                failed = await api.ended(await api.submit(hubble, **large))
                small = await api.ended(await api.submit(hubble))
            left = files_in(server.dir / "outputs")
            assert (await api.post(f"/jobs/{failed['id']}/retry")).status_code == 202
            again = await api.ended(failed["id"])

            assert (failed["status"], failed["error_code"]) == ("failed", "out_of_space")
            assert failed["attempts"] == 1
            assert small["status"] == "completed"
            assert left == [Path(small["output_path"])]
            assert again["status"] == "completed"
            assert again["outputs"][0]["size_bytes"] > MIB


async def test_of_several_results_none_is_kept_if_one_has_no_room(start_server, hubble):
    outputs = [
        {"name": name, "operations": [{"op": "resize", "width": size, "height": size}],
         "format": "png"}
        for name, size in (("first", 50), ("large", 1500), ("last", 50))
    ]  # fmt: skip
    with start_server() as server:
        async with open_api(server) as api:
            with no_file_larger_than(server, MIB):
                failed = await api.ended(await api.submit(hubble, form="json", outputs=outputs))
            left = files_in(server.dir / "outputs")
            assert (await api.post(f"/jobs/{failed['id']}/retry")).status_code == 202
            again = await api.ended(failed["id"])

            assert (failed["status"], failed["error_code"]) == ("failed", "out_of_space")
            assert "outputs" not in failed
            assert left == []
            assert again["status"] == "completed"
            assert len(files_in(server.dir / "outputs")) == 3


@pytest.fixture
def small_disk():
    """What mounts a disk of so many bytes at a directory, for the time of the test."""
    with ExitStack() as mounted:

        def mount(directory, size):
            directory.mkdir(parents=True, exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", directory]
            if subprocess.run(command, capture_output=True, check=False).returncode:
                pytest.skip("nothing can be mounted here")
            mounted.callback(subprocess.run, ["umount", "--lazy", directory], check=True)

        yield mount


async def test_a_result_that_does_not_fit_on_the_disk_fails_its_job(
    start_server, small_disk, tmp_path, hubble
):
    small_disk(tmp_path / "server-1" / "outputs", MIB)
    with start_server() as server:
        async with open_api(server) as api:
            failed = await api.ended(await api.submit(hubble, **LARGE))
            small = await api.ended(await api.submit(hubble))

            assert (failed["status"], failed["error_code"]) == ("failed", "out_of_space")
            assert failed["attempts"] == 1
            assert small["status"] == "completed"
            assert files_in(server.dir / "outputs") == [Path(small["output_path"])]


async def test_a_disk_that_is_full_of_everything_breaks_no_promise(
    start_server, small_disk, tmp_path, rocket
):
    # The catalogue, the pictures and even the log are all on it.
    small_disk(tmp_path / "server-1", 16 * MIB)
    ballast = tmp_path / "server-1" / "ballast"
    with start_server() as server:
        async with open_api(server) as api:
            ballast.write_bytes(bytes(8 * MIB))
            accepted: list[str] = []
            while (answer := await api.send(rocket, width=64 + len(accepted))).status_code == 202:
                accepted.append(answer.json()["job_id"])
            health = await api.http.get("/health")
            ballast.unlink()
            jobs = await api.all_ended(accepted)
            later = await api.ended(await api.submit(rocket))

            assert answer.status_code in {503, 507}
            assert health.status_code == 200
            assert len(accepted) >= 10
            for job in jobs:
                assert job["status"] == "completed" or job["error_code"] == "out_of_space"
            assert later["status"] == "completed"


async def test_a_catalogue_without_room_refuses_and_recovers(start_server, rocket):
    with start_server(LOG_LEVEL="error") as server:
        async with open_api(server) as api:
            before = await api.ended(await api.submit(rocket))
            log = server.dir / "data" / "jobs.db-wal"
            # So long that a photograph passes, and nothing can be added to the catalogue's log.
            widths = itertools.count(65)
            while log.stat().st_size < 2 * len(rocket):
                await api.ended(await api.submit(rocket, width=next(widths)))
            kept = len(await api.jobs())
            with no_file_larger_than(server, log.stat().st_size):
                refused = [await api.send(rocket, width=next(widths)) for _ in range(3)]
                looked_at = await api.job(before["id"])
            later = await api.ended(await api.submit(rocket, width=next(widths)))

            assert {(each.status_code, each.json()["code"]) for each in refused} <= {
                (503, "storage_unavailable"),
                (507, "storage_full"),
            }
            assert looked_at == before
            assert later["status"] == "completed"
            assert len(await api.jobs()) == kept + 1
            assert len(files_in(server.dir / "uploads")) == kept + 1


async def test_jobs_survive_a_time_in_which_nothing_could_be_written(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, LOG_LEVEL="error") as server:
        async with open_api(server) as api:
            log = server.dir / "data" / "jobs.db-wal"
            gate = await close_gate(api)
            waiting = [await api.submit(rocket, width=64 + each) for each in range(5)]
            with no_file_larger_than(server, log.stat().st_size):
                gate.open()
                # Its end cannot be kept, and no other job can be claimed.
                await api.until_stats(lambda stats: stats.pool["busy"] == 0)
                meanwhile = await api.job(gate.job_id)
            jobs = await api.all_ended(waiting)
            interrupted = await api.ended(gate.job_id)

            assert meanwhile["status"] == "processing"
            assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}
            assert interrupted["attempts"] == 3


# --- Clients that vanish --------------------------------------------------------------------------


UPLOAD = b"POST /jobs?operation=thumbnail&width=%d&height=99 HTTP/1.1\r\nHost: x\r\n"
HEADS = {
    "length": b"Content-Type: image/jpeg\r\nContent-Length: 900000\r\n\r\n",
    "chunked": b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n",
}


def connect(server):
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE)
    connection.settimeout(PATIENCE)
    return connection


def vanish(connection, how):
    """Close the connection politely, or reset it as a crashed system does."""
    if how == "reset":
        linger = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def holds(size, stats):
    return stats.bodies["in_memory"] + stats.bodies["on_disk"] == size


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_clients_that_vanish_in_an_upload_leave_nothing(start_server, rocket, how):
    # Half of the bodies fit into memory, and half of them wait on the disk.
    with start_server(UPLOAD_MEMORY=100_000) as server:
        async with open_api(server) as api:
            clients = [connect(server) for _ in range(10)]
            # One after the other, or all of them begin in memory and end on the disk.
            for number, client in enumerate(clients):
                head = HEADS["length" if number % 2 else "chunked"]
                client.sendall(UPLOAD % (number + 1) + head + rocket[:20_000])
                await api.until_stats(partial(holds, 20_000 * (number + 1)))
            during = await api.stats()
            for client in clients:
                vanish(client, how)
            after = await api.until_stats(lambda stats: stats.connections == 1)

            assert during.connections == 11
            assert during.bodies["in_memory"] > 0
            assert during.bodies["on_disk"] > 0
            assert (after.bodies["in_memory"], after.bodies["on_disk"]) == (0, 0)
            assert await api.jobs() == []
            assert files_in(server.dir / "uploads") == []
            assert (await api.ended(await api.submit(rocket)))["status"] == "completed"


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_clients_that_vanish_while_they_wait_leave_nothing(start_server, rocket, how):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            handled, looks = (await api.stats()).handled["store"], 0
            lookers = [connect(server) for _ in range(5)]
            senders = [connect(server) for _ in range(5)]
            for client in lookers:
                target = f"/jobs/{gate.job_id}?wait=60".encode()
                client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            for number, client in enumerate(senders):
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(rocket)}\r\n"
                upload = UPLOAD % (number + 1) + head.encode()
                client.sendall(upload + b"Prefer: wait=60\r\n\r\n" + rocket)

            async def all_wait():
                # A looker asks the Store once, a sender twice; and so do we, once a look.
                nonlocal looks
                looks += 1
                return (await api.stats()).handled["store"] - handled - looks == 5 + 2 * 5

            await until(all_wait)
            for client in [*lookers, *senders]:
                vanish(client, how)
            after = await api.until_stats(lambda stats: stats.connections == 1)
            gate.open()
            await api.until_stats(lambda stats: stats.queue["completed"] == 5)
            jobs = await api.jobs()

            assert (after.bodies["in_memory"], after.bodies["on_disk"]) == (0, 0)
            # What was accepted is done, although nobody waits for it any more.
            assert {job["status"] for job in jobs if job["id"] != gate.job_id} == {"completed"}
            assert len(jobs) == 1 + 5


async def test_clients_that_hold_their_uploads_back_stop_nobody_else(start_server, rocket):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Fewer than there will be, as on a system that leaves it to a service to ask for more.
    resource.setrlimit(resource.RLIMIT_NOFILE, (300, hard))
    try:
        running = start_server(MAX_CONNECTIONS=300, UPLOAD_MEMORY=200_000)
        server = running.__enter__()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with ExitStack() as clients:
        clients.push(running)
        async with open_api(server) as api:
            for number in range(290):
                client = clients.enter_context(connect(server))
                client.sendall(UPLOAD % (number + 1) + HEADS["length"] + rocket[:20_000])
            # A body that does not fit into memory takes a file besides its connection.
            await api.until_stats(
                lambda stats: stats.bodies["on_disk"] + stats.bodies["in_memory"] == 290 * 20_000
            )
            submitted = [await api.submit(rocket, width=64 + each) for each in range(5)]
            jobs = await api.all_ended(submitted)

            assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}


# --- A start that cannot be -----------------------------------------------------------------------


def serve(directory, **settings):
    """Run the service until it ends by itself."""
    return subprocess.run(
        [*COMMAND, "serve"],
        cwd=directory,
        env=environment(**{"PORT": 0, **settings}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def complaints(ran):
    return [line for line in ran.stderr.splitlines() if line.startswith("calotype: ")]


@pytest.mark.parametrize("shared", ["DB_PATH", "UPLOAD_DIR", "OUTPUT_DIR"])
async def test_a_second_service_on_the_same_files_does_not_start(
    start_server, tmp_path, rocket, shared
):
    with start_server() as server:
        ran = serve(tmp_path, **{shared: server.environment[shared]})

        assert ran.returncode == 1
        assert len(complaints(ran)) == 1
        assert "the storage cannot be opened: another process has" in complaints(ran)[0]
        assert server.environment[shared] in complaints(ran)[0]
        assert "Traceback" not in ran.stderr
        async with open_api(server) as api:
            assert (await api.ended(await api.submit(rocket)))["status"] == "completed"


async def test_a_port_that_is_taken_is_said_to_be(start_server, tmp_path, rocket):
    with start_server() as server:
        ran = serve(tmp_path, PORT=server.port)

        assert ran.returncode == 1
        assert len(complaints(ran)) == 1
        assert f"cannot listen on 127.0.0.1:{server.port}" in complaints(ran)[0]
        assert "Traceback" not in ran.stderr
        async with open_api(server) as api:
            assert (await api.ended(await api.submit(rocket)))["status"] == "completed"


@pytest.mark.parametrize("setting", ["DB_PATH", "UPLOAD_DIR", "OUTPUT_DIR"])
def test_a_place_that_cannot_be_used_is_said_to_be(tmp_path, setting):
    (tmp_path / "file").write_text("In the way of a directory.")

    ran = serve(tmp_path, **{setting: tmp_path / "file" / "place"})

    assert ran.returncode == 1
    assert len(complaints(ran)) == 1
    assert "the storage cannot be opened" in complaints(ran)[0]
    assert "Traceback" not in ran.stderr


def test_a_file_that_is_no_catalogue_is_left_alone(tmp_path):
    diary = tmp_path / "diary.txt"
    diary.write_text("Dear diary, " * 100)

    ran = serve(tmp_path, DB_PATH=diary)

    assert ran.returncode == 1
    assert len(complaints(ran)) == 1
    assert "the storage cannot be opened" in complaints(ran)[0]
    assert diary.read_text() == "Dear diary, " * 100


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("WORKER_POOL_SIZE", "0"),
        ("MAX_UPLOAD_SIZE", "-1"),
        ("SHUTDOWN_GRACE", "soon"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, setting, value):
    ran = serve(tmp_path, **{setting: value})

    assert ran.returncode == 2
    assert len(complaints(ran)) == 1
    assert f"{setting}={value}" in complaints(ran)[0].replace("'", "")
    assert "Traceback" not in ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_any_free_port_is_printed(tmp_path):
    with subprocess.Popen(
        [*COMMAND, "serve"],
        cwd=tmp_path,
        env=environment(PORT=0),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout
            found = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found
            socket.create_connection(("127.0.0.1", int(found[1])), timeout=PATIENCE).close()
        finally:
            os.kill(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
    # Where the settings say nothing else, all is kept below the present directory.
    assert {"data", "uploads", "outputs"} == {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def frugal(tmp_path):
    """A service whose allocator keeps little, of which a fork would never hear."""
    server = Server(tmp_path / "frugal", MALLOC_MMAP_THRESHOLD_=MIB)
    with server.log.open("ab") as log:
        server.start(stdout=log)
    yield server
    server.kill()


async def test_broken_pictures_do_not_stay_in_memory(frugal, rocket):
    broken = b"\xff\xd8\xff" + b"a" * (5 * MIB)
    process = psutil.Process(frugal.process.pid)
    async with open_api(frugal) as api:
        await api.ended(await api.submit(rocket))
        before = process.memory_info().rss
        async with trio.open_nursery() as nursery:
            for each in range(60):
                nursery.start_soon(partial(api.submit, broken, width=64 + each))
        ended = await api.until_stats(lambda stats: stats.queue["failed"] == 60)

        # 300 MiB have passed through it. The allocator keeps some, and less with that setting.
        assert ended.queue["pending"] == 0
        assert process.memory_info().rss - before < 200 * MIB
