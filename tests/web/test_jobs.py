"""The routes, as a running service takes their queries and bodies; and what a client holds."""

import json

import pytest
import trio
import trio.testing

from actors.mailbox import open_mailbox
from tests.conftest import PATIENCE
from tests.web import inside
from tests.web.raw import ask
from web.answers import Answers
from web.app import create_app
from web.downloads import Downloads
from web.jobs import Patience, jobs_blueprint
from web.uploads import UploadLimits, Uploads
from web.wire import WireLimits


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
@pytest.mark.parametrize("body", [b"x", b"[]", b"2", b'{"workers":' + b"[" * 100_000])
def test_a_pool_that_is_no_json_object_is_malformed(server, body):
    answer = ask(server.port, "PATCH /pool", "Content-Type: application/json", body=body)

    assert (answer.status, answer.code) == (400, "malformed")


async def test_a_picture_is_accounted_for_until_no_actor_has_it(tmp_path, nursery):
    dispatcher, mailbox = open_mailbox("dispatcher", 1)
    limits = {"max_size": 100, "memory": 100, "spilled": 1, "spool": tmp_path}
    uploads = Uploads(UploadLimits(**limits, min_rate=1, period=PATIENCE, patience=PATIENCE))
    routes = jobs_blueprint(
        *(dispatcher, Answers(str, str), Downloads(dispatcher, PATIENCE), WireLimits(100, 100)),
        Patience(ask=PATIENCE, wait=PATIENCE),
    )
    app = create_app([routes], uploads)
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
