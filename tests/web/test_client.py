"""The HTTP API in Python: the one contract of both clients, against the real service."""

import os
import re
import subprocess
from datetime import timedelta
from io import BytesIO
from typing import BinaryIO

import httpx2
import pytest
import trio

from tests.conftest import is_picture
from tests.web import running
from tests.web.running import free_port, start_server
from web.calls import Calls
from web.client import AsyncClient, Client
from web.failures import (
    BatchNotEnded,
    Conflict,
    Forbidden,
    Invalid,
    JobFailed,
    NotFound,
    ProblemError,
    TooLarge,
    Unauthenticated,
    Unreachable,
)
from web.sending import ImageId, ImageUrl

THUMBNAIL = {"operation": "thumbnail", "width": 32, "height": 32}
JOB_ID = "550e8400-e29b-41d4-a716-446655440000"


@pytest.fixture
async def client(connect, server):
    return connect(server.url)


def test_whatever_one_client_can_do_the_other_can():
    calls = {name for name in vars(Calls) if not name.startswith("_")}

    assert calls == {name for name in vars(Client) if not name.startswith("_")}
    assert all(getattr(Client, name).__doc__ == getattr(Calls, name).__doc__ for name in calls)


async def test_a_job_is_submitted_waited_for_and_downloaded(client, photo):
    submitted = await client.submit(photo, THUMBNAIL)
    ended = await client.wait(submitted.id)
    picture = await client.download(submitted.id)

    assert submitted.status == "pending"
    assert (ended.id, ended.status, ended.ended) == (submitted.id, "completed", True)
    assert (ended.operation, ended.width, ended.attempts) == ("thumbnail", 32, 1)
    assert ended.created_at <= ended.started_at <= ended.updated_at
    (output,) = ended.outputs
    assert (output.name, output.width, output.height) == ("output", 32, 24)
    assert output.size_bytes == len(picture.data)
    assert ended.receipt.recipe["outputs"]
    assert picture.content_type == "image/jpeg"
    assert is_picture(picture.data, (32, 24))


STEPS = [{"op": "resize", "width": 16, "height": 12}]


@pytest.mark.parametrize(
    "recipe",
    [
        {"operation": "resize", "width": 16, "height": 12, "priority": "high", "quality": None},
        {"operations": STEPS, "output": {"format": "png"}, "priority": "high"},
        {"outputs": [{"name": "a", "operations": STEPS}], "priority": "high"},
    ],
)
async def test_a_recipe_is_said_in_any_form_of_any_image(client, photo, tmp_path, recipe):
    path = tmp_path / "photo.jpg"
    path.write_bytes(photo)
    uploaded = await client.upload(path)

    with path.open("rb") as file:
        for subject in (photo, path, file, uploaded, ImageId(uploaded.id)):
            submitted = await client.submit(subject, recipe)
            job = await client.wait(submitted.id)

            assert (job.status, job.priority) == ("completed", "high")
            assert [(each.width, each.height) for each in job.outputs] == [(16, 12)]


async def test_a_flat_recipe_may_say_its_numbers_as_text_of_any_image(client, photo):
    uploaded = await client.upload(photo)
    mark = {"operation": "watermark", "image": uploaded.id, "opacity": 0.5}

    for subject in (photo, uploaded):
        for recipe in ({"operation": "rotate", "angle": "90", "autorotate": False}, mark):
            submitted = await client.submit(subject, recipe)
            assert (await client.wait(submitted.id)).status == "completed"


async def test_a_preset_is_a_recipe(connect, tmp_path, photo):
    presets = tmp_path / "presets.toml"
    presets.write_text('[avatar]\noperations = [{op = "resize", width = 16}]\n')
    with start_server(tmp_path / "server", PRESETS=presets) as server:
        client = connect(server.url)

        picture = await client.submit_and_wait(photo, {"preset": "avatar"})

    assert is_picture(picture.data, (16, 12))


