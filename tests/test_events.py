"""Who follows events hears of each once, in order, and wakes for nobody else's."""

from dataclasses import replace

import pytest
import trio
import trio.testing

from actors import following
from actors import store as store_module
from actors.errors import ActorStopped, Draining
from actors.handlers import events as event_handlers
from actors.messages import (
    EVENTS_AT_ONCE,
    Cancel,
    Complete,
    Count,
    Delete,
    Drain,
    Fail,
    ReadEvents,
    Submit,
    Told,
)
from actors.storage.ports import JobNotFound, StorageUnavailable
from tests.conftest import PATIENCE, THUMBNAIL, MemoryStorage
from tests.test_store import LIMITS, PICTURE, Asker, Running


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
async def store(nursery, storage):
    running = Running(storage)
    await nursery.start(running.run)
    return running


def submit(tenant="acme"):
    return Submit(b"photo", "thumbnail", THUMBNAIL, "normal", tenant=tenant)


def follow(after, job_id=None, tenant="acme", **more):
    return ReadEvents(after, job_id, tenant=tenant, **more)


def short(told):
    return [(event.number, event.status) for event in told.events]


async def wait_until_parked(store, asker):
    """Return when the ask waits; another that is answered has gone the same way."""
    await store.ask(Count())
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert asker.answer is None


async def test_without_a_number_the_answer_is_from_where_on_there_will_be_events(store):
    before = await store.ask(follow(None))
    await store.ask(submit())
    after = await store.ask(follow(None))

    assert (before.events, before.until) == ((), 0)
    assert (after.events, after.until) == ((), 1)


async def test_what_there_is_is_told_at_once(store):
    job = await store.ask(submit())
    await store.ask(Cancel(job.id, tenant="acme"))

    told = await store.ask(follow(0))
    rest = await store.ask(follow(1))

    assert short(told) == [(1, "pending"), (2, "cancelled")]
    assert short(rest) == [(2, "cancelled")]
    assert told.until == rest.until == 2
    assert not told.over


async def test_what_is_to_come_is_told_when_it_is_durable(store, storage, nursery):
    asker = Asker(nursery, store, follow(0))
    await wait_until_parked(store, asker)
    storage.catalogue.hold()
    submitted = Asker(nursery, store, submit())
    await trio.testing.wait_all_tasks_blocked(0.01)
    early = asker.answer
    storage.catalogue.go_on()

    told = await asker.outcome()
    job = await submitted.outcome()

    assert early is None
    assert short(told) == [(1, "pending")]
    assert (told.events[0].job_id, told.until) == (job.id, 1)


async def test_a_commit_wakes_only_those_whom_it_concerns(store, nursery):
    job = await store.ask(submit())
    other = await store.ask(submit())
    concerned = [
        Asker(nursery, store, follow(2)),
        Asker(nursery, store, follow(2, job.id)),
        Asker(nursery, store, follow(2, statuses=frozenset({"cancelled", "failed"}))),
    ]
    strangers = [
        Asker(nursery, store, follow(2, tenant="zenith")),
        Asker(nursery, store, follow(2, tenant="")),
        Asker(nursery, store, follow(2, other.id)),
        Asker(nursery, store, follow(2, statuses=frozenset({"completed"}))),
    ]
    await wait_until_parked(store, concerned[1])

    await store.ask(Cancel(job.id, tenant="acme"))

    assert [short(await asker.outcome()) for asker in concerned] == 3 * [[(3, "cancelled")]]
    assert [asker.answer for asker in strangers] == 4 * [None]
    # They are still there to be told.
    await store.ask(Cancel(other.id, tenant="acme"))
    told = await strangers[2].outcome()
    assert (short(told), told.over) == ([(4, "cancelled")], True)


async def test_a_follower_misses_nothing_and_hears_nothing_twice(store, nursery):
    heard: list[tuple[int, str]] = []
    ended = trio.Event()

    async def listen():
        after = 0
        while len(heard) < 90:
            told = await store.address.ask(follow(after))
            heard.extend(short(told))
            after = told.until
        ended.set()

    async def work():
        for _ in range(10):
            job = await store.ask(submit())
            await store.ask(Cancel(job.id, tenant="acme"))
            await store.ask(Delete(job.id, tenant="acme"))
            await store.ask(submit("zenith"))

    nursery.start_soon(listen)
    async with trio.open_nursery() as workers:
        for _ in range(3):
            workers.start_soon(work)
    with trio.fail_after(PATIENCE):
        await ended.wait()

    everything = [
        event.number
        for event in store.storage.catalogue.events.read(0, 999, None, 999)
        if event.tenant == "acme"
    ]
    assert [number for number, _ in heard] == everything


