"""Limits and quotas on the real service: they hold at once, over a kill, and for each apart."""

import json
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest
import trio

from tests.outside.servers import Server as Source
from tests.outside.servers import answer
from tests.service.asking import close_gate, open_api, until
from tests.service.test_keys import SOON, bearer, calotype, make_key
from tests.web import raw

pytestmark = pytest.mark.service

CLIENTS = 50
THUMBNAIL = {"operation": "thumbnail", "width": 64, "height": 64}
ITEM = re.compile(r'"(\w+)"((?:;[a-z]+=(?:[0-9]+|"[^"]*"))*)')


def fields(response, name):
    """A list of structured fields (RFC 9651): the parameters of each item by its name."""
    text = response.headers.get(name, "")
    items = ITEM.findall(text)
    assert ", ".join(f'"{item}"{rest}' for item, rest in items) == text
    return {
        item: {key: json.loads(value) for key, value in re.findall(r";([a-z]+)=([^;]+)", rest)}
        for item, rest in items
    }


def code(response):
    return response.status_code, response.json()["code"]


async def at_once(ask, times=CLIENTS):
    """Ask so often at the same moment, and return what each was answered."""
    answers = []

    async def ask_once():
        answers.append(await ask())

    async with trio.open_nursery() as nursery:
        for _ in range(times):
            nursery.start_soon(ask_once)
    return answers


def statuses(answers):
    return Counter(response.status_code for response in answers)


def midnight_is_far() -> bool:
    now = datetime.now(UTC)
    return (now + timedelta(minutes=2)).date() == now.date()


@pytest.fixture(autouse=True)
def not_at_midnight():
    """The pixels of two days are not those of one."""
    while not midnight_is_far():
        time.sleep(1)


# --- Rates ----------------------------------------------------------------------------------------


async def test_a_rate_holds_for_many_clients_at_once_and_is_told(start_server):
    with start_server(RATE_REQUESTS="20/1h") as server:
        async with open_api(server) as api:
            first = await api.http.get("/jobs")
            answers = await at_once(lambda: api.http.get("/jobs"))
            healthy = await at_once(lambda: api.http.get("/health"))

            assert statuses(answers) == {200: 19, 429: CLIENTS - 19}
            assert fields(first, "RateLimit-Policy") == {"requests": {"q": 20, "w": 3600}}
            # One of twenty comes back in three minutes.
            assert fields(first, "RateLimit") == {"requests": {"r": 19, "t": 180}}
            for response in answers:
                assert fields(response, "RateLimit-Policy") == {"requests": {"q": 20, "w": 3600}}
            good = [each for each in answers if each.status_code == 200]
            # It is told as it is when the answer goes out, by when others may have asked.
            assert {fields(each, "RateLimit")["requests"]["r"] for each in good} <= set(range(19))
            refused = next(each for each in answers if each.status_code == 429)
            assert code(refused) == (429, "rate_limited")
            standing = fields(refused, "RateLimit")["requests"]
            assert standing == {"r": 0, "t": int(refused.headers["Retry-After"])}
            assert 170 <= standing["t"] <= 180
            assert statuses(healthy) == {200: CLIENTS}
            assert "RateLimit" not in healthy[0].headers


async def test_who_waits_as_long_as_is_said_gets_through(start_server):
    with start_server(RATE_REQUESTS="4/6s") as server:
        async with open_api(server) as api:
            for _ in range(3):
                while (response := await api.http.get("/jobs")).status_code == 200:
                    pass
                await trio.sleep(int(response.headers["Retry-After"]))
                assert (await api.http.get("/jobs")).status_code == 200


async def test_too_many_bytes_are_refused_before_any_of_them_come(start_server):
    head = b"POST /images HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    with start_server(RATE_BYTES="1M/1h") as server:
        with raw.connect(server.port) as promising:
            raw.send(promising, head)
            await trio.sleep(0.5)
            with raw.connect(server.port) as late:
                raw.send(late, head)
                refused = raw.read_answer(late, "POST")
        # The first never sent what it had promised, so that did not count in the end.
        async with open_api(server) as api:

            async def left():
                response = await api.http.get("/jobs")
                return fields(response, "RateLimit")["bytes"]["r"] == 1_000_000

            await until(left)

    assert (refused.status, refused.code) == (429, "rate_limited")
    assert refused.headers["connection"] == "close"