async def test_an_address_is_fetched_by_the_service(client):
    with pytest.raises(Invalid) as refused:
        await client.submit(ImageUrl("http://127.0.0.1/a.jpg"), THUMBNAIL)

    assert [fault.pointer for fault in refused.value.faults] == ["/image_url"]


async def test_one_call_gives_the_picture(client, photo):
    picture = await client.submit_and_wait(photo, {**THUMBNAIL, "output_format": "png"})

    assert picture.suffix == ".png"
    assert is_picture(picture.data, (32, 24))


async def test_all_results_come_by_their_names(client, photo):
    outputs = [{"name": "small", "operations": STEPS}, {"name": "facts", "format": "json"}]

    several = await client.submit_and_wait_for_all(photo, {"outputs": outputs})
    first = await client.submit_and_wait(photo, {"outputs": outputs})
    (alone,) = await client.submit_and_wait_for_all(photo, THUMBNAIL)

    assert [(each.name, each.suffix) for each in several] == [("small", ".jpg"), ("facts", ".json")]
    assert is_picture(first.data, (16, 12))
    assert (first.name, alone.name) == ("", "")
    assert first.file_name.endswith("-small.jpg")


async def test_a_file_is_sent_from_where_it_stands_and_left_open(client, photo):
    file = BytesIO(b"preface" + photo)
    file.seek(7)

    picture = await client.submit_and_wait(file, THUMBNAIL)

    assert is_picture(picture.data, (32, 24))
    assert not file.closed


def full_pipe(data: bytes) -> BinaryIO:
    end, beginning = os.pipe()
    os.write(beginning, data)
    os.close(beginning)
    return os.fdopen(end, "rb")


async def test_what_cannot_seek_is_sent_as_well(client, photo):
    with full_pipe(photo) as pipe:
        picture = await client.submit_and_wait(pipe, THUMBNAIL)

    assert is_picture(picture.data, (32, 24))


async def test_a_file_is_sent_as_it_is_and_its_progress_told(client, photo, tmp_path):
    # What follows the end of a JPEG is no part of it, and makes it long enough for three pieces.
    source = tmp_path / "photo.jpg"
    source.write_bytes(photo + bytes(600_000))
    told: list[tuple[int, int]] = []

    await client.submit_and_wait(source, THUMBNAIL, lambda sent, size: told.append((sent, size)))

    size = source.stat().st_size
    assert told == [(0, size), (262_144, size), (524_288, size), (size, size)]


async def test_a_file_that_is_not_there_is_an_error_of_the_system(client, tmp_path):
    with pytest.raises(FileNotFoundError):
        await client.submit(tmp_path / "nothing.jpg", THUMBNAIL)


async def test_a_plan_says_what_would_be_made(client, photo):
    plan = await client.plan(photo, {"operations": STEPS})

    assert (plan.facts.format, plan.facts.width) == ("jpeg", 64)
    assert [(each.name, each.width, each.height) for each in plan.outputs] == [("output", 16, 12)]
    assert plan.predicted.memory_bytes > 0


async def test_a_result_is_written_to_a_path_or_into_a_file(client, photo, tmp_path):
    submitted = await client.submit(photo, THUMBNAIL)
    (output,) = (await client.wait(submitted.id)).outputs
    target, file = tmp_path / "small.jpg", BytesIO()
    target.write_bytes(b"what was there before")

    to_path = await client.save(submitted.id, target)
    to_file = await client.save(submitted.id, file, "output")

    assert to_path == to_file
    assert (to_path.sha256, to_path.size_bytes) == (output.sha256, output.size_bytes)
    assert to_path.content_type == output.media_type
    assert target.read_bytes() == file.getvalue()
    assert list(tmp_path.iterdir()) == [target]


async def test_what_cannot_be_had_leaves_the_file_as_it_was(client, tmp_path):
    target = tmp_path / "small.jpg"
    target.write_bytes(b"what was there before")

    with pytest.raises(NotFound):
        await client.save(JOB_ID, target)

    assert target.read_bytes() == b"what was there before"
    assert list(tmp_path.iterdir()) == [target]