async def test_a_job_is_told_of_as_it_stands_and_then_until_its_end(store):
    job = await store.ask(submit())
    await store.claim()

    first = await store.ask(follow(None, job.id))
    await store.ask(Complete(job.id, 1, (PICTURE,)))
    then = await store.ask(follow(first.until, job.id))
    late = await store.ask(follow(then.until, job.id))
    anew = await store.ask(follow(None, job.id))

    (event,) = first.events
    assert (event.status, event.attempt, event.reason) == ("processing", 1, "present")
    assert (first.until, first.over) == (2, False)
    assert (short(then), then.over) == ([(3, "completed")], True)
    assert (late.events, late.over) == ((), True)
    assert (short(anew), anew.over) == ([(3, "completed")], True)


async def test_why_a_job_failed_is_told(store):
    job = await store.ask(submit())
    await store.claim()
    await store.ask(Fail(job.id, 1, "not_an_image", "It is none."))

    told = await store.ask(follow(2, job.id))

    assert [(event.status, event.error_code) for event in told.events] == [
        ("failed", "not_an_image")
    ]


async def test_the_deletion_of_a_job_is_told_and_then_it_is_unknown(store, nursery):
    job = await store.ask(submit())
    asker = Asker(nursery, store, follow(1, job.id))
    await wait_until_parked(store, asker)

    await store.ask(Delete(job.id, tenant="acme"))
    told = await asker.outcome()

    assert (short(told), told.over) == ([(2, "deleted")], True)
    assert short(await store.ask(follow(1, job.id))) == [(2, "deleted")]
    for after in (None, 2):
        with pytest.raises(JobNotFound):
            await store.ask(follow(after, job.id))


async def test_the_job_of_another_tenant_is_not_there(store):
    job = await store.ask(submit())
    await store.ask(submit("zenith"))

    for after in (None, 0, 1, 2, 99):
        with pytest.raises(JobNotFound):
            await store.ask(follow(after, job.id, tenant="zenith"))


async def test_who_is_far_behind_is_told_in_pieces(store, monkeypatch):
    monkeypatch.setattr(event_handlers, "SPAN", 4)
    for number in range(9):
        await store.ask(submit("zenith" if number < 8 else "acme"))

    steps: list[Told] = []
    after = 0
    while not steps or not steps[-1].events:
        steps.append(await store.ask(follow(after)))
        after = steps[-1].until

    assert [told.until for told in steps] == [4, 8, 9]
    assert short(steps[-1]) == [(9, "pending")]


async def test_who_asks_the_same_again_is_told_how_far_it_is_without_a_look(
    store, nursery, monkeypatch
):
    monkeypatch.setattr(event_handlers, "SPAN", 1)
    job = await store.ask(submit())
    asks = [follow(1), follow(1, job.id), follow(1, statuses=frozenset({"completed"}))]
    askers = [Asker(nursery, store, ask) for ask in asks]
    await wait_until_parked(store, askers[1])
    for _ in range(5):
        await store.ask(submit("zenith"))
    for asker in askers:
        asker.scope.cancel()  # As a stream does when it has to say that it is still there.
        await asker.outcome()

    told = [await store.ask(ask) for ask in asks]
    other = await store.ask(follow(1, tenant="arctic"))

    assert [(short(each), each.until, each.over) for each in told] == 3 * [([], 6, False)]
    assert other.until == 2
    # From there on they are told as ever.
    again = [Asker(nursery, store, replace(ask, after=6)) for ask in asks[:2]]
    await wait_until_parked(store, again[1])
    await store.ask(Cancel(job.id, tenant="acme"))
    assert [short(await asker.outcome()) for asker in again] == 2 * [[(7, "cancelled")]]


async def test_what_happened_since_somebody_asked_is_told_to_who_asks_the_same_again(
    store, nursery
):
    asker = Asker(nursery, store, follow(0))
    await wait_until_parked(store, asker)
    asker.scope.cancel()
    await asker.outcome()

    await store.ask(submit())
    await store.ask(submit("zenith"))

    assert short(await store.ask(follow(0))) == [(1, "pending")]


async def test_who_left_before_anybody_looked_keeps_nothing_from_who_asks_the_same(
    store, storage, nursery
):
    await store.ask(submit())
    storage.catalogue.hold()
    # One more than there are places, so that nothing behind them is looked at.
    places = [Asker(nursery, store, Count()) for _ in range(LIMITS.asks + 1)]
    await trio.testing.wait_all_tasks_blocked(0.01)
    asker = Asker(nursery, store, follow(0))
    await trio.testing.wait_all_tasks_blocked(0.01)
    asker.scope.cancel()
    await asker.outcome()
    storage.catalogue.go_on()
    for place in places:
        await place.outcome()

    assert short(await store.ask(follow(0))) == [(1, "pending")]


async def test_all_that_one_transaction_makes_is_told_though_no_other_follows(
    store, storage, nursery, monkeypatch
):
    monkeypatch.setattr(following, "MOST_NEWS", 3)
    others = [await store.ask(submit("zenith")) for _ in range(7)]
    last = await store.ask(submit())
    asker = Asker(nursery, store, follow(8))
    await wait_until_parked(store, asker)

    storage.catalogue.hold()
    nursery.start_soon(store.ask, Count())
    await trio.testing.wait_all_tasks_blocked(0.01)
    for job in [*others, last]:
        nursery.start_soon(store.ask, Cancel(job.id, tenant=job.tenant))
        await trio.testing.wait_all_tasks_blocked(0.01)
    storage.catalogue.go_on()

    told = await asker.outcome()
    assert (short(told), told.until) == ([(16, "cancelled")], 16)
    assert storage.catalogue.sizes[-3:] == [8, 1, 1]  # Nobody has asked for the last two.


