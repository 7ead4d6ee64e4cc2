"""Death without warning: whoever has read a 202 gets a result, whenever the process is killed."""

import hashlib
import os
import random
import shutil
import sqlite3
import time
import uuid
from collections import Counter
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
import trio

from tests.service.asking import FORMS, close_gate, files_in, open_api, until_true

pytestmark = pytest.mark.service

KILLS = 6
CLIENTS = 4


def found_processing(server):
    """The jobs that the killed process had in hand. Its files are left as they are."""
    data = server.dir / "data"
    copy = server.dir / "copy"
    # Reading the catalogue itself would tidy up the log that the next start must find.
    shutil.copytree(data, copy)
    with closing(sqlite3.connect(copy / "jobs.db")) as catalogue:
        rows = catalogue.execute("select id from jobs where status = 'processing'")
        found = [job_id for (job_id,) in rows]
    shutil.rmtree(copy)
    return found


def resize(box, name):
    """An operation that makes a picture just so large; `name` is what its name is called."""
    return {name: "resize", "width": box[0], "height": box[1]}


class Crowd:
    """Clients that submit one picture after another and note what was promised to them.

    `promised` is what each job was asked to make of which photograph: sizes, by the names of its
    outputs.
    """

    def __init__(self, photos, server):
        self._photos = photos
        self._server = server
        self._up = trio.Event()
        self.promised = {}
        self.more = trio.Event()

    def server_is_up(self):
        self._up.set()

    def server_is_down(self):
        self._up = trio.Event()

    async def submit_for_ever(self, number):
        chance = random.Random(number)  # noqa: S311 - nothing here is secret
        while True:
            await self._up.wait()
            try:
                async with open_api(self._server) as api:
                    while True:
                        await self._submit(api, chance)
            except httpx2.TransportError:
                # It was killed. Whether the last picture was accepted, nobody knows.
                await trio.sleep(0.01)

    async def _submit(self, api, chance):
        photo = chance.choice(self._photos)
        names = chance.choice([("output",), ("large", "small", "smallest")])
        boxes = {name: (chance.randint(16, 400), chance.randint(16, 400)) for name in names}
        if len(boxes) == 1:
            response = await api.send(
                photo.data, form=chance.choice(FORMS), **resize(boxes["output"], "operation")
            )
        else:
            outputs = [
                {"name": name, "operations": [resize(box, "op")]} for name, box in boxes.items()
            ]
            response = await api.send(photo.data, form="json", outputs=outputs)
        assert response.status_code == 202, response.text
        self.promised[response.json()["job_id"]] = photo, boxes
        self.more.set()
        self.more = trio.Event()

    async def until_promised(self, more):
        """Wait until so many more jobs were promised."""
        wanted = len(self.promised) + more
        while len(self.promised) < wanted:
            await self.more.wait()


async def test_every_promise_is_kept_whenever_it_is_killed(start_server, album):
    chance = random.Random(1841)  # noqa: S311 - nothing here is secret
    photos = [photo for photo in album.values() if photo.name != "retina.jpg"]
    found = Counter[str]()
    # So high that no job is given up for having been in hand at the wrong moments.
    with start_server(MAX_ATTEMPTS=100) as server:
        crowd = Crowd(photos, server)
        async with trio.open_nursery() as clients:
            for number in range(CLIENTS):
                clients.start_soon(crowd.submit_for_ever, number)
            for _ in range(KILLS):
                crowd.server_is_up()
                await crowd.until_promised(chance.randint(3, 25))
                await trio.sleep(chance.uniform(0, 0.05))
                server.kill()
                crowd.server_is_down()
                found.update(found_processing(server))
                await trio.to_thread.run_sync(server.start)
                async with open_api(server) as api:
                    check_files(await api.jobs())
            clients.cancel_scope.cancel()

        assert found, "it was never killed with a job in hand: this has proved nothing"
        async with open_api(server) as api:
            await api.all_ended(list(crowd.promised))
            # Those accepted whose clients never heard of it are jobs like any other.
            await api.until_stats(
                lambda stats: not stats.queue["pending"] + stats.queue["processing"]
            )
        server.stop()
        planted = plant_leftovers(server)
        make_old(server)
        server.start()
        async with open_api(server) as api:
            jobs = {job["id"]: job for job in await api.jobs()}
            await check_results(api, jobs, crowd.promised)
            assert {job_id: job["attempts"] for job_id, job in jobs.items()} == {
                job_id: 1 + found[job_id] for job_id in jobs
            }
        await until_true(lambda: files_of(server).isdisjoint(planted))
        server.stop()
        # There is one file for each input and each output, and nothing else.
        assert files_of(server) == {
            Path(path)
            for job in jobs.values()
            for path in (job["input_path"], *(output["path"] for output in job["outputs"]))
        }