async def test_all_jobs_are_walked_through_page_by_page(connect, tmp_path, photo, monkeypatch):
    monkeypatch.setattr("web.calls.PAGE", 2)
    with start_server(tmp_path / "server") as server:
        client = connect(server.url)
        uploaded = await client.upload(photo)
        ids = [(await client.submit(uploaded, THUMBNAIL)).id for _ in range(5)]
        last = [await client.wait(job_id) for job_id in ids][-1]

        page = await client.page(limit=2)
        rest = await client.page(limit=3, cursor=page.next)
        everything = [job.id async for job in client.jobs()]
        completed = [job.id async for job in client.jobs(status="completed", operation="resize")]
        later = [job.id async for job in client.jobs(created_after=last.created_at)]

    assert [job.id for job in page.jobs + rest.jobs] == everything == ids[::-1]
    assert rest.next is None
    assert completed == later == []


async def test_a_job_is_cancelled_retried_and_deleted(client, photo):
    submitted = await client.submit(b"no picture", THUMBNAIL)
    await client.wait(submitted.id)

    again = await client.retry(submitted.id)
    ended = await client.wait(submitted.id)
    with pytest.raises(Conflict):
        await client.cancel(submitted.id)
    await client.delete(submitted.id)
    with pytest.raises(NotFound):
        await client.job(submitted.id)

    assert again.status == "pending"
    assert (ended.status, ended.error_code) == ("failed", "not_an_image")


async def test_a_batch_is_submitted_waited_for_and_its_jobs_listed(client, photo):
    image = await client.upload(photo)

    accepted = await client.submit_batch(
        [(image, {}), (ImageId(image.id), {"width": 16}), (image, {"output_format": "png"})],
        defaults=THUMBNAIL,
        metadata={"album": 7},
    )
    ended = await client.wait_for_batch(accepted.id, timeout=60)

    assert accepted.status == "running"
    assert (ended.id, ended.ended, ended.jobs) == (accepted.id, True, 3)
    assert ended.counts["completed"] == 3
    assert ended.metadata == {"album": 7}
    assert ended == await client.batch(accepted.id)
    pictures = [await client.download(job_id) for job_id in accepted.job_ids]
    assert is_picture(pictures[0].data, (32, 24))
    assert is_picture(pictures[1].data, (16, 12))
    assert pictures[2].content_type == "image/png"
    page = await client.page(batch=accepted.id)
    assert [job.id for job in page.jobs] == list(accepted.job_ids)[::-1]
    assert {job.batch_id for job in page.jobs} == {accepted.id}


async def test_of_a_batch_that_named_nobody_there_is_nothing_to_send(client, photo):
    image = await client.upload(photo)
    batch = await client.submit_batch([(image, THUMBNAIL)])
    await client.wait_for_batch(batch.id)

    assert await client.batch_deliveries(batch.id) == ()
    with pytest.raises(Conflict):
        await client.redeliver_batch(batch.id)


async def test_an_image_that_would_have_to_be_sent_with_a_batch_is_refused_in_words(client, photo):
    with pytest.raises(TypeError, match="upload"):
        await client.submit_batch([(photo, THUMBNAIL)])


async def test_a_picture_is_called_as_the_service_calls_its_file(client, photo, tmp_path):
    submitted = await client.submit(photo, THUMBNAIL)
    await client.wait(submitted.id)

    picture = await client.download(submitted.id)
    saved = await client.save(submitted.id, tmp_path / "a.jpg")
    named = await client.download(submitted.id, "output")
    at_once = await client.submit_and_wait(photo, {**THUMBNAIL, "width": 31})

    assert picture.file_name == saved.file_name == named.file_name == f"{submitted.id}.jpg"
    assert (picture.name, named.name) == ("", "output")
    assert re.fullmatch(r"[0-9a-f-]{36}\.jpg", at_once.file_name)


