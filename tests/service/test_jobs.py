"""The life of a job, as clients see it: real pictures over a real connection to a real process."""

import hashlib
import struct
import subprocess
import time
import zlib
from itertools import product
from pathlib import Path

import pytest
import trio
from PIL import Image

from tests.service import photographs
from tests.service.asking import (
    FORMS,
    PATIENCE,
    close_gate,
    files_in,
    open_api,
    put,
    until_true,
)

pytestmark = pytest.mark.service

SCRIPT = Path(__file__).with_name("shell_client.sh")
FORMATS = (None, "jpeg", "png", "webp", "gif")
MIB = 1024 * 1024


def recipe(number):
    """A recipe of its own for each job, so that no other job's result can pass for it."""
    operation = ("resize", "thumbnail")[number % 2]
    wanted = {"operation": operation, "width": 60 + 3 * number, "height": 50 + 2 * number}
    kind = FORMATS[number % len(FORMATS)]
    return wanted if kind is None else {**wanted, "output_format": kind}


async def test_fifty_photographs_at_once_all_come_out_right(api, album):
    photos = list(album.values())
    results = {}

    async def send_and_fetch(number):
        photo, form = photos[number % 6], FORMS[number // 6 % 3]
        job_id = await api.submit(photo.data, form=form, **recipe(number))
        job = await api.ended(job_id)
        assert job["status"] == "completed", job
        results[number] = photo, job, await api.download(job_id)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(send_and_fetch, number)

    assert len(results) == 50
    for number, (photo, job, response) in results.items():
        wanted = recipe(number)
        kind = wanted.get("output_format", photo.format)
        box, exact = (wanted["width"], wanted["height"]), wanted["operation"] == "resize"
        assert response.status_code == 200
        assert response.headers["Content-Type"] == f"image/{kind}"
        assert photo.is_whole_in(response.content, kind, box, exact=exact), (photo.name, wanted)
        assert hashlib.sha256(response.content).hexdigest() == job["outputs"][0]["sha256"]
        assert stored(job, "input") == photo.data
        assert stored(job, "output") == response.content


def stored(job, which):
    return Path(job[f"{which}_path"]).read_bytes()


@pytest.mark.parametrize("name", ["rocket.jpg", "chelsea.png"])
def test_a_shell_script_with_curl_and_grep_needs_no_change(server, album, tmp_path, name):
    photo = album[name]
    picture, result = tmp_path / name, tmp_path / "result"
    picture.write_bytes(photo.data)

    ran = run_script(server.url, picture, result)

    assert ran.returncode == 0, ran.stderr
    assert photo.is_whole_in(result.read_bytes(), photo.format, (200, 200), exact=False)


def test_a_shell_script_sees_that_a_job_has_failed(server, tmp_path):
    picture, result = tmp_path / "text.jpg", tmp_path / "result"
    picture.write_text("no picture")

    ran = run_script(server.url, picture, result)

    assert ran.returncode == 3, ran.stderr
    assert not result.exists()


def run_script(*arguments):
    command = ["bash", SCRIPT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


# --- Not polling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
async def test_one_request_can_wait_for_the_end(api, rocket, form):
    response = await api.send(rocket, form=form, headers={"Prefer": "wait=60"})

    job = response.json()
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=60"
    assert job["status"] == "completed"
    assert job == await api.job(job["id"])


async def test_one_request_can_give_the_picture(api, album):
    photo = album["coffee.png"]
    headers = {"Prefer": "wait=60", "Accept": "image/*"}

    response = await api.send(photo.data, headers=headers, output_format="webp")
    download = await api.http.get(response.headers["Content-Location"])

    assert response.status_code == 200
    assert response.headers["Content-Type"] == "image/webp"
    assert photo.is_whole_in(response.content, "webp", (64, 64), exact=False)
    assert response.content == download.content


async def test_a_wait_that_is_too_short_is_answered_with_202(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)

            response = await api.send(rocket, headers={"Prefer": "wait=1"})
            looked_at = await api.job(response.json()["job_id"], wait=0.01)
            gate.open()

            assert response.status_code == 202
            assert "Preference-Applied" not in response.headers
            assert looked_at["status"] == "pending"
            assert (await api.ended(looked_at["id"]))["status"] == "completed"


async def test_a_request_for_a_job_can_wait_for_its_end(api):
    gate = await close_gate(api)
    answers = []

    async def wait():
        answers.append(await api.job(gate.job_id, wait=60))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        early = await api.job(gate.job_id, wait=0.01)
        gate.open()

    assert early["status"] == "processing"
    assert [answer["status"] for answer in answers] == ["failed"]


async def test_a_download_before_the_end_says_that_it_is_not_ready(api):
    gate = await close_gate(api)

    response = await api.download(gate.job_id)
    gate.open()

    assert (response.status_code, response.json()["code"]) == (409, "not_ready")
    assert int(response.headers["Retry-After"]) >= 1


# --- Cancel, retry, delete ------------------------------------------------------------------------


async def test_a_job_that_is_cancelled_while_pending_is_never_begun(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            cancelled, following = [await api.submit(rocket) for _ in range(2)]

            response = await api.post(f"/jobs/{cancelled}/cancel")
            gate.open()
            await api.ended(following)

            job = await api.job(cancelled)
            download = await api.download(cancelled)
            assert response.status_code == 200
            assert response.json() == job
            assert (job["status"], job["attempts"]) == ("cancelled", 0)
            assert (download.status_code, download.json()["code"]) == (409, "job_cancelled")


async def test_the_result_of_a_cancelled_render_never_appears(start_server, hubble):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            slow = {"operation": "resize", "width": 3000, "height": 3000, "output_format": "png"}
            job_id = await api.submit(hubble, **slow)
            await api.until_stats(lambda stats: stats.cpu["used"] == 1)

            begun = time.monotonic()
            response = await api.post(f"/jobs/{job_id}/cancel")
            await api.until_stats(lambda stats: not stats.pool["busy"] and not stats.cpu["used"])

            assert time.monotonic() - begun < PATIENCE
            assert response.json()["status"] == "cancelled"
            assert (await api.job(job_id))["status"] == "cancelled"
            assert files_in(server.dir / "outputs") == []


async def test_a_cancelled_job_can_be_tried_again(start_server, album):
    photo = album["chelsea.png"]
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            job_id = await api.submit(photo.data)
            await api.post(f"/jobs/{job_id}/cancel")

            response = await api.post(f"/jobs/{job_id}/retry")
            gate.open()
            job = await api.ended(job_id)
            download = await api.download(job_id)

            assert response.status_code == 202
            assert job["status"] == "completed"
            assert photo.is_whole_in(download.content, "png", (64, 64), exact=False)


async def test_a_failed_job_can_be_tried_again_and_a_completed_one_cannot(api, rocket):
    await api.post("/queue/pause")
    failed, completed = await api.submit(rocket, width=65), await api.submit(rocket)
    path = (await api.job(failed))["input_path"]
    put(rocket[:-1], path)
    await api.post("/queue/resume")
    first = await api.ended(failed)
    put(rocket, path)  # It is mended now.
    await api.ended(completed)

    again = await api.post(f"/jobs/{failed}/retry")
    not_again = await api.post(f"/jobs/{completed}/retry")
    too_late = await api.post(f"/jobs/{completed}/cancel")
    second = await api.ended(failed)

    assert (first["status"], first["error_code"]) == ("failed", "crashed")
    assert again.status_code == 202
    assert (second["status"], second["attempts"]) == ("completed", 2)
    assert "error_code" not in second
    for response in (not_again, too_late):
        assert (response.status_code, response.json()["code"]) == (409, "conflict")


async def test_a_deleted_job_leaves_nothing_behind(api, rocket):
    job_id = await api.submit(rocket)
    job = await api.ended(job_id)
    kept = stored(job, "input"), stored(job, "output")

    response = await api.http.delete(f"/jobs/{job_id}")

    assert all(kept)
    assert response.status_code == 204
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/download"):
        assert (await api.http.get(path)).status_code == 404
    assert (await api.http.delete(f"/jobs/{job_id}")).status_code == 404
    assert job_id not in [each["id"] for each in await api.jobs()]
    for which in ("input", "output"):
        with pytest.raises(FileNotFoundError):
            stored(job, which)


async def test_a_job_can_be_deleted_while_it_is_rendered(start_server, hubble):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            slow = {"operation": "resize", "width": 3000, "height": 3000, "output_format": "png"}
            job_id = await api.submit(hubble, **slow)
            await api.until_stats(lambda stats: stats.cpu["used"] == 1)

            response = await api.http.delete(f"/jobs/{job_id}")
            await api.until_stats(lambda stats: not stats.pool["busy"] and not stats.cpu["used"])

            assert response.status_code == 204
            assert (await api.http.get(f"/jobs/{job_id}")).status_code == 404

            await until_true(lambda: not files_in(server.dir / "uploads", server.dir / "outputs"))


# --- Lists ----------------------------------------------------------------------------------------


async def test_pages_show_each_job_once_and_the_newest_first(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            submitted = [await api.submit(rocket) for _ in range(7)]
            pages = []
            response = await api.http.get("/jobs", params={"limit": 3})
            while True:
                pages.append([job["id"] for job in response.json()["jobs"]])
                assert ("next" in response.links) == (response.json()["next"] is not None)
                if "next" not in response.links:
                    break
                response = await api.http.get(response.links["next"]["url"])
                # What comes in while somebody turns the pages belongs to none that follow.
                await api.submit(rocket)

            assert [len(page) for page in pages] == [3, 3, 1]
            assert [job_id for page in pages for job_id in page] == submitted[::-1]


async def test_a_list_can_be_filtered(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            bad = await api.submit(b"no picture")
            await api.ended(bad)
            good = await api.submit(rocket, operation="resize")
            job = await api.ended(good)

            async def listed(**query):
                page = (await api.http.get("/jobs", params=query)).json()
                return [each["id"] for each in page["jobs"]]

            assert await listed() == [good, bad]
            assert await listed(status="failed") == [bad]
            assert await listed(status="completed", operation="resize") == [good]
            assert await listed(status="completed", operation="thumbnail") == []
            assert await listed(created_after=job["created_at"]) == []
            assert await listed(created_after="2026-01-01T00:00:00Z") == [good, bad]


# --- Bad pictures ---------------------------------------------------------------------------------


def photo_bytes(name):
    return (photographs.directory() / name).read_bytes()


def claiming_to_be_huge(data):
    """A PNG of 900 million pixels, if its header is to be believed."""
    header = b"IHDR" + struct.pack(">II", 30_000, 30_000) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


BAD = {
    "bomb": (lambda: claiming_to_be_huge(photo_bytes("chelsea.png")), "image_too_large"),
    "half a jpeg": (lambda: photo_bytes("rocket.jpg")[:50_000], "not_an_image"),
    "half a png": (lambda: photo_bytes("chelsea.png")[:50_000], "not_an_image"),
    "text": (lambda: b"This is no picture.\n" * 100, "not_an_image"),
    "tiff": (lambda: photo_bytes("multipage.tif"), "unsupported_format"),
}


@pytest.mark.parametrize(
    ("kind", "form"), list(product(BAD, FORMS)), ids=lambda value: value.replace(" ", "-")
)
async def test_a_bad_picture_fails_with_its_reason(server, api, kind, form):
    make, code = BAD[kind]

    response = await api.send(make(), form=form, headers={"Prefer": "wait=60"})

    job = response.json()
    download = await api.download(job["id"])
    assert response.status_code == 200
    assert (job["status"], job["error_code"]) == ("failed", code)
    assert job["error"]
    assert str(server.dir) not in job["error"]
    assert job["output_path"] is None
    assert (download.status_code, download.json()["code"]) == (409, "job_failed")


async def test_bombs_cost_no_memory_and_hold_up_nobody(server, api, rocket):
    bomb = claiming_to_be_huge(photo_bytes("chelsea.png"))

    bombs = [await api.submit(bomb) for _ in range(10)]
    good = await api.submit(rocket)

    assert (await api.ended(good))["status"] == "completed"
    assert {job["error_code"] for job in await api.all_ended(bombs)} == {"image_too_large"}
    # Ten of them would take 27 GB.
    assert peak_memory(server.process.pid) < 1024 * MIB


def peak_memory(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the system does not say")


def test_the_photographs_can_be_told_apart(album):
    """Otherwise the comparisons above would prove nothing."""
    images = [Image.open(photographs.directory() / name) for name in album]

    differences = [
        photographs.difference(one, other)
        for number, one in enumerate(images)
        for other in images[:number]
    ]
    for image in images:
        image.close()

    assert min(differences) > 2 * photographs.ALIKE
