"""Jobs by `image_url`, on the real service: fetched, kept and rendered; or failed with a reason."""

import hashlib
import re
import time

import pytest
import trio

from tests.outside.servers import Server, answer
from tests.service.asking import end_of, files_in, open_api, until_true

pytestmark = pytest.mark.service

SIGNED = "/a.jpg?signature=s3cret"
INSIDE = [
    "http://127.0.0.1/a.jpg",
    "http://127.0.0.2:81/a.jpg",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://0/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://user:password@example.org/",
    "http://example.org@127.0.0.1/",
    "http://example.org:22/",
    "https://example.org:8443/",
    "ftp://example.org/a.jpg",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "http://exa mple.org/",
    "http:\\\\127.0.0.1\\",
]


@pytest.fixture
async def serve(nursery):
    """Start sources that answer so."""

    async def start(*answers, host="127.0.0.1"):
        source = Server(*answers)
        await nursery.start(source.run, None, host, 0)
        return source

    return start


def url_of(source, path="/a.jpg", host="127.0.0.1"):
    return f"http://{host}:{source.port}{path}"


def allowing(*sources, **more):
    """The settings of a service that may ask these."""
    return {"FETCH_ALLOW": ",".join(f"127.0.0.1:{each.port}" for each in sources), **more}


async def hang(stream):
    while await stream.receive_some():
        pass


async def send(api, url, **members):
    asked = {"operation": "thumbnail", "width": 64, "height": 64, "image_url": url, **members}
    return await api.http.post("/jobs", json=asked)


async def submit(api, url, **members):
    response = await send(api, url, **members)
    assert response.status_code == 202, response.text
    return response.json()["job_id"]


async def test_a_job_by_address_is_fetched_kept_and_rendered(start_server, serve, rocket):
    source = await serve(answer(200, rocket))
    with start_server(**allowing(source)) as server:
        async with open_api(server) as api:
            accepted = await api.job(await submit(api, url_of(source, SIGNED)))
            job = await api.ended(accepted["id"])
            picture = await api.download(job["id"])
            fetched = (server.dir / job["input_path"]).read_bytes()
            await api.post(f"/jobs/{await submit(api, url_of(source))}/cancel")
            metrics = (await api.http.get("/metrics")).text
            await api.http.delete(f"/jobs/{job['id']}")
            left = [path for path in files_in(server.dir / "uploads") if job["id"] in path.name]

    assert (job["status"], job["image_url"]) == ("completed", url_of(source, SIGNED))
    assert job["receipt"]["input_sha256"] == hashlib.sha256(rocket).hexdigest()
    assert fetched == rocket
    assert picture.headers["content-type"] == "image/jpeg"
    assert re.search(r'calotype_fetches_total\{outcome="fetched"\} [1-9]', metrics)
    assert "s3cret" not in server.log.read_text() + metrics
    assert left == []


async def test_an_address_may_be_said_in_a_form_and_in_a_query(start_server, serve, rocket):
    source = await serve(answer(200, rocket))
    words = {"operation": "resize", "width": "20", "height": "20", "image_url": url_of(source)}
    with start_server(**allowing(source)) as server:
        async with open_api(server) as api:
            form = await api.http.post("/jobs", files={k: (None, v) for k, v in words.items()})
            query = await api.http.post("/jobs", params=words)
            ended = [await api.ended(each.json()["job_id"]) for each in (form, query)]

    assert [job["status"] for job in ended] == ["completed", "completed"]


async def test_what_was_fetched_serves_the_retries_too(start_server, serve, rocket):
    source = await serve(answer(200, rocket), answer(404))
    with start_server(**allowing(source)) as server:
        async with open_api(server) as api:
            beyond = {"operation": "crop", "x": 16_000, "y": 0, "width": 1, "height": 1}
            job_id = await submit(api, url_of(source), **beyond)
            failed = await api.ended(job_id)
            await api.post(f"/jobs/{job_id}/retry")
            again = await api.ended(job_id)

    assert failed["error_code"] == again["error_code"] == "impossible_recipe"
    assert len(source.asked) == 1


@pytest.mark.parametrize("url", INSIDE)
async def test_an_address_that_is_seen_to_be_forbidden_is_a_422(api, url):
    response = await send(api, url)

    assert response.status_code == 422
    assert [each["pointer"] for each in response.json()["errors"]] == ["/image_url"]


async def test_a_name_that_leads_inside_fails_its_job(start_server, serve):
    source = await serve(answer(200))
    # Whatever the machine is called, its name leads to itself.
    with start_server(FETCH_PORTS=f"80,{source.port}") as server:
        async with open_api(server) as api:
            onward = url_of(source, host="localhost.localdomain")
            response = await send(api, onward)
            if response.status_code == 202:
                job = await api.ended(response.json()["job_id"])
                assert job["error_code"] in {"source_forbidden", "source_unreachable"}

    assert source.connections == 0


async def test_a_redirect_that_leads_inside_fails_its_job(start_server, serve):
    hidden = await serve(answer(200, b"secret"))
    source = await serve(
        answer(302, Location=url_of(hidden)),
        answer(307, Location=f"http://[::ffff:7f00:1]:{hidden.port}/"),
        answer(301, Location="http://169.254.169.254/latest/"),
        answer(303, Location="file:///etc/passwd"),
    )
    with start_server(**allowing(source)) as server:
        async with open_api(server) as api:
            jobs = [await submit(api, url_of(source)) for _ in range(4)]
            ended = await api.all_ended(jobs)

    assert [job["error_code"] for job in ended] == 4 * ["source_forbidden"]
    assert all("input_path" in job and job["input_path"] is None for job in ended)
    assert (len(source.asked), hidden.connections) == (4, 0)


