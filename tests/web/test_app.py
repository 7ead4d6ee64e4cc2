"""Errors on their way out: whatever goes wrong is a problem with the right status."""

import json

import pytest
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from actors.errors import HandlerCrashed
from actors.storage.ports import StorageFull
from tests.web.inside import OPEN_GATE
from web.about import Health, health_blueprint, problems_blueprint
from web.app import create_app
from web.problems import KINDS, Problem
from web.uploads import UploadLimits, Uploads, upload


@pytest.fixture
def client(tmp_path):
    trouble = Blueprint("trouble", __name__)

    @trouble.get("/crash")
    async def crash() -> Response:
        raise ZeroDivisionError("with a secret")

    @trouble.get("/group")
    async def group() -> Response:
        raise ExceptionGroup("several", [ZeroDivisionError("with a secret")])

    @trouble.get("/actor")
    async def actor() -> Response:
        raise HandlerCrashed("with a secret")

    @trouble.get("/problem/<code>")
    async def problem(code: str) -> Response:
        raise Problem(code, "So it is.")

    @trouble.post("/size")
    async def size() -> Response:
        return Response(str(len(await upload().read())))

    @trouble.get("/full")
    async def full() -> Response:
        raise StorageFull("in /a/secret/place")

    uploads = Uploads(UploadLimits(1000, 100, 1, tmp_path, 1, 60, 10))
    blueprints = [trouble, health_blueprint(Health()), problems_blueprint()]
    return create_app(blueprints, uploads, OPEN_GATE).test_client()


async def told(response) -> dict[str, object]:
    assert response.headers["Content-Type"] == "application/problem+json"
    members: dict[str, object] = json.loads(await response.get_data())
    assert members["status"] == response.status_code
    return members


@pytest.mark.parametrize("path", ["/nothing", "/health/nothing", "/problem", "/static/a", "/%00"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "BREW"])
async def test_an_unknown_path_is_not_found_whatever_the_method(client, path, method):
    response = await client.open(path, method=method)

    assert response.status_code == 404
    assert (await told(response))["code"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
async def test_a_wrong_method_is_told_which_are_right(client, method):
    response = await client.open("/health", method=method)

    assert response.status_code == 405
    assert (await told(response))["code"] == "method_not_allowed"
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ["/crash", "/group"])
async def test_a_crash_is_an_internal_error_that_tells_no_secret(client, path):
    response = await client.get(path)

    assert response.status_code == 500
    assert (await told(response))["code"] == "internal"
    assert b"secret" not in await response.get_data()
    assert b"Zero" not in await response.get_data()


@pytest.mark.parametrize(("path", "status"), [("/actor", 500), ("/full", 507)])
async def test_an_actors_error_tells_no_secret(client, path, status):
    response = await client.get(path)

    assert response.status_code == status
    assert b"secret" not in await response.get_data()


@pytest.mark.parametrize("code", KINDS)
async def test_every_problem_goes_out_as_it_is(client, code):
    response = await client.get(f"/problem/{code}")

    assert response.status_code == KINDS[code].status
    assert (await told(response))["code"] == code


@pytest.mark.parametrize("code", KINDS)
async def test_the_type_of_every_problem_leads_somewhere(client, code):
    response = await client.get(f"/problems/{code}")

    assert response.status_code == 200
    assert json.loads(await response.get_data())["title"] == KINDS[code].title


async def test_head_tells_what_get_would(client):
    head, get = await client.head("/health"), await client.get("/health")

    assert head.status_code == 200
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_head_of_nothing_is_not_found(client):
    assert (await client.head("/nothing")).status_code == 404


async def test_options_tells_the_methods(client):
    response = await client.options("/size")

    assert response.status_code == 200
    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


@pytest.mark.parametrize("size", [0, 1, 100, 101, 1000])
async def test_a_body_is_read_from_memory_or_from_the_disk(client, size):
    response = await client.post("/size", data=bytes(size))

    assert await response.get_data() == str(size).encode()


async def test_a_body_beyond_the_limit_is_too_large(client):
    response = await client.post("/size", data=bytes(1001))

    assert response.status_code == 413
    members = await told(response)
    assert members["code"] == "too_large"
    assert "1000 bytes, and an image in it MAX_UPLOAD_SIZE" in str(members["detail"])


async def test_a_slash_more_makes_another_path_only_if_it_is_inside(client):
    assert (await client.get("/health/")).status_code == 200
    assert (await client.get("/health//live")).status_code == 404
