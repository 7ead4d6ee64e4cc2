"""Copies of a storage: complete, consistent, and never half there."""

import errno
import itertools
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from actors.storage import copying
from actors.storage.copying import back_up, places_below
from actors.storage.keys import key_of
from actors.storage.opening import open_storage, view_storage
from actors.storage.ports import JobNotFound, NewInput, NewJob, StorageUnavailable
from actors.storage.retention import Rules
from actors.storage.soundness import look_at_places
from tests.conftest import NOON, places_in
from tests.storage.catalogues import ANY, OUTPUT, RECEIPT, Each, minute, new_image, some_id

NUMBERS = itertools.count(1)


@pytest.fixture
def places(tmp_path):
    return places_in(tmp_path / "original")


@pytest.fixture
def storage(places):
    with open_storage(places) as storage:
        yield storage


@pytest.fixture
def target(tmp_path):
    return tmp_path / "copy"


def add_job(storage, image=None):
    """Accept a job, with its file or of an image, and return its id."""
    job_id = some_id(next(NUMBERS))
    key = key_of(job_id, ".jpg")
    sent = image or NewInput(key=key, size_bytes=4, sha256=storage.inputs.put(key, b"sent"))
    Each(storage.catalogue).add(
        NewJob(id=job_id, priority="normal", operation="", recipe="{}", input=sent, max_attempts=3),
        NOON,
    )
    return job_id


def complete(storage, job_id):
    """Have that job done, which must be the first."""
    each = Each(storage.catalogue)
    (job,) = each.claim([ANY], minute(1))
    assert job.id == job_id
    key = key_of(job_id, ".png", job.attempts)
    output = replace(OUTPUT, key=key, size_bytes=4, sha256=storage.outputs.put(key, b"made"))
    each.complete(job_id, job.attempts, [output], RECEIPT, minute(2))
    return job_id


def add_image(storage):
    image_id = some_id(next(NUMBERS))
    key = key_of(image_id, ".gif")
    sha256 = storage.inputs.put(key, b"kept")
    new = replace(new_image(image_id), key=key, size_bytes=4, sha256=sha256)
    return Each(storage.catalogue).add_image(new, NOON)


def delete(storage, job_id):
    removed = Each(storage.catalogue).delete(job_id, minute(3))
    for key in removed.inputs:
        storage.inputs.delete(key)
    for key in removed.outputs:
        storage.outputs.delete(key)


def files_of(directory):
    return {
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and path.name != ".calotype"
    }


def between(monkeypatch, before=None, after=None):
    """Have something happen before and after the catalogue is copied."""
    copy = copying.copy_catalogue

    def copy_with_life_around(source, target):
        if before:
            before()
        copy(source, target)
        if after:
            after()

    monkeypatch.setattr(copying, "copy_catalogue", copy_with_life_around)


def check(target):
    """Each file in the copy is named by its catalogue, and the other way round."""
    places = places_below(target)
    assert look_at_places(places) == []
    with view_storage(places) as copy:
        each = Each(copy.catalogue)
        jobs = [job for _, job in each.do(lambda it: it.upkeep.jobs(0, 99))]
        images = each.do(lambda it: it.upkeep.images("", 99))
    inputs = {job.own_input[0] for job in jobs if job.own_input} | {each.key for each in images}
    assert files_of(places.inputs) == inputs
    assert files_of(places.outputs) == {each.key for job in jobs for each in job.outputs}
    return {job.id: job for job in jobs}


def test_a_copy_has_what_there_is_and_can_be_opened(storage, places, target):
    done = complete(storage, add_job(storage))
    image = add_image(storage)
    pending = add_job(storage, image.id)
    storage.inputs.put(key_of(some_id(99), ".jpg"), b"of nobody")

    copied = back_up(places, target)

    assert (copied.jobs, copied.images, copied.files) == (2, 1, 4)
    assert (copied.dropped, copied.missing) == (0, 0)
    assert check(target).keys() == {done, pending}
    with open_storage(places_below(target)) as opened:
        each = Each(opened.catalogue)
        assert opened.inputs.get(each.find(pending).input_key) == b"kept"
        assert opened.outputs.get(each.find(done).outputs[0].key) == b"made"
        # What happens to the copy does not happen to the original.
        delete(opened, done)
    assert Each(storage.catalogue).find(done)
    assert storage.outputs.get(Each(storage.catalogue).find(done).outputs[0].key) == b"made"


def test_files_are_linked_and_where_that_cannot_be_copied(storage, places, target, monkeypatch):
    job = Each(storage.catalogue).find(add_job(storage))

    back_up(places, target)
    linked = places_below(target).inputs / job.input_key

    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "no")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    synced = set()
    fsync = os.fsync

    def noted_fsync(descriptor):
        synced.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    other = target.with_name("other")
    back_up(places, other)
    copied = places_below(other).inputs / job.input_key

    assert linked.samefile(places.inputs / job.input_key)
    assert not copied.samefile(linked)
    assert copied.read_bytes() == b"sent"
    assert copied.name in synced
    check(other)


