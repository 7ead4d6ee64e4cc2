"""Room that is kept for deletions."""

import os
from typing import NamedTuple

import pytest

from actors.storage.ports import Job, StorageFull
from actors.storage.reserve import Reserve
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import Each, new_job

SIZE = 64 * 1024


class Room(NamedTuple):
    """What the system says of a disk: so many blocks, each of so many bytes."""

    f_bavail: int
    f_frsize: int


@pytest.fixture
def path(tmp_path):
    return tmp_path / "reserve"


@pytest.fixture
def room(monkeypatch):
    """What sets how many bytes are free."""

    def leave(size):
        monkeypatch.setattr(os, "statvfs", lambda _: Room(size, 1))

    return leave


def test_it_takes_room_on_the_disk(path):
    Reserve(path, SIZE).require()

    assert path.stat().st_blocks * 512 >= SIZE


def test_what_a_killed_process_has_begun_is_deleted(path):
    begun = path.with_name("reserve-0"), path.with_name("reserve-7")
    for each in begun:
        each.touch()

    Reserve(path, SIZE).require()

    assert path.stat().st_size == SIZE
    assert not any(each.exists() for each in begun)


def test_what_is_given_up_is_taken_again_when_there_is_twice_as_much(path, room):
    reserve = Reserve(path, SIZE)
    reserve.require()
    assert reserve.release()
    assert not path.exists()

    room(2 * SIZE - 1)
    with pytest.raises(StorageFull):
        reserve.require()
    assert not path.exists()
    assert not reserve.release()
    room(2 * SIZE)
    reserve.require()

    assert path.stat().st_size == SIZE


def test_while_it_is_held_nobody_looks_how_much_room_there_is(path, room):
    reserve = Reserve(path, SIZE)
    reserve.require()
    room(0)

    reserve.require()


def test_that_of_a_process_that_was_killed_is_taken_over(path, room):
    Reserve(path, SIZE).require()
    room(0)

    reserve = Reserve(path, SIZE)

    reserve.require()
    assert reserve.release()


def test_a_room_that_cannot_be_had_after_all_leaves_nothing(path, monkeypatch, tmp_path):
    def find_none(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", find_none)

    with pytest.raises(StorageFull):
        Reserve(path, SIZE).require()

    assert list(tmp_path.iterdir()) == []


def test_the_owner_of_a_catalogue_has_one_and_who_is_open_beside_leaves_it_alone(tmp_path):
    path = tmp_path / "jobs.db"
    reserve = tmp_path / "jobs.db-reserve"
    owner = SqliteCatalogue(path)
    SqliteCatalogue(path, "guest").close()
    SqliteCatalogue(path, "viewer").close()
    assert reserve.exists()

    owner.close()

    assert not reserve.exists()


def test_without_it_a_job_is_deleted_and_none_is_added(tmp_path, room):
    catalogue = SqliteCatalogue(tmp_path / "jobs.db")
    each = Each(catalogue)
    each.add(new_job("a"), NOON)
    assert catalogue.reserve
    catalogue.reserve.release()
    room(0)

    with pytest.raises(StorageFull):
        each.add(new_job("b"), NOON)
    removed = each.delete("a", NOON)

    room(2**30)
    assert removed.job.id == "a"
    assert isinstance(each.add(new_job("b"), NOON), Job)
    catalogue.close()
