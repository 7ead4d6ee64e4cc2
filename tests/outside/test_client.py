"""Requests go to what was checked, carry nothing that they should not, and always end."""

import gzip
import socket
import ssl
import time
from functools import partial
from ipaddress import ip_address

import pytest
import trio
import trio.testing
import trustme

from actors.outside import network
from actors.outside.allowance import parse_allowance
from actors.outside.client import Outside, Patience
from actors.outside.errors import SourceForbidden, SourceTooLarge, SourceUnreachable
from actors.outside.network import is_own, resolve
from actors.outside.targets import parse_target
from tests.conftest import PATIENCE
from tests.outside.servers import Server, answer

LOOPBACK = "127.0.0.1"
# On Linux all of 127.0.0.0/8 is this machine; here they stand for machines elsewhere.
ELSEWHERE, INSIDE = "127.0.0.2", "127.0.0.3"
QUICK = Patience(connect=0.2, silence=0.2, total=0.5)


@pytest.fixture
async def serve(nursery):
    """Start servers that answer so."""

    async def start(*answers, host=LOOPBACK, port=0, tls=None):
        server = Server(*answers)
        await nursery.start(server.run, tls, host, port)
        return server

    with trio.fail_after(PATIENCE):
        yield start


class Names:
    """A resolver that tells, for each name, one list of addresses after another."""

    def __init__(self, **names: list[list[str]]) -> None:
        self._names = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host):
        self.asked.append(host)
        answers = self._names[host]
        return [ip_address(each) for each in (answers.pop(0) if len(answers) > 1 else answers[0])]


class Asking:
    """Asks what a server on loopback has, which an exception allows."""

    def __init__(self, server, patience=QUICK, names=None, allow="", **more):
        self.allowance = parse_allowance(
            f"{LOOPBACK},{ELSEWHERE},{allow}", ports={80, 443, server.port}
        )
        self.port = server.port
        self.outside = Outside(self.allowance, patience, resolve=names or resolve, **more)

    def target(self, text="http://127.0.0.1/"):
        scheme, _, rest = text.partition("://")
        host, slash, path = rest.partition("/")
        return parse_target(f"{scheme}://{host}:{self.port}{slash}{path}", self.allowance)

    async def get(self, text="http://127.0.0.1/", max_bytes=1000):
        async with self.outside.get(self.target(text), max_bytes) as pieces:
            return b"".join([piece async for piece in pieces])

    async def post(self, text="http://127.0.0.1/", body=b"", **headers):
        return await self.outside.post(self.target(text), headers, body)


def headers_of(request):
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


async def test_the_bytes_come_as_they_are(serve):
    server = await serve(answer(200, b"picture"))

    assert await Asking(server).get("http://127.0.0.1/a%20b?c=é") == b"picture"
    assert server.asked[0].startswith(b"GET /a%20b?c=%C3%A9 HTTP/1.1\r\n")


