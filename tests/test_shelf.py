"""Files of jobs: what is swept, and what never is."""

import pytest
import trio

from actors.group_commit import GroupCommit
from actors.shelf import Shelf, job_of, key_of
from actors.storage.memory import MemoryCatalogue
from tests.conftest import NOON, FragileBlobs
from tests.storage.test_contract import Each, new_job

JOB = "3f2a0000-0000-4000-8000-000000000000"


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


@pytest.mark.parametrize("attempt", [None, 12])
def test_a_key_tells_its_job(attempt):
    assert job_of(key_of(JOB, ".jpg", attempt)) == JOB


@pytest.mark.parametrize(
    "key", [f"3f/{JOB}", f"3f/{JOB}.jpg~", f"{JOB}.jpg", "3f/\udcff.jpg", "3f/"]
)
def test_what_is_no_key_of_ours_has_no_job(key):
    assert job_of(key) is None


async def test_a_sweep_takes_what_no_job_refers_to(shelf, blobs, records, commits):
    Each(records).add(new_job(JOB), NOON)
    (known,) = records.keys([JOB])
    foreign = "3f/readme.txt"
    for key in (known, foreign, key_of(JOB, ".png", attempt=1)):
        blobs.put(key, b"data")

    await shelf.sweep(commits)

    assert blobs.keys == {known, foreign}


async def test_a_sweep_leaves_what_is_arriving(shelf, blobs, commits):
    key = key_of(JOB, ".jpg")

    async with shelf.kept(key, b"data"):
        await shelf.sweep(commits)
    arrived = blobs.keys
    await shelf.sweep(commits)

    assert arrived == {key}
    assert blobs.keys == set()  # There is no row.
