"""The Courier delivers what has ended, at least once, and no receiver holds up another."""

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import structlog.testing
import trio
import trio.testing
from prometheus_client import REGISTRY
from standardwebhooks import Webhook

from actors.courier import Courier, Posting
from actors.errors import HandlerCrashed
from actors.mailbox import open_mailbox
from actors.messages import Cancel, Count, ListDeliveries, OfJob, Redeliver, Submit
from actors.orders import Orders
from actors.outside.allowance import parse_allowance
from actors.outside.backoff import DELIVERIES, Backoff
from actors.outside.breaker import Rules
from actors.outside.signing import new_secret
from actors.patient_clock import PatientClock
from actors.storage.ports import Elsewhere, StorageUnavailable
from actors.store import Store, StoreLimits, utc_now
from actors.supervision import Activity, Intensity, supervise
from tests.conftest import PATIENCE, THUMBNAIL, MemoryStorage
from tests.outside.servers import Server, answer

SOON = Backoff(first=0.001, longest=0.002, attempts=3)
LATER = Backoff(first=3600.0, longest=7200.0, attempts=3)
GOOD = answer(204)


class Post:
    """A Store and a Courier under supervision, and ways to give them something to deliver."""

    def __init__(self, storage, posting):
        self.storage = storage
        self.posting = posting
        self.orders = Orders(workers=1)
        self.store, self.store_mail = open_mailbox("store", 64)
        self.door, self.mailbox = open_mailbox("courier", 0)
        self.activity = Activity("courier", self.mailbox)
        self.clock = utc_now
        self.ended = trio.Event()
        self.scope = trio.CancelScope()

    def make_store(self):
        return Store(
            *(self.store_mail, self.storage.open, StoreLimits(backlog=500, asks=16, attempts=3)),
            *(trio.CapacityLimiter(4), self.orders, Activity("store", self.store_mail)),
            PatientClock(utc_now),
        )

    def make_courier(self):
        return Courier(
            *(self.mailbox, self.store.clone(), self.posting, self.orders, self.activity),
            clock=lambda: self.clock(),  # noqa: PLW0108  (a test may set another)
        )

    async def run(self, *, task_status):
        with self.scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(
                    supervise, self.make_store, Activity("store", self.store_mail), Intensity()
                )
                await nursery.start(self._run)
                task_status.started()

    async def _run(self, *, task_status):
        await supervise(self.make_courier, self.activity, Intensity(), task_status=task_status)
        self.ended.set()

    async def ask(self, message):
        with trio.fail_after(PATIENCE):
            return await self.store.ask(message)

    async def end_job(self, url, tenant="", **more):
        """Have a job end that wants this address told."""
        job = await self.ask(
            Submit(
                *(Elsewhere("https://example.org"), "thumbnail", THUMBNAIL, "normal"),
                callback_url=url,
                tenant=tenant,
                **more,
            )
        )
        return await self.ask(Cancel(job.id, tenant=tenant))

    async def delivery(self, job):
        return (await self.ask(ListDeliveries(OfJob(job.id), tenant=job.tenant)))[0]

    async def until(self, job, *fates):
        """Return the delivery about a job as soon as that has come to this."""
        with trio.fail_after(PATIENCE):
            while True:
                delivery = await self.delivery(job)
                if delivery.fate in fates:
                    return delivery
                await trio.sleep(0.002)

    async def until_tried(self, job):
        """Return the delivery about a job as soon as an attempt has failed."""
        with trio.fail_after(PATIENCE):
            while not (delivery := await self.delivery(job)).tries:  # noqa: ASYNC110  (on the disk)
                await trio.sleep(0.002)
        return delivery


@pytest.fixture
async def serve(nursery):
    """Start receivers that answer so."""

    async def start(*answers, host="127.0.0.1"):
        server = Server(*answers)
        await nursery.start(server.run, None, host, 0)
        return server

    with trio.fail_after(PATIENCE):
        yield start


@pytest.fixture
def start(nursery):
    """Start a Courier that may ask these receivers."""

    async def start_one(*servers, storage=None, backoff=SOON, **posting):
        allowance = parse_allowance(
            "127.0.0.0/8", ports={80, 443, *(server.port for server in servers)}
        )
        post = Post(
            storage or MemoryStorage(), Posting(allowance=allowance, backoff=backoff, **posting)
        )
        await nursery.start(post.run)
        return post

    return start_one


def url_of(server, path="/hook?token=s3cret", host="127.0.0.1"):
    return f"http://{host}:{server.port}{path}"


def counted(outcome):
    return REGISTRY.get_sample_value("calotype_deliveries_total", {"outcome": outcome}) or 0