async def test_a_request_says_what_it_must_and_no_more(serve, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    server = await serve(answer(200))

    await Asking(server, user_agent="Calotype/1").get()

    assert headers_of(server.asked[0]) == {
        "host": f"127.0.0.1:{server.port}",
        "user-agent": "Calotype/1",
        "accept": "image/*,*/*;q=0.5",
        "accept-encoding": "identity",
        "connection": "close",
    }


async def test_a_body_in_chunks_and_one_without_a_length_come_whole(serve):
    chunked = answer(200, b"3\r\npic\r\n4\r\nture\r\n0\r\n\r\n", Transfer_Encoding="chunked")
    server = await serve(
        chunked.replace(b"Content-Length: 22\r\n", b""),
        answer(200, b"picture", Content_Length=""),
    )
    asking = Asking(server)

    assert await asking.get() == b"picture"
    assert await asking.get() == b"picture"


# Where it leads


async def test_the_address_that_was_checked_is_the_one_connected_to(serve):
    server = await serve(answer(200, b"outside"), host=ELSEWHERE)
    trap = await serve(answer(200, b"inside"), host=INSIDE, port=server.port)
    names = Names(rebinding_test=[[ELSEWHERE], [INSIDE]])
    asking = Asking(server, names=names)

    first = await asking.get("http://rebinding.test/")
    with pytest.raises(SourceForbidden):
        await asking.get("http://rebinding.test/")

    assert first == b"outside"
    assert names.asked == 2 * ["rebinding.test"]
    assert headers_of(server.asked[0])["host"] == f"rebinding.test:{server.port}"
    assert trap.connections == 0


@pytest.mark.parametrize(
    "inside", [INSIDE, "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%lo"]
)
async def test_one_address_inside_among_those_of_a_name_is_enough(serve, inside):
    server = await serve(answer(200))
    asking = Asking(server, names=Names(mixed_test=[[LOOPBACK, inside]]))

    with pytest.raises(SourceForbidden) as caught:
        await asking.get("http://mixed.test/")

    assert server.connections == 0
    assert inside not in str(caught.value)


async def test_a_name_for_loopback_is_resolved_and_refused():
    allowance = parse_allowance()
    names = Names(**{"127_0_0_1_nip_io": [[LOOPBACK]]})
    outside = Outside(allowance, QUICK, resolve=names)
    target = parse_target("http://127.0.0.1.nip.io/", allowance)

    with pytest.raises(SourceForbidden, match="leads inside"):
        await outside.post(target, {}, b"")


async def test_the_real_resolver_is_asked():
    assert ip_address(LOOPBACK) in await resolve("localhost")


class Failing(trio.abc.HostnameResolver):
    """Knows no name, for this reason."""

    def __init__(self, reason):
        self._reason = reason

    async def getaddrinfo(self, *_):
        raise socket.gaierror(self._reason, "no")

    async def getnameinfo(self, *_):
        raise NotImplementedError


@pytest.mark.parametrize(
    ("reason", "may_pass"),
    [(socket.EAI_NONAME, False), (socket.EAI_NODATA, False), (socket.EAI_AGAIN, True)],
)
async def test_a_name_that_does_not_exist_is_no_use_to_try_again(reason, may_pass):
    trio.socket.set_custom_hostname_resolver(Failing(reason))

    with pytest.raises(SourceUnreachable, match="resolved") as caught:
        await resolve("a.test")

    assert caught.value.may_pass == may_pass


@pytest.mark.parametrize(
    ("words", "expected"),
    [("can't start new thread", SourceUnreachable), ("something else", RuntimeError)],
)
async def test_without_a_thread_to_ask_in_a_name_may_be_asked_again(monkeypatch, words, expected):
    def none(*_args, **_kwargs):
        raise RuntimeError(words)

    monkeypatch.setattr(trio.to_thread, "run_sync", none)

    with pytest.raises(expected) as caught:
        await resolve("a.test")

    assert getattr(caught.value, "may_pass", True)


def test_this_machine_knows_its_own_addresses():
    assert is_own(ip_address(LOOPBACK))
    assert not is_own(ip_address("8.8.8.8"))
    assert not is_own(ip_address("2606:4700::1111"))
    assert not is_own(ip_address("255.255.255.255"))


async def test_this_machine_is_not_asked_whatever_its_address(monkeypatch):
    monkeypatch.setattr(network, "is_own", lambda address: str(address) == "8.8.8.8")
    allowance = parse_allowance()
    outside = Outside(allowance, QUICK, resolve=Names(own_test=[["8.8.8.8"]]))

    with pytest.raises(SourceForbidden):
        await outside.post(parse_target("http://own.test/", allowance), {}, b"")


async def test_when_one_address_is_dead_the_next_is_tried(serve):
    server = await serve(answer(200, b"picture"))
    asking = Asking(server, names=Names(two_test=[[ELSEWHERE, LOOPBACK]]))

    assert await asking.get("http://two.test/") == b"picture"


async def test_a_name_without_addresses_is_unreachable(serve):
    server = await serve(answer(200))

    with pytest.raises(SourceUnreachable, match="no address"):
        await Asking(server, names=Names(none_test=[[]])).get("http://none.test/")


async def test_a_host_that_nobody_is_at_is_unreachable(serve):
    server = await serve(answer(200))

    with pytest.raises(SourceUnreachable, match="No connection") as caught:
        await Asking(server).get(f"http://{ELSEWHERE}/")

    assert caught.value.may_pass
    assert ELSEWHERE not in str(caught.value)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_with_nothing_taken_along(serve, status):
    led_to = await serve(answer(200, b"picture"), host=ELSEWHERE)
    server = await serve(
        answer(status, b"moved", Location="/b?c", Set_Cookie="a=b"),
        answer(status, Location=f"http://{ELSEWHERE}:{led_to.port}/d", Set_Cookie="a=b"),
    )
    asking = Asking(server, allow=f"{ELSEWHERE}:{led_to.port}")

    assert await asking.get() == b"picture"
    assert server.asked[1].startswith(b"GET /b?c ")
    assert "cookie" not in headers_of(server.asked[1])
    assert headers_of(led_to.asked[0])["host"] == f"{ELSEWHERE}:{led_to.port}"
    assert headers_of(led_to.asked[0]).keys() == headers_of(server.asked[0]).keys()


@pytest.mark.parametrize(
    "location",
    [
        f"http://{INSIDE}/",
        f"http://{INSIDE}:{{port}}/",
        "//[::1]/",
        "http://0x7f000001/",
        "http://2130706433:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://user:password@127.0.0.1:{port}/",
        "http://127.0.0.1:22/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "http://inside.test:{port}/",
    ],
)
async def test_a_redirect_inside_is_refused_without_a_connection(serve, location):
    server = Server()
    server = await serve(lambda stream: stream.send_all(moved(server, location)))
    trap = await serve(answer(200, b"inside"), host=INSIDE, port=server.port)
    asking = Asking(server, names=Names(inside_test=[[INSIDE]]))

    with pytest.raises(SourceForbidden):
        await asking.get()

    assert trap.connections == 0
    assert server.connections == 1


def moved(server, location):
    return answer(302, Location=location.format(port=server.port))


async def test_a_loop_of_redirects_ends(serve):
    server = await serve(answer(302, Location="/"))

    with pytest.raises(SourceUnreachable, match="redirects too often") as caught:
        await Asking(server, max_redirects=3).get()

    assert not caught.value.may_pass
    assert server.connections == 4


async def test_as_many_redirects_as_allowed_are_followed(serve):
    server = await serve(*3 * [answer(302, Location="/")], answer(200, b"picture"))

    assert await Asking(server, max_redirects=3).get() == b"picture"


async def test_a_redirect_to_nowhere_is_no_answer(serve):
    server = await serve(answer(302))

    with pytest.raises(SourceUnreachable, match="302"):
        await Asking(server).get()


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


class Certified:
    """A TLS context for a server, with a certificate for these names; `asked` are those named."""

    def __init__(self, authority, *names):
        self.asked: list[str] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*names).configure_cert(self.context)
        self.context.sni_callback = lambda _, name, __: self.asked.append(name)


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_the_name_is_the_one_in_the_address_and_not_the_ip_address(serve, authority):
    certified = Certified(authority, "secure.test")
    server = await serve(answer(200, b"picture"), tls=certified.context, host=ELSEWHERE)
    names = Names(secure_test=[[ELSEWHERE]])
    asking = Asking(server, names=names, tls=trusting(authority))

    assert await asking.get("https://secure.test/") == b"picture"
    assert certified.asked == ["secure.test"]
    assert headers_of(server.asked[0])["host"] == f"secure.test:{server.port}"