async def test_bytes_are_counted_as_they_come_whatever_their_form(start_server, rocket):
    size = len(rocket)
    with start_server(RATE_BYTES=f"{size + 100}/1h") as server:
        async with open_api(server) as api:
            first = await api.send(rocket)
            declared = await api.send(rocket)

            async def pieces():  # noqa: ASYNC124 (httpx2 asks for one that is)
                for start in range(0, size, 10_000):
                    yield rocket[start : start + 10_000]

            told = {"Content-Type": "application/octet-stream"}
            chunked = await api.http.post("/images", content=pieces(), headers=told)

            assert first.status_code == 202
            assert fields(first, "RateLimit-Policy")["bytes"]["qu"] == "content-bytes"
            assert fields(first, "RateLimit")["bytes"]["r"] >= 100
            assert [code(each) for each in (declared, chunked)] == 2 * [(429, "rate_limited")]
            assert "calotype_refusals_total" in (await api.http.get("/metrics")).text


# --- Quotas ---------------------------------------------------------------------------------------


async def test_no_more_jobs_are_in_flight_than_may_be_however_many_ask(start_server, rocket):
    with start_server(QUOTA_JOBS=5, WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)

            answers = await at_once(lambda: api.send(rocket))

            assert statuses(answers) == {202: 4, 429: CLIENTS - 4}
            refused = next(each for each in answers if each.status_code == 429)
            assert code(refused) == (429, "quota_exceeded")
            assert 1 <= int(refused.headers["Retry-After"]) <= 60
            assert fields(refused, "RateLimit") == {
                "jobs": {"r": 0, "t": int(refused.headers["Retry-After"])}
            }
            assert fields(refused, "RateLimit-Policy") == {"jobs": {"q": 5, "qu": "jobs"}}
            taken = [each.json()["job_id"] for each in answers if each.status_code == 202]
            await api.post(f"/jobs/{taken[0]}/cancel")
            await api.http.delete(f"/jobs/{taken[1]}")
            assert statuses(await at_once(lambda: api.send(rocket), 5)) == {202: 2, 429: 3}
            assert code(await api.post(f"/jobs/{taken[0]}/retry")) == (429, "quota_exceeded")
            gate.open()
            await api.all_ended(taken[2:])

            async def has_room():
                return (await api.send(rocket)).status_code == 202

            await until(has_room)
            metrics = (await api.http.get("/metrics")).text
            assert re.search(r'calotype_refusals_total\{policy="jobs"\} [1-9]', metrics)


async def test_no_more_pixels_come_in_a_day_than_may_also_after_a_kill(start_server, album):
    photo = album["rocket.jpg"]
    pixels = photo.width * photo.height
    with start_server(QUOTA_PIXELS=4 * pixels + 1) as server:
        async with open_api(server) as api:
            image_id = await api.upload(photo.data)
            by_image = await api.submit_json(image_id=image_id, **THUMBNAIL)
            answers = await at_once(lambda: api.send(photo.data))
            assert statuses(answers) == {202: 3, 429: CLIENTS - 3}
            refused = next(each for each in answers if each.status_code == 429)
            assert code(refused) == (429, "quota_exceeded")
            seconds = int(refused.headers["Retry-After"])
            now = datetime.now(UTC)
            midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
            assert abs(seconds - ceil((midnight - now).total_seconds())) <= 10
            assert fields(refused, "RateLimit") == {"pixels": {"r": 1, "t": seconds}}
            assert fields(refused, "RateLimit-Policy")["pixels"] == {
                "q": 4 * pixels + 1,
                "w": 86_400,
                "qu": "pixels",
            }
            await api.ended(by_image)
            await api.http.delete(f"/jobs/{by_image}")
        server.kill()
        server.start()
        async with open_api(server) as api:
            assert code(await api.send(photo.data)) == (429, "quota_exceeded")
            said = {"image_id": image_id, **THUMBNAIL}
            assert code(await api.http.post("/jobs", json=said)) == (429, "quota_exceeded")
            # What is no picture has no pixels.
            assert (await api.send(b"no picture")).status_code == 202


async def test_an_image_of_more_than_a_day_has_is_told_that_waiting_is_no_use(start_server, rocket):
    with start_server(QUOTA_PIXELS=100) as server:
        async with open_api(server) as api:
            response = await api.send(rocket)

            assert code(response) == (429, "quota_exceeded")
            assert "Retry-After" not in response.headers
            assert fields(response, "RateLimit") == {"pixels": {"r": 100}}


