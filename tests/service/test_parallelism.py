"""Many jobs at once: as many as the settings say, in the right order, and none is lost.

Each is of another size: the same work would be done once.
"""

import random
import re
import time

import pytest
import trio

from tests.service.asking import close_gate, open_api

pytestmark = pytest.mark.service


async def test_renders_overlap_up_to_their_limit(start_server, hubble):
    slow = {"operation": "resize", "height": 1500, "output_format": "png"}
    with start_server(MAX_RENDERS=2, WORKER_POOL_SIZE=6) as server:
        async with open_api(server) as api:
            job_ids = [await api.submit(hubble, width=1500 + each, **slow) for each in range(12)]

            both = await api.until_stats(
                lambda stats: stats.cpu["used"] == 2 and stats.pool["busy"] == 6
            )
            jobs = await api.all_ended(job_ids)

            assert both.cpu["total"] == 2
            assert {job["status"] for job in jobs} == {"completed"}
            assert most_at_once(jobs) == 6


def most_at_once(jobs):
    """How many of the jobs were processed at the same moment."""
    begun = [(job["started_at"], 1) for job in jobs]
    ended = [(job["updated_at"], -1) for job in jobs]
    now = most = 0
    for _, change in sorted(begun + ended):
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("renders", [1, 2])
async def test_there_are_never_more_renders_at_once_than_allowed(start_server, hubble, renders):
    slow = {"operation": "resize", "height": 800, "output_format": "png"}
    with start_server(MAX_RENDERS=renders, WORKER_POOL_SIZE=10) as server:
        async with open_api(server) as api:
            begun = time.monotonic()
            job_ids = [await api.submit(hubble, width=800 + each, **slow) for each in range(20)]
            jobs = await api.all_ended(job_ids)
            elapsed = time.monotonic() - begun
            metrics = (await api.http.get("/metrics")).text

            assert {job["status"] for job in jobs} == {"completed"}
            # If they never overlap, the time of all together is no longer than the day.
            assert rendered(metrics, "count") == len(jobs)
            assert rendered(metrics, "sum") <= renders * elapsed


def rendered(metrics, what):
    found = re.search(rf"^calotype_render_seconds_{what} (\S+)$", metrics, re.MULTILINE)
    assert found, metrics
    return float(found[1])


# --- The pool -------------------------------------------------------------------------------------


async def until_completed(api, jobs):
    await api.until_stats(lambda stats: stats.queue["completed"] >= jobs)


async def test_resizing_the_pool_under_load_loses_nothing(start_server, album):
    chance = random.Random(20)  # noqa: S311 - nothing here is secret
    photos = list(album.values())
    job_ids = []
    with start_server(WORKER_POOL_SIZE=4) as server:
        async with open_api(server) as api:

            async def submit(first):
                for number in range(first, first + 20):
                    job_id = await api.submit(photos[number % 6].data, width=80 + number)
                    job_ids.append(job_id)

            async def resize():
                for workers in [1, 20, 2, *[chance.randint(1, 20) for _ in range(10)], 3]:
                    response = await api.http.patch("/pool", json={"workers": workers})
                    assert response.status_code == 200
                    assert response.json()["wanted"] == workers
                    # So that each size has its share of the work.
                    so_far = min((await api.stats()).queue["completed"], 59)
                    await until_completed(api, so_far + 1)

            async with trio.open_nursery() as nursery:
                for first in (0, 20, 40):
                    nursery.start_soon(submit, first)
                nursery.start_soon(resize)
            jobs = await api.all_ended(job_ids)

            await api.until_stats(lambda stats: stats.pool["present"] == 3)
            stats = await api.until_stats(lambda stats: stats.pool["busy"] == 0)
            assert len(jobs) == 60
            assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}
            assert stats.pool == {"wanted": 3, "present": 3, "busy": 0}
            assert len([name for name in stats.handled if name.startswith("worker-")]) == 3


async def test_a_worker_that_must_go_finishes_its_job_first(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=3) as server:
        async with open_api(server) as api:
            gates = [await close_gate(api) for _ in range(3)]

            await api.http.patch("/pool", json={"workers": 1})
            while_busy = await api.stats()
            for gate in gates:
                gate.open()
            jobs = await api.all_ended([gate.job_id for gate in gates])
            after = await api.until_stats(lambda stats: stats.pool["present"] == 1)
            following = await api.ended(await api.submit(rocket))

            assert while_busy.pool == {"wanted": 1, "present": 3, "busy": 3}
            assert [job["error_code"] for job in jobs] == 3 * ["not_an_image"]
            assert after.pool["wanted"] == 1
            assert following["status"] == "completed"


async def test_a_larger_pool_works_on_what_was_waiting(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            waiting = await api.submit(rocket)
            before = await api.job(waiting)

            await api.http.patch("/pool", json={"workers": 2})
            after = await api.ended(waiting)
            blocked = await api.job(gate.job_id)
            gate.open()

            assert before["status"] == "pending"
            assert after["status"] == "completed"
            assert blocked["status"] == "processing"


# --- Priorities -----------------------------------------------------------------------------------


async def begun_in_order(start_server, rocket, priorities):
    """Submit jobs of these priorities while the only Worker is busy; return how they came up."""
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            job_ids = [
                await api.submit(rocket, priority=each, width=64 + number)
                for number, each in enumerate(priorities)
            ]
            assert (await api.stats()).queue["pending"] == len(priorities)
            gate.open()
            jobs = await api.all_ended(job_ids)
            assert {job["status"] for job in jobs} == {"completed"}
            in_order = sorted(range(len(jobs)), key=lambda number: str(jobs[number]["started_at"]))
            return [(priorities[number], number) for number in in_order]


async def test_high_comes_before_normal_and_normal_before_low(start_server, rocket):
    # Few enough that none of them has the turn that is sure for its priority.
    priorities = ["low", "normal", "high", "low", "normal", "high"]

    begun = await begun_in_order(start_server, rocket, priorities)

    # And what came first within each.
    assert begun == [
        ("high", 2), ("high", 5), ("normal", 1), ("normal", 4), ("low", 0), ("low", 3),
    ]  # fmt: skip


async def test_no_priority_starves(start_server, rocket):
    priorities = 3 * ["low"] + 3 * ["normal"] + 40 * ["high"]

    begun = [each for each, _ in await begun_in_order(start_server, rocket, priorities)]

    # A tenth of the turns is sure for each, and the rest goes to those who are in a hurry.
    for turns in (10, 20, 30):
        assert begun[:turns].count("low") == turns // 10
        assert begun[:turns].count("normal") == turns // 10