async def test_an_ip_address_can_have_a_certificate_as_well(serve, authority):
    certified = Certified(authority, LOOPBACK)
    server = await serve(answer(200, b"picture"), tls=certified.context)

    asking = Asking(server, tls=trusting(authority))

    assert await asking.get("https://127.0.0.1/") == b"picture"


@pytest.mark.parametrize("names", [["other.test"], [LOOPBACK], ["*.secure.test"]])
async def test_a_certificate_for_another_name_is_refused(serve, authority, names):
    certified = Certified(authority, *names)
    server = await serve(answer(200, b"picture"), tls=certified.context)
    resolving = Names(secure_test=[[LOOPBACK]])
    asking = Asking(server, names=resolving, tls=trusting(authority))

    with pytest.raises(SourceUnreachable, match="No trusted connection"):
        await asking.get("https://secure.test/")

    assert server.asked == []


async def test_a_certificate_that_nobody_vouches_for_is_refused(serve, authority):
    certified = Certified(authority, LOOPBACK)
    server = await serve(answer(200, b"picture"), tls=certified.context)

    with pytest.raises(SourceUnreachable, match="No trusted connection"):
        await Asking(server).get("https://127.0.0.1/")

    assert server.asked == []


async def test_a_redirect_from_https_to_http_is_refused(serve, authority):
    certified = Certified(authority, LOOPBACK)
    plain = await serve(answer(200))
    server = await serve(
        answer(302, Location=f"http://127.0.0.1:{plain.port}/"), tls=certified.context
    )
    asking = Asking(server, allow=f"127.0.0.1:{plain.port}", tls=trusting(authority))

    with pytest.raises(SourceForbidden, match="https to http"):
        await asking.get("https://127.0.0.1/")

    assert plain.connections == 0


