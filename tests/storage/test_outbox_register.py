"""What every outbox must do, whatever its catalogue is made of."""

import json
import shutil
import tempfile
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.outside.allowance import Allowance
from actors.outside.targets import parse_target
from actors.storage.outbox import DeliveryNotFound, NewDelivery, Room, Share
from actors.storage.ports import StorageError
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import ANY, CATALOGUES, OUTPUT, Each, minute, new_job
from tests.storage.memory.catalogue import MemoryCatalogue

URL = "https://hooks.example/größer?token=s3cret"
METADATA = '{"order":12345678901234567890,"größe":"🖼","paid":true,"note":null,"rate":1.50}'
PLENTY = Room(places=10, hosts=Share(10), tenants=Share(10))


def room(places, per_host, busy=None, tenants=PLENTY.tenants):
    return Room(places, Share(per_host, busy or {}), tenants)


class Outboxes(Each):
    """The outbox of a catalogue."""

    def __init__(self, catalogue) -> None:
        super().__init__(catalogue, "outbox")

    def put(self, name, host="a.example", now=NOON, tenant="acme"):
        return self.add(replace(new_delivery(name, host), tenant=tenant), now)

    def claim_ids(self, room=PLENTY, now=NOON):
        return [each.id for each in self.claim(room, now)]


def new_delivery(name: str, host: str = "a.example") -> NewDelivery:
    return NewDelivery(
        id=name,
        subject=f"about {name}",
        tenant="acme",
        url=f"https://{host}/hook",
        type="job.completed",
        payload='{"größe":1}',
    )


@pytest.fixture
def outbox(catalogue):
    return Outboxes(catalogue)


# --- What the end of a job puts in ----------------------------------------------------------------


def begun(outbox, max_attempts=3, trace=None):
    new = replace(
        new_job("a", max_attempts=max_attempts, tenant="acme"),
        callback_url=URL,
        metadata=METADATA,
        trace=trace,
    )

    def begin(it):
        it.add(new, NOON)
        (job,) = it.claim([ANY], NOON)
        return job

    return outbox.do(begin)


ENDS = {
    "completed": lambda it: it.complete("a", 1, [OUTPUT, replace(OUTPUT, name="b")], "{}", NOON),
    "failed": lambda it: it.fail("a", 1, "timed_out", "It took too long.", NOON),
    "cancelled": lambda it: it.cancel("a", NOON),
}


def test_the_end_of_a_job_goes_on_in_its_trace(outbox):
    begun(outbox, trace='{"traceparent":"00-1-2-01"}')

    outbox.do(ENDS["failed"])

    assert outbox.of("a", 1)[0].trace == '{"traceparent":"00-1-2-01"}'


@pytest.mark.parametrize("status", ENDS)
def test_the_end_of_a_job_is_put_in_with_what_it_was(outbox, status):
    begun(outbox)
    assert outbox.of("a", 5) == []

    job = outbox.do(ENDS[status])

    (delivery,) = outbox.of("a", 5)
    assert delivery.id.startswith("msg_")
    assert len(delivery.id) == 36
    assert (delivery.tenant, delivery.url, delivery.type) == ("acme", URL, f"job.{status}")
    assert (delivery.fate, delivery.attempts, delivery.due_at) == ("pending", 0, NOON)
    assert json.loads(delivery.payload) == {
        "type": f"job.{status}",
        "timestamp": NOON.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": {
            "id": "a",
            "status": status,
            "outputs": [
                {k: v for k, v in asdict(each).items() if k not in {"key", "details"}}
                for each in job.outputs
            ],
            "error_code": job.error_code,
            "error": job.error,
            "metadata": json.loads(METADATA),
        },
    }


def test_all_outboxes_say_the_same_to_the_letter(tmp_path):
    said = set()
    for make in CATALOGUES.values():
        outbox = Outboxes(make(tmp_path))
        begun(outbox)
        outbox.do(ENDS["completed"])
        said.add(outbox.of("a", 1)[0].payload)
        outbox.catalogue.close()

    assert len(said) == 1
    assert "s3cret" not in said.pop()


