"""The command `calotype backup`, beside a service that works, and what can be done with a copy."""

import signal
import subprocess
import time
from contextlib import contextmanager

import pytest
import trio

from tests.service.asking import close_gate, open_api
from tests.service.damages import lose
from tests.service.test_doctor import doctor, done, run_doctor
from tests.web.running import COMMAND, PATIENCE, Server

pytestmark = pytest.mark.service


def run_backup(server, target):
    return subprocess.run(
        [*COMMAND, "backup", str(target)],
        capture_output=True, text=True, check=False, cwd=server.dir, env=server.environment,
        timeout=PATIENCE,
    )  # fmt: skip


async def backup(server, target):
    return await trio.to_thread.run_sync(run_backup, server, target)


def restored(copy):
    """Return a service on that copy, which is not started."""
    server = Server(copy)
    server.environment |= {
        "DB_PATH": str(copy / "jobs.db"),
        "UPLOAD_DIR": str(copy / "uploads"),
        "OUTPUT_DIR": str(copy / "outputs"),
    }
    return server


@contextmanager
def running(server):
    server.start()
    try:
        yield server
        server.stop()
    finally:
        server.kill()


async def test_a_copy_that_was_made_while_things_came_and_went_is_sound(
    start_server, rocket, tmp_path
):
    with start_server(SWEEP_PERIOD=0.1) as server:
        async with open_api(server) as api, trio.open_nursery() as nursery:
            kept = await done(api, rocket)
            picture = (await api.download(kept["id"])).content

            async def come_and_go():
                while True:
                    job = await done(api, rocket, retain=1)
                    image_id = await api.upload(rocket)
                    await api.http.delete(f"/jobs/{job['id']}")
                    await api.http.delete(f"/images/{image_id}")

            for _ in range(3):
                nursery.start_soon(come_and_go)
            copies = [tmp_path / f"copy-{number}" for number in range(3)]
            made = [await backup(server, copy) for copy in copies]
            nursery.cancel_scope.cancel()

    assert [(each.returncode, each.stderr) for each in made] == [(0, "")] * 3
    for copy in copies:
        server = restored(copy)
        assert await doctor(server, "--digests") == (0, [])
        with running(server):
            async with open_api(server) as api:
                again = await api.download(kept["id"])
                assert (again.status_code, again.content) == (200, picture)
                for job in await api.jobs():
                    assert (await api.ended(job["id"]))["status"] == "completed"
                await done(api, rocket)
        assert await doctor(server, "--digests") == (0, [])


async def test_what_is_waiting_and_under_way_is_done_by_whoever_starts_with_the_copy(
    start_server, rocket, tmp_path
):
    copy = tmp_path / "copy"
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api, rocket)
            waiting = await api.submit(rocket)
            made = await backup(server, copy)
            gate.open()

    assert made.returncode == 0, made.stderr
    other = restored(copy)
    with running(other):
        async with open_api(other) as api:
            jobs = await api.all_ended([gate.job_id, waiting])
    assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_backup_that_is_ended_leaves_nothing(start_server, tmp_path, number):
    target = tmp_path / "copy"
    with start_server() as server:
        process = subprocess.Popen(
            [*COMMAND, "backup", str(target)], cwd=server.dir, env=server.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / ".copy.partial" / "uploads").exists() and process.poll() is None:
            assert time.monotonic() < deadline
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)

    left = {path.name for path in tmp_path.iterdir() if "copy" in path.name}
    # It may have been done before it heard of it.
    assert left == ({"copy"} if process.returncode == 0 else set())


def test_what_cannot_be_is_said_and_nothing_is_left(start_server, tmp_path):
    with start_server() as server:
        (tmp_path / "there").mkdir()
        there = run_backup(server, tmp_path / "there")
        nowhere = run_backup(server, tmp_path / "no" / "such" / "place")

    assert there.returncode == nowhere.returncode == 2
    assert "is there already" in there.stderr
    assert "no backup" in nowhere.stderr
    assert not (tmp_path / "no").exists()
    assert list((tmp_path / "there").iterdir()) == []


async def test_what_is_missing_is_missing_in_the_copy_too_and_told(start_server, rocket, tmp_path):
    with start_server() as server:
        async with open_api(server) as api:
            job = await done(api, rocket)
            lose(server.dir / job["output_path"])
            made = await backup(server, tmp_path / "copy")

    assert made.returncode == 1
    assert "1 files were missing" in made.stderr
    code, findings = run_doctor(restored(tmp_path / "copy"))
    assert (code, [each["kind"] for each in findings]) == (1, ["file_missing"])
