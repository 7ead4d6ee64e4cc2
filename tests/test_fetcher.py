"""The Fetcher brings in what is at an address, or says why not; and no host holds up another."""

import gc
import tracemalloc
from dataclasses import replace

import pytest
import structlog.testing
import trio
import trio.testing
from prometheus_client import REGISTRY

from actors.errors import ActorStopped, HandlerCrashed
from actors.fetcher import Fetcher, Fetching
from actors.mailbox import open_mailbox
from actors.messages import Count, Download
from actors.orders import Orders
from actors.outside.allowance import parse_allowance
from actors.outside.backoff import Backoff
from actors.outside.breaker import HostBusy, HostResting, Rules
from actors.outside.errors import SourceForbidden, SourceTooLarge, SourceUnreachable
from actors.supervision import Activity, Intensity, supervise
from tests.conftest import PATIENCE
from tests.outside.servers import Server, answer

PICTURE = b"a picture " * 1000
ELSEWHERE = "127.0.0.2"
SOON = Backoff(first=0.01, longest=0.02, attempts=3)


class Fetched:
    """A Fetcher under supervision, and ways to ask it."""

    def __init__(self, limits, backoff, workers):
        self._limits = limits
        self._backoff = backoff
        self.orders = Orders(workers)
        self.places = trio.CapacityLimiter(limits.places)
        self.address, self.mailbox = open_mailbox("fetcher", 64)
        self.activity = Activity("fetcher", self.mailbox)
        self.ended = trio.Event()

    def make(self):
        return Fetcher(
            *(self.mailbox, self._limits, self.places, self.orders),
            *(self.activity, self._backoff),
        )

    async def run(self, *, task_status):
        await supervise(self.make, self.activity, Intensity(), task_status=task_status)
        self.ended.set()

    async def get(self, url):
        with trio.fail_after(PATIENCE):
            return await self.address.ask(Download(url, "a job"))


@pytest.fixture
async def serve(nursery):
    """Start servers that answer so."""

    async def start(*answers, host="127.0.0.1"):
        server = Server(*answers)
        await nursery.start(server.run, None, host, 0)
        return server

    with trio.fail_after(PATIENCE):
        yield start


@pytest.fixture
def start(nursery):
    """Start a Fetcher that may ask these servers."""

    async def start_one(*servers, backoff=SOON, workers=64, **limits):
        allowance = parse_allowance("127.0.0.0/8", ports={80, *(each.port for each in servers)})
        given = Fetching(max_bytes=10**6, timeout=5.0, allowance=allowance)
        fetched = Fetched(replace(given, **limits), backoff, workers)
        await nursery.start(fetched.run)
        return fetched

    return start_one


def url_of(server, path="/a.png?token=secret", host="127.0.0.1"):
    return f"http://{host}:{server.port}{path}"


def counted(outcome):
    return REGISTRY.get_sample_value("calotype_fetches_total", {"outcome": outcome}) or 0


async def hang(stream):
    """Say nothing more until the other side has gone."""
    while await stream.receive_some():
        pass


def hang_after(said):
    async def script(stream):
        await stream.send_all(said)
        await hang(stream)

    return script


async def test_what_is_at_an_address_is_brought_in(serve, start):
    server = await serve(answer(200, PICTURE))
    fetched = await start(server)
    before = counted("fetched")

    assert await fetched.get(url_of(server)) == PICTURE
    assert server.asked[0].startswith(b"GET /a.png?token=secret HTTP/1.1\r\n")
    assert (counted("fetched") - before, fetched.activity.handled) == (1, 1)