async def test_a_slow_source_is_given_up_while_others_are_fetched(start_server, serve, rocket):
    slow, quick = await serve(hang), await serve(answer(200, rocket))
    with start_server(**allowing(slow, quick), FETCH_TIMEOUT=3, MAX_ATTEMPTS=1) as server:
        async with open_api(server) as api:
            begun = time.monotonic()
            waiting = await submit(api, url_of(slow))
            other = await api.ended(await submit(api, url_of(quick)))
            between = time.monotonic() - begun
            still = await api.job(waiting)
            job = await api.ended(waiting)
            seconds = time.monotonic() - begun

    assert (other["status"], still["status"]) == ("completed", "processing")
    assert (job["status"], job["error_code"]) == ("failed", "source_unreachable")
    assert "3 seconds" in job["error"] or "silent" in job["error"]
    assert between < 3 <= seconds < 10


async def test_a_dead_host_delays_no_other(start_server, serve, rocket):
    # On Linux all of 127.0.0.0/8 is this machine; so these are two hosts.
    dead, quick = await serve(hang), await serve(answer(200, rocket), host="127.0.0.2")
    allow = f"127.0.0.1:{dead.port},127.0.0.2:{quick.port}"
    pool = {"WORKER_POOL_SIZE": 8, "FETCHING_WORKERS": 8}
    with start_server(FETCH_ALLOW=allow, FETCH_TIMEOUT=20, **pool) as server:
        async with open_api(server) as api:
            stuck = [await submit(api, url_of(dead)) for _ in range(7)]
            begun = time.monotonic()
            there = url_of(quick, host="127.0.0.2")
            others = [await submit(api, there) for _ in range(5)]
            ended = await api.all_ended([*others, await api.submit(rocket)])
            seconds, connections = time.monotonic() - begun, dead.connections
            for job_id in stuck:
                await api.post(f"/jobs/{job_id}/cancel")

    assert {job["status"] for job in ended} == {"completed"}
    assert seconds < 5
    assert connections == 4


@pytest.mark.parametrize("declared", [True, False])
async def test_what_is_too_large_is_not_taken_in(start_server, serve, declared):
    large = answer(200, bytes(500_000), **({} if declared else {"Content_Length": ""}))
    source = await serve(large)
    with start_server(**allowing(source), MAX_UPLOAD_SIZE=100_000) as server:
        async with open_api(server) as api:
            job = await api.ended(await submit(api, url_of(source)))
        left = files_in(server.dir / "uploads")

    assert (job["status"], job["error_code"]) == ("failed", "image_too_large")
    assert left == []


async def test_what_is_no_image_fails_its_job(start_server, serve):
    source = await serve(answer(200, b"<!doctype html>"), answer(200), answer(404))
    with start_server(**allowing(source)) as server:
        async with open_api(server) as api:
            ended = [await api.ended(await submit(api, url_of(source))) for _ in range(3)]

    codes = [job["error_code"] for job in ended]
    assert codes == ["not_an_image", "not_an_image", "source_unreachable"]


async def test_a_fetch_ends_at_once_when_its_job_is_cancelled(start_server, serve, rocket):
    source = await serve(hang)
    with start_server(**allowing(source), FETCH_TIMEOUT=60, WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            job_id = await submit(api, url_of(source))
            await until_true(lambda: source.asked != [])
            response = await api.post(f"/jobs/{job_id}/cancel")
            with trio.fail_after(2):
                await source.ended.wait()
            other = await api.ended(await api.submit(rocket))
            job = await api.job(job_id)

    assert response.json()["status"] == job["status"] == "cancelled"
    assert other["status"] == "completed"


async def test_a_job_that_was_being_fetched_when_the_process_died_is_fetched_again(
    start_server, serve, rocket
):
    half = answer(200, rocket)[:-1000]

    async def stop_half_way(stream):
        await stream.send_all(half)
        await hang(stream)

    source = await serve(stop_half_way, answer(200, rocket))
    with start_server(**allowing(source)) as server:
        async with open_api(server) as api:
            job_id = await submit(api, url_of(source))
            await until_true(lambda: source.asked != [])
        server.kill()
        await end_of(server.process)
        server.start()
        async with open_api(server) as api:
            job = await api.ended(job_id)
        kept = files_in(server.dir / "uploads")

    assert (job["status"], job["attempts"]) == ("completed", 2)
    assert job["receipt"]["input_sha256"] == hashlib.sha256(rocket).hexdigest()
    assert len(kept) == 1


async def test_a_stop_waits_for_no_source_and_the_next_start_asks_it_again(
    start_server, serve, rocket
):
    source = await serve(hang, answer(200, rocket))
    with start_server(**allowing(source), FETCH_TIMEOUT=60, MAX_ATTEMPTS=1) as server:
        async with open_api(server) as api:
            job_id = await submit(api, url_of(source))
            await until_true(lambda: source.asked != [])
        begun = time.monotonic()
        server.process.terminate()
        code = await end_of(server.process)
        seconds = time.monotonic() - begun
        server.start()
        async with open_api(server) as api:
            job = await api.ended(job_id)

    assert (code, job["status"]) == (0, "completed")
    assert seconds < 10


async def test_only_a_job_may_have_an_address(api):
    answers = [
        await api.http.post("/images", json={"image_url": "http://example.org/a.png"}),
        await api.http.post(
            "/plan", json={"image_url": "http://example.org/a.png", "operation": "grayscale"}
        ),
    ]

    assert [each.status_code for each in answers] == [422, 422]
    assert all(each.json()["errors"][0]["pointer"] == "/image_url" for each in answers)
