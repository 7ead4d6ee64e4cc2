"""Results on their way out: whole, in part, only if they are new, or not at all."""

import hashlib
import json

import pytest
import trio

from actors.errors import OutputNotFound
from actors.mailbox import open_mailbox
from actors.messages import Fetch, Fetched, FindImage, ReadImage, ReadOutput
from actors.storage.ports import (
    BlobDamaged,
    BlobNotFound,
    ImageNotFound,
    ImageRecord,
    JobNotFound,
    Output,
    Seal,
)
from tests.conftest import NOON, PATIENCE, make_job
from tests.web.inside import OPEN_GATE, ask
from tests.web.raw import Answer
from web.answers import Answers
from web.app import create_app
from web.downloads import PIECE, Downloads
from web.envoy import Envoy
from web.images import images_blueprint
from web.jobs import jobs_blueprint
from web.kitchen import Kitchen
from web.presets import Presets
from web.problems import RETRY_AFTER
from web.uploads import UploadLimits, Uploads
from web.wire import WireLimits

PICTURE = bytes(range(256)) * 3000 + b"end"
SIZE = len(PICTURE)
SHA256 = hashlib.sha256(PICTURE).hexdigest()
ETAG = f'"{SHA256}"'
KEY = "00/picture.png"
IMAGE = ImageRecord(
    id="an-image",
    key=KEY,
    format="png",
    width=16,
    height=16,
    frames=1,
    size_bytes=SIZE,
    sha256=SHA256,
    facts="{}",
    created_at=NOON,
)


def make_output(name: str, key: str, size: int) -> Output:
    return Output(
        name=name,
        key=key,
        media_type="image/png",
        width=16,
        height=16,
        size_bytes=size,
        sha256=SHA256,
    )


class Archive:
    """What answers in the place of the Dispatcher: it has one picture, until it is taken away."""

    def __init__(self) -> None:
        self.address, self._mailbox = open_mailbox("dispatcher", 1)
        outputs = (make_output("output", KEY, SIZE),)
        self.job = make_job(status="completed", outputs=outputs)
        self.data: bytes | None = PICTURE
        self.lost_after = SIZE
        self.is_damaged = False
        self.lengths: list[int] = []

    async def run(self) -> None:
        async for envelope in self._mailbox:
            with envelope:
                try:
                    envelope.answer(self._answer(envelope.message))
                except (BlobNotFound, ImageNotFound, JobNotFound, OutputNotFound) as error:
                    envelope.fail(error)

    def _answer(self, message: object) -> object:
        match message:
            case Fetch(job_id, length, name):
                if job_id != self.job.id:
                    raise JobNotFound(job_id)
                if not self.job.outputs:
                    return Fetched(self.job, None, b"")
                for output in self.job.outputs:
                    if name in {None, output.name}:
                        return Fetched(self.job, output, self._read(0, length))
                raise OutputNotFound(name)
            case FindImage(image_id):
                if image_id != IMAGE.id:
                    raise ImageNotFound(image_id)
                return IMAGE
            case ReadOutput(key, offset, length, seal) | ReadImage(key, offset, length, seal):
                assert (key, seal) == (KEY, Seal(SIZE, SHA256))
                if message.whole and self.is_damaged:
                    raise BlobDamaged(key, "digest")
                return self._read(offset, length)
        raise AssertionError(message)

    def _read(self, offset: int, length: int) -> bytes:
        if self.data is None or offset >= self.lost_after:
            raise BlobNotFound(KEY)
        self.lengths.append(length)
        return self.data[offset : offset + length]


@pytest.fixture
async def archive(nursery):
    archive = Archive()
    nursery.start_soon(archive.run)
    return archive


@pytest.fixture
def app(archive, tmp_path):
    envoy = Envoy(archive.address, PATIENCE)
    parts = (
        envoy,
        Answers(str, str),
        Downloads(envoy),
        Kitchen(WireLimits(1000, 1000), Presets(None)),
    )
    jobs = jobs_blueprint(*parts, PATIENCE)
    images = images_blueprint(*parts)
    uploads = Uploads(UploadLimits(1000, 1000, 1, tmp_path, 1, 60, 10))
    return create_app([jobs, images], uploads, OPEN_GATE)