async def test_what_is_logged_has_neither_path_nor_query(serve, start):
    server = await serve(answer(200, PICTURE), answer(404))
    fetched = await start(server)

    with structlog.testing.capture_logs() as logs:
        await fetched.get(url_of(server))
        with pytest.raises(SourceUnreachable):
            await fetched.get(url_of(server))

    assert [each["event"] for each in logs] == ["image_fetched", "fetch_failed"]
    assert {each["job_id"] for each in logs} == {"a job"}
    assert "secret" not in repr(logs) + repr(Download(url_of(server), "a job"))
    assert "a.png" not in repr(logs)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/",
        "http://127.0.0.1:1/",
        "http://10.0.0.1/",
        "http://[::1]/",
        "http://user@127.0.0.1/",
        "a.png",
        "",
    ],
)
async def test_what_is_forbidden_is_not_asked(start, url):
    fetched = await start()
    before = counted("forbidden")

    with pytest.raises(SourceForbidden):
        await fetched.get(url)

    assert counted("forbidden") - before == 1


async def test_a_redirect_to_what_is_forbidden_is_not_followed(serve, start):
    server = await serve(answer(302, Location="http://10.0.0.1/"))
    fetched = await start(server)

    with pytest.raises(SourceForbidden):
        await fetched.get(url_of(server))

    assert len(server.asked) == 1


async def test_redirects_are_followed_as_often_as_allowed(serve, start):
    onward = answer(302, Location="/next")
    server = await serve(onward, onward, answer(200, PICTURE), onward)
    fetched = await start(server, max_redirects=2)

    assert await fetched.get(url_of(server)) == PICTURE
    with pytest.raises(SourceUnreachable, match="redirects"):
        await fetched.get(url_of(server))

    assert len(server.asked) == 6


@pytest.mark.parametrize("declared", [True, False])
async def test_what_is_too_large_is_not_read_to_its_end(serve, start, declared):
    sent = 0

    async def flood(stream):
        nonlocal sent
        head = answer(200, Content_Length=str(10**9) if declared else "")
        await stream.send_all(head)
        while True:
            await stream.send_all(bytes(100_000))
            sent += 100_000

    server = await serve(flood)
    fetched = await start(server, max_bytes=200_000)
    before = counted("too_large")

    with pytest.raises(SourceTooLarge, match="200000"):
        await fetched.get(url_of(server))
    await server.ended.wait()

    assert sent < 50_000_000
    assert (len(server.asked), counted("too_large") - before) == (1, 1)


async def test_what_can_pass_is_tried_again(serve, start):
    server = await serve(answer(503), answer(500), answer(200, PICTURE))
    fetched = await start(server)

    assert await fetched.get(url_of(server)) == PICTURE


async def test_what_does_not_pass_ends_after_the_attempts(serve, start):
    server = await serve(answer(503))
    fetched = await start(server)
    before = counted("unreachable")

    with pytest.raises(SourceUnreachable, match="It answered 503"):
        await fetched.get(url_of(server))

    assert (len(server.asked), counted("unreachable") - before) == (3, 1)


async def test_what_cannot_pass_is_not_tried_again(serve, start):
    server = await serve(answer(404))
    fetched = await start(server)

    with pytest.raises(SourceUnreachable, match="It answered 404"):
        await fetched.get(url_of(server))

    assert len(server.asked) == 1


async def test_the_deadline_is_one_for_all_attempts(serve, start):
    server = await serve(answer(503), answer(503, Retry_After="1"), hang)
    fetched = await start(server, timeout=0.3, backoff=Backoff(0.01, 5.0, 10))
    begun = trio.current_time()

    with pytest.raises(SourceUnreachable):
        await fetched.get(url_of(server))

    assert trio.current_time() - begun < 1
    assert len(server.asked) == 2  # A second is more than what was left.


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n", answer(200, Content_Length="9")])
async def test_a_server_that_hangs_is_given_up_at_the_deadline(serve, start, said):
    server = await serve(hang_after(said))
    fetched = await start(server, timeout=0.3)
    begun = trio.current_time()

    with pytest.raises(SourceUnreachable, match=r"0\.3 seconds|silent"):
        await fetched.get(url_of(server))

    assert 0.25 < trio.current_time() - begun < 2


