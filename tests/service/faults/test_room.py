"""A disk that is full to its last byte, with everything on it."""

import errno
import os
import subprocess

import pytest

from actors.storage.reserve import RESERVE
from tests.service.asking import files_in, open_api

pytestmark = pytest.mark.service

MIB = 1024 * 1024


@pytest.fixture
def disk(tmp_path):
    """A disk of 24 MiB."""
    if os.getuid():
        pytest.skip("only root can mount a disk")
    directory = tmp_path / "faulty-1"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=24m", "none", directory]
    subprocess.run(command, check=True)
    yield directory
    subprocess.run(["umount", "--lazy", directory], check=True)


def fill(path):
    """Leave no room for another byte."""
    with path.open("wb", buffering=0) as file:
        size = 4 * MIB
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC  # noqa: PT017
                size //= 16


async def test_jobs_can_be_deleted_on_a_full_disk_until_there_is_room_again(
    start_faulty, disk, rocket
):
    reserve = disk / "data" / "jobs.db-reserve"
    with start_faulty(LOG_LEVEL="error") as server:
        async with open_api(server) as api:
            ids = [await api.submit(rocket, width=64 + each) for each in range(20)]
            jobs = await api.all_ended(ids)
        server.stop()
        server.start_anew()
        async with open_api(server) as api:
            # Its log is empty, and has no room to grow.
            held = reserve.stat().st_size
            fill(disk / "ballast")
            deleted = [(await api.http.delete(f"/jobs/{each}")).status_code for each in ids[:10]]
            released = not reserve.exists()
            refused = [await api.send(rocket, width=300), await api.send(rocket, width=301)]
            looked_at = await api.job(ids[-1])
            download = await api.download(ids[-1])
            (disk / "ballast").unlink()
            later = await api.ended(await api.submit(rocket, width=302))

            assert held == RESERVE
            assert released
            assert set(deleted) == {204}
            for each in refused:
                assert (each.status_code, each.json()["code"]) == (507, "storage_full")
            assert looked_at == jobs[-1]
            assert download.status_code == 200
            assert later["status"] == "completed"
            assert len(await api.jobs()) == len(files_in(disk / "uploads")) == 11
            assert reserve.stat().st_size == RESERVE


async def test_what_waits_on_a_full_disk_is_not_lost(start_faulty, disk, rocket):
    with start_faulty(LOG_LEVEL="error") as server:
        async with open_api(server) as api:
            await api.post("/queue/pause")
            ids = [await api.submit(rocket, width=64 + each) for each in range(10)]
            fill(disk / "ballast")
            server.kill()
            server.start_anew()  # It starts although it is full.
            refused = await api.send(rocket, width=300)
            (disk / "ballast").unlink()
            await api.post("/queue/resume")
            jobs = await api.all_ended(ids)

            assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
            assert {job["status"] for job in jobs} == {"completed"}