async def test_no_answer_has_more_events_than_fit_into_one(store, storage, nursery):
    asker = Asker(nursery, store, follow(0))
    await wait_until_parked(store, asker)
    storage.catalogue.hold()
    # All but the first few of them gather in few transactions.
    for _ in range(20):
        nursery.start_soon(store.ask, submit())
    await trio.testing.wait_all_tasks_blocked(0.01)
    storage.catalogue.go_on()
    told = await asker.outcome()
    for _ in range(EVENTS_AT_ONCE):
        job = await store.ask(submit())
        await store.ask(Delete(job.id, tenant="acme"))

    full = await store.ask(follow(told.until))

    assert told.until == len(told.events)
    assert len(full.events) == EVENTS_AT_ONCE
    assert full.until == full.events[-1].number == told.until + EVENTS_AT_ONCE


async def test_events_that_are_too_many_are_given_up_and_who_wants_them_is_told(
    nursery, storage, monkeypatch
):
    monkeypatch.setattr(store_module, "TRIM_STEP", 10)
    limits = store_module.StoreLimits(backlog=1_000, asks=16, attempts=3, events=30)
    store = Running(storage, limits)
    await nursery.start(store.run)
    jobs = [await store.ask(submit()) for _ in range(55)]

    with trio.fail_after(PATIENCE):
        while storage.catalogue.events.bounds().gone < 15:  # noqa: ASYNC110 (in a thread)
            await trio.sleep(0.001)
    bounds = storage.catalogue.events.bounds()
    told = await store.ask(follow(3))
    of_job = await store.ask(follow(3, jobs[0].id))

    assert bounds.last - 40 <= bounds.gone <= bounds.last - 30
    assert (told.events, told.until, told.missed) == ((), bounds.gone, (4, bounds.gone))
    assert (short(of_job), of_job.missed) == ([(55, "pending")], (4, bounds.gone))
    assert (await store.ask(follow(bounds.gone))).missed is None


async def test_who_has_seen_more_than_there_was_is_told_that_it_must_begin_anew(store):
    job = await store.ask(submit())

    told = await store.ask(follow(7))
    of_job = await store.ask(follow(7, job.id))

    assert (told.events, told.until, told.missed) == ((), 1, (1, 1))
    assert (short(of_job), of_job.until, of_job.missed) == ([(1, "pending")], 1, (1, 1))


async def test_those_who_wait_hold_no_place_of_the_store(store, nursery):
    job = await store.ask(submit())
    askers = [Asker(nursery, store, follow(1)) for _ in range(5 * LIMITS.asks)]
    askers += [Asker(nursery, store, follow(1, job.id)) for _ in range(5 * LIMITS.asks)]
    await wait_until_parked(store, askers[-1])

    await store.ask(Cancel(job.id, tenant="acme"))

    assert {tuple(short(await asker.outcome())) for asker in askers} == {((2, "cancelled"),)}


async def test_when_the_service_stops_all_are_told_at_once(store, nursery):
    job = await store.ask(submit())
    askers = [Asker(nursery, store, follow(1)), Asker(nursery, store, follow(1, job.id))]
    await wait_until_parked(store, askers[1])

    store.orders.draining.set()
    await store.ask(Drain())
    late = Asker(nursery, store, follow(0))

    assert [await asker.outcome() for asker in [*askers, late]] == 3 * [Draining]


async def test_a_crash_of_the_store_releases_all(store, nursery):
    asker = Asker(nursery, store, follow(0))
    await wait_until_parked(store, asker)

    await store.crash()

    assert await asker.outcome() is ActorStopped
    # And its successor knows how far the sequence has come.
    await store.ask(submit())
    assert short(await store.ask(follow(0))) == [(1, "pending")]


async def test_the_sequence_goes_on_after_a_crash(store, nursery):
    await store.ask(submit())
    await store.crash()
    asker = Asker(nursery, store, follow(1))
    await wait_until_parked(store, asker)

    await store.ask(submit())

    assert short(await asker.outcome()) == [(2, "pending")]


async def test_a_storage_that_fails_is_named(store, storage):
    storage.catalogue.broken = StorageUnavailable("broken")

    with pytest.raises(StorageUnavailable):
        await store.ask(follow(None))


async def test_askers_who_have_gone_leave_nothing_behind(store, nursery):
    for _ in range(1_000):
        asker = Asker(nursery, store, follow(0))
        await trio.testing.wait_all_tasks_blocked()
        asker.scope.cancel()
    patient = Asker(nursery, store, follow(0))
    await wait_until_parked(store, patient)

    await store.ask(submit())

    assert short(await patient.outcome()) == [(1, "pending")]
    assert store.mailbox.statistics().waiting == 0
