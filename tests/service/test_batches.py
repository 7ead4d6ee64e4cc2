"""Batches on the real service: accepted together, counted, cancelled, deleted, and told of."""

import json
import shutil
import sqlite3
from contextlib import asynccontextmanager, closing, suppress

import httpx2
import pytest
import trio

from tests.outside.servers import Server as Outside
from tests.outside.servers import answer
from tests.service.asking import close_gate, files_in, open_api, until, until_true

pytestmark = pytest.mark.service

THUMBNAIL = {"operation": "thumbnail", "width": 64, "height": 64}
MANY = 60


class Batches:
    """The routes under /batches of one server."""

    def __init__(self, api):
        self._api = api

    async def post(self, jobs, **said):
        return await self._api.http.post("/batches", json={"jobs": jobs, **said})

    async def submit(self, jobs, **said):
        response = await self.post(jobs, **said)
        assert response.status_code == 202, response.text
        told = response.json()
        assert response.headers["Location"] == f"/batches/{told['batch_id']}"
        assert told["status"] == "running"
        return told["batch_id"], told["job_ids"]

    async def look(self, batch_id, wait=0):
        response = await self._api.http.get(f"/batches/{batch_id}", params={"wait": wait})
        assert response.status_code == 200, response.text
        return response.json()

    async def ended(self, batch_id):
        async def ended():
            batch = await self.look(batch_id, wait=10)
            return batch if batch["status"] == "ended" else None

        return await until(ended)

    async def counts(self, batch_id):
        batch = await self.look(batch_id)
        assert batch["jobs"] == sum(batch["counts"].values())
        return {status: count for status, count in batch["counts"].items() if count}


@pytest.fixture
async def receiver(nursery):
    """Somebody who takes every callback."""
    receiver = Outside(answer(204))
    await nursery.start(receiver.run, None, "127.0.0.1", 0)
    return receiver


def found_in(data):
    """How many jobs the killed process has left. Its files are left as they are."""
    copy = data.with_name("copy")
    # Reading the catalogue itself would tidy up the log that the next start must find.
    shutil.copytree(data, copy)
    with closing(sqlite3.connect(copy / "jobs.db")) as catalogue:
        (jobs,) = catalogue.execute("select count(*) from jobs").fetchone()
    return jobs


def told_to(receiver):
    """What the callbacks said."""
    return [json.loads(asked.partition(b"\r\n\r\n")[2]) for asked in receiver.asked]


@asynccontextmanager
async def open_batches(server):
    async with open_api(server) as api:
        yield api, Batches(api)


# --- Accepted together ----------------------------------------------------------------------------


async def test_a_batch_is_accepted_at_once_and_its_jobs_are_jobs(server, rocket):
    async with open_batches(server) as (api, batches):
        image = await api.upload(rocket)

        batch_id, jobs = await batches.submit(
            [{"width": 16}, {"width": 32}, {"operation": "resize", "width": 8, "height": 8}],
            defaults={"image_id": image, **THUMBNAIL},
            metadata={"album": 7},
        )
        batch = await batches.ended(batch_id)
        ended = [await api.job(job_id) for job_id in jobs]
        listed = (await api.http.get("/jobs", params={"batch": batch_id})).json()["jobs"]

        assert batch["counts"] == {
            "pending": 0,
            "processing": 0,
            "completed": 3,
            "failed": 0,
            "cancelled": 0,
        }
        assert (batch["id"], batch["jobs"], batch["metadata"]) == (batch_id, 3, {"album": 7})
        assert [job["width"] for job in ended] == [16, 32, 8]
        assert {job["batch_id"] for job in ended} == {batch_id}
        assert [job["id"] for job in listed] == jobs[::-1]
        assert (await api.download(jobs[2])).status_code == 200


