"""The HTTP API in Python: against the real service, and against one that misbehaves on demand."""

from collections.abc import Callable, Coroutine

import httpx2
import pytest
import trio

from tests.conftest import PATIENCE, is_picture
from web.client import (
    ATTEMPTS,
    LONGEST_PAUSE,
    Client,
    Job,
    JobFailed,
    NoAnswer,
    Output,
    Parameters,
    Picture,
    ProblemError,
    Unreachable,
)

THUMBNAIL: Parameters = {"operation": "thumbnail", "width": 32, "height": 32}
JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
BUSY = {"title": "Overloaded", "status": 503, "detail": "Too much to do.", "code": "overloaded"}


@pytest.fixture
async def client(server):
    async with Client(server.url) as client:
        with trio.fail_after(PATIENCE):
            yield client


class Scripted:
    """A service that gives these answers, one after another. `asked` is what it was asked."""

    def __init__(self, *answers: httpx2.Response | httpx2.TransportError) -> None:
        self._answers = iter(answers)
        self.asked: list[tuple[str, str, bytes]] = []
        self.queries: list[str] = []
        self.credentials: list[str | None] = []

    def client(self, key: str | None = None) -> Client:
        return Client("http://scripted", key=key, transport=httpx2.MockTransport(self._answer))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        self.asked.append((request.method, request.url.path, body))
        self.queries.append(request.url.query.decode())
        self.credentials.append(request.headers.get("Authorization"))
        answer = next(self._answers)
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return answer


def busy(retry_after: str) -> httpx2.Response:
    return httpx2.Response(503, json=BUSY, headers={"Retry-After": retry_after})


def job(status: str, **more: object) -> httpx2.Response:
    return httpx2.Response(200, json={"id": JOB_ID, "status": status, **more})


ACCEPTED = httpx2.Response(202, json={"job_id": JOB_ID, "status": "pending", "message": "…"})


async def test_a_job_is_submitted_waited_for_and_downloaded(client, server, photo):
    submitted = await client.submit(photo, THUMBNAIL)
    ended = await client.get_job(submitted.id, wait=PATIENCE)
    picture = await client.download(submitted.id)

    assert not submitted.ended
    assert ended == Job(submitted.id, "completed", outputs=(Output("output"),))
    assert picture.content_type == "image/jpeg"
    assert is_picture(picture.data, (32, 24))


async def test_one_call_gives_the_picture(client, photo):
    picture = await client.submit_and_wait(photo, {**THUMBNAIL, "output_format": "png"})

    assert picture.suffix == ".png"
    assert is_picture(picture.data, (32, 24))


async def test_a_file_is_sent_as_it_is_and_its_progress_told(client, server, photo, tmp_path):
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


async def test_what_the_service_refuses_says_why(client, photo):
    with pytest.raises(ProblemError) as refused:
        await client.submit(photo, {**THUMBNAIL, "width": 0})
    with pytest.raises(ProblemError) as unknown:
        await client.get_job(JOB_ID)

    assert (refused.value.status, refused.value.code) == (422, "invalid")
    assert (unknown.value.status, unknown.value.code) == (404, "not_found")
    assert unknown.value.detail in str(unknown.value)


async def test_a_job_id_cannot_lead_elsewhere(client):
    with pytest.raises(ProblemError, match="not_found"):
        await client.get_job("../health")


async def test_what_is_no_picture_is_no_result(client):
    with pytest.raises((JobFailed, ProblemError), match="not_an_image"):
        await client.submit_and_wait(b"hello", THUMBNAIL)


async def test_a_failed_job_is_an_error_with_its_reason():
    service = Scripted(
        ACCEPTED, job("processing"), job("failed", error="Too dull.", error_code="dull")
    )

    async with service.client() as client:
        with pytest.raises(JobFailed, match=r"Too dull\. \(dull\)"):
            await client.submit_and_wait(b"photo", THUMBNAIL)


async def test_a_wait_goes_on_until_the_job_has_ended():
    image = httpx2.Response(200, content=b"image", headers={"Content-Type": "image/webp"})
    service = Scripted(ACCEPTED, job("pending"), job("processing"), job("completed"), image)

    async with service.client() as client:
        picture = await client.submit_and_wait(b"photo", THUMBNAIL)

    assert picture == Picture(b"image", "image/webp")
    assert [path for _, path, _ in service.asked] == [
        "/jobs",
        *3 * [f"/jobs/{JOB_ID}"],
        f"/jobs/{JOB_ID}/download",
    ]


SEVERAL = job("completed", outputs=[{"name": "large", "width": 9}, {"name": "thumb"}])


async def test_several_results_are_fetched_by_their_names():
    images = [
        httpx2.Response(200, content=each, headers={"Content-Type": kind})
        for each, kind in ((b"large", "image/avif"), (b"facts", "application/json"))
    ]
    service = Scripted(ACCEPTED, SEVERAL, *images)

    async with service.client() as client:
        pictures = await client.submit_and_wait_for_all(b"photo", {"preset": "gallery"})

    assert pictures == [
        Picture(b"large", "image/avif", "large"),
        Picture(b"facts", "application/json", "thumb"),
    ]
    assert [picture.suffix for picture in pictures] == [".avif", ".json"]
    assert service.queries == ["preset=gallery", "wait=30", "output=large", "output=thumb"]


async def test_of_several_results_the_first_is_the_result():
    image = httpx2.Response(200, content=b"large", headers={"Content-Type": "image/avif"})
    service = Scripted(SEVERAL, image)

    async with service.client() as client:
        picture = await client.submit_and_wait(b"photo", {"preset": "gallery"})

    assert picture == Picture(b"large", "image/avif")
    assert service.queries == ["preset=gallery", ""]


