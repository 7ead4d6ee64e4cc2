"""The clock on the wall is set while the service runs."""

import pytest

from tests.service.asking import open_api, until_true

pytestmark = pytest.mark.service

DAY = 86_400


async def test_a_clock_that_is_ahead_for_a_while_has_nothing_deleted(start_faulty, rocket):
    with start_faulty(RETENTION_RESULTS="1h", SWEEP_PERIOD=1) as server:
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


@pytest.mark.parametrize("ahead", [DAY, -DAY])
async def test_a_retry_is_made_however_the_clock_was_set_meanwhile(
    start_faulty, serve, rocket, ahead
):
    ...
