"""Webhooks of the real service, to real receivers: signed, at least once, and nobody in the way."""

import json
import re
import subprocess

import pytest
import trio
from standardwebhooks import Webhook

from tests.outside.servers import Server, answer
from tests.service.asking import PATIENCE, close_gate, open_api, until, until_true
from tests.web.running import COMMAND

pytestmark = pytest.mark.service

GOOD = answer(204)
METADATA = {"order": 4711, "größe": "🖼", "paid": True, "note": None, "rate": 1.5}
QUICK = {"DELIVERY_DELAY": 0.05, "MAX_DELIVERY_DELAY": 0.1, "DELIVERY_ATTEMPTS": 3}


@pytest.fixture
async def serve(nursery):
    """Start receivers that answer so."""

    async def start(*answers, port=0):
        receiver = Server(*answers)
        await nursery.start(receiver.run, None, "127.0.0.1", port)
        return receiver

    return start


def url_of(receiver, path="/hook?token=s3cret"):
    return f"http://127.0.0.1:{receiver.port}{path}"


def allowing(*receivers, **more):
    """The settings of a service that may tell these."""
    return {"FETCH_ALLOW": ",".join(f"127.0.0.1:{each.port}" for each in receivers), **more}


def command(server, *arguments):
    """Return what `calotype …` says about this service."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        check=False,
        cwd=server.dir,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def told(request):
    """Return the headers and the body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(re.split(": *", line, maxsplit=1) for line in lines[1:])
    return {name.lower(): value for name, value in headers.items()}, body


async def hang(stream):
    while await stream.receive_some():
        pass


async def submit(api, picture, receiver, **more):
    return await api.submit(
        picture, form="json", callback_url=url_of(receiver), metadata=METADATA, **more
    )


async def delivery(api, job_id):
    found = (await api.http.get(f"/jobs/{job_id}/deliveries")).json()["deliveries"]
    return found[0] if found else None


async def until_status(api, job_id, status):
    """Return the newest delivery about a job, as soon as it has this status."""

    async def has_it():
        found = await delivery(api, job_id)
        return found if found and found["status"] == status else None

    return await until(has_it)


async def test_whoever_asked_is_told_how_a_job_ended(start_server, serve, rocket):
    receiver = await serve(GOOD)
    with start_server(**allowing(receiver)) as server:
        async with open_api(server) as api:
            good = await submit(api, rocket, receiver)
            await until_status(api, good, "delivered")
            bad = await submit(api, b"no picture", receiver)
            await until_status(api, bad, "delivered")
            gate = await close_gate(api)
            stopped = await submit(api, rocket, receiver, delay=60)
            await api.post(f"/jobs/{stopped}/cancel")
            await until_status(api, stopped, "delivered")
            gate.open()
            jobs = {each["id"]: each for each in await api.jobs()}
            metrics = (await api.http.get("/metrics")).text
        secret = command(server, "webhooks", "secret")

    verified = [
        Webhook(secret).verify(body, headers) for headers, body in map(told, receiver.asked)
    ]
    assert [(each["type"], each["data"]["id"]) for each in verified] == [
        ("job.completed", good),
        ("job.failed", bad),
        ("job.cancelled", stopped),
    ]
    completed, failed, _ = (each["data"] for each in verified)
    (output,) = jobs[good]["outputs"]
    assert completed["outputs"] == [
        {
            name: output[name]
            for name in ("name", "media_type", "width", "height", "size_bytes", "sha256")
        }
    ]
    assert (failed["error_code"], failed["error"]) == ("not_an_image", jobs[bad]["error"])
    assert all(each["data"]["metadata"] == METADATA for each in verified)
    assert jobs[good]["metadata"] == METADATA
    assert jobs[good]["callback_url"] == url_of(receiver)
    assert re.search(r'calotype_deliveries_total\{outcome="delivered"\} 3', metrics)
    assert re.search(r'calotype_deliveries_present\{status="delivered"\} 3', metrics)
    assert "s3cret" not in server.log.read_text() + metrics
    assert "whsec_" not in server.log.read_text()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/hook",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://user:password@example.org/",
        "https://example.org:8443/",
        "ftp://example.org/",
        "example.org",
        "",
    ],
)
async def test_an_address_that_can_be_seen_to_be_forbidden_is_refused(api, rocket, url):
    response = await api.send(rocket, form="json", callback_url=url)

    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/callback_url"]


async def test_a_name_that_leads_inside_fails_its_delivery_and_not_its_job(start_server, rocket):
    with start_server(DELIVERY_ATTEMPTS=1) as server:
        async with open_api(server) as api:
            job_id = await api.submit(
                rocket, form="json", callback_url="http://does-not-exist.invalid/"
            )
            dead = await until_status(api, job_id, "dead")
            job = await api.job(job_id)

    assert job["status"] == "completed"
    assert dead["last_error"]


async def test_receivers_that_hang_and_die_do_not_delay_a_good_one(start_server, serve, rocket):
    hanging = [await serve(hang) for _ in range(3)]
    failing = await serve(answer(500))
    good = await serve(GOOD)
    with start_server(**allowing(*hanging, failing, good), DELIVERY_TIMEOUT=30) as server:
        async with open_api(server) as api:
            for n in range(30):
                await submit(api, rocket, hanging[n % 3])
            for _ in range(10):
                await submit(api, rocket, failing)
            await until_true(lambda: sum(each.connections for each in hanging) == 12)
            job_id = await submit(api, rocket, good)
            await api.ended(job_id)
            ended_at = trio.current_time()
            await until_status(api, job_id, "delivered")
            delay = trio.current_time() - ended_at
        server.kill()

    assert delay < 2.0
    assert [each.connections for each in hanging] == [4, 4, 4]


