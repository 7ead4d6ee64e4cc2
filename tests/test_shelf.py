"""Files of jobs and images: what is swept, and what never is."""

from dataclasses import replace

import pytest
import trio

from actors.group_commit import GroupCommit
from actors.shelf import Shelf
from actors.storage.keys import key_of
from actors.storage.ports import StorageInDoubt, StorageUnavailable
from tests.conftest import NOON, FragileBlobs
from tests.storage.catalogues import (
    ANY,
    OUTPUT,
    RECEIPT,
    Each,
    new_image,
    new_job,
)
from tests.storage.memory.catalogue import MemoryCatalogue

JOB = "3f2a0000-0000-4000-8000-000000000000"
IMAGE = "5e000000-0000-4000-8000-000000000000"


@pytest.fixture
def blobs():
    return FragileBlobs()


@pytest.fixture
def shelf(blobs):
    return Shelf(blobs, trio.CapacityLimiter(2))


@pytest.fixture
def records():
    return MemoryCatalogue()


@pytest.fixture
async def commits(nursery, records):
    commits = GroupCommit(8)
    nursery.start_soon(commits.run, records, lambda: lambda _: None, lambda _: None, print)
    return commits


@pytest.mark.parametrize(("error", "stays"), [(StorageUnavailable, False), (StorageInDoubt, True)])
async def test_what_came_to_nothing_is_deleted_unless_that_is_in_doubt(shelf, blobs, error, stays):
    key = key_of(JOB, ".jpg")

    with pytest.raises(error):
        async with shelf.kept(key, b"data"):
            raise error

    assert (key in blobs.keys) == stays


async def test_a_sweep_takes_what_nobody_needs(shelf, blobs, records, commits):
    each = Each(records)
    each.add_image(new_image(IMAGE), NOON)
    each.add(new_job(JOB, others=(IMAGE,)), NOON)
    each.delete_image(IMAGE)  # But the job needs it still.
    each.claim([ANY], NOON)
    outputs = [replace(OUTPUT, key=key_of(JOB, ".png", attempt=1)) for _ in range(2)]
    job = each.complete(JOB, 1, outputs, RECEIPT, NOON)
    needed = {job.input_key, *job.others.values(), *(output.key for output in outputs)}
    foreign = "3f/readme.txt"
    for key in (*needed, foreign, key_of(JOB, ".png", attempt=1), key_of(IMAGE, ".png")):
        blobs.put(key, b"data")

    await shelf.sweep(commits)

    assert blobs.keys == needed | {foreign}


async def test_a_sweep_leaves_what_is_arriving(shelf, blobs, commits):
    key = key_of(JOB, ".jpg")

    async with shelf.kept(key, b"data"):
        await shelf.sweep(commits)
    arrived = blobs.keys
    await shelf.sweep(commits)

    assert arrived == {key}
    assert blobs.keys == set()  # There is no row.