async def test_a_server_that_trickles_is_given_up_at_the_deadline(serve, start):
    async def trickle(stream):
        await stream.send_all(answer(200, Content_Length="1000"))
        while True:
            await stream.send_all(b"a")
            await trio.sleep(0.01)

    server = await serve(trickle)
    fetched = await start(server, timeout=0.3)

    with pytest.raises(SourceUnreachable, match=r"0\.3 seconds"):
        await fetched.get(url_of(server))


async def test_whoever_stops_waiting_ends_the_connection_at_once(serve, start):
    server = await serve(hang_after(answer(200, Content_Length="9")))
    fetched = await start(server)
    before = counted("abandoned")

    with trio.move_on_after(0.2):
        await fetched.get(url_of(server))
    with trio.fail_after(1):
        await server.ended.wait()
    await trio.testing.wait_all_tasks_blocked()

    assert counted("abandoned") - before == 1
    assert fetched.places.borrowed_tokens == 0


class Crowd:
    """Asks for several addresses at once, and notes what came of each."""

    def __init__(self, fetched):
        self._fetched = fetched
        self.came = []

    async def get(self, url):
        try:
            self.came.append(await self._fetched.get(url))
        except (SourceUnreachable, HostResting, HostBusy) as error:
            self.came.append(type(error))


async def test_only_so_many_are_fetched_at_once(serve, start):
    at_once = most = 0

    async def slow(stream):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(0.05)
        at_once -= 1
        await stream.send_all(answer(200, PICTURE))

    server = await serve(slow)
    fetched = await start(server, places=3, rules=Rules(calls=100))
    crowd = Crowd(fetched)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(crowd.get, url_of(server))

    assert crowd.came == 12 * [PICTURE]
    assert most == 3


async def test_a_host_that_hangs_leaves_places_for_the_others(serve, start):
    dead, alive = await serve(hang), await serve(answer(200, PICTURE), host=ELSEWHERE)
    fetched = await start(dead, alive, places=4, timeout=60.0, rules=Rules(calls=2))
    crowd = Crowd(fetched)

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(crowd.get, url_of(dead))
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(1):
            came = [await fetched.get(url_of(alive, host=ELSEWHERE)) for _ in range(10)]
        nursery.cancel_scope.cancel()

    assert came == 10 * [PICTURE]
    assert dead.connections == 2


async def test_a_host_that_hangs_holds_half_of_those_who_may_fetch(nursery, serve, start, no_wait):
    dead, alive = await serve(hang), await serve(answer(200, PICTURE), host=ELSEWHERE)
    fetched = await start(dead, alive, workers=8, timeout=60.0)
    crowd = Crowd(fetched)
    before = counted("busy")

    for _ in range(20):
        nursery.start_soon(crowd.get, url_of(dead))
    with trio.fail_after(PATIENCE):
        while len(crowd.came) < 18:  # noqa: ASYNC110  (it is asked through the network)
            await trio.sleep(0.002)
    await trio.testing.wait_all_tasks_blocked(0.02)
    came = [await fetched.get(url_of(alive, host=ELSEWHERE)) for _ in range(3)]

    assert crowd.came == 18 * [HostBusy]
    assert counted("busy") - before == 18
    assert came == 3 * [PICTURE]
    assert dead.connections == 2


async def test_a_host_that_falls_silent_holds_no_more_than_that(nursery, serve, start, no_wait):
    server = await serve(answer(200, PICTURE), hang)
    fetched = await start(server, workers=8, timeout=60.0, rules=Rules(calls=4))
    crowd = Crowd(fetched)

    for _ in range(20):
        nursery.start_soon(crowd.get, url_of(server))
    with trio.fail_after(PATIENCE):
        while len(crowd.came) < 16:  # noqa: ASYNC110  (it is asked through the network)
            await trio.sleep(0.002)
    await trio.testing.wait_all_tasks_blocked(0.02)

    assert set(crowd.came) <= {PICTURE, HostBusy}
    assert crowd.came.count(PICTURE) == 1
    assert 16 <= len(crowd.came) <= 18  # As many hang as had begun while it answered.


