"""The clock on the wall is set while the service runs."""

import pytest

from tests.outside.servers import Server, answer
from tests.service.asking import open_api, until, until_true

pytestmark = pytest.mark.service

DAY = 86_400


@pytest.fixture
async def serve(nursery):
    """Start a source that answers so."""

    async def start(*answers):
        source = Server(*answers)
        await nursery.start(source.run, None, "127.0.0.1", 0)
        return source

    return start


async def test_a_clock_that_is_ahead_for_a_while_has_nothing_deleted(start_faulty, rocket):
    with start_faulty(RETAIN_RESULTS=3600, SWEEP_PERIOD=1) as server:
        async with open_api(server) as api:
            named = {"Idempotency-Key": '"a"'}
            first = await api.send(rocket, headers=named)
            job = await api.ended(first.json()["job_id"])
            server.faults.ahead = 2 * DAY
            await until_true(lambda: '"event":"clock_leapt"' in server.log.read_text())
            again = await api.send(rocket, headers=named)
            meanwhile = await api.ended(await api.submit(rocket, width=65))
            download = await api.download(job["id"])
            server.faults.ahead = 0
            later = await api.ended(await api.submit(rocket, width=66))

            assert again.json() == first.json()
            assert [each["status"] for each in (meanwhile, later)] == ["completed", "completed"]
            assert download.status_code == 200
            assert [each["id"] for each in await api.jobs()] == [
                later["id"],
                meanwhile["id"],
                job["id"],
            ]


@pytest.mark.parametrize("ahead", [3600, -8])
async def test_a_retry_is_not_lost_however_the_clock_is_set_meanwhile(
    start_faulty, serve, rocket, ahead
):
    source = await serve(answer(503, Retry_After="6"), answer(200, rocket))
    settings = {"FETCH_ALLOW": f"127.0.0.1:{source.port}", "RETRY_DELAY": 0.1}
    with start_faulty(**settings) as server:
        async with open_api(server) as api:
            job_id = await api.submit_json(
                operation="thumbnail",
                width=64,
                height=64,
                image_url=f"http://127.0.0.1:{source.port}/a.jpg",
            )

            async def postponed():
                job = await api.job(job_id)
                return job if job["status"] == "pending" and job["attempts"] == 1 else None

            await until(postponed)
            server.faults.ahead = ahead
            # Whatever happens makes it look at the clock.
            await api.ended(await api.submit(rocket))
            job = await api.ended(job_id)

            assert (job["status"], job["attempts"]) == ("completed", 2)
