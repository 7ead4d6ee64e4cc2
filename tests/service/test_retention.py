"""What is kept for a while only, by the real service."""

import pytest

from tests.service.asking import files_in, open_api, until, until_true
from tests.web import running

pytestmark = pytest.mark.service


async def test_a_result_is_gone_when_its_time_is_over_also_after_a_restart(start_server, rocket):
    with start_server(SWEEP_PERIOD=0.1) as server:
        async with open_api(server) as api:
            job_id = await api.submit(rocket, retain=1)
            kept = await api.ended(await api.submit(rocket))
            told = await api.ended(job_id)

            async def is_gone():
                return (await api.download(job_id)).status_code == 410

            await until(is_gone)
            gone = await api.job(job_id)
            retry = await api.post(f"/jobs/{job_id}/retry")

            assert "expires_at" in told
            assert "expires_at" not in kept
            assert (gone["status"], gone["gone"], gone["output_path"]) == ("completed", True, None)
            assert retry.status_code == 409
            assert (await api.download(kept["id"])).status_code == 200

    with running.start_server(server.dir, SWEEP_PERIOD=0.1) as server:
        async with open_api(server) as api:
            download = await api.download(job_id)

            assert (download.status_code, download.json()["code"]) == (410, "gone")


async def test_the_results_that_ended_first_make_room_for_others(start_server, rocket):
    with start_server(SWEEP_PERIOD=0.1, MAX_STORED_BYTES=3 * len(rocket)) as server:
        async with open_api(server) as api:
            jobs = await api.all_ended([await api.submit(rocket) for _ in range(9)])

            async def are_few():
                stats = (await api.http.get("/stats")).json()
                return stats["stored_bytes"] <= 3 * len(rocket)

            await until(are_few)
            answers = [(await api.download(job["id"])).status_code for job in jobs]

    kept, gone = (
        [job["updated_at"] for job, answer in zip(jobs, answers, strict=True) if answer == status]
        for status in (200, 410)
    )
    assert len(kept) + len(gone) == 9
    assert max(gone) <= min(kept)


async def test_what_no_job_needs_is_forgotten(start_server, rocket):
    settings = {"RETAIN_IMAGES": 1, "RETAIN_RESULTS": 1, "RETAIN_RECORDS": 1, "SWEEP_PERIOD": 0.1}
    with start_server(**settings) as server:
        async with open_api(server) as api:
            image = await api.http.post(
                "/images", content=rocket, headers={"Content-Type": "image/jpeg"}
            )
            path = image.headers["Location"]

            async def is_forgotten():
                return (await api.http.get(path)).status_code == 404

            await until(is_forgotten)
            await until_true(lambda: not files_in(server.dir / "uploads"))