def test_what_crashed_once_too_often_is_told_as_well(outbox):
    begun(outbox, max_attempts=1)

    outbox.do(lambda it: it.release("a", 1, "It crashed.", NOON))

    (delivery,) = outbox.of("a", 5)
    assert json.loads(delivery.payload)["data"]["error_code"] == "crashed"


@pytest.mark.parametrize(
    "change",
    [
        lambda it: it.release("a", 1, "It crashed.", NOON),
        lambda it: it.unclaim("a", 1, NOON),
    ],
    ids=["release", "unclaim"],
)
def test_what_has_not_ended_is_not_told(outbox, change):
    begun(outbox)

    outbox.do(change)

    assert outbox.of("a", 5) == []


def test_a_job_that_ends_twice_is_told_twice_and_neither_changes(outbox):
    begun(outbox)
    outbox.do(ENDS["failed"])
    outbox.do(lambda it: it.retry("a", 1, minute(1)))
    outbox.do(lambda it: it.cancel("a", minute(2)))
    outbox.do(lambda it: it.cancel("a", minute(3)))

    assert [each.type for each in outbox.of("a", 5)] == ["job.cancelled", "job.failed"]
    assert [each.type for each in outbox.of("a", 1)] == ["job.cancelled"]


def test_of_a_job_that_named_nobody_nobody_is_told(outbox):
    outbox.do(lambda it: it.add(new_job("a"), NOON))
    outbox.do(lambda it: it.cancel("a", NOON))

    assert outbox.of("a", 5) == []
    assert outbox.claim(PLENTY, NOON) == []


def test_with_a_job_its_deliveries_go(outbox):
    begun(outbox)
    outbox.do(ENDS["failed"])
    outbox.put("other")

    outbox.do(lambda it: it.delete("a", NOON))

    assert outbox.of("a", 5) == []
    assert outbox.claim_ids() == ["other"]


def test_what_is_undone_puts_nothing_in(outbox):
    begun(outbox)

    def fail_and_raise(it):
        ENDS["failed"](it)
        it.find("nobody")

    with pytest.raises(StorageError):
        outbox.do(fail_and_raise)

    assert outbox.of("a", 5) == []


# --- A delivery's way -----------------------------------------------------------------------------


def test_what_is_put_in_is_due_at_once_and_begun_once(outbox):
    assert outbox.put("a").fate == "pending"

    (claimed,) = outbox.claim(PLENTY, minute(1))

    assert (claimed.id, claimed.fate, claimed.attempts) == ("a", "sending", 1)
    assert (claimed.begun_at, claimed.due_at) == (minute(1), None)
    assert outbox.claim(PLENTY, minute(2)) == []
    assert outbox.next_due(PLENTY) is None


def test_what_was_answered_well_has_ended(outbox):
    outbox.put("a")
    outbox.claim(PLENTY, NOON)

    outbox.deliver("a", 1, 204, minute(1))

    (delivery,) = outbox.of("about a", 5)
    assert (delivery.fate, delivery.last_status, delivery.tries) == ("delivered", 204, 0)
    assert delivery.ended_at == minute(1)
    assert outbox.claim(PLENTY, minute(5)) == []


def test_what_failed_is_due_again_when_it_is_said(outbox):
    outbox.put("a")
    outbox.claim(PLENTY, NOON)

    outbox.fail("a", 1, 503, "It answered 503.", minute(5), minute(1))

    (delivery,) = outbox.of("about a", 5)
    assert (delivery.fate, delivery.tries, delivery.last_status) == ("pending", 1, 503)
    assert (delivery.last_error, delivery.due_at) == ("It answered 503.", minute(5))
    assert outbox.next_due(PLENTY) == minute(5)
    assert outbox.claim(PLENTY, minute(4)) == []
    assert outbox.claim_ids(now=minute(5)) == ["a"]


def test_what_is_given_up_is_dead_until_it_is_sent_again_by_hand(outbox):
    outbox.put("a")
    outbox.claim(PLENTY, NOON)
    outbox.fail("a", 1, None, "No connection could be made.", None, minute(1))
    assert outbox.of("about a", 1)[0].fate == "dead"
    assert outbox.next_due(PLENTY) is None

    again = outbox.redeliver("about a", minute(9))

    assert (again.fate, again.tries, again.attempts, again.due_at) == ("pending", 0, 1, minute(9))
    assert again.last_error == "No connection could be made."
    assert outbox.claim_ids(now=minute(9)) == ["a"]


