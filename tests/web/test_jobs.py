"""The routes, as a running service takes their queries and bodies; and what a client holds."""

import json
from dataclasses import replace

import pytest
import trio
import trio.testing

from actors.errors import BacklogFull, Draining, MailboxFull
from actors.mailbox import open_mailbox
from actors.messages import Await, Find, ReadOutput, Submit
from actors.storage.ports import Output, StorageUnavailable
from tests.conftest import PATIENCE, make_job
from tests.web import inside
from tests.web.raw import ask
from web.about import MAX_POOL_BODY
from web.answers import Answers
from web.app import create_app
from web.downloads import Downloads
from web.envoy import Envoy
from web.jobs import jobs_blueprint
from web.kitchen import Kitchen
from web.members import MAX_MEMBERS, MAX_NAME
from web.presets import Presets
from web.uploads import UploadLimits, Uploads
from web.wire import WireLimits

KITCHEN = Kitchen(WireLimits(100, 100), Presets(None))


def pointers(answer) -> list[str]:
    assert (answer.status, answer.code) == (422, "invalid")
    return [fault["pointer"] for fault in json.loads(answer.body)["errors"]]


@pytest.mark.service
@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ("limit=0", ["/limit"]),
        ("limit=101", ["/limit"]),
        ("limit=1e1", ["/limit"]),
        ("limit=1&limit=2", ["/limit"]),
        ("status=done", ["/status"]),
        ("cursor=-1&limit=x&colour=red", ["/limit", "/cursor", "/colour"]),
        (f"cursor={2**63}", ["/cursor"]),
        ("created_after=yesterday", ["/created_after"]),
        ("created_after=1764000000", ["/created_after"]),
        ("created_after=-1", ["/created_after"]),
        ("created_after=2026-01-01T00:00:00", ["/created_after"]),
        ("created_after=0001-01-01T00:00:00%2B14:00", ["/created_after"]),
        ("created_after=9999-12-31T23:59:59-14:00", ["/created_after"]),
    ],
)
def test_every_fault_of_a_list_is_pointed_at(server, query, faults):
    assert pointers(ask(server.port, f"GET /jobs?{query}")) == faults


@pytest.mark.service
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_are_in_it(server, moment):
    assert ask(server.port, f"GET /jobs?created_after={moment}").status == 200


@pytest.mark.service
@pytest.mark.parametrize("wait", ["nan", "-1", "a", "", "1&wait=2", "-inf"])
def test_a_wait_that_is_none_is_refused(server, wait):
    assert pointers(ask(server.port, f"GET /jobs/x?wait={wait}")) == ["/wait"]


@pytest.mark.service
@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"{}", ["/workers"]),
        (b'{"workers":0}', ["/workers"]),
        (b'{"workers":1000000}', ["/workers"]),
        (b'{"workers":"2"}', ["/workers"]),
        (b'{"workers":2.5}', ["/workers"]),
        (b'{"workers":true}', ["/workers"]),
        (b'{"workers":2,"size":3}', ["/size"]),
    ],
)
def test_every_fault_of_a_pool_is_pointed_at(server, body, faults):
    answer = ask(server.port, "PATCH /pool", "Content-Type: application/json", body=body)

    assert pointers(answer) == faults


@pytest.mark.service
@pytest.mark.parametrize(
    "body",
    [
        b"x",
        b"[]",
        b"2",
        b'{"workers":' + b"[" * 100,
        b'{"workers":2,"%s":1}' % (b"a" * (MAX_NAME + 1)),
        b"{" + b",".join(b'"%d":1' % number for number in range(MAX_MEMBERS + 1)) + b"}",
    ],
)
def test_a_pool_that_is_no_reasonable_json_object_is_malformed(server, body):
    answer = ask(server.port, "PATCH /pool", "Content-Type: application/json", body=body)

    assert (answer.status, answer.code) == (400, "malformed")


@pytest.mark.service
def test_a_pool_in_a_long_text_is_too_large(server):
    for length, status in ((MAX_POOL_BODY, 200), (MAX_POOL_BODY + 1, 413)):
        body = b'{"workers":10}'.ljust(length)
        assert ask(server.port, "PATCH /pool", body=body).status == status


@pytest.mark.service
@pytest.mark.parametrize("path", ["/jobs", "/jobs/x"])
def test_a_query_is_bounded(server, path):
    query = "&".join(["a"] * (MAX_MEMBERS + 1))

    assert ask(server.port, f"GET {path}?{query}").code == "malformed"
    assert ask(server.port, f"GET {path}?{'a' * (MAX_NAME + 1)}=1").code == "malformed"


async def test_a_picture_is_accounted_for_until_no_actor_has_it(tmp_path, nursery):
    dispatcher, mailbox = open_mailbox("dispatcher", 1)
    envoy = Envoy(dispatcher, PATIENCE)
    limits = {"max_size": 100, "memory": 100, "spilled": 1, "spool": tmp_path}
    uploads = Uploads(UploadLimits(**limits, min_rate=1, period=PATIENCE, patience=PATIENCE))
    routes = jobs_blueprint(
        *(envoy, Answers(str, str), Downloads(envoy), KITCHEN),
        PATIENCE,
    )
    app = create_app([routes], uploads, inside.OPEN_GATE)
    client = trio.CancelScope()

    async def submit():
        with client:
            path = "/jobs?operation=resize&width=1&height=1"
            await inside.ask(app, "POST", path, {"Content-Type": "image/png"}, b"photo")

    nursery.start_soon(submit)
    await trio.testing.wait_all_tasks_blocked()
    client.cancel()
    await trio.testing.wait_all_tasks_blocked()
    while_it_waits = uploads.in_memory
    with await anext(mailbox) as envelope:
        abandoned = envelope.abandoned

    assert (while_it_waits, abandoned, uploads.in_memory) == (5, True, 0)


