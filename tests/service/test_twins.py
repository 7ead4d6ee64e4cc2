"""The same work is done once, and nobody can tell but by the time."""

import pytest
import trio

from tests.service.asking import open_api, put, until
from tests.service.test_keys import make_key

pytestmark = pytest.mark.service

SLOW = {"operation": "resize", "width": 3000, "height": 3000, "output_format": "webp"}


async def counted(api) -> tuple[int, int]:
    """Return how many renders there were, and how many jobs took over the results of another."""
    text = (await api.http.get("/metrics")).text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    names = "calotype_render_seconds_count", "calotype_jobs_reused_total"
    return int(float(values[names[0]])), int(float(values[names[1]]))


async def test_what_is_sent_again_is_rendered_once_and_each_job_is_its_own(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            first = await api.ended(await api.submit(rocket))
            image_id = await api.upload(rocket)
            more = [
                await api.submit(rocket, form="json"),
                await api.submit_json(
                    image_id=image_id, operation="thumbnail", width=64, height=64
                ),
            ]
            jobs = [first, *await api.all_ended(more)]
            downloads = [(await api.download(job["id"])).content for job in jobs]

            # One for all jobs, and one to look at the image that was uploaded.
            assert await counted(api) == (1 + 1, 2)
            assert [job["status"] for job in jobs] == 3 * ["completed"]
            assert len(set(downloads)) == 1
            assert len({job["output_path"] for job in jobs}) == 3
            assert jobs[0].keys() == jobs[1].keys()

            files = [server.dir / job["output_path"] for job in jobs]
            assert len({file.stat().st_ino for file in files}) == 1
            await api.http.delete(f"/jobs/{first['id']}")
            assert [file.exists() for file in files] == [False, True, True]
            assert (await api.download(more[0])).content == downloads[0]


async def test_twins_in_flight_wait_for_the_first_and_other_jobs_do_not(
    start_server, rocket, hubble
):
    with start_server(WORKER_POOL_SIZE=4, MAX_RENDERS=4) as server:
        async with open_api(server) as api:
            twins = [await api.submit(hubble, **SLOW) for _ in range(4)]
            other = await api.submit(rocket)
            await api.until_status(twins[0], "processing")
            stats = await api.stats()
            await api.ended(other)

            jobs = await api.all_ended(twins)

            assert stats.queue["pending"] >= 3
            assert await counted(api) == (2, 3)
            assert [(job["status"], job["attempts"]) for job in jobs] == 4 * [("completed", 1)]


async def test_when_the_first_is_deleted_the_next_is_rendered(start_server, hubble):
    with start_server(WORKER_POOL_SIZE=4) as server:
        async with open_api(server) as api:
            twins = [await api.submit(hubble, **SLOW) for _ in range(3)]
            await api.until_status(twins[0], "processing")

            await api.http.delete(f"/jobs/{twins[0]}")
            jobs = await api.all_ended(twins[1:])

            assert {job["status"] for job in jobs} == {"completed"}
            assert (await counted(api))[1] == 1


async def test_a_kill_leaves_nobody_waiting(start_server, hubble):
    with start_server(WORKER_POOL_SIZE=4) as server:
        async with open_api(server) as api:
            twins = [await api.submit(hubble, **SLOW) for _ in range(4)]
            await api.until_status(twins[0], "processing")
        server.kill()
        await trio.to_thread.run_sync(server.start)
        async with open_api(server) as api:
            jobs = await api.all_ended(twins)

            assert {job["status"] for job in jobs} == {"completed"}
            assert await counted(api) == (1, 3)


async def test_the_retention_of_one_leaves_the_files_of_the_other(start_server, rocket):
    with start_server(SWEEP_PERIOD=0.1) as server:
        async with open_api(server) as api:
            short = await api.submit(rocket, retain=1)
            await api.ended(short)
            long = await api.submit(rocket)
            await api.ended(long)

            async def gone():
                return (await api.download(short)).status_code == 410

            await until(gone)

            assert (await api.download(long)).status_code == 200
            assert await counted(api) == (1, 1)


async def test_what_another_tenant_has_sent_is_rendered_again(start_server, rocket):
    with start_server() as server:
        keys = [await trio.to_thread.run_sync(make_key, server, name) for name in ("acme", "bolt")]
        for number, key in enumerate((*keys, keys[0])):
            async with open_api(server, key=key) as api:
                await api.ended(await api.submit(rocket))
                assert await counted(api) == [(1, 0), (2, 0), (2, 1)][number]


async def test_a_job_that_takes_over_a_result_counts_as_any_other(start_server, rocket):
    name = {"Idempotency-Key": "a"}
    with start_server(QUOTA_PIXELS=2 * 427 * 640 + 1) as server:
        async with open_api(server) as api:
            first = await api.submit(rocket, headers=name)
            again = await api.submit(rocket, headers=name)
            second = await api.submit(rocket)
            await api.all_ended([first, second])
            refused = await api.send(rocket)

            assert (first == again, first == second) == (True, False)
            assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
            assert await counted(api) == (1, 1)


async def test_a_result_that_is_damaged_is_made_again(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            first = await api.ended(await api.submit(rocket))
            whole = (await api.download(first["id"])).content
            put(whole[:-1], server.dir / first["output_path"])

            second = await api.ended(await api.submit(rocket))

            assert (await api.download(second["id"])).content == whole
            assert await counted(api) == (2, 0)