def test_what_no_record_names_is_no_younger_afterwards(storage, places, target):
    orphan = key_of(some_id(99), ".jpg")
    storage.inputs.put(orphan, b"of nobody")
    kept_since = storage.inputs.kept_since(orphan)

    back_up(places, target)

    assert storage.inputs.kept_since(orphan) == kept_since


def test_what_comes_before_the_catalogue_is_copied_is_in_it(storage, places, target, monkeypatch):
    jobs = []
    between(monkeypatch, before=lambda: jobs.append(add_job(storage)))

    back_up(places, target)

    assert list(check(target)) == jobs


def test_what_comes_and_goes_afterwards_leaves_no_trace(storage, places, target, monkeypatch):
    kept = add_job(storage)
    lived = add_job(storage)

    def after():
        add_job(storage)
        delete(storage, lived)

    between(monkeypatch, after=after)

    copied = back_up(places, target)

    # Its files were linked before, so it is in the copy as it was.
    assert check(target).keys() == {kept, lived}
    assert copied.dropped == 0


def test_what_came_after_the_first_look_and_went_before_the_second_is_not_in_it(
    storage, places, target, monkeypatch
):
    short: list[str] = []
    images = []

    def before():
        short.extend(complete(storage, add_job(storage)) for _ in range(2))
        images.append(add_image(storage))
        short.append(add_job(storage, images[0].id))

    def after():
        each = Each(storage.catalogue)
        delete(storage, short[0])
        each.do(lambda it: it.retention.expire(Rules(results=timedelta()), minute(9), 9))
        unneeded = each.do(lambda it: it.retention.purge(minute(10), 9))
        for key in unneeded.inputs:
            storage.inputs.delete(key)
        for key in unneeded.outputs:
            storage.outputs.delete(key)
        delete(storage, short[2])
        for key in each.delete_image(images[0].id):
            storage.inputs.delete(key)

    between(monkeypatch, before, after)

    copied = back_up(places, target)
    with view_storage(places_below(target)) as copy:
        each = Each(copy.catalogue)
        gone = each.find(short[1])
        assert each.do(lambda it: it.upkeep.images("", 9)) == []
        for job_id in (short[0], short[2]):
            with pytest.raises(JobNotFound):
                each.find(job_id)

    assert (gone.status, gone.gone_at is not None) == ("completed", True)
    assert copied.dropped == 4
    assert copied.missing == 0
    assert look_at_places(places_below(target)) == []


def test_what_is_being_worked_on_has_not_been_begun_in_the_copy(storage, places, target):
    job_id = add_job(storage)
    Each(storage.catalogue).claim([ANY], minute(1))

    back_up(places, target)

    job = check(target)[job_id]
    assert (job.status, job.attempts) == ("pending", 0)


def test_files_that_were_missing_before_are_told(storage, places, target):
    job = Each(storage.catalogue).find(add_job(storage))
    storage.inputs.delete(job.input_key)

    copied = back_up(places, target)

    assert (copied.missing, copied.dropped, copied.jobs) == (1, 0, 1)


def test_what_is_interrupted_leaves_nothing(storage, places, target, monkeypatch):
    add_job(storage)

    def interrupt():
        raise KeyboardInterrupt

    between(monkeypatch, after=interrupt)

    with pytest.raises(KeyboardInterrupt):
        back_up(places, target)

    assert [path.name for path in target.parent.iterdir()] == ["original"]


def test_what_a_crash_has_left_is_made_anew(storage, places, target):
    job_id = add_job(storage)
    left = target.with_name(".copy.partial")
    (left / "uploads").mkdir(parents=True)
    (left / "uploads" / "half").write_bytes(b"half")

    back_up(places, target)

    assert check(target).keys() == {job_id}
    assert not left.exists()


def test_a_target_that_is_there_or_being_made_is_not_touched(storage, places, target, monkeypatch):
    def make_it_as_well():
        with pytest.raises(StorageUnavailable, match="being made"):
            back_up(places, target)

    between(monkeypatch, after=make_it_as_well)

    back_up(places, target)
    before = files_of(target)
    with pytest.raises(StorageUnavailable, match="there already"):
        back_up(places, target)

    assert files_of(target) == before


def test_of_no_storage_there_is_no_copy(tmp_path):
    with pytest.raises(StorageUnavailable):
        back_up(places_in(tmp_path / "nowhere"), tmp_path / "copy")

    assert list(tmp_path.iterdir()) == []


def test_the_files_are_on_the_disk_before_the_copy_has_its_name(
    storage, places, target, monkeypatch
):
    calls = []
    monkeypatch.setattr(os, "sync", lambda: calls.append(("sync", target.exists())))
    add_job(storage)

    back_up(places, target)

    assert calls == [("sync", False)]
