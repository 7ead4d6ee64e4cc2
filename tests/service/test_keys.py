"""Keys and tenants on the real service, with keys that are made and revoked while it runs."""

import itertools
import json
import subprocess
import time
from typing import Any

import httpx2
import pytest
import trio
from click.testing import CliRunner

from tests.service.asking import open_api, until, until_true
from tests.web import running
from tests.web.running import COMMAND, PATIENCE, Server
from web.commands.load import load
from web.commands.submit import submit
from web.gate import NEEDED

pytestmark = pytest.mark.service

NOWHERE = "00000000-0000-4000-8000-000000000000"
ALL = ("jobs:read", "jobs:write", "admin")
# Within a second, and what it takes to hear of it on a busy machine.
SOON = 1.0


def calotype(server: Server, *words: str) -> str:
    """Run a command in the environment of the service, and return what it prints."""
    ran = subprocess.run(
        [*COMMAND, *words],
        cwd=server.dir,
        env=server.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def make_key(server: Server, tenant: str = "acme", *scopes: str, **options: str) -> str:
    said = [word for scope in scopes or ALL for word in ("--scope", scope)]
    said += [word for name, value in options.items() for word in (f"--{name}", value)]
    return calotype(server, "keys", "create", "--tenant", tenant, *said)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def code(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A service with keys, which tests share: each makes its own."""
    with running.start_server(tmp_path_factory.mktemp("guarded")) as server:
        make_key(server, "nobody")
        time.sleep(SOON)
        yield server


@pytest.fixture
def open_as(guarded):
    """What opens a client with a key: `async with open_as("acme") as api`."""

    def open_one(tenant: str, *scopes: str):
        return open_api(guarded, key=make_key(guarded, tenant, *scopes))

    return open_one


# --- The life of a key ----------------------------------------------------------------------------


async def test_a_key_is_made_revoked_and_rotated_while_the_service_runs(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            job_id = await api.submit(rocket)
            assert (await api.ended(job_id))["status"] == "completed"

            key = make_key(server)
            await trio.sleep(SOON)
            nobody = await api.http.get("/jobs")
            somebody = await api.http.get("/jobs", headers=bearer(key))
            new = calotype(server, "keys", "rotate", key.split("_")[1], "--grace", "3s")
            rotated = time.monotonic()
            await trio.sleep(SOON)
            both = [await api.http.get("/jobs", headers=bearer(each)) for each in (key, new)]
            await trio.sleep(3 + SOON - (time.monotonic() - rotated))
            later = [await api.http.get("/jobs", headers=bearer(each)) for each in (key, new)]
            calotype(server, "keys", "revoke", new.split("_")[1])
            await trio.sleep(SOON)
            last = await api.http.get("/jobs", headers=bearer(new))
            states = [
                each["state"] for each in json.loads(calotype(server, "keys", "list", "--json"))
            ]

            assert code(nobody) == (401, "unauthenticated")
            assert nobody.headers["WWW-Authenticate"] == "Bearer"
            # What was made without a key belongs to no tenant.
            assert (somebody.status_code, somebody.json()["jobs"]) == (200, [])
            assert [response.status_code for response in both] == [200, 200]
            assert [response.status_code for response in later] == [401, 200]
            assert code(last) == (401, "unauthenticated")
            assert states == ["expired", "revoked"]
            log = server.log.read_text()
            assert f'"key_id":"{key.split("_")[1]}"' in log
            assert key.split("_", 2)[2] not in log


async def test_keys_that_are_made_before_the_first_start_count_from_the_first_request(start_server):
    with start_server() as server:
        server.stop()
        server.environment["HOST"] = "0.0.0.0"  # noqa: S104 - for as long as this test
        for file in (server.dir / "data").iterdir():
            file.unlink()
        for place in ("uploads", "outputs"):
            (server.dir / place / ".calotype").unlink()
        key = make_key(server)

        server.start()

        async with open_api(server) as api:
            assert (await api.http.get("/jobs")).status_code == 401
            assert (await api.http.get("/jobs", headers=bearer(key))).status_code == 200


async def test_many_changes_of_keys_disturb_no_job(start_server, rocket):
    with start_server() as server:
        key = make_key(server)
        await trio.sleep(SOON)
        async with open_api(server, key=key) as api, trio.open_nursery() as nursery:
            statuses: list[str] = []

            async def work():
                for _ in range(15):
                    job_id = await api.submit(rocket)
                    statuses.append((await api.ended(job_id))["status"])

            for _ in range(4):
                nursery.start_soon(work)
            for _ in range(5):
                await trio.to_thread.run_sync(make_key, server)

        assert statuses == ["completed"] * 60
        assert '"level":"warning"' not in server.log.read_text()


async def test_who_brings_no_key_may_be_anybody_if_the_operator_says_so(start_server, rocket):
    with start_server(ALLOW_ANONYMOUS=1) as server:
        key = make_key(server)
        await trio.sleep(SOON)
        async with open_api(server) as api:
            job_id = await api.submit(rocket)

            theirs = await api.http.get(f"/jobs/{job_id}", headers=bearer(key))
            wrong = await api.http.get("/jobs", headers=bearer(key[:-1] + "!"))

            assert code(theirs) == (404, "not_found")
            assert code(wrong) == (401, "unauthenticated")
            assert (await api.ended(job_id))["status"] == "completed"


# --- Who may do what ------------------------------------------------------------------------------

# What a request to each route answers, if it is let in.
LET_IN: dict[str, tuple[int, ...]] = {
    "POST /jobs": (415,),
    "GET /jobs": (200,),
    "GET /jobs/<job_id>": (404,),
    "GET /jobs/<job_id>/events": (404,),
    "GET /jobs/<job_id>/deliveries": (404,),
    "POST /jobs/<job_id>/redeliver": (404,),
    "GET /events": (422,),
    "GET /jobs/<job_id>/download": (404,),
    "POST /jobs/<job_id>/cancel": (404,),
    "POST /jobs/<job_id>/retry": (404,),
    "DELETE /jobs/<job_id>": (404,),
    "POST /jobs/<job_id>/links": (400,),
    "POST /batches": (415,),
    "GET /batches/<batch_id>": (404,),
    "POST /batches/<batch_id>/cancel": (404,),
    "DELETE /batches/<batch_id>": (404,),
    "GET /batches/<batch_id>/deliveries": (404,),
    "POST /batches/<batch_id>/redeliver": (404,),
    "POST /images": (415,),
    "GET /images/<image_id>": (404,),
    "GET /images/<image_id>/content": (404,),
    "DELETE /images/<image_id>": (404,),
    "POST /plan": (415,),
    "PATCH /pool": (400,),
    "GET /queue": (200,),
    "POST /queue/pause": (200,),
    "POST /queue/resume": (200,),
    "GET /queue/dead": (200,),
    "POST /queue/retry": (200,),
    "GET /stats": (200,),
    "GET /metrics": (200,),
    "GET /health": (200,),
    "GET /health/live": (200,),
    "GET /health/ready": (200,),
    "GET /problems/<code>": (200,),
    "GET /openapi.json": (200,),
    "GET /docs": (200,),
}


def request_of(route: str) -> tuple[str, str]:
    method, path = route.split()
    path = path.replace("<job_id>", NOWHERE).replace("<image_id>", NOWHERE)
    path = path.replace("<batch_id>", NOWHERE)
    if path == "/events":
        path += "?status=none"  # It would never end.
    return method, path.replace("<code>", "gone")


async def test_every_route_lets_in_who_has_what_it_needs_and_nobody_else(guarded):
    # A new route needs a line in both: one to say who may use it, one to try it.
    assert LET_IN.keys() == NEEDED.keys()
    chosen = [
        combination
        for count in range(1, len(ALL) + 1)
        for combination in itertools.combinations(ALL, count)
    ]
    keys = {scopes: make_key(guarded, "acme", *scopes) for scopes in chosen}
    async with open_api(guarded) as api:
        for route, needed in NEEDED.items():
            method, path = request_of(route)
            for scopes, key in [((), None), *keys.items()]:
                headers = bearer(key) if key else {}
                response = await api.http.request(method, path, headers=headers)
                where = route, scopes, response.text
                if needed <= set(scopes):
                    assert response.status_code in LET_IN[route], where
                elif key is None:
                    assert code(response) == (401, "unauthenticated"), where
                else:
                    assert code(response) == (403, "forbidden"), where
                    assert (needed - set(scopes)) & set(
                        response.json()["detail"].rstrip(".").split()
                    )


async def test_a_wrong_key_opens_nothing_that_needs_one(guarded):
    key = make_key(guarded)
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    async with open_api(guarded) as api:
        for route, needed in NEEDED.items():
            method, path = request_of(route)
            response = await api.http.request(method, path, headers=bearer(wrong))
            assert response.status_code == (401 if needed else 200), route


# --- Tenants --------------------------------------------------------------------------------------


def told(response: httpx2.Response) -> tuple[int, Any, str]:
    """What a client can see of an answer."""
    return response.status_code, response.headers["Content-Type"], response.text


def requests_about(
    job_id: str, image_id: str, batch_id: str, photo: bytes
) -> list[tuple[str, str, Any]]:
    """Return every way to ask for a job, an image or a batch, or to use an image."""
    small = {"image_id": image_id, "operation": "thumbnail", "width": 9, "height": 9}
    mark = f"operation=watermark&image={image_id}"
    bare = {"content": photo, "headers": {"Content-Type": "image/jpeg"}}
    return [
        ("GET", f"/jobs/{job_id}", {}),
        ("GET", f"/jobs/{job_id}?wait=30", {}),
        ("GET", f"/jobs/{job_id}/events", {}),
        ("GET", f"/jobs/{job_id}/events?last_event_id=0", {}),
        ("GET", f"/jobs/{job_id}/download", {}),
        ("HEAD", f"/jobs/{job_id}/download", {}),
        ("GET", f"/jobs/{job_id}/deliveries", {}),
        ("POST", f"/jobs/{job_id}/redeliver", {}),
        ("POST", f"/jobs/{job_id}/cancel", {}),
        ("POST", f"/jobs/{job_id}/retry", {}),
        ("POST", f"/jobs/{job_id}/links", {"json": {"expires_in": 60}}),
        ("DELETE", f"/jobs/{job_id}", {}),
        ("GET", f"/images/{image_id}", {}),
        ("GET", f"/images/{image_id}/content", {}),
        ("DELETE", f"/images/{image_id}", {}),
        ("GET", f"/batches/{batch_id}", {}),
        ("GET", f"/batches/{batch_id}?wait=30", {}),
        ("GET", f"/batches/{batch_id}/deliveries", {}),
        ("POST", f"/batches/{batch_id}/redeliver", {}),
        ("POST", f"/batches/{batch_id}/cancel", {}),
        ("DELETE", f"/batches/{batch_id}", {}),
        ("POST", "/batches", {"json": {"jobs": [small]}}),
        ("POST", "/jobs", {"json": small}),
        ("POST", "/plan", {"json": small}),
        ("POST", f"/jobs?{mark}", bare),
        ("POST", f"/plan?{mark}", bare),
    ]


async def test_to_another_tenant_a_job_and_an_image_are_as_if_they_were_not_there(open_as, rocket):
    async with open_as("acme") as acme, open_as("zenith") as zenith:
        job_id, image_id = await acme.submit(rocket), await acme.upload(rocket)
        assert (await acme.ended(job_id))["status"] == "completed"
        jobs = [{"image_id": image_id, "operation": "thumbnail", "width": 9, "height": 9}]
        batch = (await acme.http.post("/batches", json={"jobs": jobs})).json()
        assert (await acme.ended(batch["job_ids"][0]))["status"] == "completed"

        for there, not_there in zip(
            requests_about(job_id, image_id, batch["batch_id"], rocket),
            requests_about(NOWHERE, NOWHERE, NOWHERE, rocket),
            strict=True,
        ):
            (method, path, how), (_, nowhere, how_else) = there, not_there
            foreign = await zenith.http.request(method, path, **how)
            unknown = await zenith.http.request(method, nowhere, **how_else)
            assert foreign.status_code in {404, 422}, (method, path, foreign.text)
            assert told(foreign) == told(unknown), (method, path)

        assert await zenith.jobs() == []
        batch_now = await acme.http.get(f"/batches/{batch['batch_id']}")
        assert batch_now.json()["counts"]["completed"] == 1
        assert (await acme.job(job_id))["status"] == "completed"
        assert (await acme.download(job_id)).status_code == 200
        assert (await acme.http.get(f"/images/{image_id}")).status_code == 200
        mark = {"op": "watermark", "image": image_id}
        marked = await acme.submit_json(image_id=image_id, operations=[mark])
        assert (await acme.ended(marked))["status"] == "completed"


def test_every_route_with_an_id_is_among_those(rocket):
    """So that a new one is tried as well."""
    asked = {
        (method, path.partition("?")[0])
        for method, path, _ in requests_about("J", "I", "B", rocket)
    }

    for route in NEEDED:
        method, path = route.split()
        if "_id>" in path:
            for name, short in (("<job_id>", "J"), ("<image_id>", "I"), ("<batch_id>", "B")):
                path = path.replace(name, short)
            assert (method, path) in asked


async def test_each_tenant_lists_its_own_jobs(open_as, rocket):
    async with open_as("alpha") as alpha, open_as("beta") as beta, open_as("alpha") as second:
        ours = [await alpha.submit(rocket) for _ in range(3)]
        theirs = [await beta.submit(rocket) for _ in range(2)]

        assert {job["id"] for job in await alpha.jobs()} == set(ours)
        assert {job["id"] for job in await beta.jobs()} == set(theirs)
        # Two keys of one tenant open the same.
        assert {job["id"] for job in await second.jobs()} == set(ours)


async def test_who_waits_for_another_tenants_job_does_not_hear_of_its_end(open_as, hubble):
    async with open_as("acme") as acme, open_as("zenith") as zenith:
        job_id = await acme.submit(hubble, operation="resize", width=2000, height=2000)

        response = await zenith.http.get(f"/jobs/{job_id}", params={"wait": 30})
        cancel = await zenith.post(f"/jobs/{job_id}/cancel")

        assert code(response) == code(cancel) == (404, "not_found")
        assert (await acme.ended(job_id))["status"] == "completed"
        assert (await acme.job(job_id))["attempts"] == 1


# --- Links ----------------------------------------------------------------------------------------


async def test_a_link_gives_one_download_to_whoever_has_it_until_it_expires(
    guarded, open_as, rocket
):
    async with open_as("acme") as acme, open_api(guarded) as nobody:
        job_id = await acme.submit(rocket)
        await acme.ended(job_id)
        made = await acme.http.post(f"/jobs/{job_id}/links", json={"expires_in": 2})
        url = made.json()["url"]

        whole = await nobody.http.get(url)
        part = await nobody.http.get(url, headers={"Range": "bytes=0-9"})
        known = await nobody.http.get(url, headers={"If-None-Match": whole.headers["ETag"]})
        head = await nobody.http.head(url)
        other = await nobody.http.get(url.replace("/download", ""))
        deleted = await nobody.http.delete(url.replace("/download", ""))

        async def expired() -> httpx2.Response | None:
            response = await nobody.http.get(url)
            return response if response.status_code != 200 else None

        assert made.status_code == 201
        assert whole.content.startswith(b"\xff\xd8")
        assert (part.status_code, part.content) == (206, whole.content[:10])
        assert known.status_code == 304
        assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(whole.content)))
        assert {other.status_code, deleted.status_code} <= {401, 422}
        assert code(await until(expired)) == (403, "forbidden")


async def test_where_it_is_known_that_there_is_no_result_there_is_no_link(start_server, rocket):
    with start_server(SWEEP_PERIOD=0.1) as server:
        async with open_api(server) as api:
            kept, gone, failed, cancelled, late = [
                await api.submit(rocket),
                await api.submit(rocket, retain=1),
                await api.submit(b"no picture"),
                await api.submit(rocket, delay=3600),
                await api.submit(rocket, delay=3600),
            ]
            await api.all_ended([kept, gone, failed])
            await api.post(f"/jobs/{cancelled}/cancel")

            async def link(job_id, **said):
                said = {"expires_in": 60, **said}
                return await api.http.post(f"/jobs/{job_id}/links", json=said)

            async def is_gone():
                return (await link(gone)).status_code == 410

            await until(is_gone)
            refused = [code(await link(each)) for each in (gone, failed, cancelled)]
            nameless = await link(kept, output="other")
            good = [(await link(each)).status_code for each in (kept, late)]

    assert refused == [(410, "gone"), (409, "job_failed"), (409, "job_cancelled")]
    assert code(nameless) == (404, "not_found")
    assert good == [201, 201]


async def test_links_outlive_a_restart_and_end_when_they_are_revoked(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            job_id = await api.submit(rocket)
            await api.ended(job_id)
            url = (await api.http.post(f"/jobs/{job_id}/links", json={"expires_in": 600})).json()[
                "url"
            ]
            server.stop()
            server.start()
        async with open_api(server) as api:
            before = await api.http.get(url)
            calotype(server, "keys", "revoke-links")
            await trio.sleep(SOON)
            after = await api.http.get(url)

            assert before.status_code == 200
            assert code(after) == (403, "forbidden")


# --- Clients --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["file", "variable", "nothing"])
def test_the_commands_that_are_clients_take_a_key(guarded, tmp_path, monkeypatch, photo, way):
    key = make_key(guarded, "acme", "jobs:read", "jobs:write")
    (tmp_path / "key").write_text(f"{key}\n")
    (tmp_path / "photo.jpg").write_bytes(photo)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALOTYPE_KEY", raising=False)
    if way == "variable":
        monkeypatch.setenv("CALOTYPE_KEY", key)
    words = ["--key-file", "key"] if way == "file" else []
    thumbnail = ["--operation", "thumbnail", "--width", "8", "--height", "8"]

    sent = CliRunner().invoke(submit, ["photo.jpg", *thumbnail, "--url", guarded.url, *words])
    pressed = CliRunner().invoke(load, [guarded.url, "--requests", "2", "--json", *words])

    if way == "nothing":
        assert (sent.exit_code, pressed.exit_code) == (1, 1)
        assert "unauthenticated" in sent.output
        assert json.loads(pressed.stdout)["errors"] == {"unauthenticated": 2}
    else:
        assert (sent.exit_code, pressed.exit_code) == (0, 0), (sent.output, pressed.output)
        assert json.loads(pressed.stdout)["jobs"] == 2


@pytest.mark.parametrize("content", ["", "ck_x", "two keys\n", "\xff"])
def test_what_is_no_key_is_not_sent_and_not_shown(tmp_path, monkeypatch, photo, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(content, "latin-1")
    (tmp_path / "photo.jpg").write_bytes(photo)

    ran = CliRunner().invoke(
        submit, ["photo.jpg", "--operation", "blur", "--key-file", "key", "--url", "http://x"]
    )

    assert ran.exit_code == 2
    assert not content or content.strip() not in ran.output


async def test_a_connection_that_is_refused_can_go_on(guarded):
    """A 401 needs no body; and a client that sent none keeps its connection."""
    async with open_api(guarded) as api:
        responses = [await api.http.get("/jobs") for _ in range(3)]

    assert [response.status_code for response in responses] == [401] * 3
    assert all("Connection" not in response.headers for response in responses)


async def test_a_large_upload_without_a_key_is_answered_before_it_is_sent(guarded):
    with trio.fail_after(PATIENCE):
        stream = await trio.open_tcp_stream("127.0.0.1", guarded.port)
        head = (
            b"POST /jobs HTTP/1.1\r\nHost: calotype\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 9000000\r\n\r\n"
        )
        await stream.send_all(head)
        answer = bytes(await stream.receive_some())
        await stream.aclose()

    assert answer.startswith(b"HTTP/1.1 401 ")
    await until_true(guarded.is_ready)