async def test_one_job_that_cannot_be_accepted_leaves_none(server, rocket):
    async with open_batches(server) as (api, batches):
        image = await api.upload(rocket)
        before = len(await api.jobs())
        jobs = [{"image_id": image, **THUMBNAIL}] * 20
        jobs[7] = {"image_id": "nothing", **THUMBNAIL}
        jobs[9] = {**jobs[0], "operation": "watermark", "image": "nowhere"}
        jobs[17] = {**jobs[0], "operations": [{"op": "resize", "width": 0}]}
        del jobs[17]["operation"], jobs[17]["width"], jobs[17]["height"]

        wrong = await batches.post(jobs)
        jobs[17] = jobs[0]
        del jobs[9]["width"], jobs[9]["height"]
        missing = await batches.post(jobs)

        assert wrong.status_code == missing.status_code == 422
        assert "/jobs/17/operations/0/width" in {f["pointer"] for f in wrong.json()["errors"]}
        assert missing.json()["errors"] == [
            {"pointer": "/jobs/7/image_id", "detail": "is no image that is there"},
            {"pointer": "/jobs/9/image", "detail": "is no image that is there"},
        ]
        assert len(await api.jobs()) == before


async def test_a_batch_that_does_not_fit_into_the_backlog_is_refused_whole(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, MAX_PENDING=5) as server:
        async with open_batches(server) as (api, batches):
            image = await api.upload(rocket)
            gate = await close_gate(api)
            job = {"image_id": image, **THUMBNAIL}

            too_many = await batches.post([job] * 6)
            batch_id, _ = await batches.submit([job] * 5)
            full = await batches.post([job])

            assert (too_many.status_code, full.status_code) == (503, 503)
            assert too_many.json()["code"] == "overloaded"
            assert await batches.counts(batch_id) == {"pending": 5}
            gate.open()
            assert (await batches.ended(batch_id))["counts"]["completed"] == 5


async def test_more_jobs_than_are_allowed_in_flight_are_refused_whole(start_server, rocket):
    with start_server(QUOTA_JOBS=3) as server:
        async with open_batches(server) as (api, batches):
            job = {"image_id": await api.upload(rocket), **THUMBNAIL}

            refused = await batches.post([job] * 4)
            batch_id, _ = await batches.submit([job] * 3)

            assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
            assert "Retry-After" not in refused.headers  # It would never fit.
            assert (await batches.ended(batch_id))["counts"]["completed"] == 3
            assert len(await api.jobs()) == 3


async def test_the_same_key_is_the_same_batch(server, rocket):
    async with open_batches(server) as (api, batches):
        said = {"jobs": [{"image_id": await api.upload(rocket), **THUMBNAIL}]}
        headers = {"Idempotency-Key": "a batch of its own"}

        first = await api.http.post("/batches", json=said, headers=headers)
        again = await api.http.post("/batches", json=said, headers=headers)

        assert first.status_code == again.status_code == 202
        assert first.json() == again.json()
        assert again.headers["Idempotent-Replayed"] == "true"
        assert len(await api.jobs()) >= 1
        assert (await batches.ended(first.json()["batch_id"]))["jobs"] == 1


# --- Given up together ----------------------------------------------------------------------------


async def test_a_cancelled_batch_stops_what_runs_and_what_waits(start_server, rocket, receiver):
    allowed = f"127.0.0.1:{receiver.port}"
    with start_server(WORKER_POOL_SIZE=1, FETCH_ALLOW=allowed) as server:
        async with open_batches(server) as (api, batches):
            image = await api.upload(rocket)
            gate = await close_gate(api)
            batch_id, _ = await batches.submit(
                [{}] * 250,
                defaults={"image_id": image, **THUMBNAIL},
                callback_url=f"http://{allowed}/hook",
            )
            other, _ = await batches.submit([{"image_id": image, **THUMBNAIL}])

            cancelled = await api.post(f"/batches/{batch_id}/cancel")
            again = await api.post(f"/batches/{batch_id}/cancel")

            assert cancelled.status_code == again.status_code == 200
            assert cancelled.json() == again.json()
            assert cancelled.json()["status"] == "ended"
            assert cancelled.json()["counts"]["cancelled"] == 250
            gate.open()
            assert (await batches.ended(other))["counts"]["completed"] == 1
            await until_true(lambda: bool(receiver.asked))
            (told,) = told_to(receiver)
            assert (told["type"], told["data"]["counts"]["cancelled"]) == ("batch.completed", 250)


