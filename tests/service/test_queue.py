"""The queue of the real service: times, turns, pauses, hosts that hang, jobs that are tried again.

With processes that are killed meanwhile, and the commands that an operator has.
"""

import time
from datetime import UTC, datetime, timedelta

import pytest
import trio

from tests.outside.servers import Server, answer
from tests.service.asking import close_gate, end_of, open_api, until, until_true
from tests.service.test_keys import SOON, bearer, calotype, make_key

pytestmark = pytest.mark.service


@pytest.fixture
async def serve(nursery):
    """Start sources that answer so; each host is one of its own."""

    async def start(*answers, host="127.0.0.1"):
        source = Server(*answers)
        await nursery.start(source.run, None, host, 0)
        return source

    return start


def elsewhere(source, host="127.0.0.1", **members):
    url = f"http://{host}:{source.port}/a.jpg"
    return {"operation": "thumbnail", "width": 64, "height": 64, "image_url": url, **members}


async def hang(stream):
    while await stream.receive_some():
        pass


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def queue(server, *words: str) -> str:
    return calotype(server, "queue", *words, "--url", server.url)


async def test_a_delayed_job_is_begun_at_its_time_though_the_process_was_killed(
    start_server, rocket
):
    with start_server() as server:
        async with open_api(server) as api:
            job_id = await api.submit(rocket, delay=4)
            run_at = datetime.now(UTC) + timedelta(seconds=3)
            other = await api.submit(rocket, run_at=run_at.isoformat())
            other_job = await api.ended(await api.submit(rocket))
            waiting = await api.job(job_id)
            told = (await api.http.get("/stats")).json()
        server.kill()
        await end_of(server.process)
        server.start()
        async with open_api(server) as api:
            jobs = await api.all_ended([job_id, other])

    assert other_job["status"] == "completed"
    assert waiting["status"] == "pending"
    assert waiting["attempts"] == 0
    assert told["queue"]["pending"]["normal"] == told["waiting"]["normal"] == 2
    assert told["oldest_pending_seconds"] is None
    assert [job["status"] for job in jobs] == 2 * ["completed"]
    assert moment(jobs[1]["run_at"]) == run_at
    for job in jobs:
        late = moment(job["started_at"]) - moment(job["run_at"])
        assert timedelta(0) <= late < timedelta(seconds=10)


async def test_a_paused_queue_accepts_jobs_and_begins_none_until_it_is_resumed(
    start_server, rocket
):
    with start_server(WORKER_POOL_SIZE=2) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            paused = queue(server, "pause")
            job_id = await api.submit(rocket)
            gate.open()
            begun_before = await api.ended(gate.job_id)
        server.stop()
        server.start()
        async with open_api(server) as api:
            ready = await api.http.get("/health/ready")
            still = await api.job(job_id, wait=0.5)
            stats = (await api.http.get("/stats")).json()
            metrics = (await api.http.get("/metrics")).text
            status = queue(server, "status")
            resumed = (await api.post("/queue/resume")).json()
            job = await api.ended(job_id)

    assert paused.startswith("paused: 0 pending")
    assert begun_before["status"] == "failed"
    assert ready.status_code == 200
    assert (still["status"], still["attempts"]) == ("pending", 0)
    assert stats["paused"] is True
    assert "calotype_queue_paused 1.0" in metrics
    assert status.startswith("paused: 1 pending")
    assert resumed["paused"] is False
    assert job["status"] == "completed"


async def test_hosts_that_hang_leave_workers_for_those_whose_picture_is_here(
    start_server, serve, rocket
):
    hosts = [f"127.0.0.{n}" for n in range(1, 9)]
    sources = [await serve(hang, host=host) for host in hosts]
    allow = ",".join(f"{h}:{s.port}" for h, s in zip(hosts, sources, strict=True))
    with start_server(FETCH_ALLOW=allow, FETCH_TIMEOUT=600, WORKER_POOL_SIZE=4) as server:
        async with open_api(server) as api:
            stuck = [
                await api.submit_json(**elsewhere(source, host))
                for host, source in zip(hosts, sources, strict=True)
            ]
            await until_true(lambda: sum(source.connections for source in sources) == 2)
            begun = time.monotonic()
            ended = await api.all_ended([await api.submit(rocket) for _ in range(12)])
            seconds = time.monotonic() - begun
            stats = await api.stats()
            connections = sum(source.connections for source in sources)
            for job_id in stuck:
                await api.post(f"/jobs/{job_id}/cancel")

    assert {job["status"] for job in ended} == {"completed"}
    assert seconds < 30
    assert (stats.queue["processing"], stats.queue["pending"]) == (2, 6)
    assert connections == 2