def test_what_was_delivered_can_be_sent_again(outbox):
    outbox.put("a")
    outbox.claim(PLENTY, NOON)
    outbox.deliver("a", 1, 200, NOON)

    assert outbox.redeliver("about a", minute(1)).fate == "pending"
    assert outbox.claim_ids(now=minute(1)) == ["a"]


def test_what_is_being_sent_is_not_sent_twice_at_a_time(outbox):
    outbox.put("a")
    outbox.claim(PLENTY, NOON)

    assert outbox.redeliver("about a", NOON).fate == "sending"
    assert outbox.claim(PLENTY, NOON) == []


def test_of_what_nothing_was_to_be_sent_nothing_is_sent_again(outbox):
    with pytest.raises(DeliveryNotFound):
        outbox.redeliver("about nothing", NOON)


def test_only_the_present_attempt_can_end(outbox):
    outbox.put("a")
    outbox.claim(PLENTY, NOON)
    outbox.put_back("a", 1, NOON)
    outbox.claim(PLENTY, NOON)
    assert outbox.of("about a", 1)[0].attempts_made == 1

    outbox.deliver("a", 1, 200, NOON)
    outbox.fail("a", 1, 500, "It answered 500.", None, NOON)
    outbox.put_back("a", 1, NOON)
    outbox.deliver("nothing", 1, 200, NOON)

    (delivery,) = outbox.of("about a", 5)
    assert (delivery.fate, delivery.attempts, delivery.tries) == ("sending", 2, 0)


def test_what_nobody_holds_is_due_again_and_no_try_is_spent(outbox):
    for name in ("a", "b", "c"):
        outbox.put(name)
    outbox.claim(replace(PLENTY, places=2), NOON)

    assert outbox.recall({"a"}, minute(1)) == 1

    recalled = outbox.of("about b", 1)[0]
    assert (recalled.tries, recalled.attempts_made) == (0, 1)
    assert sorted(outbox.claim_ids(now=minute(1))) == ["b", "c"]


# --- Room, and hosts ------------------------------------------------------------------------------


def test_there_are_no_more_than_places_and_no_more_to_one_host_than_it_may_have(outbox):
    for n in range(4):
        outbox.put(f"a{n}")
        outbox.put(f"b{n}", "b.example")

    assert outbox.claim_ids(room(10, 3, {"a.example": 2, "b.example": 3})) == ["a0"]
    assert len(outbox.claim_ids(room(3, 3))) == 3


def test_a_full_host_is_not_what_is_due_next(outbox):
    outbox.put("a")
    outbox.put("b", "b.example", minute(3))

    assert outbox.next_due(room(1, 1, {"a.example": 1})) == minute(3)
    assert outbox.claim_ids(room(1, 1, {"a.example": 1}), minute(3)) == ["b"]


def test_no_tenant_has_more_than_its_places_and_others_have_the_rest(outbox):
    for n in range(9):
        outbox.put(f"noisy{n}", f"h{n}.example", tenant="noisy")
    outbox.put("quiet", "q.example", minute(1), tenant="quiet")
    full = room(4, 4, tenants=Share(2, {"noisy": 2}))

    claimed = outbox.claim(room(4, 4, tenants=Share(2)), minute(1))

    assert sorted(each.tenant for each in claimed) == ["noisy", "noisy", "quiet"]
    assert outbox.next_due(full) is None
    assert outbox.claim(full, minute(1)) == []
    assert outbox.next_due(room(4, 4, tenants=Share(2, {"noisy": 1}))) == NOON
    outbox.put("quiet again", "q.example", minute(2), tenant="quiet")
    assert outbox.next_due(full) == minute(2)
    assert outbox.claim_ids(full, minute(2)) == ["quiet again"]


