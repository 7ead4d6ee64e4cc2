"""How a job takes over the results of a twin, and when it does not."""

from dataclasses import replace

import pytest
import trio
import trio.testing

from actors.messages import Cancel, Claim, Delete, Fetch, ReadEvents, Reuse
from actors.storage.ports import JobNotFound, StaleClaim, StorageFull
from tests.conftest import FragileBlobs, MemoryStorage
from tests.test_store import LIMITS, PICTURE, Asker, Running, complete

SMALL = replace(PICTURE, name="small", data=b"a small picture")


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
async def store(nursery, storage):
    running = Running(storage, LIMITS)
    await nursery.start(running.run)
    return running


@pytest.fixture
async def twins(store):
    """Two jobs: one that is completed, and its twin, which has been begun."""
    first, second = await store.submit(), await store.submit()
    (begun,) = await store.claim()
    await store.ask(complete(begun, PICTURE, SMALL))
    (claimed,) = await store.claim()
    assert claimed.id == second.id
    return await store.find(first), claimed


async def test_a_job_ends_with_the_results_of_its_twin_under_keys_of_its_own(store, storage, twins):
    first, second = twins

    reused = await store.ask(Reuse(second.id, 1))
    job = await store.find(second)

    assert reused
    assert (job.status, job.attempts, job.receipt) == ("completed", 1, first.receipt)
    assert [replace(each, key="") for each in job.outputs] == [
        replace(each, key="") for each in first.outputs
    ]
    assert all(each.key.startswith(f"{job.id[:2]}/{job.id}-1-") for each in job.outputs)
    assert storage.outputs.keys == {each.key for each in (*first.outputs, *job.outputs)}


async def test_the_results_of_one_stay_when_the_other_is_deleted(store, twins):
    first, second = twins
    await store.ask(Reuse(second.id, 1))

    await store.ask(Delete(first.id))

    fetched = await store.ask(Fetch(second.id, 1_000, "small"))
    assert fetched.data == SMALL.data


async def test_its_events_are_those_of_any_other_job(store, twins):
    await store.ask(Reuse(twins[1].id, 1))

    told = await store.ask(ReadEvents(0))

    of_each = [[each.status for each in told.events if each.job_id == job.id] for job in twins]
    assert of_each == 2 * [["pending", "processing", "completed"]]


async def test_without_a_twin_that_is_completed_nothing_is_done(store):
    await store.submit()
    (job,) = await store.claim()

    assert not await store.ask(Reuse(job.id, 1))
    assert (await store.find(job)).status == "processing"


@pytest.mark.parametrize("damage", ["gone", "short", "changed"])
async def test_files_that_are_gone_or_damaged_are_not_taken_over(store, storage, twins, damage):
    first, second = twins
    key = first.outputs[1].key
    storage.outputs.delete(key)
    if damage == "short":
        storage.outputs.put(key, SMALL.data[:-1])
    if damage == "changed":
        storage.outputs.put(key, SMALL.data[:-1] + b"!")
    before = storage.outputs.keys

    assert not await store.ask(Reuse(second.id, 1))
    assert storage.outputs.keys == before
    assert (await store.find(second)).status == "processing"


async def test_what_was_made_in_other_versions_is_not_taken_over(store, twins, monkeypatch):
    _, second = twins
    monkeypatch.setattr("actors.imaging.receipt.versions", lambda: {"calotype": "a later one"})

    assert not await store.ask(Reuse(second.id, 1))


async def test_a_claim_that_is_stale_takes_nothing_over(store, storage, twins):
    _, second = twins
    before = storage.outputs.keys

    with pytest.raises(StaleClaim):
        await store.ask(Reuse(second.id, 2))
    await store.ask(Cancel(second.id))
    with pytest.raises(StaleClaim):
        await store.ask(Reuse(second.id, 1))
    await store.ask(Delete(second.id))
    with pytest.raises(JobNotFound):
        await store.ask(Reuse(second.id, 1))

    assert storage.outputs.keys == before


async def test_a_twin_is_handed_out_as_soon_as_the_one_before_it_has_ended(nursery, store):
    for _ in range(2):
        await store.submit()
    (first,) = await store.claim()
    asker = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked()
    assert asker.answer is None

    await store.ask(complete(first))

    (second,) = await asker.outcome()
    assert second.twin == first.twin


async def test_where_there_is_no_room_nothing_is_taken_over(store, storage, twins, monkeypatch):
    _, second = twins

    def refuse(*_):
        raise StorageFull("no room")

    monkeypatch.setattr(FragileBlobs, "copy", refuse, raising=False)

    with pytest.raises(StorageFull):
        await store.ask(Reuse(second.id, 1))
    assert (await store.find(second)).status == "processing"