@pytest.fixture
def download(app, archive):
    async def download(
        method: str = "GET", seconds_a_piece: float = 0, query: str = "", **headers: str
    ) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/jobs/{archive.job.id}/download{query}"
        with trio.fail_after(PATIENCE + 100 * seconds_a_piece):
            return await ask(app, method, path, named, seconds_a_piece=seconds_a_piece)

    return download


async def test_a_picture_comes_whole_with_all_that_is_to_be_known_of_it(download, archive):
    response = await download()

    assert response.status == 200
    assert response.body == PICTURE
    headers = response.headers
    assert headers["content-type"] == "image/png"
    assert headers["content-length"] == str(SIZE)
    assert headers["etag"] == ETAG
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"] == f'inline; filename="{archive.job.id}.png"'
    assert "immutable" in headers["cache-control"]
    assert max(archive.lengths) <= PIECE


async def test_head_tells_what_get_would_and_reads_next_to_nothing(download, archive):
    head, get = await download("HEAD"), await download()

    assert head.status == 200
    assert head.headers["content-length"] == str(SIZE)
    assert head.headers | {"x-request-id": ""} == get.headers | {"x-request-id": ""}
    assert archive.lengths[0] == 1


# --- One of several, and images -------------------------------------------------------------------


@pytest.fixture
def several(archive):
    outputs = (make_output("large", KEY, SIZE), make_output("thumb", KEY, 100))
    archive.job = make_job(status="completed", outputs=outputs)


async def test_an_output_comes_by_its_name_and_the_first_without(download, archive, several):
    named = {each: await download(query=f"?output={each}") for each in ("large", "thumb")}

    assert named["large"].body == (await download()).body == PICTURE
    assert named["thumb"].body == PICTURE[:100]
    assert [each.headers["content-disposition"] for each in named.values()] == [
        f'inline; filename="{archive.job.id}-{name}.png"' for name in ("large", "thumb")
    ]


async def test_an_output_that_there_is_not_is_not_found(download, several):
    response = await download(query="?output=medium")

    assert (response.status, response.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("?output=A", "/output"),
        ("?output=", "/output"),
        ("?output=large%0A", "/output"),
        ("?output=large&output=thumb", "/output"),
        ("?name=large", "/name"),
    ],
)
async def test_a_wrong_name_of_an_output_is_pointed_at(download, several, query, pointer):
    response = await download(query=query)

    assert (response.status, response.code) == (422, "invalid")
    assert [fault["pointer"] for fault in json.loads(response.body)["errors"]] == [pointer]


async def test_an_image_comes_as_a_result_does(app, archive):
    async def content(method: str = "GET", **headers: str) -> Answer:
        return await ask(app, method, "/images/an-image/content", headers)

    whole, head = await content(), await content("HEAD")
    part = await content(Range=f"bytes={PIECE - 1}-{PIECE}")
    same = await content(**{"If-None-Match": ETAG})

    assert whole.body == PICTURE
    assert whole.headers["etag"] == ETAG
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["content-disposition"] == 'inline; filename="an-image.png"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert head.headers | {"x-request-id": ""} == whole.headers | {"x-request-id": ""}
    assert (part.status, part.body) == (206, PICTURE[PIECE - 1 : PIECE + 1])
    assert (same.status, same.body) == (304, b"")
    assert max(archive.lengths) <= PIECE


async def test_an_unknown_image_has_no_content(app):
    assert (await ask(app, "GET", "/images/unknown/content", {})).code == "not_found"


# --- Only if it is new ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition", [ETAG, f"W/{ETAG}", f'"other", {ETAG}', f'W/"other",W/{ETAG}', "*"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_has_the_picture_is_told_so(download, condition, method):
    response = await download(method, If_None_Match=condition)

    assert response.status == 304
    assert response.body == b""
    assert response.headers["etag"] == ETAG
    assert "content-length" not in response.headers
    assert "content-type" not in response.headers


@pytest.mark.parametrize("condition", ['"other"', 'W/"other"', SHA256[:-1], '"', ","])
async def test_who_has_another_picture_gets_this_one(download, condition):
    response = await download(If_None_Match=condition)

    assert response.status == 200
    assert response.body == PICTURE