async def test_a_batch_is_cancelled_and_deleted_and_its_wait_has_an_end(client, photo):
    image = await client.upload(photo)
    delayed = [(image, {**THUMBNAIL, "delay": 3600})] * 3
    accepted = await client.submit_batch(delayed)

    with pytest.raises(BatchNotEnded, match="3 pending") as late:
        await client.wait_for_batch(accepted.id, timeout=0)
    cancelled = await client.cancel_batch(accepted.id)
    again = await client.cancel_batch(accepted.id)
    await client.delete_batch(accepted.id)

    assert late.value.batch.counts["pending"] == 3
    assert cancelled == again
    assert cancelled.counts["cancelled"] == 3
    with pytest.raises(NotFound):
        await client.batch(accepted.id)
    with pytest.raises(NotFound):
        await client.job(accepted.job_ids[0])


async def test_what_is_wrong_with_one_job_of_a_batch_is_pointed_at(client):
    with pytest.raises(Invalid) as refused:
        await client.submit_batch([(ImageId("a"), THUMBNAIL), (ImageId("b"), {"operation": "?"})])

    assert [fault.pointer for fault in refused.value.faults] == ["/jobs/1/operation"]


async def test_an_image_is_uploaded_known_and_deleted(client, photo):
    uploaded = await client.upload(photo)
    known = await client.image(uploaded.id)
    await client.delete_image(uploaded.id)
    with pytest.raises(NotFound):
        await client.image(uploaded.id)

    assert known == uploaded
    assert (known.format, known.width, known.height, known.size_bytes) == (
        *("jpeg", 64, 48),
        len(photo),
    )
    assert known.palette[0].color.startswith("#")


async def test_a_link_needs_no_key_and_keeps_its_secret(connect, tmp_path, photo):
    with start_server(tmp_path / "server") as server:
        key, weak = (make_key(server, *scopes) for scopes in (BOTH, BOTH[:1]))
        client, nobody = connect(server.url, key=key), connect(server.url)
        submitted = await client.submit(photo, THUMBNAIL)
        await client.wait(submitted.id)

        link = await client.link(submitted.id, 60)
        named = await client.link(submitted.id, 60, "output")
        with pytest.raises(Unauthenticated):
            await nobody.job(submitted.id)
        with pytest.raises(Forbidden):
            await connect(server.url, key=weak).submit(photo, THUMBNAIL)
        async with httpx2.AsyncClient() as browser:
            pictures = [(await browser.get(each.url)).content for each in (link, named)]

    assert all(is_picture(picture, (32, 24)) for picture in pictures)
    assert "signature" in link.url
    assert "signature" not in repr(link)


BOTH = ("jobs:read", "jobs:write")


def make_key(server: running.Server, *scopes: str) -> str:
    options = [option for scope in scopes for option in ("--scope", scope)]
    made = subprocess.run(
        [*running.COMMAND, "keys", "create", "--tenant", "acme", *options],
        env=server.environment,
        cwd=server.dir,
        capture_output=True,
        text=True,
        check=True,
    )
    return made.stdout.strip()


async def test_a_queue_is_paused_looked_at_and_resumed(connect, start_server, photo):
    with start_server() as server:
        client = connect(server.url)

        paused = await client.pause_queue()
        submitted = await client.submit(photo, THUMBNAIL)
        looked = await client.queue()
        resumed = await client.resume_queue()
        ended = await client.wait(submitted.id)

    assert (paused.paused, paused.pending) == (True, 0)
    assert (looked.paused, looked.pending, looked.waiting, looked.processing) == (True, 1, 0, 0)
    assert looked.oldest_pending_seconds >= 0
    assert not resumed.paused
    assert ended.status == "completed"