async def test_what_was_on_its_way_when_it_was_killed_is_sent_again(start_server, serve, rocket):
    receiver = await serve(hang, GOOD)
    with start_server(**allowing(receiver)) as server:
        async with open_api(server) as api:
            job_id = await submit(api, rocket, receiver)
            await until_status(api, job_id, "sending")
            await until_true(lambda: bool(receiver.asked))
        server.kill()
        server.start()
        async with open_api(server) as api:
            delivered = await until_status(api, job_id, "delivered")

    first, second = (told(request)[0] for request in receiver.asked)
    assert first["webhook-id"] == second["webhook-id"] == delivered["id"]


async def test_what_ended_in_the_moment_of_the_kill_is_told_once_it_is_back(
    start_server, serve, rocket
):
    receiver = await serve(GOOD)
    with start_server(**allowing(receiver)) as server:
        async with open_api(server) as api:
            jobs = [await submit(api, rocket, receiver) for _ in range(20)]
        server.kill()
        server.start()
        async with open_api(server) as api:
            for job_id in jobs:
                await until_status(api, job_id, "delivered")

    heard = [json.loads(told(request)[1])["data"]["id"] for request in receiver.asked]
    assert set(heard) == set(jobs)


async def test_a_stop_lets_what_is_on_its_way_arrive(start_server, serve, rocket):
    async def answer_later(stream):
        await trio.sleep(0.5)
        await stream.send_all(GOOD)

    receiver = await serve(answer_later)
    with start_server(**allowing(receiver)) as server:
        async with open_api(server) as api:
            job_id = await submit(api, rocket, receiver)
            await until_true(lambda: bool(receiver.asked))
        await trio.to_thread.run_sync(server.stop)
        server.start()
        async with open_api(server) as api:
            found = await delivery(api, job_id)

    assert (found["status"], found["attempts"]) == ("delivered", 1)
    assert len(receiver.asked) == 1


async def test_a_dead_one_is_listed_and_sent_again(start_server, serve, rocket):
    receiver = await serve(*[answer(500)] * 3, GOOD)
    with start_server(**allowing(receiver), **QUICK) as server:
        async with open_api(server) as api:
            job_id = await submit(api, rocket, receiver)
            dead = await until_status(api, job_id, "dead")
            listed = command(server, "webhooks", "list", job_id, "--url", server.url)
            resent = command(server, "webhooks", "resend", job_id, "--url", server.url)
            await until_status(api, job_id, "delivered")
            shown = command(server, "webhooks", "show", job_id, "--url", server.url)
            again = await api.post(f"/jobs/{job_id}/redeliver")
            await until_true(lambda: len(receiver.asked) == 5)

    assert (dead["attempts"], dead["last_status"]) == (3, 500)
    assert dead["last_error"] == "It answered 500."
    assert re.search(rf"{dead['id']} +job.completed +dead +3 +500", listed)
    assert resent == dead["id"]
    assert json.loads(shown)[0]["last_status"] == 204
    assert again.status_code == 202
    assert again.json()["id"] == dead["id"]
    assert again.headers["Location"] == f"/jobs/{job_id}/deliveries"


async def test_of_a_job_that_named_nobody_nothing_is_sent_again(api, rocket):
    job_id = await api.submit(rocket)
    await api.ended(job_id)

    again = await api.post(f"/jobs/{job_id}/redeliver")

    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert await delivery(api, job_id) is None


async def test_with_a_job_what_was_to_be_sent_goes(start_server, serve, rocket):
    receiver = await serve(answer(500))
    with start_server(**allowing(receiver)) as server:
        async with open_api(server) as api:
            job_id = await submit(api, rocket, receiver)
            await api.ended(job_id)
            await api.http.delete(f"/jobs/{job_id}")
            gone = await api.http.get(f"/jobs/{job_id}/deliveries")
            stats = (await api.http.get("/stats")).json()["deliveries"]

    assert gone.status_code == 404
    assert stats == {"pending": 0, "sending": 0, "delivered": 0, "dead": 0}


async def test_after_a_rotation_both_secrets_verify_and_the_new_one_is_shown(
    start_server, serve, rocket
):
    receiver = await serve(GOOD)
    with start_server(**allowing(receiver)) as server:
        old = command(server, "webhooks", "secret")
        new = command(server, "webhooks", "secret", "--rotate", "--grace", "1h")
        async with open_api(server) as api:
            await until_status(api, await submit(api, rocket, receiver), "delivered")
            command(server, "webhooks", "secret", "--rotate", "--grace", "0s")
            await until_status(api, await submit(api, rocket, receiver), "delivered")
        last = command(server, "webhooks", "secret")
        other = command(server, "webhooks", "secret", "--tenant", "acme")
        audit = command(server, "audit", "list")

    assert len({old, new, last, other}) == 4
    for secret in (old, new):
        headers, body = told(receiver.asked[0])
        Webhook(secret).verify(body, headers)
    headers, body = told(receiver.asked[1])
    Webhook(last).verify(body, headers)
    assert len(headers["webhook-signature"].split()) == 1
    assert audit.count("secret_rotated") == 2
    assert "whsec_" not in audit + server.log.read_text()
