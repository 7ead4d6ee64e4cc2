"""What the clients do when the service, or the way to it, does not do its part."""

import time
from collections.abc import Callable, Coroutine
from hashlib import sha256
from io import BytesIO

import httpx2
import pytest
import trio

from tests.conftest import PATIENCE
from tests.web.faulty import answer, cut, fall_silent, hang_up, problem, serve, tell
from web.client import AsyncClient, Client
from web.failures import (
    Damaged,
    Gone,
    JobFailed,
    NoAnswer,
    NotEnded,
    NotFound,
    Overloaded,
    ProblemError,
    Unreachable,
)
from web.line import ATTEMPTS, LONGEST_PAUSE, TRYING
from web.problems import KINDS
from web.results import Accepted, Picture

THUMBNAIL = {"operation": "thumbnail", "width": 32, "height": 32}
JOB_ID = "550e8400-e29b-41d4-a716-446655440000"
ACCEPTED = {"job_id": JOB_ID, "status": "pending", "message": "…"}
PICTURE = bytes(range(256)) * 512
ETAG = f'"{sha256(PICTURE).hexdigest()}"'
JITTER = 0.3  # seconds that the drawn pauses of two attempts are together at most


def job_of(status: str, **more: object) -> dict[str, object]:
    time = "2026-03-01T12:00:00.000000Z"
    return {"id": JOB_ID, "status": status, "created_at": time, "updated_at": time, **more}


# --- Both clients, and a real connection ----------------------------------------------------------


@pytest.mark.parametrize("fault", [hang_up, cut(2, 202, b"{} ")])
async def test_a_submission_whose_answer_was_lost_is_repeated_under_its_key(
    connect, tmp_path, fault
):
    source = tmp_path / "photo.jpg"
    source.write_bytes(PICTURE)

    with serve(fault, tell(202, ACCEPTED), tell(202, ACCEPTED)) as server:
        client = connect(server.url)
        submitted = await client.submit(source, {"operations": [{"op": "blur"}]})
        await client.submit(source, THUMBNAIL)

    first, second, another = server.asked
    assert submitted == Accepted(JOB_ID, "pending")
    assert first.body == second.body
    assert first.headers["content-type"] == second.headers["content-type"]
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert another.headers["idempotency-key"] != first.headers["idempotency-key"]
    assert another.body == PICTURE


@pytest.mark.parametrize(("status", "code"), [(503, "overloaded"), (429, "rate_limited")])
async def test_a_busy_service_is_asked_again(connect, status, code):
    with serve(problem(status, code, Retry_After=0), tell(202, ACCEPTED)) as server:
        submitted = await connect(server.url).submit(BytesIO(PICTURE), THUMBNAIL)

    assert submitted.id == JOB_ID
    assert [asked.body for asked in server.asked] == [PICTURE, PICTURE]


class Pipe(BytesIO):
    def seekable(self) -> bool:
        return False


async def test_what_can_be_read_only_once_is_sent_only_once(connect):
    with (
        serve(problem(503, "overloaded", Retry_After=0)) as server,
        pytest.raises(Overloaded),
    ):
        await connect(server.url).submit(Pipe(PICTURE), THUMBNAIL)

    assert server.asked[0].body == PICTURE
    assert server.asked[0].headers["transfer-encoding"] == "chunked"


async def test_a_slow_answer_is_waited_for(connect):
    def slow(connection, asked) -> None:
        time.sleep(0.3)
        tell(200, job_of("completed"))(connection, asked)

    with serve(slow) as server:
        job = await connect(server.url).wait(JOB_ID)

    assert job.ended


async def test_a_wait_goes_on_over_broken_connections(connect):
    steps = [
        hang_up,
        tell(200, job_of("processing")),
        cut(7, 200, b"{}" * 50),
        problem(503, "draining", Retry_After=0),
        tell(200, job_of("completed")),
    ]
    with serve(*steps) as server:
        job = await connect(server.url).wait(JOB_ID)

    assert job.status == "completed"
    assert {asked.line for asked in server.asked} == {f"GET /jobs/{JOB_ID}?wait=30 HTTP/1.1"}