async def test_a_place_in_flight_outlives_a_kill_and_ends_with_its_job(start_server, rocket):
    with start_server(QUOTA_JOBS=1, WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
        server.kill()
        server.start()
        async with open_api(server) as api:
            assert code(await api.send(rocket)) == (429, "quota_exceeded")
            gate.open()
            await api.ended(gate.job_id)
            assert (await api.send(rocket)).status_code == 202


async def test_pixels_of_what_is_fetched_count_when_it_is_there(start_server, nursery, album):
    photo = album["rocket.jpg"]
    source = Source(answer(200, photo.data), answer(200, photo.data))
    await nursery.start(source.run, None, "127.0.0.1", 0)
    allowed = f"127.0.0.1:{source.port}"
    quota = photo.width * photo.height + 1
    with start_server(FETCH_ALLOW=allowed, QUOTA_PIXELS=quota) as server:
        async with open_api(server) as api:
            url = f"http://{allowed}/a.jpg"
            jobs = [
                await api.ended(await api.submit_json(image_url=url, **THUMBNAIL)) for _ in range(2)
            ]

            assert [job["status"] for job in jobs] == ["completed", "failed"]
            assert jobs[1]["error_code"] == "quota_exceeded"
            assert code(await api.send(photo.data)) == (429, "quota_exceeded")


# --- Who is counted -------------------------------------------------------------------------------


async def test_keys_and_addresses_are_counted_each_alone(start_server, rocket):
    settings = {"RATE_REQUESTS": "3/1h", "QUOTA_JOBS": 1, "WORKER_POOL_SIZE": 1}
    more = {"TRUSTED_PROXIES": "127.0.0.1", "ALLOW_ANONYMOUS": 1}
    with start_server(**settings, **more) as server:
        keys = [
            make_key(server, "acme", limit="requests=4/1h"),
            make_key(server, "acme", limit="jobs=off"),
        ]
        await trio.sleep(SOON)
        callers = [
            (bearer(keys[0]), 4),
            (bearer(keys[1]), 3),
            ({"X-Forwarded-For": "203.0.113.5, 192.0.2.1"}, 3),
            ({"X-Forwarded-For": "192.0.2.2"}, 3),
            ({"X-Forwarded-For": "2001:db8::1"}, 3),
            ({}, 3),
        ]
        async with open_api(server) as api:
            for headers, right in callers:
                answers = [
                    (await api.http.get("/jobs", headers=headers)).status_code for _ in range(6)
                ]
                assert Counter(answers) == {200: right, 429: 6 - right}
            same = await api.http.get("/jobs", headers={"X-Forwarded-For": "2001:db8::ffff:2"})
            assert same.status_code == 429


async def test_jobs_in_flight_are_counted_for_each_key_alone(start_server, rocket):
    with start_server(WORKER_POOL_SIZE=1, ALLOW_ANONYMOUS=1) as server:
        keys = [make_key(server, "acme", limit="jobs=1") for _ in range(2)]
        await trio.sleep(SOON)
        async with open_api(server) as api:
            gate = await close_gate(api)

            first = [await api.send(rocket, headers=bearer(key)) for key in keys]
            second = [await api.send(rocket, headers=bearer(key)) for key in keys]
            free = await api.send(rocket)
            gate.open()

            assert [each.status_code for each in first] == [202, 202]
            assert [code(each) for each in second] == 2 * [(429, "quota_exceeded")]
            assert free.status_code == 202
            assert "RateLimit-Policy" not in free.headers


async def test_the_limits_of_a_living_key_are_changed_within_a_second(start_server):
    with start_server() as server:
        key = make_key(server, "acme", limit="requests=1/1h")
        await trio.sleep(SOON)
        async with open_api(server, key) as api:
            before = [(await api.http.get("/jobs")).status_code for _ in range(2)]
            calotype(server, "keys", "limit", key.split("_")[1], "--limit", "requests=100/1h")
            await trio.sleep(SOON)
            after = await api.http.get("/jobs")

            assert before == [200, 429]
            assert after.status_code == 200
            assert fields(after, "RateLimit-Policy") == {"requests": {"q": 100, "w": 3600}}


async def test_no_address_is_written_down(start_server, rocket):
    settings = {"RATE_REQUESTS": "1/1h", "QUOTA_JOBS": 9, "QUOTA_PIXELS": "1G"}
    with start_server(TRUSTED_PROXIES="127.0.0.1", **settings) as server:
        async with open_api(server) as api:
            told = {"X-Forwarded-For": "198.51.100.77"}
            assert (await api.send(rocket, headers=told)).status_code == 202
            assert (await api.send(rocket, headers=told)).status_code == 429
        server.stop()
        files = [path for path in server.dir.rglob("*") if path.is_file()]
        assert '"event":"limit_reached"' in server.log.read_text()
        assert not [path for path in files if b"198.51.100.77" in path.read_bytes()]
