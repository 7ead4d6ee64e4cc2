"""Events on the real service: nothing is missed, nobody hears too much, nobody holds it up."""

import random
import signal
import sqlite3
from contextlib import AsyncExitStack, closing

import h11
import pytest
import trio

from tests.service.asking import close_gate, end_of, open_api, until
from tests.service.listening import listen
from tests.service.test_keys import calotype, make_key
from tests.web import raw

pytestmark = pytest.mark.service

LONG = 60  # seconds; who takes as long has not heard that it should stop
JOBS = 120
DEATHS = 3


def numbers(heard):
    return [event.number for event in heard]


async def metric(api, name):
    text = (await api.http.get("/metrics")).text
    return float(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


class Follower:
    """Follows all jobs over connections that are cut at random, and deaths of the service."""

    def __init__(self, server, seed):
        self._server = server
        self._chance = random.Random(seed)  # noqa: S311 - nothing here is secret
        self.heard = []
        self.last = "0"
        self.cuts = 0
        self.more = trio.Event()

    async def follow(self):
        while True:
            try:
                await self._follow_for_a_while()
                self.cuts += 1
            except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
                await trio.sleep(0.01)  # It was killed.

    async def _follow_for_a_while(self):
        async with listen(self._server, last=self.last) as stream:
            assert stream.status == 200
            left = self._chance.randint(1, 3_000)
            while len(stream.body) < left:
                self.heard += await stream.more()
                self.last = stream.parser.last or self.last
                self.more.set()
                self.more = trio.Event()

    async def until_heard(self, number):
        while not self.heard or self.heard[-1].number < number:
            await self.more.wait()


async def test_nothing_is_missed_over_cut_connections_and_deaths(start_server, rocket):
    chance = random.Random(1826)  # noqa: S311 - nothing here is secret
    # So high that no job is given up for having been in hand at the wrong moments.
    with start_server(MAX_ATTEMPTS=100) as server:
        followers = [Follower(server, seed) for seed in range(4)]
        async with trio.open_nursery() as nursery:
            for follower in followers:
                nursery.start_soon(follower.follow)
            for _ in range(DEATHS):
                # All at once, so that it dies with jobs in hand.
                async with open_api(server) as api, trio.open_nursery() as clients:
                    for _ in range(JOBS // DEATHS):
                        clients.start_soon(api.submit, rocket)
                await trio.sleep(chance.uniform(0, 0.02))
                server.kill()
                await trio.to_thread.run_sync(server.start)
            async with open_api(server) as api:
                jobs = await api.all_ended([job["id"] for job in await api.jobs()])
                await api.http.delete(f"/jobs/{jobs[0]['id']}")
            with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
                ((last, count),) = catalogue.execute("select max(number), count(*) from events")
            with trio.fail_after(LONG):
                for follower in followers:
                    await follower.until_heard(last)
            nursery.cancel_scope.cancel()

    assert last == count >= 3 * JOBS + 1
    for follower in followers:
        assert numbers(follower.heard) == list(range(1, last + 1))
        assert follower.cuts > 3
        told = {event.data["job_id"]: event.kind for event in follower.heard}
        assert told == {job["id"]: "completed" for job in jobs} | {jobs[0]["id"]: "deleted"}
        begun = {
            event.data["job_id"]: event.data["attempt"]
            for event in follower.heard
            if event.kind == "completed"
        }
        assert begun == {job["id"]: job["attempts"] for job in jobs}
    assert any(event.data.get("reason") == "given_back" for event in followers[0].heard)


async def test_a_stream_is_what_the_standard_says(server, api, rocket):
    async with listen(server) as stream:
        job_id = await api.submit(rocket)
        job = await api.ended(job_id)
        heard = await stream.take(3)

        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-store"
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.parser.retry == 2000
    assert [event.kind for event in heard] == ["pending", "processing", "completed"]
    assert heard[0].data == {
        "job_id": job_id,
        "status": "pending",
        "attempt": 0,
        "time": job["created_at"],
        "reason": "submitted",
    }
    assert heard[2].data == {
        "job_id": job_id,
        "status": "completed",
        "attempt": 1,
        "time": job["updated_at"],
    }
    assert b", " not in stream.body


async def test_each_event_is_sent_when_it_happens(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            async with listen(server, f"/jobs/{gate.job_id}/events") as stream:
                with trio.fail_after(LONG):
                    first = await stream.take(1)
                    gate.open()
                    rest = await stream.rest()

    assert [event.kind for event in first] == ["processing"]
    assert first[0].data["reason"] == "present"
    assert [(event.kind, event.data["error_code"]) for event in rest] == [
        ("failed", "not_an_image")
    ]
    assert stream.has_ended


async def test_a_job_that_has_ended_is_told_of_once_and_needs_no_reconnect(server, api, rocket):
    job_id = await api.submit(rocket)
    await api.ended(job_id)

    async with listen(server, f"/jobs/{job_id}/events") as stream:
        (heard,) = await stream.rest()
    async with listen(server, f"/jobs/{job_id}/events", last=heard.number) as again:
        pass
    async with listen(server, f"/jobs/{job_id}/events?last_event_id=0") as whole:
        replayed = await whole.rest()
    await api.http.delete(f"/jobs/{job_id}")
    async with listen(server, f"/jobs/{job_id}/events", last=heard.number) as deleted:
        end = await deleted.rest()
    async with listen(server, f"/jobs/{job_id}/events") as unknown:
        pass

    assert heard.kind == "completed"
    assert again.status == 204
    assert [event.kind for event in replayed] == ["pending", "processing", "completed"]
    assert [event.kind for event in end] == ["deleted"]
    assert unknown.status == 404


async def test_a_stream_can_be_of_some_statuses_alone(server, api, rocket):
    async with listen(server, "/events?status=failed,deleted") as stream:
        await api.ended(await api.submit(rocket))
        bad = await api.submit(b"no picture")
        await api.ended(bad)
        await api.http.delete(f"/jobs/{bad}")
        heard = await stream.take(2)

    assert [(event.kind, event.data["job_id"]) for event in heard] == [
        ("failed", bad),
        ("deleted", bad),
    ]
    assert heard[0].data["error_code"] == "not_an_image"


@pytest.mark.parametrize(
    ("path", "last", "status"),
    [
        ("/events", "x", 400),
        ("/events", "-1", 400),
        ("/events", "1 2", 400),
        ("/events", "\u0661".encode().decode("latin-1"), 400),
        ("/events", "9" * 19, 400),
        ("/events", "9" * 5_000, 400),
        ("/events?last_event_id=x", "", 422),
        ("/events?last_event_id=-1", "", 422),
        ("/events?last_event_id=01", "", 422),
        (f"/events?last_event_id={2**63}", "", 422),
        ("/events?status=done", "", 422),
        ("/events?status=", "", 422),
        ("/events?other=1", "", 422),
        ("/jobs/x/events?status=failed", "", 422),
        ("/jobs/x/events", "", 404),
        ("/jobs/x/events", "1", 404),
    ],
)
def test_rubbish_is_refused(server, path, last, status):
    fields = [f"Last-Event-ID: {last}"] if last else []

    assert raw.ask(server.port, f"GET {path}", *fields).status == status


async def test_the_header_counts_more_than_the_query(server, api, rocket):
    await api.ended(await api.submit(rocket))
    async with listen(server, "/events?last_event_id=0", last=2) as stream:
        heard = await stream.take(1)

    assert heard[0].number == 3


async def test_who_has_seen_more_than_there_was_is_told_to_look_anew(server, api, rocket):
    await api.ended(await api.submit(rocket))
    async with listen(server, last=10**9) as stream:
        (reset,) = await stream.take(1)
        await api.ended(await api.submit(rocket))
        event, *_ = await stream.take(3)

    assert (reset.kind, reset.data["first"], reset.data["last"]) == ("reset", 1, reset.number)
    assert event.number == reset.number + 1


async def test_head_says_what_a_stream_would_be(server):
    answer = await trio.to_thread.run_sync(raw.ask, server.port, "HEAD /events")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "text/event-stream"
    assert "content-length" not in answer.headers


async def test_a_client_of_http_1_0_reads_until_the_connection_closes(server, api, rocket):
    job_id = await api.submit(rocket)
    await api.ended(job_id)

    request = f"GET /jobs/{job_id}/events HTTP/1.0\r\n\r\n".encode()
    answer = await trio.to_thread.run_sync(raw.exchange, server.port, request)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b"retry: 2000\nid: ")
    assert body.endswith(b"}\n\n")


async def test_an_idle_stream_says_that_it_is_there_and_how_far_it_is(start_server, rocket):
    with start_server(EVENTS_KEEP_ALIVE=0.2) as server:
        async with open_api(server) as api, listen(server, "/events?status=failed") as stream:
            await api.ended(await api.submit(rocket))
            with trio.fail_after(LONG):
                while stream.parser.last != "3":
                    assert await stream.more() == []

    assert stream.parser.comments >= 1


# --- Bounds ---------------------------------------------------------------------------------------


async def test_streams_are_bounded_and_their_places_come_back_at_once(start_server):
    with start_server(MAX_STREAMS=3, MAX_TENANT_STREAMS=2) as server:
        keys = [make_key(server, tenant) for tenant in ("acme", "zenith")]
        await trio.sleep(1)  # Until the keys are noticed.
        async with AsyncExitStack() as stack:
            for _ in range(2):
                await stack.enter_async_context(listen(server, key=keys[0]))
            async with listen(server, key=keys[0]) as of_tenant:
                assert of_tenant.status == 429
                assert of_tenant.headers["retry-after"]
            async with listen(server, key=keys[1]) as other:
                assert other.status == 200
                async with listen(server, key=keys[1]) as beyond:
                    assert beyond.status == 503
                    assert beyond.headers["retry-after"]
        with trio.fail_after(5):
            for key in (*keys, keys[0]):
                while True:
                    async with listen(server, key=key) as stream:
                        if stream.status == 200:
                            break


async def test_nothing_is_left_of_clients_that_come_and_go(start_server, rocket):
    with start_server() as server:

        async def come_and_go(path):
            for _ in range(50):
                async with listen(server, path) as stream:
                    assert stream.status == 200

        async with open_api(server) as api:
            gate = await close_gate(api)
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(come_and_go, "/events")
                    nursery.start_soon(come_and_go, f"/jobs/{gate.job_id}/events")
            await api.until_stats(lambda stats: stats.connections == 1)

            assert await metric(api, "calotype_event_streams") == 0
            gate.open()
            await api.ended(await api.submit(rocket))
    assert '"level":"error"' not in server.log.read_text()
    assert "Traceback" not in server.log.read_text()


async def test_a_reader_that_takes_nothing_is_dropped(start_server, rocket):
    with start_server(SEND_TIMEOUT=1) as server:
        async with open_api(server) as api:
            await api.ended(await api.submit(rocket))
        server.stop()
        with closing(sqlite3.connect(server.dir / "data" / "jobs.db")) as catalogue:
            catalogue.execute(
                "with recursive n(n) as (select 1 union all select n + 1 from n where n < 60000) "
                "insert into events (tenant, job_id, status, attempt, reason, error_code, time) "
                "select tenant, job_id, status, attempt, reason, error_code, time from events, n "
                "where number = 3"
            )
            catalogue.commit()
        server.start()
        async with open_api(server) as api:
            with raw.connect(server.port, receive_buffer=4096) as client:
                client.sendall(b"GET /events?last_event_id=0 HTTP/1.1\r\nHost: x\r\n\r\n")

                async def is_dropped():
                    return await metric(api, "calotype_answers_given_up_total") == 1

                await until(is_dropped)
                await api.until_stats(lambda stats: stats.connections == 1)
            assert await metric(api, "calotype_event_streams") == 0
            # It was given no more than the systems between us hold.
            assert await metric(api, "calotype_events_sent_total") < 60_000


# --- Keys -----------------------------------------------------------------------------------------


async def test_a_tenant_hears_of_its_own_jobs_alone(start_server, rocket):
    with start_server() as server:
        acme, zenith = (make_key(server, tenant) for tenant in ("acme", "zenith"))
        async with open_api(server, acme) as one, open_api(server, zenith) as other:
            async with listen(server, key=acme) as stream:
                ids = []
                for _ in range(3):
                    await other.ended(await other.submit(rocket))
                    ids.append(await one.submit(rocket))
                    await one.ended(ids[-1])
                heard = await stream.take(9)
            async with listen(server, key=zenith, last=0) as replay:
                others = await replay.take(9)

    assert [event.data["job_id"] for event in heard] == [each for each in ids for _ in range(3)]
    assert not {event.data["job_id"] for event in others} & set(ids)
    assert sorted([*numbers(heard), *numbers(others)]) == list(range(1, 19))


async def test_a_stream_ends_soon_after_its_key_is_revoked(start_server):
    with start_server(EVENTS_KEEP_ALIVE=0.2) as server:
        key = make_key(server)
        async with listen(server, key=key) as stream:
            assert stream.status == 200
            calotype(server, "keys", "revoke", key.split("_")[1])
            with trio.fail_after(10):
                await stream.rest()

        assert stream.has_ended
        async with listen(server, key=key) as again:
            assert again.status == 401


# --- The end --------------------------------------------------------------------------------------


async def test_streams_end_at_once_when_the_service_stops(start_server):
    with start_server(SHUTDOWN_GRACE=LONG) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            async with (
                listen(server) as every,
                listen(server, f"/jobs/{gate.job_id}/events") as of_job,
            ):
                await of_job.take(1)
                server.process.send_signal(signal.SIGTERM)
                with trio.fail_after(LONG / 4):
                    await every.rest()
                    await of_job.rest()
                is_running = server.process.poll() is None
                gate.open()
                code = await end_of(server.process)

    assert every.has_ended
    assert of_job.has_ended
    assert is_running
    assert code == 0
