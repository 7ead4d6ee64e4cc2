"""What browsers are told: on every answer, and which pages may read it."""

import pytest
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from tests.web.inside import OPEN_GATE, ask
from web.app import create_app
from web.browsers import SHOWN, USUAL, Cors
from web.problems import Problem
from web.uploads import UploadLimits, Uploads

OURS, OTHERS = "https://app.example:8443", "https://other.example"
SAFE = {name.decode(): value.decode() for name, value in USUAL}
ANSWERS = ["/fine", "/problem", "/crash", "/nowhere"]


@pytest.fixture
def make_app(tmp_path):
    """What makes an application whose answers may be read by pages of these origins."""

    def make(*origins: str):
        routes = Blueprint("routes", __name__)

        @routes.get("/fine")
        async def fine() -> Response:
            return Response("fine", headers={"Vary": "Accept"})

        @routes.get("/own")
        async def own() -> Response:
            return Response("own", headers={"Content-Security-Policy": "default-src 'self'"})

        @routes.get("/problem")
        async def problem() -> Response:
            raise Problem("forbidden", "So it is.")

        @routes.get("/crash")
        async def crash() -> Response:
            raise ZeroDivisionError

        uploads = Uploads(UploadLimits(1000, 100, 1, tmp_path, 1, 60, 10))
        return create_app([routes], uploads, OPEN_GATE, Cors(origins))

    return make


def shared(answer) -> set[str]:
    return {name for name in answer.headers if name.startswith("access-control-")}


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_says_what_a_browser_may_do_with_it(make_app, path):
    answer = await ask(make_app(), "GET", path, {})

    assert SAFE.items() <= answer.headers.items()
    assert "server" not in answer.headers


async def test_so_does_one_to_a_request_that_cannot_be_parsed(make_app):
    answer = await ask(make_app(OURS), "GET", "http://[/", {"Origin": OURS})

    assert answer.status == 400
    assert SAFE.items() <= answer.headers.items()
    assert answer.headers["access-control-allow-origin"] == OURS


async def test_a_route_may_know_better(make_app):
    answer = await ask(make_app(), "GET", "/own", {})

    assert answer.headers["content-security-policy"] == "default-src 'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ANSWERS)
async def test_no_page_from_elsewhere_may_read_anything_by_default(make_app, path):
    answer = await ask(make_app(), "GET", path, {"Origin": OURS})

    assert shared(answer) == set()
    assert "Origin" not in answer.headers.get("vary", "")


@pytest.mark.parametrize("path", ANSWERS)
async def test_a_page_that_is_named_may_read_every_answer(make_app, path):
    answer = await ask(make_app(OTHERS, OURS), "GET", path, {"Origin": OURS})

    assert answer.headers["access-control-allow-origin"] == OURS
    assert answer.headers["access-control-expose-headers"] == SHOWN
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [None, OTHERS, "null", "https://app.example", f"{OURS}.evil.example", OURS.upper(), f"{OURS}/"],
)
@pytest.mark.parametrize("path", ANSWERS)
async def test_no_other_page_may_and_caches_are_told_of_it(make_app, path, origin):
    headers = {"Origin": origin} if origin else {}
    answer = await ask(make_app(OURS), "GET", path, headers)

    assert shared(answer) == set()
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("named", [["*"], ["*", OURS]])
@pytest.mark.parametrize("origin", [OURS, OTHERS, "null"])
async def test_if_any_page_may_every_page_is_told_the_same(make_app, origin, named):
    answer = await ask(make_app(*named), "GET", "/fine", {"Origin": origin})

    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("named", ["*", OURS])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_no_page_may_send_cookies_since_there_are_none(make_app, named, method):
    asks = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
    answer = await ask(make_app(named), method, "/fine", asks)

    assert "access-control-allow-origin" in answer.headers
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("path", ANSWERS)
async def test_a_browser_that_asks_first_is_told_what_it_may_send(make_app, path):
    asks = {"Origin": OURS, "Access-Control-Request-Method": "POST"}
    answer = await ask(make_app(OURS), "OPTIONS", path, asks)

    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == OURS
    assert {"POST", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert {"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"} <= set(allowed)


async def test_a_browser_of_another_page_is_told_no(make_app):
    asks = {"Origin": OTHERS, "Access-Control-Request-Method": "POST"}
    answer = await ask(make_app(OURS), "OPTIONS", "/fine", asks)
    off = await ask(make_app(), "OPTIONS", "/fine", asks)

    assert "access-control-allow-origin" not in answer.headers
    assert shared(off) == set()


async def test_options_of_no_browser_tells_the_methods(make_app):
    answer = await ask(make_app(OURS), "OPTIONS", "/fine", {"Origin": OURS})

    assert answer.status == 200
    assert "GET" in answer.headers["allow"]