async def test_a_server_that_speaks_no_tls_is_no_trusted_one(serve):
    server = await serve(answer(200))

    with pytest.raises(SourceUnreachable):
        await Asking(server).get("https://127.0.0.1/")


async def test_a_handshake_that_never_ends_is_given_up_and_closed(serve):
    ended = trio.Event()

    async def swallow(stream):
        async for _ in stream:
            pass
        ended.set()

    (listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
    server = Server()
    server.port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, swallow, [listener]))
        with pytest.raises(SourceUnreachable):
            await Asking(server, Patience(connect=60, total=0.1)).get("https://127.0.0.1/")
        await ended.wait()
        nursery.cancel_scope.cancel()


# Time


async def drip(stream):
    await stream.send_all(answer(200, Content_Length="100"))
    while True:
        await trio.sleep(0.05)
        await stream.send_all(b"x")


async def say_nothing(stream):
    async for _ in stream:
        pass


async def say_no_more_than_that(stream):
    await stream.send_all(answer(200, Content_Length="100"))
    await say_nothing(stream)


async def test_a_server_that_says_nothing_is_given_up(serve):
    server = await serve(say_nothing)

    with pytest.raises(SourceUnreachable, match="silent") as caught:
        await Asking(server).get()

    assert caught.value.may_pass
    await server.ended.wait()


async def test_a_server_that_stops_midway_is_given_up(serve):
    server = await serve(say_no_more_than_that)

    with pytest.raises(SourceUnreachable, match="silent"):
        await Asking(server).get()


async def test_a_server_that_drips_is_given_up_at_the_deadline(serve):
    server = await serve(drip)
    began = time.monotonic()

    with pytest.raises(SourceUnreachable, match=r"longer than 0\.5 seconds"):
        await Asking(server).get()

    assert time.monotonic() - began < 5


async def test_the_deadline_holds_over_all_redirects(serve):
    async def dawdle(stream):
        await trio.sleep(0.1)
        await stream.send_all(answer(302, Location="/"))

    server = await serve(dawdle)

    with pytest.raises(SourceUnreachable, match="longer"):
        await Asking(server, max_redirects=100).get()

    assert 1 < server.connections < 10


async def test_a_name_that_is_never_resolved_is_given_up(serve):
    async def never(host):
        await trio.sleep_forever()

    server = await serve(answer(200))

    with pytest.raises(SourceUnreachable, match="longer"):
        await Asking(server, names=never).get("http://slow.test/")


async def test_a_deadline_of_the_caller_is_the_callers(serve):
    server = await serve(answer(200, b"picture"))
    asking = Asking(server)

    async def read_slowly():
        async with asking.outside.get(asking.target(), 1000):
            with trio.fail_after(0.05):
                await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError):
        await read_slowly()


async def test_a_request_that_is_cancelled_leaves_no_connection(serve):
    server = await serve(say_nothing)

    with trio.move_on_after(0.1) as scope:
        await Asking(server, Patience()).get()

    assert scope.cancelled_caught
    await server.ended.wait()


# Size


async def test_as_many_bytes_as_allowed_are_taken(serve):
    server = await serve(answer(200, 1000 * b"x"))

    assert await Asking(server).get() == 1000 * b"x"


async def test_a_length_that_is_too_large_is_refused_at_once(serve):
    server = await serve(say_no_more_than_that)

    with pytest.raises(SourceTooLarge, match="more than 99 bytes"):
        await Asking(server, Patience()).get(max_bytes=99)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_without_end_is_cut(serve, chunked):
    sent = 0

    async def pour(stream):
        nonlocal sent
        framing = "chunked" if chunked else ""
        await stream.send_all(answer(200, Content_Length="", Transfer_Encoding=framing))
        piece = 65536 * b"x"
        while True:
            await stream.send_all(b"10000\r\n%b\r\n" % piece if chunked else piece)
            sent += len(piece)

    server = await serve(pour)

    with pytest.raises(SourceTooLarge):
        await Asking(server, Patience()).get(max_bytes=100_000)

    await server.ended.wait()
    assert sent < 20_000_000  # What fits into the buffers of both ends.


async def test_a_bomb_is_refused_and_never_unpacked(serve):
    bomb = gzip.compress(bytes(10_000_000))
    server = await serve(answer(200, bomb, Content_Encoding="gzip"), answer(200, bomb))
    asking = Asking(server, Patience())

    with pytest.raises(SourceUnreachable, match="encoding") as caught:
        await asking.get(max_bytes=20_000_000)

    assert not caught.value.may_pass
    assert await asking.get(max_bytes=20_000_000) == bomb