async def test_a_wait_has_an_end(connect):
    with serve(tell(200, job_of("processing"))) as server:
        client = connect(server.url)
        with pytest.raises(NotEnded, match=f"{JOB_ID} is still processing") as left:
            await client.wait(JOB_ID, timeout=0)

    assert isinstance(left.value, TimeoutError)
    assert not left.value.job.ended


async def test_a_wait_with_an_end_does_not_hang_on_a_silent_service(connect):
    begin = trio.current_time()

    with serve(fall_silent) as server:
        client = connect(server.url)
        with pytest.raises(NoAnswer):
            await client.wait(JOB_ID, timeout=0.1)

    assert trio.current_time() - begin < PATIENCE / 2


@pytest.mark.parametrize("to_path", [True, False])
async def test_a_download_goes_on_where_it_broke(connect, tmp_path, to_path):
    target = tmp_path / "a.jpg" if to_path else BytesIO()
    rest = {"Content_Range": f"bytes 70000-{len(PICTURE) - 1}/{len(PICTURE)}", "ETag": ETAG}
    steps = [
        cut(70_000, 200, PICTURE, ETag=ETAG, Content_Type="image/webp; a=b"),
        hang_up,
        answer(206, PICTURE[70_000:], **rest),
    ]

    with serve(*steps) as server:
        saved = await connect(server.url).save(JOB_ID, target, "a")

    data = target.getvalue() if isinstance(target, BytesIO) else target.read_bytes()
    assert data == PICTURE
    assert (saved.content_type, saved.size_bytes) == ("image/webp", len(PICTURE))
    assert f'"{saved.sha256}"' == ETAG
    asked = server.asked[2]
    assert asked.line == f"GET /jobs/{JOB_ID}/download?output=a HTTP/1.1"
    assert (asked.headers["range"], asked.headers["if-range"]) == ("bytes=70000-", ETAG)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"] * to_path


CUT = cut(70_000, 200, PICTURE, ETag=ETAG)


@pytest.mark.parametrize(
    "steps",
    [
        [answer(200, PICTURE[:-1] + b"!", ETag=ETAG)],
        [CUT, answer(200, PICTURE, ETag=ETAG)],
        [CUT, answer(206, PICTURE[1:], ETag=ETAG, Content_Range="bytes 1-131071/131072")],
        [CUT, answer(206, PICTURE, ETag='"1"', Content_Range="bytes 70000-131071/131072")],
        [cut(70_000, 200, PICTURE), answer(200, PICTURE)],
    ],
)
async def test_what_is_not_what_the_service_keeps_is_no_result(connect, tmp_path, steps):
    target = tmp_path / "a.jpg"
    target.write_bytes(b"before")

    with serve(*steps) as server, pytest.raises(Damaged):
        await connect(server.url).save(JOB_ID, target)

    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


async def test_a_picture_that_comes_at_once_is_checked_too(connect):
    with (
        serve(answer(200, b"broken", Content_Type="image/jpeg", ETag=ETAG)) as server,
        pytest.raises(Damaged),
    ):
        await connect(server.url).submit_and_wait(b"photo", THUMBNAIL)


async def test_an_etag_of_somebody_else_says_nothing_of_the_bytes(connect):
    with serve(answer(200, PICTURE, ETag='W/"abc"')) as server:
        picture = await connect(server.url).download(JOB_ID)

    assert picture.data == PICTURE


async def test_what_a_lost_answer_has_deleted_is_deleted(connect):
    with serve(hang_up, problem(404, "not_found")) as server:
        await connect(server.url).delete(JOB_ID)

    with serve(problem(404, "not_found")) as server, pytest.raises(NotFound):
        await connect(server.url).delete(JOB_ID)


