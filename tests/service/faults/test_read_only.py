"""A file system that has become read-only, as it does after an error of its disk."""

import errno

import pytest

from tests.service.asking import files_in, open_api

pytestmark = pytest.mark.service


@pytest.mark.parametrize("places", ["", "/data/", "/uploads/"], ids=["all", "data", "uploads"])
async def test_what_is_there_is_read_and_nothing_is_accepted(start_faulty, rocket, places):
    with start_faulty() as server:
        async with open_api(server) as api:
            done = await api.ended(await api.submit(rocket))
            with server.faults.write.failing(errno.EROFS, f"{server.dir}{places}") as writes:
                refused = await api.send(rocket, width=65)
                looked_at = await api.job(done["id"])
                download = await api.download(done["id"])
                health = await api.http.get("/health")
            later = await api.ended(await api.submit(rocket, width=65))

            assert writes.failed
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert refused.headers["Retry-After"]
            assert looked_at == done
            assert (download.status_code, health.status_code) == (200, 200)
            assert later["status"] == "completed"
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 2


async def test_results_wait_until_they_can_be_written(start_faulty, rocket):
    with start_faulty() as server:
        async with open_api(server) as api:
            with server.faults.write.failing(errno.EROFS, "/outputs/") as writes:
                job_id = await api.submit(rocket)
                await api.until_stats(lambda _: writes.failed > 0)
            job = await api.ended(job_id)

            assert job["status"] == "completed"
            assert job["attempts"] > 1