async def test_one_result_has_no_name_of_its_own(client, photo):
    (picture,) = await client.submit_and_wait_for_all(photo, THUMBNAIL)

    assert picture.name == ""
    assert is_picture(picture.data, (32, 24))


async def test_a_result_comes_by_the_name_of_its_output(client, photo):
    submitted = await client.submit(photo, {**THUMBNAIL, "output_format": "json"})
    await client.wait_ended(submitted.id)

    facts = await client.download(submitted.id, "output")
    with pytest.raises(ProblemError, match="not_found"):
        await client.download(submitted.id, "other")

    assert (facts.content_type, facts.suffix) == ("application/json", ".json")


async def test_a_name_that_could_lead_elsewhere_is_no_answer():
    stranger = job("completed", outputs=[{"name": "../../a"}])

    async with Scripted(stranger).client() as client:
        with pytest.raises(ProblemError, match="not_understood"):
            await client.submit_and_wait_for_all(b"photo", THUMBNAIL)


async def test_a_busy_service_is_given_the_time_it_asks_for(autojump_clock):
    service = Scripted(busy("3"), busy("2"), ACCEPTED)

    async with service.client() as client:
        submitted = await client.submit(b"photo", THUMBNAIL)

    assert submitted == Job(JOB_ID, "pending")
    assert service.asked == 3 * [("POST", "/jobs", b"photo")]
    assert trio.current_time() == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize(
    "retry_after", [f"{LONGEST_PAUSE + 1:.0f}", "tomorrow", "-1", "\u0661", ""]
)
async def test_a_pause_that_is_too_long_or_unclear_is_left_to_the_caller(retry_after):
    headers = [(b"Retry-After", retry_after.encode())]
    service = Scripted(httpx2.Response(503, json=BUSY, headers=headers))

    async with service.client() as client:
        with pytest.raises(ProblemError, match="overloaded"):
            await client.submit(b"photo", THUMBNAIL)


async def test_a_submission_of_unknown_fate_is_not_repeated():
    service = Scripted(httpx2.Response(503, json=BUSY))

    async with service.client() as client:
        with pytest.raises(ProblemError, match="overloaded"):
            await client.submit(b"photo", THUMBNAIL)

    assert len(service.asked) == 1


async def test_patience_has_an_end(autojump_clock):
    service = Scripted(*[busy("1") for _ in range(ATTEMPTS)])

    async with service.client() as client:
        with pytest.raises(ProblemError, match="overloaded"):
            await client.get_job(JOB_ID)

    assert len(service.asked) == ATTEMPTS


async def test_where_nobody_listens_is_tried_again_and_then_said(autojump_clock):
    service = Scripted(*[httpx2.ConnectError("refused") for _ in range(ATTEMPTS)])

    async with service.client() as client:
        with pytest.raises(Unreachable, match="refused"):
            await client.submit(b"photo", THUMBNAIL)

    assert len(service.asked) == ATTEMPTS


async def test_a_submission_without_an_answer_is_not_repeated():
    service = Scripted(httpx2.ReadError("reset"))

    async with service.client() as client:
        with pytest.raises(NoAnswer):
            await client.submit(b"photo", THUMBNAIL)


async def test_what_only_reads_is_repeated(autojump_clock):
    service = Scripted(httpx2.ReadError("reset"), job("completed"))

    async with service.client() as client:
        assert (await client.get_job(JOB_ID)).ended


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.Response(502, text="<h1>Bad gateway</h1>"), "http_502"),
        (httpx2.Response(200, text="<h1>Welcome</h1>"), "not_understood"),
        (httpx2.Response(200, content=b'{"id":"\xff"}'), "not_understood"),
        (httpx2.Response(500, content=b"\xff"), "http_500"),
    ],
)
async def test_a_stranger_at_the_address_is_an_error_too(answer, code):
    async with Scripted(answer).client() as client:
        with pytest.raises(ProblemError) as error:
            await client.get_job(JOB_ID)

    assert error.value.code == code


def stalled(
    started: trio.Event,
) -> Callable[[httpx2.Request], Coroutine[None, None, httpx2.Response]]:
    async def answer(_: httpx2.Request) -> httpx2.Response:
        started.set()
        return await trio.sleep_forever()

    return answer


async def test_the_callers_deadline_ends_a_call(autojump_clock):
    started = trio.Event()
    transport = httpx2.MockTransport(stalled(started))

    async with Client("http://scripted", transport=transport) as client:
        with trio.move_on_after(7) as deadline:
            await client.get_job(JOB_ID, wait=60)

    assert started.is_set()
    assert deadline.cancelled_caught


async def test_an_upload_can_be_cancelled_midway(server, tmp_path):
    source = tmp_path / "photo.jpg"
    source.write_bytes(bytes(2_000_000))

    async with Client(server.url) as client:
        with trio.CancelScope() as scope:
            await client.submit(source, THUMBNAIL, lambda sent, _: scope.cancel() if sent else None)
        with pytest.raises(ProblemError, match="not_found"):
            await client.get_job(JOB_ID)

    assert scope.cancelled_caught


@pytest.mark.parametrize(("key", "header"), [(None, None), ("ck_a_b", "Bearer ck_a_b")])
async def test_a_key_goes_with_every_request(photo, key, header):
    service = Scripted(ACCEPTED, job("completed"), httpx2.Response(200, content=b"picture"))

    async with service.client(key) as client:
        submitted = await client.submit(photo, THUMBNAIL)
        await client.get_job(submitted.id)
        await client.download(submitted.id)

    assert service.credentials == [header] * 3