@pytest.mark.parametrize("key", [None, "ck_a_b"])
async def test_a_key_goes_with_every_request(connect, key):
    with serve(tell(202, ACCEPTED), tell(200, job_of("completed"))) as server:
        client = connect(server.url, key=key)
        await client.wait((await client.submit(b"photo", THUMBNAIL)).id)

    header = f"Bearer {key}" if key else None
    assert [asked.headers.get("authorization") for asked in server.asked] == [header] * 2


# --- A service that answers as a script says, and a clock that jumps ------------------------------


class Scripted:
    """A service that gives these answers, one after another. `asked` is what it was asked."""

    def __init__(self, *answers: httpx2.Response | httpx2.TransportError) -> None:
        self._answers = iter(answers)
        self.asked: list[tuple[str, str, bytes]] = []
        self.queries: list[str] = []

    def client(self) -> AsyncClient:
        return AsyncClient("http://scripted", transport=httpx2.MockTransport(self._answer))

    async def _answer(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.AsyncByteStream)
        body = b"".join([part async for part in request.stream])
        self.asked.append((request.method, request.url.path, body))
        self.queries.append(request.url.query.decode())
        answer = next(self._answers)
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return answer


def busy(retry_after: str) -> httpx2.Response:
    told = {"title": "Overloaded", "status": 503, "detail": "Too much.", "code": "overloaded"}
    return httpx2.Response(503, json=told, headers=[(b"Retry-After", retry_after.encode())])


def job(status: str, **more: object) -> httpx2.Response:
    return httpx2.Response(200, json=job_of(status, **more))


def accepted() -> httpx2.Response:
    return httpx2.Response(202, json=ACCEPTED)


async def test_a_failed_job_is_an_error_with_its_reason(autojump_clock):
    service = Scripted(
        accepted(), job("processing"), job("failed", error="Too dull.", error_code="dull")
    )

    async with service.client() as client:
        with pytest.raises(JobFailed, match=r"Too dull\. \(dull\)"):
            await client.submit_and_wait(b"photo", THUMBNAIL)


async def test_a_name_that_could_lead_elsewhere_is_no_answer():
    output = {
        "name": "../../a",
        "media_type": "image/png",
        "width": 1,
        "height": 1,
        "size_bytes": 1,
        "sha256": "1a",
    }

    async with Scripted(job("completed", outputs=[output])).client() as client:
        with pytest.raises(ProblemError, match="not_understood"):
            await client.submit_and_wait_for_all(b"photo", THUMBNAIL)


async def test_results_that_are_gone_already_are_not_taken_for_none():
    told = {"title": "Gone", "status": 410, "detail": "It is gone.", "code": "gone"}
    service = Scripted(job("completed", gone=True), httpx2.Response(410, json=told))

    async with service.client() as client:
        with pytest.raises(Gone):
            await client.submit_and_wait_for_all(b"photo", THUMBNAIL)


def test_every_error_with_a_class_is_one_of_the_service():
    # That is the contract's, for a service with quotas.
    assert set(ProblemError.kinds) <= set(KINDS) | {"rate_limited"}


async def test_a_code_without_a_class_is_an_error_all_the_same():
    told = {"title": "New", "status": 418, "detail": "New.", "code": "teapot", "colour": "red"}

    async with Scripted(httpx2.Response(418, json=told)).client() as client:
        with pytest.raises(ProblemError) as error:
            await client.job(JOB_ID)

    assert (type(error.value), error.value.code) == (ProblemError, "teapot")


async def test_members_that_are_new_are_ignored():
    async with Scripted(job("scheduled", run_at="tomorrow", outputs=[])).client() as client:
        new = await client.job(JOB_ID)

    assert new.status == "scheduled"
    assert not new.ended


async def test_a_busy_service_is_given_the_time_it_asks_for(autojump_clock):
    service = Scripted(busy("3"), busy("2"), accepted())

    async with service.client() as client:
        submitted = await client.submit(b"photo", THUMBNAIL)

    assert submitted == Accepted(JOB_ID, "pending")
    assert service.asked == 3 * [("POST", "/jobs", b"photo")]
    assert 5 <= trio.current_time() <= 5 + JITTER


