"""Requests put together by the grammars of HTTP and of forms, with and without faults.

Whatever comes, the same process answers, nobody else notices, and what is refused is refused as the
client's fault. Those without a fault are each answered, in order, however they follow each other.
"""

import io
import re
from http.client import HTTPResponse
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web import running
from tests.web.raw import exchange, is_alive

pytestmark = [pytest.mark.service, pytest.mark.slow]

anything = settings(deadline=None, derandomize=True, database=None, max_examples=150)

GIF = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\1\0\1\0\0\2\2D\1\0\x3b"
ID = "550e8400-e29b-41d4-a716-446655440000"
# A fault of the service; 501 and 505 are about what the client says (RFC 9110, 15.6).
FAULTS_OF_OURS = {500, 502, 504, 506, 508, 510, 511}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One service for all that is sent here, which may pause and resize it."""
    directory = tmp_path_factory.mktemp("grammars")
    with running.start_server(
        directory, KEEP_ALIVE=5, BODY_RATE_PERIOD=5, MAX_UPLOAD_SIZE=100_000
    ) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


# --- The grammars ---------------------------------------------------------------------------------


class Request(NamedTuple):
    """A request, and the method that tells whether its answer has a body."""

    method: str
    data: bytes


def joined(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def often(*usual: bytes, else_: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """One of the `usual` three times out of four."""
    return st.integers(0, 3).flatmap(lambda n: else_ if n == 3 else st.sampled_from(usual))


def printable(max_size: int) -> st.SearchStrategy[bytes]:
    letters = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
    return st.text(letters, max_size=max_size).map(lambda text: text.strip().encode())


PATHS = st.sampled_from(
    [
        *(
            "/jobs",
            f"/jobs/{ID}",
            f"/jobs/{ID}/download",
            f"/jobs/{ID}/cancel",
            f"/jobs/{ID}/links",
        ),
        *("/images", f"/images/{ID}/content", "/plan", "/batches", f"/batches/{ID}", "/pool"),
        *("/queue", "/queue/dead", "/stats", "/metrics", "/health", "/docs", "/openapi.json"),
        *("/problems/not_found", "/nothing", "//", "/jobs/", "/jobs/..%2f..", "/%00", "/jobs/%ff"),
        *(f"/jobs/{ID}/events", f"/jobs/{ID}/deliveries", "/jobs/" + "x" * 300, "/jobs/a%0d%0ab"),
    ]
).map(str.encode)
WORDS = often(
    *(b"1", b"resize", b"png", b"wait", b"-1", b"1e9", b"%00", b"%ff", b"%2F", b"a=b", b"null"),
    else_=st.text("abz019%+._~!$'()*,;:@/?-", max_size=20).map(str.encode),
)
NAMES_OF_QUERIES = st.sampled_from(
    [
        *(b"operation", b"width", b"height", b"format", b"limit", b"status", b"output", b"cursor"),
        *(b"signature", b"expires", b"image_id", b"image_url", b"preset", b"created_after", b"x"),
    ]
)
QUERIES = st.lists(joined(NAMES_OF_QUERIES, st.sampled_from([b"=", b""]), WORDS), max_size=4).map(
    lambda words: b"?" + b"&".join(words) if words else b""
)
TYPES = (
    *(b"application/json", b"image/gif", b"multipart/form-data; boundary=B", b"text/plain"),
    *(b"multipart/form-data", b'multipart/form-data; boundary="', b"application/json; charset=x"),
)
FIELDS = st.one_of(
    joined(st.just(b"Accept: "), often(b"image/*;q=0.5", b"*/*;q=nan", else_=printable(40))),
    joined(st.just(b"Range: "), often(b"bytes=0-", b"bytes=-1", b"bytes=9-1", else_=printable(20))),
    joined(st.just(b"If-None-Match: "), often(b"*", b'W/"a", "b', else_=printable(20))),
    joined(st.just(b"If-Range: "), often(b'"a"', else_=printable(20))),
    joined(st.just(b"Prefer: "), often(b"wait=0", b"wait=" + b"9" * 20, else_=printable(9))),
    joined(st.just(b"Idempotency-Key: "), often(b'"a"', b"a", b'"\\"', else_=printable(20))),
    joined(st.just(b"Authorization: "), often(b"Bearer ck_", b"Basic x", else_=printable(80))),
    joined(st.just(b"X-Forwarded-For: "), often(b"::1, 1.2.3.4", else_=printable(40))),
    joined(st.just(b"X-Request-ID: "), printable(80)),
    joined(st.just(b"Origin: "), often(b"null", b"http://calotype", else_=printable(20))),
    joined(st.just(b"Last-Event-ID: "), often(b"0", b"-1", b"9" * 30, else_=printable(9))),
    joined(st.just(b"traceparent: "), often(b"00-" + b"0" * 32, else_=printable(60))),
    joined(st.just(b"Cookie: "), printable(30)),
    joined(st.just(b"Access-Control-Request-Method: "), often(b"POST", else_=printable(9))),
    st.just(b"Expect: 100-continue"),
)
PARTS = joined(
    often(b"--B\r\n", else_=st.sampled_from([b"--B", b"--B--\r\n", b"--C\r\n", b"--B\n", b""])),
    often(
        *(b'Content-Disposition: form-data; name="image"; filename="a"\r\n\r\n' + GIF,),
        *(b'Content-Disposition: form-data; name="operation"\r\n\r\nresize',),
        *(b'Content-Disposition: form-data; name="width"\r\n\r\n1',),
        *(b'Content-Disposition: form-data; name="height"\r\n\r\n1',),
        *(b'Content-Disposition: form-data; name="request"\r\n\r\n{"width":1}',),
        else_=joined(
            st.sampled_from([b"Content-Disposition", b"content-type", b"", b"\xff", b":"]),
            st.sampled_from([b": ", b":", b""]),
            st.sampled_from([b"form-data", b"file", b""]),
            st.lists(
                joined(
                    st.sampled_from([b"; ", b";", b" "]),
                    st.sampled_from([b"name", b"name*", b"name*0", b"filename", b""]),
                    st.sampled_from([b"=", b'="', b"=utf-8''%", b""]),
                    printable(10),
                    st.sampled_from([b'"', b"", b'\\"']),
                ),
                max_size=4,
            ).map(b"".join),
            st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b""]),
            st.binary(max_size=30),
        ),
    ),
    often(b"\r\n", else_=st.sampled_from([b"", b"\n", b"\r"])),
)
FORMS = joined(st.lists(PARTS, max_size=6).map(b"".join), often(b"--B--\r\n", else_=st.just(b"")))
BODIES = st.one_of(
    FORMS,
    st.just(GIF),
    st.sampled_from(
        [b"{}", b"[]", b"null", b'{"jobs":[{}]}', b'{"workers":1}', b'{"a":' * 40, b"[" * 99, b'"']
    ),
    st.binary(max_size=200),
)


@st.composite
def chunked(draw, body: bytes) -> bytes:
    """`body` in chunks, as it may be written."""
    data = bytearray()
    while body:
        size = draw(st.integers(1, len(body)))
        number = draw(st.sampled_from([f"{size:x}", f"{size:X}", f"000{size:x}"])).encode()
        data += number + draw(st.sampled_from([b"", b";a", b";a=b", b';a="b"'])) + b"\r\n"
        data += body[:size] + b"\r\n"
        body = body[size:]
    trailer: bytes = draw(st.sampled_from([b"", b"X-Trailer: a\r\n", b"Content-Length: 9\r\n"]))
    return bytes(data) + b"0\r\n" + trailer + b"\r\n"


@st.composite
def sound(draw, *, last: bool = False) -> Request:
    """A request without a fault in its framing, whatever it asks for."""
    method = draw(st.sampled_from(["GET", "HEAD", "POST", "POST", "PATCH", "DELETE", "OPTIONS"]))
    target = draw(joined(PATHS, QUERIES))
    fields = [b"Host: calotype", *draw(st.lists(FIELDS, max_size=4))]
    data = b""
    if draw(st.booleans()):
        body = draw(BODIES)
        fields.append(b"Content-Type: " + draw(st.sampled_from(TYPES)))
        if draw(st.booleans()):
            data = draw(chunked(body))
            fields.append(b"Transfer-Encoding: chunked")
        else:
            data = body
            fields.append(b"Content-Length: %d" % len(body))
    if last:
        fields.append(b"Connection: close")
    head: bytes = b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method.encode(), target, b"\r\n".join(fields))
    return Request(method, head + data)


@st.composite
def faulty(draw) -> bytes:
    """A request whose framing may have any fault."""
    fields = draw(
        st.lists(
            st.one_of(
                FIELDS,
                st.sampled_from(
                    [
                        *(b"Host: b", b"Host:", b"Host : c", b" folded", b"\tfolded", b":", b"a"),
                        *(b"Content-Length: 3", b"Content-Length: 03", b"Content-Length: +3"),
                        *(b"Content-Length: 3, 3", b"Content-Length: 0x3", b"Content-Length:"),
                        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
                        *(b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding: chunked, gzip"),
                        *(b"Connection: close", b"Connection: Upgrade", b"Upgrade: h2c"),
                        *(b"Upgrade: websocket", b"TE: trailers", b"Content-Encoding: gzip"),
                        *(b"A\0b: c", b"A: b\0c", b"A: \xff", b"\xc3\xa9: a", b"A: b\rC: d"),
                    ]
                ),
            ),
            max_size=5,
        )
    )
    line = draw(
        joined(
            often(b"GET", b"POST", else_=st.sampled_from([b"get", b"", b"G T", b"\0", b"P" * 200])),
            often(b" ", else_=st.sampled_from([b"  ", b"\t", b""])),
            often(b"/jobs", b"/health", else_=joined(PATHS, QUERIES) | st.binary(max_size=9)),
            often(b" ", else_=st.sampled_from([b"  ", b"\t", b""])),
            often(b"HTTP/1.1", else_=st.sampled_from([b"HTTP/1.0", b"HTTP/2", b"http/1.1", b""])),
        )
    )
    ends = draw(st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r"]))
    body = draw(
        st.one_of(
            BODIES,
            BODIES.flatmap(chunked),
            st.sampled_from(
                [
                    b"zz\r\n",
                    b"3\r\nabcd\r\n0\r\n\r\n",
                    b"-1\r\n",
                    b"3 \r\nabc\r\n0\r\n\r\n",
                    b"0\r\n",
                ]
            ),
        )
    )
    host = [] if draw(st.integers(0, 3)) == 3 else [b"Host: calotype"]
    request: bytes = ends.join([line, *host, *fields, b"", body])
    return request


# --- What comes back ------------------------------------------------------------------------------


class _Stream(io.BytesIO):
    """What has come, as a socket that one answer after the other is read from."""

    def makefile(self, *_: object) -> "_Stream":
        return self

    def close(self) -> None:
        """Go on: an answer closes what it was read from."""


def statuses_of(requests: list[Request], answers: bytes) -> list[int]:
    """The statuses of all answers, each of which must be whole, and nothing behind them.

    One that says that the connection is closed with it is the last.
    """
    stream, statuses = _Stream(answers), []
    for request in requests:
        response = HTTPResponse(stream, method=request.method)  # type: ignore[arg-type]
        response.begin()
        response.read()
        statuses.append(response.status)
        if response.getheader("Connection") == "close":
            break
    assert stream.read() == b""
    return statuses


@anything
@given(st.lists(sound(), max_size=3), sound(last=True))
def test_each_request_without_a_fault_is_answered_in_its_turn(server, before, last):
    pid = server.process.pid
    requests = [*before, last]

    answers = exchange(server.port, b"".join(each.data for each in requests))

    assert not FAULTS_OF_OURS.intersection(statuses_of(requests, answers))
    assert server.process.poll() is None
    assert server.process.pid == pid
    assert is_alive(server.port)


@anything
@given(
    st.lists(sound().map(lambda request: request.data), max_size=1), st.lists(faulty(), min_size=1)
)
def test_a_fault_is_the_clients_and_ends_nobody_elses_connection(server, before, faults):
    answers = exchange(server.port, b"".join([*before, *faults]), says_end=True)

    statuses = {int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answers)}
    assert not FAULTS_OF_OURS.intersection(statuses)
    assert server.process.poll() is None
    assert is_alive(server.port)


@anything
@given(sound(last=True), st.data())
def test_it_does_not_matter_in_which_pieces_a_request_comes(server, request, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(request.data)), max_size=6)))
    pieces = [request.data[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]

    whole = exchange(server.port, request.data)
    in_pieces = exchange(server.port, *pieces)

    assert statuses_of([request], whole) == statuses_of([request], in_pieces)