def check_files(jobs):
    """No job is completed without all its files."""
    for job in jobs:
        assert (job["status"] == "completed") == ("outputs" in job)
        for output in job.get("outputs", ()):
            data = Path(output["path"]).read_bytes()
            assert hashlib.sha256(data).hexdigest() == output["sha256"]


async def check_results(api, jobs, promised):
    """Every promised job is completed, and is what was asked for."""
    assert promised.keys() <= jobs.keys()
    assert {job["status"] for job in jobs.values()} == {"completed"}
    assert {len(boxes) for _, boxes in promised.values()} == {1, 3}
    for job_id, (photo, boxes) in promised.items():
        outputs = {output["name"]: output for output in jobs[job_id]["outputs"]}
        assert outputs.keys() == boxes.keys()
        for name, box in boxes.items():
            response = await api.download(job_id, name)
            sha256 = hashlib.sha256(response.content).hexdigest()
            assert photo.is_whole_in(response.content, photo.format, box, exact=True)
            assert response.headers["ETag"] == f'"{sha256}"'
            assert outputs[name]["sha256"] == sha256
            assert outputs[name]["size_bytes"] == len(response.content)


def files_of(server):
    return set(files_in(server.dir / "uploads", server.dir / "outputs"))


def plant_leftovers(server):
    """Leave what an untimely death may leave: half a file, and a whole one without a row."""
    orphan = str(uuid.UUID(int=0xAB << 120))
    planted = set()
    for name in ("uploads", "outputs"):
        planted |= {
            server.dir / name / ".partial" / "1000000",
            server.dir / name / "ab" / f"{orphan}.jpg",
        }
    assert planted.isdisjoint(files_of(server))
    for path in planted:
        path.write_bytes(b"left behind")
    return planted


def make_old(server):
    """Let all files look as if they had been there for a minute: only such are swept."""
    then = time.time() - 60
    for path in files_of(server):
        os.utime(path, (then, then))


async def test_a_job_that_is_in_hand_at_every_death_is_given_up(start_server, album):
    photo = album["rocket.jpg"]
    with start_server(MAX_ATTEMPTS=3, WORKER_POOL_SIZE=2) as server:
        async with open_api(server) as api:
            gate = await close_gate(api, photo.data)
        innocents = []
        for life in range(3):
            async with open_api(server) as api:
                await api.until_status(gate.job_id, "processing")
                assert (await api.job(gate.job_id))["attempts"] == 1 + life
                innocents.append(await api.submit(photo.data))
                await api.ended(innocents[-1])
            server.kill()
            assert found_processing(server) == [gate.job_id]
            server.start()

        async with open_api(server) as api:
            job = await api.ended(gate.job_id)
            others = await api.all_ended(innocents)
            download = await api.download(gate.job_id)
            assert (job["status"], job["error_code"], job["attempts"]) == ("failed", "crashed", 3)
            assert job["error"]
            assert (download.status_code, download.json()["code"]) == (409, "job_failed")
            assert {(each["status"], each["attempts"]) for each in others} == {("completed", 1)}

            # Whoever knows better may try it again.
            gate.open()
            assert (await api.post(f"/jobs/{gate.job_id}/retry")).status_code == 202
            again = await api.ended(gate.job_id)
            assert (again["status"], again["attempts"]) == ("completed", 4)


async def test_a_wait_that_a_death_has_cut_off_can_be_taken_up_again(start_server, album):
    photo = album["coffee.png"]
    with start_server() as server:
        async with open_api(server) as api:
            gate = await close_gate(api, photo.data)

            async def wait():
                with pytest.raises(httpx2.TransportError):
                    await api.job(gate.job_id, wait=60)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await api.until_stats(lambda stats: stats.connections == 2)
                server.kill()

        gate.open()
        server.start()
        async with open_api(server) as api:
            job = await api.job(gate.job_id, wait=60)
            download = await api.download(gate.job_id)
            assert job["status"] == "completed"
            assert photo.is_whole_in(download.content, "png", (64, 64), exact=False)