async def test_a_host_that_answers_may_have_all_who_fetch(serve, start):
    at_once = most = 0

    async def slow(stream):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(0.02)
        at_once -= 1
        await stream.send_all(answer(200, PICTURE))

    server = await serve(slow)
    fetched = await start(server, workers=4, rules=Rules(calls=4))
    crowd = Crowd(fetched)

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(crowd.get, url_of(server))

    assert crowd.came == 30 * [PICTURE]
    assert most == 4


@pytest.fixture
def no_wait(monkeypatch):
    """Have a host be silent very soon."""
    monkeypatch.setattr("actors.outside.holds.SILENCE", 0.05)


async def test_those_who_wait_for_a_host_are_told_when_it_is_left_alone(serve, start):
    server = await serve(answer(404), hang)
    fetched = await start(
        server, timeout=0.2, rules=Rules(calls=1, failures=1), backoff=Backoff(0.01, 0.01, 1)
    )
    crowd = Crowd(fetched)

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(crowd.get, url_of(server))

    # The 404 is an answer, and leaves the host in good standing.
    assert crowd.came.count(SourceUnreachable) == 2
    assert crowd.came.count(HostResting) == 8
    assert server.connections == 2


async def test_all_who_wait_for_a_host_get_their_turn(serve, start):
    server = await serve(answer(200, PICTURE))
    fetched = await start(server, rules=Rules(calls=1))
    crowd = Crowd(fetched)

    async with trio.open_nursery() as nursery:
        for _ in range(30):
            nursery.start_soon(crowd.get, url_of(server))

    assert crowd.came == 30 * [PICTURE]


async def test_when_its_mail_ends_it_finishes_what_it_has(nursery, serve, start):
    may_go = trio.Event()

    async def slow(stream):
        await may_go.wait()
        await stream.send_all(answer(200, PICTURE))

    server = await serve(slow)
    fetched = await start(server)
    crowd = Crowd(fetched)
    nursery.start_soon(crowd.get, url_of(server))
    await trio.testing.wait_all_tasks_blocked()

    fetched.address.close()
    await trio.testing.wait_all_tasks_blocked()
    finishing = fetched.activity.doing
    may_go.set()
    await fetched.ended.wait()

    assert finishing == "finishing"
    assert crowd.came == [PICTURE]


async def test_when_the_service_is_draining_it_leaves_at_once(nursery, serve, start):
    server = await serve(hang)
    fetched = await start(server)
    heard = []

    async def ask():
        with pytest.raises(ActorStopped):
            await fetched.get(url_of(server))
        heard.append(True)

    nursery.start_soon(ask)
    while not server.asked:  # noqa: ASYNC110 (it is asked through the network)
        await trio.sleep(0.01)

    fetched.orders.draining.set()
    await fetched.ended.wait()
    await server.ended.wait()
    await ask()

    assert heard == [True, True]
    assert fetched.activity.doing == "stopped"


async def test_a_message_that_is_none_of_its_own_is_a_bug_and_it_goes_on(serve, start):
    server = await serve(answer(200, PICTURE))
    fetched = await start(server)

    with pytest.raises((HandlerCrashed, ActorStopped)):
        await fetched.address.ask(Count())

    assert await fetched.get(url_of(server)) == PICTURE
    assert fetched.activity.crashed == 1


async def test_nothing_is_held_of_what_was_fetched(serve, start):
    large = bytes(5 * 10**6)
    server = await serve(
        *(answer(200, large), answer(200, large, Content_Length="")),
        *(answer(200, large[1:], Content_Length=str(len(large))), answer(200, PICTURE)),
    )
    fetched = await start(server, max_bytes=len(large), timeout=1.0, backoff=Backoff(0.1, 0.1, 1))
    tracemalloc.start()
    try:
        gc.disable()  # What hangs on a cycle would stay until the next collection.
        await fetched.get(url_of(server))
        await fetched.get(url_of(server))
        with pytest.raises(SourceUnreachable):
            await fetched.get(url_of(server))
        await fetched.get(url_of(server))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        gc.enable()
        tracemalloc.stop()

    assert held < len(large) / 2
