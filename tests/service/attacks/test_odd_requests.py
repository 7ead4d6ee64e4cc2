"""Requests that proxies and servers read differently, and names that lead elsewhere.

More of what is no HTTP is in `tests/web/test_connections.py`, and what becomes of the id of a
request and of a target that cannot be parsed in `tests/web/test_asgi.py`.
"""

import gzip
import json

import pytest

from tests.service.attacks.witness import another_client
from tests.web.raw import Answer, ask, connect, exchange, head, read_answer, send

pytestmark = pytest.mark.service

CLOSING = "Connection: close"
BEGINNING = b"POST /jobs HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"
SMUGGLED = b"GET /health HTTP/1.1\r\nHost: smuggled\r\nConnection: close\r\n\r\n"
END = b"0\r\n\r\n"


@pytest.fixture(scope="module", autouse=True)
def watched(attacked, photo):
    """Another client is served while all of this happens."""
    with another_client(attacked, photo, "odd requests"):
        yield


# --- One request, or two? -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity",
        b'Transfer-Encoding: "chunked"',
        b"Transfer-Encoding: chunked;a=b",
        b"Transfer-Encoding:",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding: chunked\0",
        b"Transfer-Encoding:\r\n chunked",
        b"Transfer-Encoding:\n chunked",
        b"A: b\nTransfer-Encoding: chunked",
        b"A: b\rTransfer-Encoding: chunked",
        b"A: b\r\n\tTransfer-Encoding: chunked",
        b"Content-Length: +5",
        b"Content-Length: -5",
        b"Content-Length: 5 5",
        b"Content-Length: 5, 6",
        b"Content-Length: 0x5",
        b"Content-Length: 5e0",
        b"Content-Length: 1_0",
        b"Content-Length: 5.0",
        b"Content-Length:",
        "Content-Length: \u0665".encode(),
        b"Content-Length:\r\n 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"A: b\0",
        b"A\0: b",
        b"A\r: b",
        b"A",
        b": b",
        b"Host: b",
        b"Host: a",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_read(
    attacked, fields
):
    answer = exchange(attacked.port, BEGINNING + fields + b"\r\n\r\n" + END + SMUGGLED)

    assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 501"}
    assert answer.count(b"HTTP/1.1") == 1
    assert b"\r\nconnection: close\r\n" in answer.lower()


@pytest.mark.parametrize(
    "fields",
    [
        b"TRANSFER-ENCODING:\tCHUNKED",
        b"Content-Length: 5 ",
        b"Content-Length: 005",
        # As RFC 9110, 8.6 allows: they all say the same.
        b"Content-Length: 5, 5",
        b"Content-Length: 5\r\nContent-Length: 5",
        # Another name, whatever CGI made of it.
        b"Transfer_Encoding: chunked\r\nContent-Length: 5",
    ],
)
def test_a_head_that_means_one_thing_ends_where_it_says(attacked, fields):
    answer = exchange(attacked.port, BEGINNING + fields + b"\r\n\r\n" + END + SMUGGLED)

    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.count(b'"healthy"') == 1


@pytest.mark.parametrize(
    "body",
    [
        b"-3\r\nGIF\r\n",
        b"+3\r\nGIF\r\n",
        b"0x3\r\nGIF\r\n",
        b" 3\r\nGIF\r\n",
        b"3g\r\nGIF\r\n",
        b"\r\nGIF\r\n",
        b"3\nGIF\r\n",
        b"3\r\nGIF\n",
        b"3\r\nGIFGET",
        b"3;a\nb\r\nGIF\r\n",
        b"ffffffffffffffffffffff\r\nGIF\r\n",
        b"3;" + b"a" * 300_000,
    ],
)
def test_a_chunk_that_is_none_ends_the_connection(attacked, body):
    request = BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n" + body + END + SMUGGLED

    answer = exchange(attacked.port, request)

    assert b'"healthy"' not in answer
    assert answer.count(b"HTTP/1.1 ") <= 1


@pytest.mark.parametrize(
    "body",
    [
        b"3;a=b\r\nGIF\r\n0;c\r\n\r\n",
        b"03\r\nGIF\r\n000\r\n\r\n",
        # A trailer changes nothing of the request that it ends.
        b"3\r\nGIF\r\n0\r\nContent-Length: 9\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_extensions_and_trailers_are_passed_over(attacked, body):
    request = BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n" + body + SMUGGLED

    answer = exchange(attacked.port, request)

    assert answer.count(b"HTTP/1.1 ") == 2
    assert answer.count(b'"healthy"') == 1


def test_chunked_in_http_1_0_ends_the_connection(attacked):
    request = BEGINNING.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n" + END

    assert b'"healthy"' not in exchange(attacked.port, request + SMUGGLED)


def test_a_body_of_a_get_is_no_request(attacked):
    request = head("GET /problems/gone", length=len(SMUGGLED)) + SMUGGLED

    answer = exchange(attacked.port, request + SMUGGLED)

    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b'"healthy"' not in answer


@pytest.mark.parametrize("target", ["http://other/health", "https://user:pass@other:99/health"])
def test_whom_a_whole_url_names_does_not_matter(attacked, target):
    assert ask(attacked.port, f"GET {target}", CLOSING).status == 200


# --- Ways to somewhere else -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/jobs/../health",
        "/jobs/%2e%2e/health",
        "/jobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd/download",
        "/jobs/..%2f..%2fdata%2fjobs.db/download",
        "/jobs/%252e%252e/download",
        "/jobs/..%5c..%5cjobs.db/download",
        "/jobs/..;/download",
        "/jobs/%00/download",
        "/jobs/..%00/download",
        "/jobs/%ff%fe/download",
        "/jobs/%c0%ae%c0%ae/download",
        "/jobs/%E2%80%AE/download",
        "/jobs/%EF%BC%8E%EF%BC%8E%EF%BC%8F/download",
        "/jobs/x%0d%0aSet-Cookie:%20a=b/download",
        "/images/..%2f..%2fdata%2fjobs.db/content",
        "/images/%00/content",
        "/batches/..%2fx",
        "/problems/..%2f..%2fetc%2fpasswd",
        "/problems/%0d%0aSet-Cookie:%20a=b",
        "/jobs/" + "a" * 15_000,
        "/jobs/" + "%2e" * 5000 + "/download",
        "/" * 10_000 + "x",
        "/./health",
        "/%2e/health",
        "/health;x",
        "/health%20",
        "/health%00",
        "\\health",
        "*",
    ],
)
def test_no_path_leads_out_of_the_service(attacked, path):
    answer = ask(attacked.port, f"GET {path}", CLOSING)

    assert (answer.status, answer.code) == (404, "not_found")
    assert "set-cookie" not in answer.headers
    assert len(answer.body) < 1000


