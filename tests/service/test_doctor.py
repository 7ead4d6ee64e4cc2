"""The command `calotype doctor`, beside a service that runs, and on what one has left."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing

import pytest
import trio

from tests.service.asking import close_gate, open_api
from tests.service.damages import flip, lose, shorten
from tests.web.running import COMMAND, PATIENCE

pytestmark = pytest.mark.service

# So that no result is taken over from another job.
SIZES = iter(range(20, 4_000))


def run_doctor(server, *options):
    """Run the command as the operator of this service would; return its code and its findings."""
    ended = subprocess.run(
        [*COMMAND, "doctor", "--json", *options],
        capture_output=True, text=True, check=False, cwd=server.dir, env=server.environment,
        timeout=PATIENCE,
    )  # fmt: skip
    assert not ended.stderr or ended.returncode == 2, ended.stderr
    return ended.returncode, [json.loads(line) for line in ended.stdout.splitlines()]


async def doctor(server, *options):
    return await trio.to_thread.run_sync(run_doctor, server, *options)


def kinds(findings):
    return sorted(finding["kind"] for finding in findings)


async def done(api, picture, **recipe):
    """Have a job done that has no twin."""
    return await api.ended(await api.submit(picture, width=next(SIZES), **recipe))


def ask(server, sql):
    """Return what the catalogue says."""
    with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
        return catalogue.execute(sql).fetchall()


def edit(server, sql, *values):
    """Change the catalogue as nothing of ours would."""
    with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
        catalogue.execute(sql, values)
        catalogue.commit()


async def test_a_service_that_works_is_sound_at_every_moment(start_server, rocket):
    with start_server(SWEEP_PERIOD=0.1) as server:
        async with open_api(server) as api, trio.open_nursery() as nursery:

            async def come_and_go():
                while True:
                    job = await done(api, rocket, retain=1)
                    await api.upload(rocket)
                    await api.http.delete(f"/jobs/{job['id']}")
                    await done(api, rocket, retain=1)

            for _ in range(3):
                nursery.start_soon(come_and_go)
            for options in ((), ("--digests",), ("--mend", "--older-than", "10s")):
                assert await doctor(server, *options) == (0, [])
            nursery.cancel_scope.cancel()


async def test_what_is_wrong_is_told_beside_the_service_and_not_touched(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            jobs = [await done(api, rocket) for _ in range(4)]
            image_id = await api.upload(rocket)
            lose(server.dir / jobs[0]["output_path"])
            shorten(server.dir / jobs[1]["output_path"])
            flip(server.dir / jobs[2]["output_path"])
            lose(server.dir / jobs[3]["input_path"])
            (image,) = (server.dir / "uploads").glob(f"*/{image_id}.*")
            shorten(image)
            orphan = server.dir / "outputs" / "ab" / f"ab{str(uuid.UUID(int=1))[2:]}.jpg"
            orphan.write_bytes(b"nobody's")
            (server.dir / "outputs" / "ab" / "readme.txt").write_bytes(b"somebody's")
            leftover = server.dir / "uploads" / ".partial" / "999999"
            leftover.write_bytes(b"half")

            quick = await doctor(server)
            old = await doctor(server, "--older-than", "0s")
            thorough = await doctor(server, "--digests")
            mended = await doctor(server, "--mend", "--older-than", "0s")

    expected = ["file_damaged"] * 2 + ["file_missing"] * 2 + ["stranger"]
    assert (quick[0], kinds(quick[1])) == (1, expected)
    assert (old[0], kinds(old[1])) == (1, sorted([*expected, "orphan", "leftover"]))
    assert kinds(thorough[1]) == sorted([*expected, "file_damaged"])
    told = {each["subject"] for each in thorough[1] if each["kind"] != "stranger"}
    assert told == {*(f"job {job['id']}" for job in jobs), f"image {image_id}"}
    # Beside the service, only what changes no record is done.
    assert mended[0] == 1
    assert {each["kind"] for each in mended[1] if each["mended"]} == {"orphan", "leftover"}
    assert not orphan.exists()
    assert not leftover.exists()


async def test_what_can_be_made_again_is_and_the_rest_is_gone(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            again, gone, half, no_input = [await done(api, rocket) for _ in range(4)]
            several = [{"name": each, "format": "png"} for each in ("one", "two")]
            half = await api.ended(await api.submit(rocket, form="json", outputs=several))
            sound = (await api.download(again["id"])).content
        server.stop()
        flip(server.dir / again["output_path"])
        lose(server.dir / gone["output_path"])
        shorten(server.dir / gone["input_path"])
        lose(server.dir / half["outputs"][1]["path"])
        lose(server.dir / half["input_path"])
        lose(server.dir / no_input["input_path"])

        code, findings = await doctor(server, "--digests", "--mend")
        left, others = await doctor(server, "--digests", "--mend")
        server.start()
        async with open_api(server) as api:
            made = await api.ended(again["id"])
            answers = [await api.download(job["id"]) for job in (again, gone, no_input)]
            halves = [await api.download(half["id"], name) for name in ("one", "two")]
            found = await api.job(no_input["id"])

    assert (code, len(findings)) == (1, 6)
    # There is nothing to be done about that one, but that it is never handed out.
    assert (left, {each["subject"] for each in others}) == (1, {f"job {half['id']}"})
    assert [answer.status_code for answer in answers] == [200, 410, 200]
    assert [answer.status_code for answer in halves] == [200, 410]
    assert answers[0].content == sound
    assert (made["status"], made["attempts"]) == ("completed", 2)
    assert found.get("input_path") is None


async def test_a_job_that_cannot_be_done_any_more_ends_and_its_client_is_told(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, FETCH_ALLOW="127.0.0.1:9") as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            job_id = await api.submit(rocket, callback_url="http://127.0.0.1:9/")
            image_id = await api.upload(rocket)
            other = await api.submit_json(image_id=image_id, operation="grayscale")
            paths = [(await api.job(each))["input_path"] for each in (job_id, gate.job_id)]
        server.kill()
        gate.open()
        lose(server.dir / paths[0])
        shorten(server.dir / paths[1])
        (image,) = (server.dir / "uploads").glob(f"*/{image_id}.*")
        shorten(image)

        looked = await doctor(server)
        mended = await doctor(server, "--mend")
        again = await doctor(server)
        sent = ask(server, "select subject, type from outbox")
        noted = ask(server, "select action, user from audit where action like '%_mended'")
        server.start()
        async with open_api(server) as api:
            jobs = [await api.ended(each) for each in (job_id, other, gate.job_id)]
            retry = await api.post(f"/jobs/{job_id}/retry")
            content = await api.http.get(f"/images/{image_id}/content")

    expected = ["file_damaged", "file_damaged", "file_missing", "job_stranded"]
    assert (looked[0], kinds(looked[1])) == (1, expected)
    # The job that needs the image is told of when that has gone.
    assert (mended[0], kinds(mended[1])) == (0, sorted([*expected, "file_missing"]))
    assert again == (0, [])
    assert sent == [(job_id, "job.failed")]
    assert len(noted) == 5
    assert all(user for _, user in noted)
    assert {(job["status"], job["error_code"]) for job in jobs} == {("failed", "crashed")}
    assert "sent again" in jobs[0]["error"]
    assert (retry.status_code, content.status_code) == (410, 404)


async def test_a_directory_that_is_not_there_has_nothing_mended(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            job = await done(api, rocket)
        server.stop()
        outputs = server.dir / "outputs"
        outputs.rename(server.dir / "elsewhere")

        missing = await doctor(server, "--mend")
        outputs.mkdir()  # As where a disk is not mounted.
        foreign = await doctor(server, "--mend")
        outputs.rmdir()
        (server.dir / "elsewhere").rename(outputs)
        shutil.rmtree(outputs / "00")
        incomplete = await doctor(server)
        mended = await doctor(server, "--mend")
        last = await doctor(server)

        assert (missing[0], kinds(missing[1])) == (1, ["directory_missing"])
        assert (foreign[0], kinds(foreign[1])) == (1, ["directory_foreign"])
        assert incomplete[0] == 1
        assert kinds(incomplete[1])[0] == "directory_incomplete"
        assert kinds(mended[1])[0] == "directory_incomplete"
        assert (mended[0], last) == (0, (0, []))
        assert job["status"] == "completed"


def test_a_directory_that_cannot_be_written_is_told(start_server):
    with start_server() as server:
        server.stop()
    (server.dir / "outputs" / "17").chmod(0o500)
    script = "from web.cli import main; from web.commands import doctor; main()"
    if os.getuid() == 0:
        # The superuser may write everywhere, so somebody else looks; but may not load all we have.
        script = script.replace("main()", "import os; os.setuid(65534); main()")
        for path in (server.dir, *server.dir.parents):
            path.chmod(path.stat().st_mode | 0o055)
        for path in server.dir.rglob("*"):
            os.chown(path, 65534, 65534)

    ended = subprocess.run(
        [sys.executable, "-c", script, "doctor", "--json"],
        capture_output=True, text=True, check=False, cwd=server.dir, env=server.environment,
        timeout=PATIENCE,
    )  # fmt: skip

    (finding,) = (json.loads(line) for line in ended.stdout.splitlines())
    assert ended.returncode == 1
    assert (finding["kind"], finding["subject"]) == (
        "not_writable",
        str(server.dir / "outputs" / "17"),
    )


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("insert into _sqlite_migrations values (99, 'calotype', '9999_later', 'now')", "newer"),
        ("delete from _sqlite_migrations where name like '0016%'", "older"),
    ],
)
async def test_a_catalogue_of_another_version_is_told_and_not_touched(start_server, sql, kind):
    with start_server() as server:
        server.stop()
        edit(server, sql)

        code, findings = await doctor(server, "--mend")

    assert (code, kinds(findings)) == (1, [f"schema_{kind}"])


async def test_a_catalogue_that_is_damaged_is_told(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            image_id = await api.upload(rocket)
            await api.ended(await api.submit_json(image_id=image_id, operation="grayscale"))
        server.stop()
        edit(server, "delete from images")

        dangling = await doctor(server, "--mend")
        path = server.dir / "data" / "jobs.db"
        data = bytearray(path.read_bytes())
        data[8192:40_000] = b"x" * (40_000 - 8192)
        path.write_bytes(data)
        damaged = await doctor(server)
        path.write_bytes(b"no catalogue at all, but long enough to be one" * 100)
        other = await doctor(server)
        path.unlink()
        nothing = await doctor(server)

    assert (dangling[0], kinds(dangling[1])) == (1, ["catalogue_damaged"])
    assert damaged[0] == 1
    assert set(kinds(damaged[1])) == {"catalogue_damaged"}
    assert (other[0], kinds(other[1])) == (1, ["catalogue_damaged"])
    assert nothing == (2, [])
    assert not path.exists()


def test_it_is_told_in_words_as_well(server):
    ended = subprocess.run(
        [*COMMAND, "doctor"],
        capture_output=True, text=True, check=False, cwd=server.dir, env=server.environment,
        timeout=PATIENCE,
    )  # fmt: skip

    assert ended.stdout.startswith(("Sound: ", "Found "))