async def test_a_reader_who_has_enough_ends_it(serve):
    async def pour(stream):
        await stream.send_all(answer(200, Content_Length=""))
        while True:
            await stream.send_all(65536 * b"x")

    server = await serve(pour)
    asking = Asking(server, Patience())

    async with asking.outside.get(asking.target(), 10**9) as pieces:
        async for _ in pieces:
            break

    await server.ended.wait()


# Answers that are none


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + 20_000 * b"A: bbbbbbbb\r\n" + b"\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        answer(200, b"short", Content_Length="100"),
        answer(200, b"short", Content_Length="").replace(
            b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n"
        ),
    ],
    ids=lambda said: repr(said[:40]),
)
async def test_what_is_no_http_is_unreachable(serve, said):
    server = await serve(said)

    with pytest.raises(SourceUnreachable) as caught:
        await Asking(server).get()

    assert LOOPBACK not in str(caught.value)


async def test_what_follows_the_length_is_not_taken(serve):
    server = await serve(answer(200, b"picture and more", Content_Length="7"))

    assert await Asking(server).get() == b"picture"


async def test_news_without_end_before_the_answer_ends_at_the_deadline(serve):
    async def chat(stream):
        while True:
            await stream.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
            await trio.sleep(0.01)

    server = await serve(chat)

    with pytest.raises(SourceUnreachable, match="longer"):
        await Asking(server).get()


@pytest.mark.parametrize(
    ("status", "may_pass"),
    [
        *((status, False) for status in (204, 206, 304, 400, 401, 404, 410)),
        *((status, True) for status in (408, 421, 425, 429, 500, 502, 503, 504, 599)),
    ],
)
async def test_another_status_than_200_tells_whether_it_may_pass(serve, status, may_pass):
    server = await serve(answer(status, Content_Length="" if status in {204, 304} else "0"))

    with pytest.raises(SourceUnreachable, match=f"answered {status}") as caught:
        await Asking(server).get()

    assert caught.value.may_pass == may_pass
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7), ("0", 0), ("", None), ("soon", None), ("-1", None)]
)
async def test_when_to_come_back_is_heard(serve, told, seconds):
    server = await serve(answer(503, Retry_After=told))

    with pytest.raises(SourceUnreachable) as caught:
        await Asking(server).get()

    assert caught.value.retry_after == seconds


# Sending


async def test_a_body_is_sent_with_its_headers(serve):
    server = await serve(answer(204, Content_Length=""))
    asking = Asking(server)

    status = await asking.post("http://127.0.0.1/hook", b'{"a":1}', **{"webhook-id": "1"})

    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert status == 204
    assert head.startswith(b"POST /hook HTTP/1.1\r\n")
    assert body == b'{"a":1}'
    assert headers_of(server.asked[0])["webhook-id"] == "1"
    assert headers_of(server.asked[0])["content-length"] == "7"


@pytest.mark.parametrize("status", [301, 302, 307, 400, 410, 500])
async def test_any_other_answer_than_2xx_is_none_and_no_redirect_is_followed(serve, status):
    server = await serve(answer(status, b"no", Location="/elsewhere"))

    with pytest.raises(SourceUnreachable) as caught:
        await Asking(server).post(body=b"x")

    assert caught.value.status == status
    assert server.connections == 1


async def test_an_answer_without_end_is_not_waited_for(serve):
    server = await serve(say_no_more_than_that)

    assert await Asking(server, Patience()).post() == 200
    await server.ended.wait()


async def test_a_receiver_that_reads_nothing_is_given_up():
    with socket.create_server((LOOPBACK, 0)) as listener:
        server = Server()
        server.port = listener.getsockname()[1]

        with trio.fail_after(PATIENCE), pytest.raises(SourceUnreachable):
            await Asking(server).post(body=bytes(50_000_000))


async def test_a_slow_host_does_not_delay_another(serve, nursery):
    slow = await serve(say_nothing)
    swift = await serve(answer(200, b"picture"))
    waiting, asking = Asking(slow, Patience()), Asking(swift)
    for _ in range(50):
        nursery.start_soon(waiting.get)
    await trio.testing.wait_all_tasks_blocked()

    for _ in range(20):
        assert await asking.get() == b"picture"

    nursery.cancel_scope.cancel()