def test_a_host_has_its_places_whoever_sends(outbox):
    for tenant in ("acme", "zeta", "zulu"):
        for n in range(2):
            outbox.put(f"{tenant}{n}", tenant=tenant)

    assert len(outbox.claim_ids(room(10, 3))) == 3
    assert len(outbox.claim_ids(room(10, 3, {"a.example": 1}))) == 2


def test_a_spared_host_is_spared_by_all_tenants_also_those_who_come_later(outbox):
    outbox.put("a", tenant="acme")
    outbox.spare("a.example", minute(10))
    outbox.put("b", now=minute(1), tenant="zeta")
    outbox.spare("b.example", minute(5))
    outbox.put("c", "b.example", minute(1), tenant="zulu")

    assert outbox.next_due(PLENTY) == minute(5)
    assert outbox.claim_ids(now=minute(4)) == []
    assert outbox.claim_ids(now=minute(5)) == ["c"]
    assert sorted(outbox.claim_ids(now=minute(10))) == ["a", "b"]


def test_a_spared_host_holds_up_nobody_else(outbox):
    for n in range(20):
        outbox.put(f"a{n}")
    outbox.put("b", "b.example", minute(1))
    outbox.spare("a.example", minute(10))

    assert outbox.next_due(PLENTY) == minute(1)
    assert outbox.claim_ids(now=minute(1)) == ["b"]
    assert outbox.next_due(PLENTY) == minute(10)
    outbox.put("a-more", now=minute(2))
    assert outbox.next_due(PLENTY) == minute(10)
    assert len(outbox.claim_ids(now=minute(10))) == 10


def test_a_host_is_known_by_its_port_as_well(outbox):
    outbox.put("a", "a.example:8080")
    outbox.put("b", "[2001:db8::1]:8080")

    assert outbox.claim_ids(room(5, 1, {"a.example": 1, "a.example:8080": 1})) == ["b"]


@pytest.mark.parametrize(
    "url",
    ["https://example.org?x=/y", "http://[2606:4700::00A1]:80/a:b", "HTTPS://BÜCHER.example/#x"],
)
def test_the_host_is_read_as_the_one_that_is_asked(outbox, url):
    target = parse_target(url, Allowance())
    delivery = outbox.add(replace(new_delivery("a"), url=str(target)), NOON)

    assert delivery.host == target.authority
    assert outbox.claim(room(5, 1, {target.authority: 1}), NOON) == []


# --- Counting and trimming ------------------------------------------------------------------------


def test_they_are_counted_by_their_fate(outbox):
    for name in ("a", "b", "c", "d", "e"):
        outbox.put(name)
    outbox.claim(replace(PLENTY, places=3), NOON)
    outbox.deliver("a", 1, 200, NOON)
    outbox.fail("b", 1, 410, "It answered 410.", None, NOON)

    assert outbox.counts() == {"pending": 2, "sending": 1, "delivered": 1, "dead": 1}


