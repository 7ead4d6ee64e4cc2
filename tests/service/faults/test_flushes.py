"""A flush that fails is not made again: what was to be kept is not, and who asked is told.

What the system could not write it forgets, so that a second flush would prove nothing
(Rebello et al., "Can applications recover from fsync failures?", USENIX ATC 2020).
"""

import errno

import pytest

from tests.service.asking import files_in, open_api

pytestmark = pytest.mark.service


async def test_a_picture_that_cannot_be_flushed_is_refused_and_leaves_nothing(start_faulty, rocket):
    with start_faulty() as server:
        async with open_api(server) as api:
            with server.faults.sync.failing(errno.EIO, "/uploads/") as syncs:
                refused = await api.send(rocket)
            later = await api.ended(await api.submit(rocket))

            assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
            assert "Retry-After" in refused.headers
            assert syncs.failed == 1
            assert later["status"] == "completed"
            assert len(await api.jobs()) == len(files_in(server.dir / "uploads")) == 1


async def test_a_result_that_cannot_be_flushed_is_made_again(start_faulty, rocket):
    with start_faulty() as server:
        async with open_api(server) as api:
            with server.faults.sync.failing(errno.EIO, "/outputs/") as syncs:
                job_id = await api.submit(rocket)
                await api.until_stats(lambda _: syncs.failed >= 2)
                meanwhile = await api.job(job_id)
            job = await api.ended(job_id)

            assert meanwhile["status"] in {"pending", "processing"}
            assert (job["status"], job["attempts"]) == ("completed", syncs.failed + 1)
            assert len(files_in(server.dir / "outputs")) == 1


async def test_what_the_catalogue_cannot_flush_was_not_done(start_faulty, rocket):
    with start_faulty() as server:
        async with open_api(server) as api:
            before = await api.ended(await api.submit(rocket))
            with server.faults.sync.failing(errno.EIO, "jobs.db-wal") as syncs:
                refused = await api.send(rocket, width=65)
                named = await api.send(rocket, width=65, headers={"Idempotency-Key": '"a"'})
                deleted = await api.http.delete(f"/jobs/{before['id']}")
                looked_at = await api.job(before["id"])
            kept = await api.jobs()
            again = await api.send(rocket, width=65, headers={"Idempotency-Key": '"a"'})
            later = await api.ended(again.json()["job_id"])

            # Only who names a request may send it again without a look.
            for answer in (refused, named, deleted):
                assert (answer.status_code, answer.json()["code"]) == (503, "storage_unavailable")
            assert "Retry-After" not in refused.headers
            assert "Retry-After" in named.headers
            assert syncs.failed == 3
            assert kept == [before] == [looked_at]
            assert later["status"] == "completed"
            assert len(await api.jobs()) == 2
        events = server.log.read_text()
        assert events.count('"event":"catalogue_failing"') >= 1
        assert events.count('"event":"catalogue_recovered"') >= 1


async def test_what_is_in_doubt_when_it_dies_is_whole_or_not_there(start_faulty, rocket):
    with start_faulty() as server:
        async with open_api(server) as api:
            # Its log has a head then, which would be flushed before anything else.
            before = await api.ended(await api.submit(rocket))
            with server.faults.sync.failing(errno.EIO, "jobs.db-wal"):
                refused = await api.send(rocket, width=65)
                server.kill()
        server.start_anew()
        async with open_api(server) as api:
            jobs = await api.all_ended([job["id"] for job in await api.jobs()])
            later = await api.ended(await api.submit(rocket, width=66))

            assert refused.status_code == 503
            # The disk has it, though it was said that it may not, and so it is kept.
            assert [job["status"] for job in [*jobs, later]] == ["completed"] * 3
            assert jobs[-1] == before
