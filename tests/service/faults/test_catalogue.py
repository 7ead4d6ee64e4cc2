"""The catalogue is locked, damaged, or gone: it is said, and nothing is made worse."""

import shutil
import sqlite3
from contextlib import closing

import httpx2
import pytest
import trio

from tests.service.asking import files_in, open_api, until_true
from tests.web.running import Forked, Service

pytestmark = pytest.mark.service


def refusal(server):
    """Start it, and return what it says when it does not."""
    begin = server.log.stat().st_size
    server.process = Forked(Service(server.dir, server.environment, server.log))
    assert server.process.wait() == 1
    return server.log.read_text()[begin:]


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


# --- Locked ---------------------------------------------------------------------------------------


async def test_a_lock_of_somebody_else_holds_up_for_a_while_what_needs_it_and_nothing_else(
    start_server, rocket
):
    with start_server() as server:
        async with open_api(server) as api:
            done = await api.ended(await api.submit(rocket))
            with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as other:
                other.execute("begin exclusive")
                began = trio.current_time()
                answers: list[httpx2.Response] = []
                slowest = 0.0

                async def send():
                    answers.append(await api.send(rocket, width=65))

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(send)
                    while not answers:
                        asked = trio.current_time()
                        assert (await api.http.get("/health")).status_code == 200
                        slowest = max(slowest, trio.current_time() - asked)
                        await trio.sleep(0.1)
                took = trio.current_time() - began
                other.rollback()
            later = await api.ended(await api.submit(rocket, width=65))

            (refused,) = answers
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert refused.headers["Retry-After"]
            assert 4 < took < 20
            assert slowest < 2
            assert later["status"] == "completed"
            assert await api.job(done["id"]) == done
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 2


# --- Damaged --------------------------------------------------------------------------------------


def destroy_header(data):
    with (data / "jobs.db").open("r+b") as file:
        file.write(bytes(100))


def overwrite_pages(data):
    with (data / "jobs.db").open("r+b") as file:
        size = file.seek(0, 2)
        for page in range(4096, size, 3 * 4096):
            file.seek(page)
            file.write(b"\xff" * 4096)


def cut_off(data):
    with (data / "jobs.db").open("r+b") as file:
        file.truncate(file.seek(0, 2) // 2 // 4096 * 4096)


@pytest.mark.parametrize("damage", [destroy_header, overwrite_pages, cut_off])
async def test_it_does_not_start_with_a_damaged_catalogue_and_leaves_it_alone(
    start_server, rocket, damage
):
    with start_server() as server:
        async with open_api(server) as api:
            await api.ended(await api.submit(rocket))
        server.stop()
        damage(server.dir / "data")
        before = contents(server.dir / "data")

        said = [refusal(server) for _ in range(2)]

        for each in said:
            assert "the catalogue is damaged, and was left as it is" in each
            assert "Traceback" not in each
        # What SQLite puts beside it to read it is nothing of ours.
        after = contents(server.dir / "data")
        assert {name: after[name] for name in before} == before
        assert not after.get("jobs.db-wal")
        assert len(files_in(server.dir / "uploads")) == len(files_in(server.dir / "outputs")) == 1


async def test_of_a_log_that_is_cut_off_all_is_there_up_to_the_cut(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            first = await api.ended(await api.submit(rocket))
            log = server.dir / "data" / "jobs.db-wal"
            length = log.stat().st_size
            await api.ended(await api.submit(rocket, width=65))
        server.kill()
        with log.open("r+b") as file:
            file.truncate(length + 1000)
        server.start()
        async with open_api(server) as api:
            assert await api.jobs() == [first]
            assert (await api.ended(await api.submit(rocket, width=65)))["status"] == "completed"


def damage_rows(path):
    """Overwrite the pages with the rows of jobs, below the log, of which nothing is left."""
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("pragma wal_checkpoint(truncate)").fetchone()[0] == 0
        (root,) = other.execute("select rootpage from sqlite_master where name = 'jobs'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)


async def test_damage_under_a_running_service_is_told_and_does_not_bring_it_down(
    start_server, rocket
):
    with start_server() as server:
        async with open_api(server) as api:
            ids = [await api.submit(rocket, width=64 + each) for each in range(30)]
            jobs = await api.all_ended(ids)
            damage_rows(server.dir / "data" / "jobs.db")
            answers = [await api.http.get(f"/jobs/{job_id}") for job_id in ids]
            refused = await api.send(rocket, width=200)
            health = await api.http.get("/health")

            for answer, job in zip(answers, jobs, strict=True):
                assert answer.status_code == 503 or answer.json() == job
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert health.status_code == 200
        server.kill()
        assert '"event":"catalogue_failing"' in server.log.read_text()
        assert "the catalogue is damaged" in refusal(server)


# --- Gone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jobs.db", "jobs.db-wal", "jobs.db-shm"])
async def test_nothing_is_accepted_into_a_file_that_nobody_will_find(start_server, rocket, name):
    with start_server() as server:
        async with open_api(server) as api:
            done = await api.ended(await api.submit(rocket))
            file, away = server.dir / "data" / name, server.dir / "away"
            file.rename(away)
            gone = await api.send(rocket, width=65)
            shutil.copy(away, file)
            replaced = await api.send(rocket, width=65)
            away.replace(file)
            later = await api.ended(await api.submit(rocket, width=65))

            for refused in (gone, replaced):
                assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert later["status"] == "completed"
            assert await api.job(done["id"]) == done
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 2
        log = server.log.read_text()
        assert f"{file} was deleted or replaced" in log
        assert '"event":"catalogue_recovered"' in log


async def test_pictures_whose_disk_is_away_are_not_taken_for_deleted(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            await api.post("/queue/pause")
            waiting = await api.submit(rocket)
            uploads, away = server.dir / "uploads", server.dir / "away"
            uploads.rename(away)
            uploads.mkdir()  # Where it was mounted.
            refused = await api.send(rocket, width=65)
            await api.post("/queue/resume")
            await until_true(lambda: '"event":"job_interrupted"' in server.log.read_text())
            uploads.rmdir()
            away.rename(uploads)
            job = await api.ended(waiting)

            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert job["status"] == "completed"
