"""What is due is begun for whoever will hear of it, and for nobody else."""

from dataclasses import replace
from datetime import timedelta

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from actors.errors import ActorStopped
from actors.messages import (
    Cancel,
    Collect,
    Count,
    Delivered,
    ListDeliveries,
    OfJob,
    PutBack,
    Recall,
    Submit,
    Undelivered,
)
from actors.storage.keeping import Keeping
from actors.storage.outbox import NO_ROOM, OutboxRules, Room, Share
from actors.storage.ports import Elsewhere, StorageUnavailable
from tests.conftest import PATIENCE, THUMBNAIL, MemoryStorage
from tests.test_store import LIMITS, Asker, Running

ROOM = Room(places=9, hosts=Share(4), tenants=Share(9))
URL = "https://hooks.example/"


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
async def store(nursery, storage):
    running = Running(storage)
    await nursery.start(running.run)
    return running


async def end_job(store):
    elsewhere = Elsewhere("https://example.org/")
    job = await store.ask(Submit(elsewhere, "thumbnail", THUMBNAIL, "normal", callback_url=URL))
    return await store.ask(Cancel(job.id))


async def delivery(store, job):
    (found,) = await store.ask(ListDeliveries(OfJob(job.id)))
    return found


async def test_it_is_answered_when_there_is_something_due(nursery, store):
    asker = Asker(nursery, store, Collect(ROOM))
    await trio.testing.wait_all_tasks_blocked(0.01)
    job = await end_job(store)

    (parcel,) = await asker.outcome()

    assert (parcel.delivery.subject, parcel.delivery.attempts) == (job.id, 1)
    assert [secret[:6] for secret in parcel.secrets] == ["whsec_"]
    assert parcel.secrets[0] not in repr(parcel)


async def test_without_room_it_gets_nothing_and_keeps_nobody_busy(nursery, store, storage):
    await end_job(store)
    asker = Asker(nursery, store, Collect(NO_ROOM))
    await trio.testing.wait_all_tasks_blocked(0.01)
    transactions = len(storage.catalogue.sizes)

    await trio.testing.wait_all_tasks_blocked(0.05)

    assert len(storage.catalogue.sizes) == transactions
    asker.scope.cancel()


async def test_a_new_one_ends_the_one_before(nursery, store):
    first = Asker(nursery, store, Collect(ROOM))
    await trio.testing.wait_all_tasks_blocked(0.01)
    second = Asker(nursery, store, Collect(ROOM))

    assert await first.outcome() is ActorStopped
    await end_job(store)
    assert len(await second.outcome()) == 1


async def test_one_whose_asker_leaves_during_the_commit_is_undone(nursery, store, storage):
    job = await end_job(store)
    storage.catalogue.hold()
    asker = Asker(nursery, store, Collect(ROOM))
    await trio.testing.wait_all_tasks_blocked(0.01)  # Its transaction is in the thread.
    asker.scope.cancel()
    await trio.testing.wait_all_tasks_blocked(0.01)
    storage.catalogue.go_on()
    await store.ask(Count())

    found = await delivery(store, job)

    assert (found.fate, found.attempts, found.tries) == ("pending", 1, 0)
    (parcel,) = await store.ask(Collect(ROOM))
    assert parcel.delivery.attempts == 2


async def test_whoever_asked_hears_that_the_transaction_was_lost(nursery, store, storage):
    await end_job(store)
    storage.catalogue.broken = StorageUnavailable("away")
    storage.catalogue.spared = len(storage.catalogue.sizes)

    with pytest.raises(StorageUnavailable), trio.fail_after(PATIENCE):
        await store.ask(Collect(ROOM))

    storage.catalogue.broken = None
    assert len(await store.ask(Collect(ROOM))) == 1


async def test_what_failed_is_due_again_by_the_stores_clock(store):
    job = await end_job(store)
    (parcel,) = await store.ask(Collect(ROOM))

    await store.ask(Undelivered(parcel.delivery.id, 1, 500, "It answered 500.", 3.0))

    found = await delivery(store, job)
    assert (found.fate, found.tries, found.last_status) == ("pending", 1, 500)
    (again,) = await store.ask(Collect(ROOM))  # The clock is a second later at each look.
    assert again.delivery.attempts == 2


async def test_a_host_that_rests_gets_nothing_for_so_long(store):
    job = await end_job(store)
    (parcel,) = await store.ask(Collect(ROOM))

    await store.ask(PutBack(parcel.delivery.id, 1, parcel.delivery.host, rest=3600.0))

    with trio.move_on_after(0.05) as waited:
        await store.ask(Collect(ROOM))
    assert waited.cancelled_caught
    assert (await delivery(store, job)).tries == 0


async def test_what_nobody_holds_is_recalled(store):
    jobs = [await end_job(store), await end_job(store)]
    parcels = await store.ask(Collect(ROOM))

    with capture_logs() as logs:
        await store.ask(Recall(frozenset({parcels[0].delivery.id})))

    assert [(await delivery(store, job)).fate for job in jobs] == ["sending", "pending"]
    assert [(each["event"], each["count"]) for each in logs] == [("deliveries_recalled", 1)]


async def test_what_ended_goes_when_it_is_too_much_or_too_old(nursery, storage):
    rules = OutboxRules(kept=Keeping(most=1, age=timedelta(days=1)))
    store = Running(storage, replace(LIMITS, outbox=rules, sweep_period=0.001))
    await nursery.start(store.run)
    jobs = [await end_job(store) for _ in range(3)]
    for parcel in await store.ask(Collect(ROOM)):
        await store.ask(Delivered(parcel.delivery.id, 1, 204))

    async def kept():
        return [bool(await store.ask(ListDeliveries(OfJob(job.id)))) for job in jobs]

    with trio.fail_after(PATIENCE):
        while await kept() != [False, False, True]:  # noqa: ASYNC110  (the Store tells nobody)
            await trio.sleep(0.001)


async def test_what_cannot_be_sent_in_time_is_given_up(nursery, storage):
    rules = OutboxRules(lifetime=timedelta(seconds=30))
    store = Running(storage, replace(LIMITS, outbox=rules, sweep_period=0.001))
    await nursery.start(store.run)
    job = await end_job(store)

    with trio.fail_after(PATIENCE):
        while (await delivery(store, job)).fate != "dead":  # noqa: ASYNC110  (it tells nobody)
            await trio.sleep(0.001)