def told(request: bytes):
    """Return the headers and the body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(re.split(": *", line, maxsplit=1) for line in lines[1:])
    return {name.lower(): value for name, value in headers.items()}, body


async def hang(stream):
    """Say nothing more until the other side has gone."""
    while await stream.receive_some():
        pass


# --- One delivery ---------------------------------------------------------------------------------


async def test_the_end_of_a_job_is_told_signed_as_the_standard_says(serve, start):
    server = await serve(GOOD)
    post = await start(server)
    before = counted("delivered")

    job = await post.end_job(url_of(server), "acme", metadata='{"order":"größer 🖼"}')
    delivery = await post.until(job, "delivered")

    (request,) = server.asked
    assert request.startswith(b"POST /hook?token=s3cret HTTP/1.1\r\n")
    headers, body = told(request)
    (secret,) = post.storage.catalogue.signing.secrets("acme", "-", utc_now())
    assert Webhook(secret).verify(body, headers) == json.loads(delivery.payload)
    assert json.loads(body)["data"]["metadata"] == {"order": "größer 🖼"}
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == delivery.id
    assert (delivery.attempts, delivery.last_status, delivery.last_error) == (1, 204, None)
    assert counted("delivered") == before + 1


async def test_each_tenant_signs_with_its_own_secret(serve, start):
    server = await serve(GOOD)
    post = await start(server)

    for tenant in ("acme", "zeta"):
        await post.until(await post.end_job(url_of(server), tenant), "delivered")

    secrets = [
        post.storage.catalogue.signing.secrets(each, "-", utc_now())[0] for each in ("acme", "zeta")
    ]
    assert secrets[0] != secrets[1]
    for request, secret in zip(server.asked, secrets, strict=True):
        headers, body = told(request)
        Webhook(secret).verify(body, headers)


async def test_after_a_rotation_old_and_new_both_verify(serve, start):
    server = await serve(GOOD)
    post = await start(server)
    old, new, now = new_secret(), new_secret(), utc_now()
    post.storage.catalogue.signing.secrets("acme", old, now)
    post.storage.catalogue.signing.rotate("acme", new, now + timedelta(hours=1), now)

    await post.until(await post.end_job(url_of(server), "acme"), "delivered")

    headers, body = told(server.asked[0])
    Webhook(old).verify(body, headers)
    Webhook(new).verify(body, headers)


async def test_over_its_attempts_the_id_is_the_same_and_the_time_is_not(serve, start):
    server = await serve(answer(500), GOOD)
    post = await start(server)
    times = iter(range(1_000, 2_000))
    post.clock = lambda: datetime.fromtimestamp(next(times), UTC)

    delivery = await post.until(await post.end_job(url_of(server)), "delivered")

    (first, body), (second, same) = map(told, server.asked)
    assert first["webhook-id"] == second["webhook-id"] == delivery.id
    assert (first["webhook-timestamp"], second["webhook-timestamp"]) == ("1000", "1001")
    assert first["webhook-signature"] != second["webhook-signature"]
    assert body == same
    assert (delivery.attempts, delivery.tries) == (2, 1)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 408, 429, 500, 503])
async def test_what_is_not_taken_is_tried_again_then_dead(serve, start, status):
    other = await serve(GOOD)
    server = await serve(answer(status, Location=url_of(other)))
    post = await start(server, other)

    delivery = await post.until(await post.end_job(url_of(server)), "dead")

    assert len(server.asked) == delivery.tries == delivery.attempts == 3
    assert (delivery.last_status, delivery.last_error) == (status, f"It answered {status}.")
    assert other.asked == []


async def test_what_is_due_again_at_once_may_be_begun_before_its_last_attempt_is_put_away(
    serve, start
):
    server = await serve(answer(500), answer(500), GOOD)
    post = await start(server, backoff=Backoff(first=0.0, longest=0.0, attempts=3))

    delivery = await post.until(await post.end_job(url_of(server)), "delivered")

    assert (delivery.attempts, len(server.asked)) == (3, 3)
    assert post.activity.crashed == 0


async def test_who_wants_nothing_more_is_not_asked_again(serve, start):
    server = await serve(answer(410))
    post = await start(server)

    delivery = await post.until(await post.end_job(url_of(server)), "dead")

    assert len(server.asked) == 1
    assert delivery.last_status == 410


async def test_a_receiver_that_says_when_is_heard_within_bounds(serve, start):
    server = await serve(answer(503, Retry_After="600"))
    post = await start(server, backoff=LATER)

    delivery = await post.until_tried(await post.end_job(url_of(server)))

    assert delivery.due_at is not None
    assert delivery.due_at > utc_now() + timedelta(seconds=590)


async def test_what_the_receiver_asks_for_is_heard_up_to_the_longest_delay(serve, start):
    server = await serve(answer(503, Retry_After="99999999"))
    post = await start(server)

    assert (await post.until(await post.end_job(url_of(server)), "dead")).tries == 3


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "http://localhost.example:99/"])
async def test_what_must_not_be_asked_fails_its_delivery_and_not_its_job(start, url):
    post = await start()

    job = await post.end_job(url)
    delivery = await post.until(job, "dead")

    assert job.status == "cancelled"
    assert (delivery.attempts, delivery.last_status) == (1, None)
    assert delivery.last_error


async def test_an_endless_answer_is_not_read(serve, start):
    async def flood(stream):
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
        while True:
            await stream.send_all(bytes(65536))

    server = await serve(flood)
    post = await start(server)

    assert (await post.until(await post.end_job(url_of(server)), "delivered")).attempts == 1


async def test_dead_and_delivered_ones_are_sent_again_by_hand(serve, start):
    server = await serve(answer(410), GOOD)
    post = await start(server)
    job = await post.end_job(url_of(server))
    await post.until(job, "dead")

    for attempts in (2, 3):
        assert (await post.ask(Redeliver(OfJob(job.id)))).fate == "pending"
        assert (await post.until(job, "delivered")).attempts == attempts

    assert len({told(request)[0]["webhook-id"] for request in server.asked}) == 1


async def test_an_address_that_may_be_a_secret_is_not_logged(serve, start):
    server = await serve(answer(500), GOOD)
    post = await start(server)

    with structlog.testing.capture_logs() as logs:
        await post.until(await post.end_job(url_of(server)), "delivered")

    assert {each["event"] for each in logs} >= {"delivery_failed", "delivered"}
    assert "s3cret" not in str(logs)
    assert "whsec_" not in str(logs)


def test_by_default_it_is_tried_for_about_a_day():
    made = range(1, DELIVERIES.attempts)
    delays = [DELIVERIES.delay(each, lambda: 0.5) or 0.0 for each in made]

    assert 20 * 3600 < sum(delays) < 30 * 3600
    assert DELIVERIES.delay(DELIVERIES.attempts, lambda: 0.5) is None


# --- Many -----------------------------------------------------------------------------------------


async def test_receivers_that_hang_do_not_delay_a_good_one(serve, start):
    hanging = [await serve(hang) for _ in range(5)]
    good = await serve(GOOD)
    post = await start(*hanging, good, places=64, timeout=5.0, rules=Rules(calls=4))
    for n in range(50):
        await post.end_job(url_of(hanging[n % 5]))
    with trio.fail_after(PATIENCE):
        while sum(server.connections for server in hanging) < 20:  # noqa: ASYNC110  (a socket)
            await trio.sleep(0.002)

    began = trio.current_time()
    await post.until(await post.end_job(url_of(good)), "delivered")

    assert trio.current_time() - began < 1.0
    assert [server.connections for server in hanging] == [4] * 5


async def test_a_tenant_with_many_hosts_that_hang_does_not_delay_another(serve, start):
    hanging = [await serve(hang) for _ in range(6)]
    good = await serve(GOOD)
    post = await start(*hanging, good, places=8, timeout=60.0, rules=Rules(calls=4))
    for n in range(24):
        await post.end_job(url_of(hanging[n % 6]), "noisy")
    with trio.fail_after(PATIENCE):
        while sum(server.connections for server in hanging) < 4:  # noqa: ASYNC110  (a socket)
            await trio.sleep(0.002)

    for _ in range(10):
        await post.until(await post.end_job(url_of(good), "quiet"), "delivered")

    assert sum(server.connections for server in hanging) == 4


async def test_a_host_that_fails_is_left_alone_and_spends_no_more_tries(serve, start):
    bad = await serve(answer(500))
    good = await serve(GOOD)
    rules = Rules(calls=2, failures=3, rest=60.0)
    post = await start(bad, good, backoff=LATER, rules=rules)

    jobs = [await post.end_job(url_of(bad)) for _ in range(20)]
    await post.until(await post.end_job(url_of(good)), "delivered")
    await trio.sleep(0.05)

    tries = Counter([(await post.delivery(job)).tries for job in jobs])
    assert tries == {1: len(bad.asked), 0: 20 - len(bad.asked)}
    assert 3 <= len(bad.asked) <= 4
    fates = Counter([(await post.delivery(job)).fate for job in jobs])
    assert fates == {"pending": 20}


async def test_a_host_that_has_rested_is_tried_by_one_and_then_gets_all(serve, start):
    bad = await serve(answer(500), answer(500), GOOD)
    rules = Rules(calls=4, failures=2, rest=0.05)
    post = await start(bad, rules=rules)

    jobs = [await post.end_job(url_of(bad)) for _ in range(10)]
    for job in jobs:
        await post.until(job, "delivered")

    assert len(bad.asked) == 12


async def test_while_a_host_is_tried_no_attempt_counts_that_is_not_made(serve, start):
    go_on = trio.Event()

    async def recover_slowly(stream):
        await go_on.wait()
        await stream.send_all(GOOD)

    server = await serve(answer(500), recover_slowly, GOOD)
    post = await start(server, rules=Rules(calls=4, failures=1, rest=0.05))
    jobs = [await post.end_job(url_of(server))]
    await post.until_tried(jobs[0])
    jobs += [await post.end_job(url_of(server)) for _ in range(9)]
    with trio.fail_after(PATIENCE):
        while len(server.asked) < 2:  # noqa: ASYNC110  (a socket)
            await trio.sleep(0.002)
    await trio.testing.wait_all_tasks_blocked(0.05)

    before = [await post.delivery(job) for job in jobs]
    go_on.set()
    after = [await post.until(job, "delivered") for job in jobs]

    assert [each.fate for each in before].count("sending") == 1
    assert sum(each.attempts_made for each in before) == 2
    # One, by which the Store hears that the host rests.
    assert sum(each.undone for each in before) <= 1
    assert sum(each.attempts_made for each in after) == len(server.asked) == 11


async def test_no_more_are_under_way_than_there_are_places(serve, start):
    present, most = 0, 0

    async def slow(stream):
        nonlocal present, most
        present += 1
        most = max(most, present)
        await trio.sleep(0.01)
        present -= 1
        await stream.send_all(GOOD)

    servers = [await serve(slow) for _ in range(4)]
    post = await start(*servers, places=3, rules=Rules(calls=2))

    jobs = [await post.end_job(url_of(servers[n % 4])) for n in range(20)]
    for job in jobs:
        await post.until(job, "delivered")

    assert most <= 3
    assert sum(len(server.asked) for server in servers) == 20


async def test_where_nothing_is_due_nothing_is_asked(serve, start):
    server = await serve(answer(500))
    post = await start(server, backoff=LATER)
    await post.until_tried(await post.end_job(url_of(server)))
    await trio.testing.wait_all_tasks_blocked(0.05)
    transactions = len(post.storage.catalogue.sizes)

    await trio.sleep(0.3)

    assert len(post.storage.catalogue.sizes) == transactions


# --- What goes wrong, and the end -----------------------------------------------------------------


async def test_what_a_courier_had_in_hand_when_it_crashed_is_sent_again(serve, start):
    server = await serve(hang, GOOD)
    post = await start(server)
    job = await post.end_job(url_of(server))
    await post.until(job, "sending")

    with pytest.raises(HandlerCrashed), trio.fail_after(PATIENCE):
        await post.door.ask(Count())

    delivery = await post.until(job, "delivered")
    assert (delivery.attempts, delivery.tries) == (2, 0)


async def test_what_was_in_hand_when_the_process_ended_is_sent_again(serve, start):
    server = await serve(hang, GOOD)
    post = await start(server)
    job = await post.end_job(url_of(server))
    await post.until(job, "sending")
    post.scope.cancel()

    again = await start(server, storage=post.storage)

    delivery = await again.until(job, "delivered")
    assert (delivery.attempts, delivery.tries) == (2, 0)
    (first, _), (second, _) = map(told, server.asked)
    assert first["webhook-id"] == second["webhook-id"]


async def test_a_stop_waits_for_what_is_in_hand_and_begins_nothing(serve, start):
    go_on = trio.Event()

    async def answer_later(stream):
        await go_on.wait()
        await stream.send_all(GOOD)

    server = await serve(answer_later)
    post = await start(server)
    job = await post.end_job(url_of(server))
    await post.until(job, "sending")

    post.orders.draining.set()
    other = await post.end_job(url_of(server))
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert not post.ended.is_set()
    go_on.set()
    with trio.fail_after(PATIENCE):
        await post.ended.wait()

    assert (await post.delivery(job)).fate == "delivered"
    assert (await post.delivery(other)).attempts == 0


async def test_it_leaves_when_its_door_closes(start):
    post = await start()

    post.door.close()

    with trio.fail_after(PATIENCE):
        await post.ended.wait()


async def test_what_the_store_cannot_note_at_first_is_noted_later(serve, start, short_pause):
    server = await serve(GOOD)
    post = await start(server)
    catalogue, mended = post.storage.catalogue, trio.Event()

    async def break_then_mend(stream):
        catalogue.broken, catalogue.spared = StorageUnavailable("broken"), 0
        await stream.send_all(GOOD)
        await trio.sleep(0.05)
        catalogue.broken = None
        mended.set()

    server._answers[:] = [break_then_mend, GOOD]
    job = await post.end_job(url_of(server))
    await mended.wait()

    delivery = await post.until(job, "delivered")
    assert delivery.attempts == len(server.asked) == 1


@pytest.fixture
def short_pause(monkeypatch):
    """Have it ask the Store again sooner."""
    monkeypatch.setattr("actors.courier.PAUSE", 0.01)
