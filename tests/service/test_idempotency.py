"""A POST that is sent again under its `Idempotency-Key` is done once, whatever happens between."""

import json
import random
import socket
import sqlite3
from contextlib import closing
from typing import Any

import httpx2
import pytest
import trio

from tests.service.asking import files_in, open_api, until_true
from tests.service.test_keys import bearer, code, make_key
from tests.web import running
from web.gate import NEEDED

pytestmark = pytest.mark.service

SMALL = {"operation": "thumbnail", "width": 9, "height": 9}
JPEG = {"Content-Type": "image/jpeg"}
BORING = {"date", "x-request-id", "idempotent-replayed"}


def under(name: str, **headers: str) -> dict[str, str]:
    return {"Idempotency-Key": name, **headers}


def is_replay(response: httpx2.Response) -> bool:
    return response.headers.get("Idempotent-Replayed") == "true"


def said(response: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """What an answer says, but for what differs from one to the next."""
    headers = {
        name: value for name, value in response.headers.items() if name.lower() not in BORING
    }
    return response.status_code, headers, response.content


async def make_job(api, photo: bytes) -> str:
    response = await api.send(photo)
    assert response.status_code == 202
    return str(response.json()["job_id"])


@pytest.fixture(scope="module")
def silence():
    """The address of a picture that never comes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def server(silence, tmp_path_factory):
    """A service that the tests share, and that may wait for that picture, but not for receivers."""
    directory = tmp_path_factory.mktemp("idempotency")
    with running.start_server(directory, FETCH_ALLOW=silence, DELIVERY_TIMEOUT=1) as server:
        yield server


async def waiting_job(api, silence: str) -> str:
    """Submit a job that does not end by itself while a test lasts."""
    return str(await api.submit_json(image_url=f"http://{silence}/a.png", **SMALL))


async def failed_job(api) -> str:
    job_id = await make_job(api, b"no picture")
    assert (await api.ended(job_id))["status"] == "failed"
    return job_id


# For each POST: how to send one that is done, as path and arguments.
async def submission(_api, photo, _silence):  # noqa: ASYNC124 (as the others are)
    return "/jobs", {"params": SMALL, "content": photo, "headers": JPEG}


async def upload(_api, photo, _silence):  # noqa: ASYNC124 (as the others are)
    return "/images", {"content": photo, "headers": JPEG}


async def plan(_api, photo, _silence):  # noqa: ASYNC124 (as the others are)
    return "/plan", {"params": SMALL, "content": photo, "headers": JPEG}


async def cancel(api, _photo, silence):
    return f"/jobs/{await waiting_job(api, silence)}/cancel", {}


async def retry(api, _photo, _silence):
    return f"/jobs/{await failed_job(api)}/retry", {}


async def redrive(api, _photo, _silence):
    await failed_job(api)
    return "/queue/retry", {"json": {"limit": 1}}


async def link(api, photo, _silence):
    return f"/jobs/{await make_job(api, photo)}/links", {"json": {"expires_in": 60}}


async def batch(_api, _photo, silence):  # noqa: ASYNC124 (as the others are)
    defaults = {"image_url": f"http://{silence}/a.png", **SMALL}
    return "/batches", {"json": {"defaults": defaults, "jobs": [{}, {"width": 8}]}}


async def cancel_batch(api, photo, silence):
    path, how = await batch(api, photo, silence)
    response = await api.http.post(path, **how)
    assert response.status_code == 202
    return f"/batches/{response.json()['batch_id']}/cancel", {}


async def redelivery(api, photo, silence):
    response = await api.send(photo, callback_url=f"http://{silence}/hook")
    job_id = response.json()["job_id"]
    await api.ended(job_id)
    return f"/jobs/{job_id}/redeliver", {}


async def batch_redelivery(api, photo, silence):
    hook, image = f"http://{silence}/hook", await api.upload(photo)
    said = {"jobs": [{"image_id": image, **SMALL}], "callback_url": hook}
    batch_id = (await api.http.post("/batches", json=said)).json()["batch_id"]
    await api.http.get(f"/batches/{batch_id}", params={"wait": 30})
    return f"/batches/{batch_id}/redeliver", {}


POSTS: dict[str, Any] = {
    "POST /jobs": submission,
    "POST /images": upload,
    "POST /plan": plan,
    "POST /jobs/<job_id>/cancel": cancel,
    "POST /jobs/<job_id>/retry": retry,
    "POST /jobs/<job_id>/links": link,
    "POST /jobs/<job_id>/redeliver": redelivery,
    "POST /batches": batch,
    "POST /batches/<batch_id>/cancel": cancel_batch,
    "POST /batches/<batch_id>/redeliver": batch_redelivery,
    "POST /queue/retry": redrive,
}
SWITCHES = {"POST /queue/pause", "POST /queue/resume"}


def test_every_post_is_tried_here():
    # A new route that changes something asks the Store for `commit_once`, or `Envoy.settle`.
    assert POSTS.keys() | SWITCHES == {route for route in NEEDED if route.startswith("POST ")}


async def test_a_queue_that_was_resumed_meanwhile_is_not_paused_again(start_server):
    with start_server() as server:
        async with open_api(server) as api:
            pause, resume = ("/queue/pause", under("pause")), ("/queue/resume", under("resume"))
            calls = [pause, pause, resume, pause, resume]
            answers = [await api.http.post(path, headers=headers) for path, headers in calls]

    assert [each.json()["paused"] for each in answers] == [True, True, False, False, False]
    assert [is_replay(each) for each in answers] == [False, True, False, True, True]
    with closing(sqlite3.connect(server.dir / "data/jobs.db")) as db:
        noted = db.execute("select action from audit order by number").fetchall()
    assert noted == [("queue_paused",), ("queue_resumed",)]


@pytest.mark.parametrize("route", POSTS)
async def test_a_post_that_is_sent_again_is_answered_as_the_first_time(api, rocket, silence, route):
    path, how = await POSTS[route](api, rocket, silence)
    how["headers"] = how.get("headers", {}) | under(f'"{route} once"')

    first = await api.http.post(path, **how)
    # Links are of the second in which they were made.
    await trio.sleep(1.1 if route.endswith("links") else 0)
    again = await api.http.post(path, **how)

    assert first.status_code < 300, first.text
    assert said(again) == said(first)
    assert (is_replay(first), is_replay(again)) == (False, True)


@pytest.mark.parametrize("route", POSTS)
async def test_another_post_under_the_same_name_is_refused(api, rocket, silence, route):
    name = f"{route} twice"
    first = await api.http.post(
        "/jobs", params=SMALL, content=rocket, headers=JPEG | under(name, Prefer="wait=30")
    )
    assert first.status_code == 200
    path, how = await POSTS[route](api, rocket, silence)
    if route == "POST /jobs":
        how["params"] = how["params"] | {"width": 10}
    how["headers"] = how.get("headers", {}) | under(name)

    other = await api.http.post(path, **how)

    assert code(other) == (422, "idempotency_mismatch")
    assert not is_replay(other)


async def test_one_that_comes_while_the_first_is_at_it_is_the_same_job(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            answers = []

            async def submit():
                answers.append(await api.send(rocket, headers=under("at once")))

            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(submit)

            assert {response.status_code for response in answers} == {202}
            assert len({response.content for response in answers}) == 1
            assert sum(map(is_replay, answers)) == 49
            assert len(await api.jobs()) == 1
            await until_true(lambda: len(files_in(server.dir / "uploads")) == 1)


async def test_a_form_that_is_built_anew_is_the_same(api, rocket):
    answers = [await api.send(rocket, form="multipart", headers=under("a form")) for _ in range(2)]
    kinds = {response.request.headers["Content-Type"] for response in answers}
    others = await api.send(rocket + b"x", form="multipart", headers=under("a form"))

    assert len(kinds) == 2
    assert said(answers[0]) == said(answers[1])
    assert code(others) == (422, "idempotency_mismatch")


async def test_who_waits_again_gets_the_picture_as_it_is_now(api, rocket):
    name = "a picture"
    first = await api.send(rocket, headers=under(name))
    picture = await api.send(rocket, headers=under(name, Prefer="wait=30", Accept="image/*"))
    again = await api.send(rocket, headers=under(name, Prefer="wait=30", Accept="image/*"))
    later = await api.send(rocket, headers=under(name))

    assert picture.headers["Content-Type"] == "image/jpeg"
    assert picture.headers["Content-Location"].split("/")[2] == first.json()["job_id"]
    assert said(picture) == said(again)
    assert said(later) == said(first)


async def test_what_was_refused_can_be_corrected_under_the_same_name(api, rocket):
    headers = under("corrected")

    wrong = await api.send(rocket, width=0, headers=headers)
    malformed = await api.http.post("/jobs", content=b"{", headers=headers)
    right = await api.send(rocket, headers=headers)

    assert code(wrong) == (422, "invalid")
    assert malformed.status_code >= 400
    assert (right.status_code, is_replay(right)) == (202, False)


async def test_what_was_turned_away_can_be_sent_again(start_server, silence, rocket):
    with start_server(MAX_PENDING=1, WORKER_POOL_SIZE=1, FETCH_ALLOW=silence) as server:
        async with open_api(server) as api:
            busy = await waiting_job(api, silence)
            await api.until_status(busy, "processing")
            waiting = await api.submit(rocket)

            refused = await api.send(rocket, headers=under("later"))
            await api.http.delete(f"/jobs/{waiting}")
            # What is pending is counted anew with each transaction.
            accepted = await api.send(rocket, headers=under("later"))
            await api.http.delete(f"/jobs/{busy}")

            assert code(refused) == (503, "overloaded")
            assert (accepted.status_code, is_replay(accepted)) == (202, False)


async def test_of_what_was_deleted_nothing_is_told_and_nothing_is_made_again(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            first = await api.send(rocket, headers=under("deleted"))
            await api.http.delete(f"/jobs/{first.json()['job_id']}")

            again = await api.send(rocket, headers=under("deleted"))

            assert code(again) == (410, "gone")
            assert await api.jobs() == []


async def test_tenants_have_names_of_their_own(start_server, rocket):
    with start_server() as server:
        keys = [make_key(server, tenant) for tenant in ("acme", "other", "acme")]
        async with open_api(server) as api:
            answers = [
                await api.send(rocket, headers=under("the same") | bearer(key)) for key in keys
            ]
            wrong = await api.send(rocket, headers=under("the same") | bearer(keys[0][:-1] + "_"))

            first, other, again = answers
            assert first.json()["job_id"] != other.json()["job_id"]
            # Another key of the same tenant is as good.
            assert said(again) == said(first)
            assert list(map(is_replay, answers)) == [False, False, True]
            assert code(wrong) == (401, "unauthenticated")


async def test_a_name_is_forgotten_after_its_time(start_server, rocket):
    with start_server(IDEMPOTENCY_AGE=1) as server:
        async with open_api(server) as api:
            first = await api.send(rocket, headers=under("short"))
            await trio.sleep(1.1)
            second = await api.send(rocket, headers=under("short"))

            assert first.json()["job_id"] != second.json()["job_id"]
            assert not is_replay(second)


async def test_of_many_names_the_last_are_remembered(start_server, rocket):
    with start_server(MAX_IDEMPOTENCY_KEYS=2) as server:
        async with open_api(server) as api:
            for name in "abc":
                await api.send(rocket, headers=under(name))

            again = [await api.send(rocket, headers=under(name)) for name in "cba"]

            assert list(map(is_replay, again)) == [True, True, False]
            with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
                assert catalogue.execute("select count(*) from repeats").fetchone() == (2,)


async def test_a_stop_changes_nothing(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            first = await api.send(rocket, headers=under("over a stop"))
            uploaded = await api.http.post(
                "/images", content=rocket, headers=JPEG | under("an image")
            )
        server.stop()
        server.start()
        async with open_api(server) as api:
            again = await api.send(rocket, headers=under("over a stop"))
            other = await api.send(rocket, width=65, headers=under("over a stop"))
            image = await api.http.post("/images", content=rocket, headers=JPEG | under("an image"))

            assert said(again) == said(first)
            assert said(image) == said(uploaded)
            assert code(other) == (422, "idempotency_mismatch")
            assert len(await api.jobs()) == 1


class Stubborn:
    """Clients that send each request until it is answered, and note what they were told."""

    def __init__(self, server, photo: bytes) -> None:
        self._server = server
        self._photo = photo
        self.told: dict[str, set[str]] = {}
        self.replays = 0

    async def send_for_ever(self, number: int) -> None:
        count = 0
        while True:
            count += 1
            await self._send(f"{number}-{count}")

    async def _send(self, name: str) -> None:
        self.told[name] = set()
        answers = 0
        # Until it has two, so that answers which have arrived are repeated as well.
        while answers < 2:
            try:
                async with open_api(self._server) as api:
                    response = await api.send(self._photo, width=len(name), headers=under(name))
            except httpx2.TransportError:
                await trio.sleep(0.02)
                continue
            if response.status_code == 202:
                answers += 1
                self.told[name].add(json.loads(response.content)["job_id"])
                self.replays += is_replay(response)


async def test_no_death_makes_two_jobs_of_one_or_leaves_a_name_that_is_stuck(start_server, rocket):
    with start_server(LOG_LEVEL="warning") as server:
        client = Stubborn(server, rocket)
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(client.send_for_ever, number)
            chance = random.Random(4)  # noqa: S311 - not a secret
            for _ in range(6):
                await trio.sleep(0.2 + chance.random() / 2)
                await trio.to_thread.run_sync(server.kill)
                await trio.to_thread.run_sync(server.start)
            await trio.sleep(0.5)
            nursery.cancel_scope.cancel()

        async with open_api(server) as api:
            jobs = await api.jobs()

        # The last of each client may not have been answered.
        answered = {name: ids for name, ids in client.told.items() if ids}
        assert len(client.told) - len(answered) <= 4
        assert client.replays > 0
        assert all(len(ids) == 1 for ids in answered.values())
        assert len(answered) <= len(jobs) <= len(client.told)
        assert set().union(*answered.values()) <= {job["id"] for job in jobs}
        with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
            assert catalogue.execute("select count(*) from repeats").fetchone() == (len(jobs),)
