"""Retention, as the Store does it: files go when their time is over, and nothing that is needed."""

from datetime import timedelta

import pytest
import trio
from structlog.testing import capture_logs

from actors.messages import Complete, Fetch, Find, FindImage, ReadOutput, Submit
from actors.storage.ports import BlobNotFound, ImageNotFound, JobNotFound, StorageUnavailable
from actors.storage.retention import Rules
from actors.store import StoreLimits
from tests.conftest import PATIENCE, THUMBNAIL, MemoryStorage
from tests.test_store import PICTURE, Running

SOON = timedelta(seconds=30)  # on the Store's clock, which is a second later at each look
NEVER = timedelta(days=1)


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
async def start(nursery, storage):
    async def start_with(rules, grace=timedelta(0), period=0.001):
        limits = StoreLimits(100, 16, 3, rules, period, grace)
        running = Running(storage, limits)
        await nursery.start(running.run)
        return running

    return start_with


async def completed(store, retain=None, image=b"photo"):
    job = await store.ask(Submit(image, "thumbnail", THUMBNAIL, "normal", retain=retain))
    await store.claim()
    await store.ask(Complete(job.id, 1, (PICTURE,)))
    return await store.find(job)


async def until_empty(storage):
    with trio.fail_after(PATIENCE):
        while files(storage):  # noqa: ASYNC110  (the Store tells nobody)
            await trio.sleep(0.001)


async def until_raises(error, store, message):
    async def ask_on_and_on():
        while True:
            await store.ask(message)

    with pytest.raises(error), trio.fail_after(PATIENCE):
        await ask_on_and_on()


def files(storage):
    return [key for blobs in (storage.inputs, storage.outputs) for s in blobs.shards() for key in s]


async def test_the_files_of_a_job_go_and_its_record_stays(start, storage):
    store = await start(Rules(results=SOON))
    job = await completed(store)
    assert len(files(storage)) == 2

    await until_raises(BlobNotFound, store, Fetch(job.id, 100))

    await until_empty(storage)
    found = await store.find(job)
    assert (found.status, found.gone_at is not None) == ("completed", True)


async def test_whoever_is_reading_a_result_can_finish(start):
    store = await start(Rules(results=SOON), grace=NEVER)
    job = await completed(store)
    (output,) = job.outputs

    await until_raises(BlobNotFound, store, Fetch(job.id, 100))

    assert await store.ask(ReadOutput(output.key, 2, 5, output.seal)) == PICTURE.data[2:7]


async def test_what_its_client_wants_kept_stays(start):
    store = await start(Rules(results=SOON))
    kept, job = await completed(store, retain=10**6), await completed(store)

    await until_raises(BlobNotFound, store, Fetch(job.id, 100))

    assert (await store.ask(Fetch(kept.id, 100))).data == PICTURE.data


async def test_in_the_end_nothing_is_left(start, storage):
    store = await start(Rules(results=SOON, records=SOON, images=SOON))
    image = await store.keep_image()
    job = await completed(store, image=image.id)

    await until_raises(JobNotFound, store, Find(job.id))
    await until_raises(ImageNotFound, store, FindImage(image.id))

    await until_empty(storage)


async def test_an_image_that_a_pending_job_needs_stays(start):
    store = await start(Rules(images=SOON))
    needed, other = await store.keep_image(), await store.keep_image()
    await store.submit(needed.id)

    await until_raises(ImageNotFound, store, FindImage(other.id))

    assert await store.ask(FindImage(needed.id)) == needed


async def test_a_storage_that_fails_is_looked_at_again_later(start, storage, monkeypatch):
    calls = []
    expire = type(storage.catalogue.retention).expire

    def fail_once(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise StorageUnavailable("for a moment")
        return expire(*arguments)

    monkeypatch.setattr(type(storage.catalogue.retention), "expire", fail_once)
    with capture_logs() as logs:
        store = await start(Rules(results=SOON))
        job = await completed(store)
        await until_raises(BlobNotFound, store, Fetch(job.id, 100))

    assert [log["event"] for log in logs].count("retention_failed") == 1


async def test_what_could_not_be_deleted_goes_with_the_record(start, storage):
    store = await start(Rules(results=SOON, records=timedelta(seconds=300)))
    job = await completed(store)
    storage.outputs.broken = StorageUnavailable("for a while")
    with capture_logs() as logs, trio.fail_after(PATIENCE):
        while "file_left_behind" not in {log["event"] for log in logs}:  # noqa: ASYNC110
            await trio.sleep(0.001)
    left = set(storage.outputs.keys)
    storage.outputs.broken = None

    await until_raises(JobNotFound, store, Find(job.id))

    await until_empty(storage)
    assert left == {output.key for output in job.outputs}


async def test_a_store_that_stops_does_not_wait_for_the_next_sweep(start):
    store = await start(Rules(results=SOON), period=10**6)

    await store.close()