# --- In part --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-199", 100, 200),
        (f"bytes={PIECE - 1}-{PIECE}", PIECE - 1, PIECE + 1),
        (f"bytes={PIECE + 5}-{2 * PIECE + 10}", PIECE + 5, 2 * PIECE + 11),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{2 * SIZE}", 0, SIZE),
        (f"bytes={SIZE - 3}-", SIZE - 3, SIZE),
        ("bytes=0-", 0, SIZE),
        (f"bytes=5-{10**12}", 5, SIZE),
        ("Bytes=1-2", 1, 3),
    ],
)
async def test_a_range_is_what_comes(download, asked, start, stop):
    response = await download(Range=asked)

    assert response.status == 206
    assert response.body == PICTURE[start:stop]
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert response.headers["content-length"] == str(stop - start)


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE}", "bytes=-0"])
async def test_a_range_beyond_the_end_cannot_be_satisfied(download, asked):
    response = await download(Range=asked)

    assert response.status == 416
    assert response.headers["content-range"] == f"bytes */{SIZE}"
    assert json.loads(response.body)["code"] == "range_not_satisfiable"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=0-1,3-4",
        "bytes=",
        "bytes",
        "lines=1-2",
        "bytes=5-2",
        "bytes=a-b",
        "bytes=--1",
        "bytes=-",
        "0-1",
    ],
)
async def test_what_is_no_single_range_is_ignored(download, asked):
    response = await download(Range=asked)

    assert response.status == 200
    assert response.body == PICTURE


async def test_head_ignores_ranges(download):
    response = await download("HEAD", Range="bytes=0-0")

    assert response.status == 200
    assert response.headers["content-length"] == str(SIZE)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (ETAG, 206),
        (f"W/{ETAG}", 200),
        ('"other"', 200),
        ("*", 200),
        ("Sun, 01 Mar 2026 12:00:00 GMT", 200),
    ],
)
async def test_a_range_may_be_asked_for_on_a_condition(download, condition, status):
    response = await download(Range="bytes=0-9", If_Range=condition)

    assert response.status == status
    assert response.body == (PICTURE[:10] if status == 206 else PICTURE)


async def test_having_the_picture_comes_before_any_range(download):
    response = await download(Range=f"bytes={SIZE}-", If_None_Match=ETAG)

    assert response.status == 304


# --- Not at all -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("pending", "not_ready"),
        ("processing", "not_ready"),
        ("failed", "job_failed"),
        ("cancelled", "job_cancelled"),
    ],
)
async def test_a_job_without_a_result_is_a_conflict(download, archive, status, code):
    archive.job = make_job(status=status, error="It is none.", error_code="not_an_image")

    response = await download(If_None_Match="*", Range="bytes=0-1")

    assert response.status == 409
    assert json.loads(response.body)["code"] == code
    waiting_helps = code == "not_ready"
    assert response.headers.get("retry-after") == (str(RETRY_AFTER) if waiting_helps else None)


async def test_an_unknown_job_has_no_result(app):
    response = await ask(app, "GET", "/jobs/unknown/download", {})

    assert response.status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_picture_that_was_deleted_behind_our_back_is_gone(download, archive, method):
    archive.data = None

    response = await download(method)

    assert response.status == 410


async def test_a_damaged_picture_is_told_before_its_first_byte(download, archive):
    archive.is_damaged = True

    whole, range_of_all = await download(), await download(Range="bytes=0-")
    head, part = await download("HEAD"), await download(Range=f"bytes=1-{PIECE + 1}")
    same = await download(If_None_Match=ETAG)

    assert (whole.status, whole.code) == (range_of_all.status, range_of_all.code) == (410, "gone")
    # These are not worth reading all of it.
    assert [each.status for each in (head, part, same)] == [200, 206, 304]


async def test_a_picture_that_is_lost_midway_is_not_passed_off_as_whole(download, archive):
    archive.lost_after = 2 * PIECE

    with pytest.RaisesGroup(BlobNotFound, flatten_subgroups=True):
        await download()


async def test_a_download_may_take_longer_than_any_other_answer(app, download, autojump_clock):
    app.config["RESPONSE_TIMEOUT"] = 1

    response = await download(seconds_a_piece=60)

    assert response.body == PICTURE