@pytest.mark.parametrize(
    "retry_after", [f"{LONGEST_PAUSE + 1:.0f}", "tomorrow", "-1", "\u0661", ""]
)
async def test_a_pause_that_is_too_long_or_unclear_is_left_to_the_caller(retry_after):
    service = Scripted(busy(retry_after))

    async with service.client() as client:
        with pytest.raises(Overloaded):
            await client.submit(b"photo", THUMBNAIL)


async def test_patience_has_an_end(autojump_clock):
    service = Scripted(*[busy("1") for _ in range(ATTEMPTS)])

    async with service.client() as client:
        with pytest.raises(Overloaded):
            await client.job(JOB_ID)

    assert len(service.asked) == ATTEMPTS


async def test_no_attempt_begins_when_too_much_time_has_passed(autojump_clock):
    asked = 0

    async def answer(_: httpx2.Request) -> httpx2.Response:
        nonlocal asked
        asked += 1
        await trio.sleep(TRYING - 1)
        return busy("0")

    async with AsyncClient("http://scripted", transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(Overloaded):
            await client.job(JOB_ID)

    assert asked == 2


async def test_a_wait_with_an_end_does_not_sleep_beyond_it(autojump_clock):
    service = Scripted(*[httpx2.ReadError("reset") for _ in range(20)])

    async with service.client() as client:
        with pytest.raises(NoAnswer):
            await client.wait(JOB_ID, timeout=2)

    assert trio.current_time() <= 2


async def test_a_wait_ends_when_it_was_to_end(autojump_clock):
    service = Scripted(*[job("pending") for _ in range(100)])

    async with service.client() as client:
        with pytest.raises(TimeoutError):
            await client.wait(JOB_ID, timeout=1.9)

    assert trio.current_time() == pytest.approx(1.9)
    assert {*service.queries} == {"wait=1", ""}


async def test_where_nobody_listens_is_tried_again_and_then_said(autojump_clock):
    service = Scripted(*[httpx2.ConnectError("refused") for _ in range(ATTEMPTS)])

    async with service.client() as client:
        with pytest.raises(Unreachable, match="refused"):
            await client.submit(b"photo", THUMBNAIL)

    assert len(service.asked) == ATTEMPTS


async def test_what_cannot_pass_is_not_tried_again():
    service = Scripted(httpx2.UnsupportedProtocol("ftp"))

    async with service.client() as client:
        with pytest.raises(Unreachable):
            await client.job(JOB_ID)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx2.Response(502, text="<h1>Bad gateway</h1>"), "http_502"),
        (httpx2.Response(302, headers={"Location": "http://elsewhere"}), "http_302"),
        (httpx2.Response(200, text="<h1>Welcome</h1>"), "not_understood"),
        (httpx2.Response(200, content=b'{"id":"\xff"}'), "not_understood"),
        (httpx2.Response(500, content=b"\xff"), "http_500"),
    ],
)
async def test_a_stranger_at_the_address_is_an_error_too(answer, code):
    async with Scripted(answer).client() as client:
        with pytest.raises(ProblemError) as error:
            await client.job(JOB_ID)

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

    async with AsyncClient("http://scripted", transport=transport) as client:
        with trio.move_on_after(7) as deadline:
            await client.wait(JOB_ID)

    assert started.is_set()
    assert deadline.cancelled_caught


def test_a_client_that_blocks_needs_no_event_loop():
    def answer(request: httpx2.Request) -> httpx2.Response:
        return job("completed") if request.method == "GET" else accepted()

    with Client("http://scripted", transport=httpx2.MockTransport(answer)) as client:
        assert client.wait(client.submit(b"photo", THUMBNAIL).id).ended


def test_a_picture_shows_its_size_and_not_its_bytes():
    assert repr(Picture(b"1234", "image/png", "a")) == "Picture(4 bytes, 'image/png', 'a')"
