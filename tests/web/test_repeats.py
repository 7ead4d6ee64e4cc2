"""`Idempotency-Key`: what is a name, and what makes two requests the same."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from tests.web.inside import OPEN_GATE, ask
from web.app import create_app
from web.repeats import Fingerprint, note_replay, once
from web.uploads import UploadLimits, Uploads, upload

LONGEST = 255
# What has parts of a boundary in it, and whole ones, wherever pieces end.
BODIES = st.lists(st.sampled_from([b"--a", b"--ab", b"b", b"-", b"\0", b"\r\n--ab--", b"x"])).map(
    b"".join
)


@pytest.fixture
def app(tmp_path):
    routes = Blueprint("routes", __name__)

    @routes.route("/name", methods=["GET", "POST"])
    async def name() -> Response:
        name = await once()
        return Response(json.dumps(name and [name.name, name.fingerprint]))

    @routes.post("/other")
    async def other() -> Response:
        return await name()

    @routes.post("/body")
    async def body() -> Response:
        return Response(await upload().read())

    @routes.post("/again")
    async def again() -> Response:
        note_replay()
        return Response("again")

    uploads = Uploads(UploadLimits(1000, 100, 1, tmp_path, 1, 60, 10))
    return create_app([routes], uploads, OPEN_GATE)


async def named(app, key: str, path: str = "/name", body: bytes = b"", kind: str = "text/plain"):
    headers = {"Idempotency-Key": key, "Content-Type": kind}
    answer = await ask(app, "POST", path, headers, body)
    assert answer.status == 200, answer.body
    name, fingerprint = json.loads(answer.body)
    return name, fingerprint


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("  a b,c;d\\e  ", "a b,c;d\\e"),
        (r'"a \"b\" \\ c"', r'a "b" \ c'),
        ('" "', " "),
        ("a" * LONGEST, "a" * LONGEST),
        (f'"{"a" * LONGEST}"', "a" * LONGEST),
    ],
)
async def test_a_name_may_be_quoted_or_bare(app, field, name):
    assert (await named(app, field))[0] == name


@pytest.mark.parametrize(
    "field",
    [
        *("", '""', '"a', 'a"', '"a"b"', r'"a\b"', '"a";b=1', "größer", '"größer"', "a\tb"),
        *("a" * (LONGEST + 1), f'"{"a" * (LONGEST + 1)}"'),
    ],
)
async def test_what_is_no_name_is_malformed(app, field):
    for path in ("/name", "/nowhere"):
        answer = await ask(app, "POST", path, {"Idempotency-Key": field})

        assert answer.status == 400
        assert json.loads(answer.body)["code"] == "malformed"


async def test_only_a_post_has_a_name(app):
    answer = await ask(app, "GET", "/name", {"Idempotency-Key": "a"})
    nameless = await ask(app, "POST", "/name", {})

    assert (answer.body, nameless.body) == (b"null", b"null")


async def test_requests_differ_by_what_they_say_and_where(app):
    same = [await named(app, key, body=b"body") for key in ("a", '"a"', "b")]
    others = [
        await named(app, "a", body=b"bodi"),
        await named(app, "a", body=b"body "),
        await named(app, "a", path="/other", body=b"body"),
        await named(app, "a", path="/name?", body=b""),
        await named(app, "a", path="/name?b", body=b"ody"),
        await named(app, "a", path="/name?body", body=b""),
        await named(app, "a", body=b"body", kind="application/json"),
    ]

    assert len({fingerprint for _, fingerprint in same}) == 1
    assert len({fingerprint for _, fingerprint in [*same, *others]}) == 1 + len(others)


async def test_a_form_is_the_same_whatever_its_boundary(app):
    def form(boundary: str, value: str) -> tuple[bytes, str]:
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}'
        kind = f'multipart/form-data; boundary="{boundary}"'
        return f"{body}\r\n--{boundary}--\r\n".encode(), kind

    prints = [
        (await named(app, "a", "/name", *form(boundary, value)))[1]
        for boundary, value in [("a", "1"), ("of a browser", "1"), ("a", "2"), ("b", "2")]
    ]

    assert prints[0] == prints[1] != prints[2] == prints[3]


@given(body=BODIES, cuts=st.lists(st.integers(0, 60)), boundary=st.sampled_from(["ab", "a", None]))
def test_the_pieces_in_which_a_body_comes_make_no_difference(body, cuts, boundary):
    whole, pieces = Fingerprint("here", boundary), Fingerprint("here", boundary)
    whole.update(body)

    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    for start, end in itertools.pairwise(edges):
        pieces.update(body[start:end])

    assert pieces.text() == whole.text()


@given(BODIES, BODIES)
def test_bodies_differ_by_each_byte_besides_the_boundary(one, other):
    prints = []
    for body in (one, other):
        fingerprint = Fingerprint("here", "ab")
        fingerprint.update(body)
        prints.append(fingerprint.text())

    same = one.replace(b"--ab", b"\0") == other.replace(b"--ab", b"\0")
    assert (prints[0] == prints[1]) == same


async def test_the_route_has_the_body_all_the_same(app):
    for size in (50, 500):  # In memory, and on the disk.
        answer = await ask(app, "POST", "/body", {"Idempotency-Key": "a"}, b"x" * size)

        assert answer.body == b"x" * size


async def test_who_sends_a_request_again_is_told(app):
    again = await ask(app, "POST", "/again", {})
    first = await ask(app, "POST", "/body", {"Idempotency-Key": "a"})

    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