# --- What a submission is told --------------------------------------------------------------------

OUTPUT = Output(
    name="output",
    key="00/a.jpg",
    media_type="image/jpeg",
    width=1,
    height=1,
    size_bytes=7,
    sha256="abc",
)
JOB = make_job(status="completed", outputs=(OUTPUT,))
SEVERAL = make_job(status="completed", outputs=(OUTPUT, replace(OUTPUT, name="other")))
FACTS = make_job(status="completed", outputs=(replace(OUTPUT, media_type="application/json"),))
PENDING = make_job(status="pending")


@pytest.fixture
def submit(nursery, tmp_path):
    """Submit to a service whose actors give these answers; an ask without one comes to nothing."""
    dispatcher, mailbox = open_mailbox("dispatcher", 1)
    envoy = Envoy(dispatcher, PATIENCE)
    routes = jobs_blueprint(
        *(envoy, Answers(str, str), Downloads(envoy), KITCHEN),
        PATIENCE,
    )
    uploads = Uploads(UploadLimits(100, 100, 1, tmp_path, 1, PATIENCE, PATIENCE))
    app = create_app([routes], uploads, inside.OPEN_GATE)

    async def answer(answers):
        async for envelope in mailbox:
            with envelope:
                match answers.get(type(envelope.message)):
                    case Exception() as error:
                        envelope.fail(error)
                    case value if value is not None:
                        envelope.answer(value)

    async def submit(answers, **headers):
        if answers is not None:
            nursery.start_soon(answer, answers)
        return await inside.ask(
            app,
            "POST",
            "/jobs?operation=resize&width=1&height=1",
            {"Content-Type": "image/png", **headers},
            b"photo",
        )

    return submit


@pytest.mark.parametrize("answers", [None, {}], ids=["too slow", "stopped"])
async def test_a_submission_of_unknown_fate_is_not_to_be_repeated(submit, answers, autojump_clock):
    told = await submit(answers)

    assert (told.status, told.code) == (503, "storage_unavailable")
    assert "retry-after" not in told.headers
    assert "GET /jobs" in json.loads(told.body)["detail"]


@pytest.mark.parametrize(
    "error", [MailboxFull("store"), BacklogFull(), Draining(), StorageUnavailable()]
)
async def test_a_submission_that_has_done_nothing_may_be_repeated(submit, error):
    told = await submit({Submit: error})

    assert told.status == 503
    assert told.headers["retry-after"]


@pytest.mark.parametrize("answers", [{}, {Await: StorageUnavailable(), Find: MailboxFull("store")}])
async def test_an_accepted_job_is_told_though_nobody_can_say_how_it_goes(submit, answers):
    told = await submit({Submit: PENDING, **answers}, Prefer="wait=1")

    assert told.status == 202
    assert json.loads(told.body)["job_id"] == PENDING.id


@pytest.mark.parametrize("answers", [{}, {ReadOutput: StorageUnavailable()}])
async def test_a_completed_job_is_told_though_its_picture_cannot_be_read(submit, answers):
    told = await submit({Submit: PENDING, Await: JOB, **answers}, Prefer="wait=1", Accept="image/*")

    assert told.status == 200
    assert json.loads(told.body)["id"] == JOB.id
    assert told.headers["content-location"] == f"/jobs/{JOB.id}"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ({}, "application/json"),
        ({"Accept": "*/*"}, "application/json"),
        ({"Accept": "image/*, */*"}, "application/json"),
        ({"Accept": "image/png"}, "application/json"),
        ({"Accept": "image/*, application/json"}, "application/json"),
        ({"Accept": "image/*"}, "image/jpeg"),
        ({"Accept": "image/*, */*;q=0.9"}, "image/jpeg"),
        ({"Accept": "image/jpeg, application/json;q=0.5"}, "image/jpeg"),
        ({"Accept": "*/*, application/json;q=0.5"}, "image/jpeg"),
    ],
)
async def test_the_picture_itself_is_for_who_wants_it_more_than_json(submit, accept, kind):
    answers = {Submit: PENDING, Await: JOB, ReadOutput: b"picture"}

    told = await submit(answers, Prefer="wait=1", **accept)

    assert told.status == 200
    assert told.headers["content-type"] == kind
    assert (told.body == b"picture") == (kind == "image/jpeg")


@pytest.mark.parametrize("job", [SEVERAL, FACTS], ids=["several", "facts"])
async def test_what_is_not_one_picture_is_told_as_a_job(submit, job):
    told = await submit({Submit: PENDING, Await: job}, Prefer="wait=1", Accept="image/*")

    assert (told.status, told.headers["content-type"]) == (200, "application/json")
    assert json.loads(told.body)["status"] == "completed"
    assert told.headers["content-location"] == f"/jobs/{job.id}"