async def test_all_that_has_failed_is_listed_and_tried_again_once(
    connect, start_server, monkeypatch
):
    monkeypatch.setattr("web.calls.PAGE", 2)
    with start_server() as server:
        client = connect(server.url)
        ids = [(await client.submit(b"no picture", THUMBNAIL)).id for _ in range(3)]
        for job_id in ids:
            await client.wait(job_id)

        listed = [job async for job in client.dead_jobs(code="not_an_image")]
        of_another_code = [job async for job in client.dead_jobs(code="timed_out")]
        too_young = await client.retry_dead_jobs(older_than=timedelta(hours=1))
        retried = await client.retry_dead_jobs(code="not_an_image", older_than=timedelta(0))
        again = [await client.wait(job_id) for job_id in ids]

    assert [job.id for job in listed] == ids
    assert {(job.error_code, job.attempts) for job in listed} == {("not_an_image", 1)}
    assert (of_another_code, too_young, retried) == ([], 0, 3)
    assert [job.attempts for job in again] == [2, 2, 2]


async def test_the_service_is_said_to_be_there(client):
    assert (await client.health()).status == "healthy"


async def test_what_the_service_refuses_says_why(client, photo):
    with pytest.raises(Invalid) as refused:
        await client.submit(photo, {**THUMBNAIL, "width": 0})
    with pytest.raises(NotFound) as unknown:
        await client.job(JOB_ID)

    assert (refused.value.status, refused.value.code) == (422, "invalid")
    assert [fault.pointer for fault in refused.value.faults] == ["/width"]
    assert refused.value.faults[0].detail in refused.value.detail
    assert (unknown.value.status, unknown.value.code) == (404, "not_found")
    assert unknown.value.detail in str(unknown.value)


async def test_an_upload_that_is_refused_before_its_end_says_why(client, tmp_path):
    source = tmp_path / "photo.jpg"
    with source.open("wb") as file:
        file.truncate(60_000_000)

    with pytest.raises(TooLarge):
        await client.submit(source, THUMBNAIL)


async def test_a_wait_goes_on_over_a_restart_of_the_service(connect, tmp_path, photo, monkeypatch):
    monkeypatch.setattr("web.line._draw", lambda _, cap: cap)
    with start_server(tmp_path / "server") as server:
        client = connect(server.url)
        submitted = await client.submit(photo, {**THUMBNAIL, "output_format": "avif"})
        ended = []

        async def wait() -> None:
            ended.append(await client.wait(submitted.id))

        async with trio.open_nursery() as waiting:
            server.kill()
            waiting.start_soon(wait)
            await trio.to_thread.run_sync(server.start)

    assert [job.status for job in ended] == ["completed"]


async def test_an_id_cannot_lead_elsewhere(client):
    for call in (client.job, client.image, client.download):
        with pytest.raises(ProblemError, match="not_found"):
            await call("../health")


async def test_what_is_no_picture_is_no_result(client):
    with pytest.raises(JobFailed, match="not_an_image") as failed:
        await client.submit_and_wait(b"hello", THUMBNAIL)

    assert failed.value.job.error_code == "not_an_image"


async def test_where_nobody_listens_is_said(connect):
    client = connect(f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Unreachable):
        await client.submit(b"photo", THUMBNAIL)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_keeps_its_secrets(kind):
    client = kind("http://me:secret@127.0.0.1:1/calotype", key="ck_secret")

    assert repr(client) == f"{kind.__name__}('http://127.0.0.1:1/calotype/')"


def test_a_path_before_the_services_own_is_kept():
    seen = []

    def proxy(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.path)
        return httpx2.Response(
            201,
            json={"url": "/jobs/1/download?signature=2", "expires_at": "2026-03-01T13:00:00Z"},
        )

    with Client("http://host/calotype", transport=httpx2.MockTransport(proxy)) as client:
        link = client.link("1", 60)

    assert seen == ["/calotype/jobs/1/links"]
    assert link.url == "http://host/calotype/jobs/1/download?signature=2"


async def test_an_upload_can_be_cancelled_midway(server, tmp_path):
    source = tmp_path / "photo.jpg"
    source.write_bytes(bytes(2_000_000))

    async with AsyncClient(server.url) as client:
        with trio.CancelScope() as scope:
            await client.submit(source, THUMBNAIL, lambda sent, _: scope.cancel() if sent else None)
        with pytest.raises(NotFound):
            await client.job(JOB_ID)

    assert scope.cancelled_caught