@pytest.mark.parametrize("path", ["/jobs/\xff", "/jobs/\u00e9\xa0", "/a\tb", "/a\x01b"])
def test_bytes_that_no_target_has_are_refused(attacked, path):
    request = b"GET " + path.encode("latin-1") + b" HTTP/1.1\r\nHost: a\r\n\r\n"

    assert exchange(attacked.port, request).startswith(b"HTTP/1.1 400 ")


# --- Words that become headers --------------------------------------------------------------------

EVIL = 'a\r\nSet-Cookie: a=b\r\n\r\n<script>"'
JSON = "Content-Type: application/json"


def is_clean(answer: Answer) -> bool:
    """Whether nothing that was sent has become a header."""
    return "set-cookie" not in answer.headers and not any(
        "\r" in value or "\n" in value for value in answer.headers.values()
    )


def form(name: str, file_name: str, photo: bytes) -> bytes:
    part = f'--B\r\nContent-Disposition: form-data; name="{name}"; filename="{file_name}"\r\n\r\n'
    return part.encode() + photo + b"\r\n--B--\r\n"


@pytest.mark.parametrize(
    "file_name",
    ["a\r\nSet-Cookie: a=b", "a\"; filename*=UTF-8''b", "../../../etc/passwd", "a\0b", "a" * 4000],
)
def test_the_name_of_a_file_goes_nowhere(attacked, photo, file_name):
    told = ("Content-Type: multipart/form-data; boundary=B", "Prefer: wait=30")
    body = form("image", file_name, photo)

    answer = ask(attacked.port, "POST /jobs?operation=grayscale", *told, body=body)

    assert is_clean(answer)
    assert b"passwd" not in answer.body
    assert b"Set-Cookie" not in answer.body
    assert answer.status in {200, 400, 422}


def test_metadata_and_names_of_outputs_go_into_no_header(attacked, photo):
    told = ask(attacked.port, "POST /images", "Content-Type: image/jpeg", body=photo)
    image = {"image_id": json.loads(told.body)["image_id"]}
    gray = {"operations": [{"op": "grayscale"}]}
    metadata = json.dumps(image | gray | {"metadata": {"a": EVIL}}).encode()
    outputs = json.dumps(image | {"outputs": [gray | {"name": EVIL}]}).encode()

    job = ask(attacked.port, "POST /jobs", JSON, "Prefer: wait=30", body=metadata)
    refused = ask(attacked.port, "POST /jobs", JSON, body=outputs)
    place = f"/jobs/{json.loads(job.body)['id']}/download"
    download = ask(attacked.port, f"GET {place}")
    another = ask(attacked.port, f"GET {place}?output=x%0d%0aSet-Cookie:%20a=b")

    assert json.loads(job.body)["metadata"] == {"a": EVIL}
    assert refused.status == 422
    assert download.status == 200
    assert another.status == 422
    assert all(map(is_clean, (job, refused, download, another)))


@pytest.mark.parametrize("name", ["image_url", "callback_url"])
@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/\r\nHost: b",
        "http://a.example\r\n/",
        "http://a.example/\0",
        "http://a.example/ HTTP/1.1\r\nA: b\r\n\r\n",
        "http://user:pass\n@a.example/",
        "http://127.0.0.1:80/",
        "gopher://a.example/_GET",
    ],
)
def test_no_address_brings_headers_or_leads_inside(attacked, name, url):
    said = {"operation": "grayscale", "image_data": "AAAA", name: url}
    if name == "image_url":
        said.pop("image_data")

    answer = ask(attacked.port, "POST /jobs", JSON, body=json.dumps(said).encode())

    assert (answer.status, answer.code) == (422, "invalid")
    assert [each["pointer"] for each in json.loads(answer.body)["errors"]] == [f"/{name}"]
    assert is_clean(answer)


@pytest.mark.parametrize("given", ["a b", "a\tb", "<script>", "a" * 65, "\xe9", 'a"', "{}"])
def test_what_is_no_id_of_a_request_does_not_come_back(attacked, given):
    answer = ask(attacked.port, "GET /health", f"X-Request-ID: {given}")

    assert answer.status == 200
    assert answer.headers["x-request-id"] != given


# --- Bodies that are packed -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=B"])
def test_a_body_that_is_packed_is_never_unpacked(attacked, kind):
    body = gzip.compress(bytes(50_000_000), 1)
    with connect(attacked.port) as connection:
        told = (f"Content-Type: {kind}", "Content-Encoding: gzip")
        send(connection, head("POST /jobs", *told, length=len(body)) + body)
        answer = read_answer(connection)

    assert (answer.status, answer.code) == (400, "malformed")