def test_what_ended_long_ago_or_first_goes_in_small_steps(outbox):
    for n in range(6):
        outbox.put(str(n))
    outbox.claim(replace(PLENTY, places=5), NOON)
    for n in range(4):
        outbox.deliver(str(n), 1, 200, minute(n // 2))
    outbox.fail("4", 1, 410, "It answered 410.", None, minute(3))

    assert outbox.trim(10, NOON - timedelta(1), 10) == 0
    assert outbox.trim(10, NOON, 1) == 1
    assert outbox.trim(10, NOON, 10) == 1
    assert outbox.trim(2, NOON, 10) == 1
    assert [n for n in range(6) if outbox.of(f"about {n}", 1)] == [3, 4, 5]


def test_what_has_waited_for_too_long_is_given_up(outbox):
    outbox.put("a", now=minute(0))
    outbox.put("b", now=minute(1))
    outbox.spare("a.example", minute(99))
    outbox.put("c", "b.example", minute(2))
    outbox.put("d", "b.example", minute(3))
    outbox.claim(room(1, 1), minute(2))

    assert outbox.give_up(minute(2), minute(9), 1) == 1
    assert outbox.give_up(minute(2), minute(9), 5) == 1

    given_up = outbox.of("about a", 1)[0]
    assert (given_up.fate, given_up.ended_at) == ("dead", minute(9))
    assert given_up.last_error == "It could not be sent in time."
    assert outbox.of("about c", 1)[0].fate == "sending"
    assert outbox.redeliver("about a", minute(9)).since == minute(9)
    assert outbox.give_up(minute(2), minute(9), 5) == 0


def test_a_delivery_does_not_show_what_may_be_secret():
    shown = repr(replace(new_delivery("a"), url=URL, payload="{private}"))

    assert "s3cret" not in shown
    assert "private" not in shown


# --- Both do the same -----------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "d"])
HOSTS = st.sampled_from(["a.example", "b.example", "b.example:8080"])
# Whose turn it is among those who share a host need not be the same.
TENANTS = {"a.example": "acme", "b.example": "acme", "b.example:8080": "zeta"}
ATTEMPTS = st.integers(1, 3)


class SameOutboxes(RuleBasedStateMachine):
    """Does the same to SQLite and to memory, and compares all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.both = [
            Outboxes(SqliteCatalogue(self.directory / "calotype.db")),
            Outboxes(MemoryCatalogue()),
        ]
        self.now = NOON

    def teardown(self) -> None:
        self.both[0].catalogue.close()
        shutil.rmtree(self.directory)

    def same(self, call):
        results = []
        for each in self.both:
            try:
                results.append(call(each))
            except StorageError as error:
                results.append(type(error))
        assert results[0] == results[1]

    @rule(minutes=st.integers(0, 5))
    def wait(self, minutes):
        self.now += timedelta(minutes=minutes)

    @rule(name=NAMES, host=HOSTS)
    def put(self, name, host):
        if not self.both[0].of(f"about {name}", 1):
            self.same(lambda it: it.put(name, host, self.now, TENANTS[host]))

    @rule(per_host=st.integers(1, 3), busy=st.dictionaries(HOSTS, ATTEMPTS))
    def claim(self, per_host, busy):
        # With places for all, since whose turn it is among hosts need not be the same.
        places = room(4, per_host, busy)
        self.same(lambda it: sorted(it.claim_ids(places, self.now)))

    @rule(name=NAMES, attempt=ATTEMPTS)
    def deliver(self, name, attempt):
        self.same(lambda it: it.deliver(name, attempt, 200, self.now))

    @rule(name=NAMES, attempt=ATTEMPTS, minutes=st.none() | st.integers(0, 9))
    def fail(self, name, attempt, minutes):
        due = None if minutes is None else self.now + timedelta(minutes=minutes)
        self.same(lambda it: it.fail(name, attempt, 500, "It answered 500.", due, self.now))

    @rule(name=NAMES, attempt=ATTEMPTS)
    def put_back(self, name, attempt):
        self.same(lambda it: it.put_back(name, attempt, self.now))

    @rule(host=HOSTS, minutes=st.integers(0, 9))
    def spare(self, host, minutes):
        self.same(lambda it: it.spare(host, self.now + timedelta(minutes=minutes)))

    @rule(held=st.sets(NAMES))
    def recall(self, held):
        self.same(lambda it: it.recall(held, self.now))

    @rule(name=NAMES)
    def redeliver(self, name):
        self.same(lambda it: it.redeliver(f"about {name}", self.now))

    @rule(minutes=st.integers(0, 9))
    def give_up(self, minutes):
        self.same(lambda it: it.give_up(self.now - timedelta(minutes=minutes), self.now, 9))

    @rule(kept=st.integers(0, 4), minutes=st.integers(0, 9))
    def trim(self, kept, minutes):
        self.same(lambda it: it.trim(kept, self.now - timedelta(minutes=minutes), 2))

    @invariant()
    def they_show_the_same(self):
        self.same(lambda it: it.counts())
        for name in "abcd":
            self.same(lambda it, name=name: it.of(f"about {name}", 5))

    @invariant()
    def nothing_due_is_overlooked(self):
        """What can be claimed is never later than it is said; it may be said too early."""
        said, true = (each.next_due(PLENTY) for each in self.both)
        if true is not None:
            assert said is not None
            assert said <= max(true, self.now)


TestSameOutboxes = SameOutboxes.TestCase
TestSameOutboxes.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