async def test_a_source_that_comes_back_is_asked_again_without_anybody_doing_anything(
    start_server, serve, rocket
):
    source = await serve(answer(503, Retry_After="6"), answer(200, rocket))
    with start_server(FETCH_ALLOW=f"127.0.0.1:{source.port}", RETRY_DELAY=0.1) as server:
        async with open_api(server) as api:
            job_id = await api.submit_json(**elsewhere(source))

            async def postponed():
                job = await api.job(job_id)
                return job if job["status"] == "pending" and job["attempts"] == 1 else None

            waiting = await until(postponed)
            server.kill()
            await end_of(server.process)
            server.start()
        async with open_api(server) as api:
            job = await api.ended(job_id)
            metrics = (await api.http.get("/metrics")).text

    assert waiting["last_error_code"] == "source_unreachable"
    assert "It answered 503" in waiting["last_error"]
    assert not waiting.keys() & {"error", "error_code"}
    assert moment(waiting["run_at"]) - moment(waiting["updated_at"]) == timedelta(seconds=6)
    assert (job["status"], job["attempts"]) == ("completed", 2)
    assert not job.keys() & {"error", "error_code", "last_error", "last_error_code"}
    assert len(source.asked) == 2
    assert "calotype_queue_wait_seconds" in metrics


async def test_a_job_has_failed_after_as_many_attempts_as_its_client_wants(start_server, serve):
    gone, forbidden = await serve(answer(503)), await serve(answer(403))
    allow = f"127.0.0.1:{gone.port},127.0.0.1:{forbidden.port}"
    with start_server(FETCH_ALLOW=allow, RETRY_DELAY=0.05) as server:
        async with open_api(server) as api:
            twice = await api.submit_json(**elsewhere(gone, max_attempts=2))
            never = await api.submit_json(**elsewhere(forbidden))
            too_often = await api.http.post("/jobs", json=elsewhere(gone, max_attempts=4))
            both = await api.http.post("/jobs", json=elsewhere(gone, delay=1, run_at="2030-01-01"))
            jobs = await api.all_ended([twice, never])

    assert [job["attempts"] for job in jobs] == [2, 1]
    assert {job["error_code"] for job in jobs} == {"source_unreachable"}
    assert [job["max_attempts"] for job in jobs] == [2, 3]
    assert (too_often.status_code, both.status_code) == (422, 422)
    assert len(forbidden.asked) == 1


async def test_dead_jobs_are_listed_and_tried_again_by_an_operator_alone(start_server, rocket):
    with start_server() as server:
        acme, admin = make_key(server), make_key(server, "ops", "admin")
        await trio.sleep(SOON)
        async with open_api(server, key=acme) as api:
            await api.post("/queue/pause")
            broken = [await api.submit(rocket, width=64 + number) for number in range(3)]
            paths = [server.dir / (await api.job(each))["input_path"] for each in broken]
            for path in paths:
                path.write_bytes(rocket[:-1])
            await api.post("/queue/resume")
            await api.all_ended(broken)
            # The file is whole now, as after a repair.
            for path in paths[:2]:
                path.write_bytes(rocket)
            server.environment["CALOTYPE_KEY"] = admin
            listed = queue(server, "dead", "--code", "crashed")
            none = queue(server, "retry", "--code", "timed_out")
            young = queue(server, "retry", "--older-than", "1h")
            retried = queue(server, "retry", "--code", "crashed")
            again = await api.all_ended(broken)
            reader = make_key(server, "acme", "jobs:read", "jobs:write")
            await trio.sleep(SOON)
            refused = await api.http.post("/queue/retry", headers=bearer(reader))

    assert all(job_id in listed for job_id in broken)
    assert "acme" in listed
    assert [none, young, retried] == ["0 tried again", "0 tried again", "3 tried again"]
    assert [job["status"] for job in again] == ["completed", "completed", "failed"]
    assert refused.status_code == 403


async def test_a_noisy_tenant_does_not_starve_another(start_server, rocket):
    with start_server() as server:
        noisy, quiet = make_key(server, "noisy"), make_key(server, "quiet")
        await trio.sleep(SOON)
        async with open_api(server, key=noisy) as loud, open_api(server, key=quiet) as api:
            await loud.post("/queue/pause")
            picture = await loud.upload(rocket)
            wanted = {"operation": "thumbnail", "width": 9, "height": 9}
            many = [await loud.submit_json(image_id=picture, **wanted) for _ in range(150)]
            few = [await api.submit(rocket) for _ in range(5)]
            await loud.post("/queue/resume")
            mine = [moment(job["started_at"]) for job in await api.all_ended(few)]
            others = [moment(job["started_at"]) for job in await loud.all_ended(many)]

    begun_before = sum(started <= max(mine) for started in others)
    # One of theirs before each of ours, and those that ten Workers begin at the same moment.
    assert begun_before <= 5 + 10


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/queue/pause", b"rubbish", 400),
        ("/queue/pause", b'{"for":3600}', "/for"),
        ("/queue/resume?workers=2", b"", "/workers"),
        ("/queue/retry?code=crashed", b"", "/code"),
        ("/queue/retry", b'{"code":"no_such_code"}', "/code"),
    ],
)
async def test_what_the_queue_cannot_do_is_not_done_and_pointed_at(server, path, body, expected):
    async with open_api(server) as api:
        answer = await api.http.post(path, content=body)
        listed = await api.http.get("/queue/dead?code=no_such_code")
        state = (await api.http.get("/queue")).json()

    if expected == 400:
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed")
    else:
        assert answer.status_code == 422
        assert [each["pointer"] for each in answer.json()["errors"]] == [expected]
    assert [each["pointer"] for each in listed.json()["errors"]] == ["/code"]
    assert state["paused"] is False
