"""The Store does once what has a name, and tells the same each time."""

from dataclasses import replace
from datetime import timedelta

import pytest
import trio

from actors.messages import (
    Cancel,
    Count,
    Delete,
    DeleteImage,
    Find,
    FindImage,
    KeepImage,
    Retry,
    Settle,
    Submit,
)
from actors.storage.keeping import Keeping
from actors.storage.ports import ImageNotFound, JobNotFound, StorageUnavailable, WrongStatus
from actors.storage.repeats import AnswerForgotten, DoneBefore, Once, OtherRequest
from tests.conftest import THUMBNAIL, MemoryStorage
from tests.test_store import FACTS, LIMITS, NOWHERE, SUBMIT, Running

ONCE = Once("a", "5f")
NAMED = replace(SUBMIT, once=ONCE)


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
async def store(nursery, storage):
    running = Running(storage)
    await nursery.start(running.run)
    return running


async def repeated(store, message):
    """Return what a message is answered with that was done before."""
    with pytest.raises(DoneBefore) as caught:
        await store.ask(message)
    return caught.value.args[0]


async def test_a_submit_that_comes_again_is_answered_as_the_first_time(store, storage):
    first = await store.ask(NAMED)
    await store.claim()

    again = await repeated(store, NAMED)

    assert again == first
    assert again.status == "pending"
    assert (await store.ask(Count())).count("processing") == 1
    # What was sent the second time is not kept twice.
    assert storage.inputs.keys == {first.input_key}


async def test_many_submits_at_the_same_moment_are_one(store, storage):
    answers = []

    async def submit():
        try:
            answers.append(await store.ask(NAMED))
        except DoneBefore as error:
            answers.append(error.args[0])

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(submit)

    assert len({job.id for job in answers}) == 1
    assert (await store.ask(Count())).count("pending") == 1
    assert len(storage.inputs.keys) == 1


async def test_another_tenant_may_use_the_same_name(store):
    first = await store.ask(NAMED)
    other = await store.ask(replace(NAMED, tenant="acme"))

    assert first.id != other.id
    assert (await repeated(store, replace(NAMED, tenant="acme"))).id == other.id


async def test_another_request_may_not(store):
    job = await store.ask(NAMED)

    for other in (
        replace(NAMED, once=Once("a", "6e")),
        Cancel(job.id, once=Once("a", "6e")),
        Settle("text", once=Once("a", "6e")),
    ):
        with pytest.raises(OtherRequest):
            await store.ask(other)
    assert (await store.ask(Find(job.id))).status == "pending"


async def test_what_was_refused_can_be_tried_again_under_its_name(store, storage):
    missing = Submit(NOWHERE, "thumbnail", THUMBNAIL, "normal", once=ONCE)
    with pytest.raises(ImageNotFound):
        await store.ask(missing)
    storage.inputs.broken = StorageUnavailable()
    with pytest.raises(StorageUnavailable):
        await store.ask(NAMED)
    storage.inputs.broken = None

    assert (await store.ask(NAMED)).status == "pending"


async def test_a_cancel_and_a_retry_are_done_once(store):
    job = await store.submit()
    cancelled = await store.ask(Cancel(job.id, once=ONCE))
    pending = await store.ask(Retry(job.id, once=Once("b", "5f")))

    assert await repeated(store, Cancel(job.id, once=ONCE)) == cancelled
    assert (await store.ask(Find(job.id))).status == "pending"
    await store.ask(Cancel(job.id))
    assert await repeated(store, Retry(job.id, once=Once("b", "5f"))) == pending
    assert (await store.ask(Find(job.id))).status == "cancelled"


async def test_a_cancel_that_came_too_late_is_not_kept(store):
    job = await store.submit()
    (claimed,) = await store.claim()
    await store.ask(Delete(claimed.id))

    with pytest.raises(JobNotFound):
        await store.ask(Cancel(job.id, once=ONCE))
    other = await store.submit()
    await store.ask(Cancel(other.id))
    await store.ask(Retry(other.id, once=ONCE))
    with pytest.raises(WrongStatus):
        await store.ask(Retry(other.id, once=Once("b", "5f")))


async def test_an_image_is_kept_once(store, storage):
    message = KeepImage(b"logo", FACTS, "{}", once=ONCE)
    first = await store.ask(message)

    assert await repeated(store, message) == first
    assert storage.inputs.keys == {first.key}
    assert await store.ask(FindImage(first.id)) == first


async def test_nothing_is_told_of_what_was_deleted_and_it_is_not_made_again(store, storage):
    job = await store.ask(NAMED)
    image = await store.ask(KeepImage(b"logo", FACTS, "{}", once=Once("b", "5f")))
    await store.ask(Delete(job.id))
    await store.ask(DeleteImage(image.id))

    for message in (NAMED, KeepImage(b"logo", FACTS, "{}", once=Once("b", "5f"))):
        with pytest.raises(AnswerForgotten):
            await store.ask(message)
    assert storage.inputs.keys == set()


async def test_a_text_is_settled_by_the_first_who_says_it(store):
    assert await store.ask(Settle("first", once=ONCE)) == "first"
    assert await repeated(store, Settle("second", once=ONCE)) == "first"


async def test_a_name_is_forgotten_with_its_time(nursery, storage):
    # The clock of the store is a second later at each look.
    short = replace(LIMITS, repeats=Keeping(most=10, age=timedelta(seconds=6)))
    store = Running(storage, short)
    await nursery.start(store.run)
    first = await store.ask(NAMED)
    assert (await repeated(store, NAMED)).id == first.id
    for _ in range(6):
        await store.submit()

    assert (await store.ask(NAMED)).id != first.id


async def test_an_answer_of_an_older_version_that_cannot_be_read_is_not_done_again(store, storage):
    job = await store.ask(NAMED)
    register = storage.catalogue.repeats
    (record,) = register._records[""].values()
    register._records[""]["a"] = replace(record, answer=f'{{"id":"{job.id}"}}')

    with pytest.raises(AnswerForgotten):
        await store.ask(NAMED)
    assert (await store.ask(Count())).count("pending") == 1


async def test_deletions_are_in_the_audit_with_who_did_it(store, storage):
    job = await store.ask(replace(SUBMIT, tenant="acme"))
    image = await store.ask(KeepImage(b"logo", FACTS, "{}"))
    with pytest.raises(JobNotFound):
        await store.ask(Delete(job.id, tenant="other", key_id="stranger"))
    with pytest.raises(ImageNotFound):
        await store.ask(DeleteImage(NOWHERE, key_id="stranger"))

    await store.ask(Delete(job.id, tenant="acme", key_id="5f"))
    await store.ask(DeleteImage(image.id))

    told = [
        (entry.action, entry.subject, entry.tenant, entry.key_id, entry.user)
        for entry in storage.catalogue.audit.newest(9)
    ]
    assert told == [
        ("image_deleted", image.id, "", None, None),
        ("job_deleted", job.id, "acme", "5f", None),
    ]