async def test_a_render_of_a_cancelled_batch_is_stopped(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_batches(server) as (api, batches):
            image = await api.upload(rocket)
            slow = {"operations": [{"op": "blur", "sigma": 50}] * 20, "image_id": image}
            batch_id, (job_id,) = await batches.submit([slow])
            await api.until_status(job_id, "processing")

            cancelled = await api.post(f"/batches/{batch_id}/cancel")

            assert cancelled.json()["counts"]["cancelled"] == 1
            stats = await api.until_stats(lambda stats: stats.pool["busy"] == 0)
            assert stats.queue["cancelled"] == 1
            assert files_in(server.dir / "outputs") == []


async def test_nothing_is_left_of_a_deleted_batch(start_server, rocket):
    with start_server() as server:
        async with open_batches(server) as (api, batches):
            image = await api.upload(rocket)
            defaults = {"image_id": image, **THUMBNAIL}
            batch_id, jobs = await batches.submit([{}] * 120, defaults=defaults)
            await batches.ended(batch_id)
            assert len(files_in(server.dir / "outputs")) == 120

            deleted = await api.http.delete(f"/batches/{batch_id}")
            again = await api.http.delete(f"/batches/{batch_id}")
            looked = await api.http.get(f"/batches/{batch_id}")

            assert (deleted.status_code, again.status_code, looked.status_code) == (204, 404, 404)
            assert looked.json()["code"] == "not_found"
            assert await api.jobs() == []
            assert (await api.http.get(f"/jobs/{jobs[0]}")).status_code == 404
            assert files_in(server.dir / "outputs") == []
            assert len(files_in(server.dir / "uploads")) == 1  # The image is the client's own.


async def test_a_retry_makes_a_batch_run_again_and_it_is_told_of_again(
    start_server, rocket, receiver
):
    allowed = f"127.0.0.1:{receiver.port}"
    with start_server(FETCH_ALLOW=allowed) as server:
        async with open_batches(server) as (api, batches):
            bad = await api.upload(rocket)
            recipe = {"operation": "crop", "x": 9000, "y": 0, "width": 10, "height": 10}
            batch_id, (job_id,) = await batches.submit(
                [{"image_id": bad, **recipe}],
                callback_url=f"http://{allowed}/hook",
                metadata={"album": 7},
            )
            assert (await batches.ended(batch_id))["counts"]["failed"] == 1

            assert (await api.post(f"/jobs/{job_id}/retry")).status_code == 202
            await batches.ended(batch_id)

            await until_true(lambda: len(receiver.asked) == 2)
            for told in told_to(receiver):
                assert told["type"] == "batch.completed"
                assert told["data"]["id"] == batch_id
                assert told["data"]["counts"]["failed"] == 1
                assert told["data"]["metadata"] == {"album": 7}


# --- Killed in the middle -------------------------------------------------------------------------


async def test_a_dead_callback_of_a_batch_is_listed_and_sent_again(start_server, rocket, nursery):
    receiver = Outside(answer(410), answer(204))
    await nursery.start(receiver.run, None, "127.0.0.1", 0)
    with start_server(FETCH_ALLOW=f"127.0.0.1:{receiver.port}") as server:
        async with open_batches(server) as (api, batches):
            image = await api.upload(rocket)
            batch_id, (job_id,) = await batches.submit(
                [{"image_id": image, **THUMBNAIL}],
                callback_url=f"http://127.0.0.1:{receiver.port}/hook",
            )

            async def listed(status):
                response = await api.http.get(f"/batches/{batch_id}/deliveries")
                return [each for each in response.json()["deliveries"] if each["status"] == status]

            (dead,) = await until(lambda: listed("dead"))
            again = await api.post(f"/batches/{batch_id}/redeliver")
            (delivered,) = await until(lambda: listed("delivered"))
            of_job = await api.http.get(f"/jobs/{job_id}/deliveries")

    assert (dead["type"], dead["attempts"]) == ("batch.completed", 1)
    assert (again.status_code, again.json()["id"]) == (202, dead["id"])
    assert again.headers["Location"] == f"/batches/{batch_id}/deliveries"
    assert (delivered["id"], delivered["attempts"]) == (dead["id"], 2)
    assert of_job.json() == {"deliveries": []}


async def test_of_a_batch_that_named_nobody_nothing_is_sent_again(server, rocket):
    async with open_batches(server) as (api, batches):
        job = {"image_id": await api.upload(rocket), **THUMBNAIL}
        batch_id, _ = await batches.submit([job])
        await batches.ended(batch_id)

        again = await api.post(f"/batches/{batch_id}/redeliver")

        assert (again.status_code, again.json()["code"]) == (409, "conflict")


async def test_a_batch_of_which_the_last_job_is_deleted_before_its_end_is_told_of(
    start_server, rocket, receiver
):
    with start_server(FETCH_ALLOW=f"127.0.0.1:{receiver.port}") as server:
        async with open_batches(server) as (api, batches):
            late = {"image_id": await api.upload(rocket), **THUMBNAIL, "delay": 3600}
            batch_id, (job_id,) = await batches.submit(
                [late], callback_url=f"http://127.0.0.1:{receiver.port}/hook"
            )

            await api.http.delete(f"/jobs/{job_id}")
            await until_true(lambda: receiver.asked)

    (told,) = told_to(receiver)
    assert (told["data"]["id"], told["data"]["jobs"]) == (batch_id, 0)


async def test_a_batch_ends_over_a_kill_and_is_told_of(start_server, rocket, receiver):
    allowed = f"127.0.0.1:{receiver.port}"
    with start_server(FETCH_ALLOW=allowed, MAX_ATTEMPTS=10) as server:
        async with open_batches(server) as (api, batches):
            batch_id, jobs = await batches.submit(
                [{}] * MANY,
                defaults={"image_id": await api.upload(rocket), **THUMBNAIL},
                callback_url=f"http://{allowed}/hook",
            )

            async def half_way():
                return (await batches.look(batch_id))["counts"]["completed"] >= MANY // 6

            await until(half_way)
        server.kill()
        before = len(receiver.asked)

        server.start()

        async with open_batches(server) as (api, batches):
            batch = await batches.ended(batch_id)
            assert batch["counts"]["completed"] == batch["jobs"] == MANY
            ended = await api.all_ended(jobs)
            assert {job["status"] for job in ended} == {"completed"}
            assert before == 0
            await until_true(lambda: bool(receiver.asked))
            told = told_to(receiver)
            assert told[0]["type"] == "batch.completed"
            assert told[0]["data"]["counts"]["completed"] == MANY
            assert len(files_in(server.dir / "outputs")) == MANY


async def test_a_deletion_that_a_kill_has_cut_short_is_finished(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, SWEEP_PERIOD=0.2) as server:
        async with open_batches(server) as (api, batches):
            image = await api.upload(rocket)
            gate = await close_gate(api, rocket)
            batch_id, _ = await batches.submit(
                [{}] * 1000, defaults={"image_id": image, **THUMBNAIL}
            )

            async def delete():
                with suppress(httpx2.TransportError):
                    await api.http.delete(f"/batches/{batch_id}")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(delete)
                looked = await api.http.get(f"/batches/{batch_id}")
                while looked.status_code != 404:
                    looked = await api.http.get(f"/batches/{batch_id}")
                server.kill()
        gate.open()
        assert found_in(server.dir / "data") > 1

        server.start()

        async with open_api(server) as api:

            async def only_the_gate():
                return len(await api.jobs()) == 1

            await until(only_the_gate)
            assert (await api.ended(gate.job_id))["status"] == "completed"
            assert len(files_in(server.dir / "outputs")) == 1
            assert (await api.http.get(f"/batches/{batch_id}")).status_code == 404
