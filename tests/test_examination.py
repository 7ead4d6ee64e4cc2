"""Whether records and files agree: nothing is told that was only on its way."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from actors.examination import Examination
from actors.mending import Mending, Tidying
from actors.storage import soundness
from actors.storage.audit import AUDIT
from actors.storage.files import Files
from actors.storage.keys import key_of
from actors.storage.opening import open_storage
from actors.storage.ports import NewInput, NewJob, Storage, StorageUnavailable, WrongStatus
from tests.conftest import NOON, places_in
from tests.storage.catalogues import ANY, OUTPUT, RECEIPT, Each, minute, some_id

JOB = some_id(1)


@pytest.fixture
def places(tmp_path):
    return places_in(tmp_path)


@pytest.fixture
def storage(places):
    """A storage with one job that is completed."""
    with open_storage(places) as storage:
        add(storage, JOB)
        each = Each(storage.catalogue)
        each.claim([ANY], minute(1))
        key = key_of(JOB, ".png", 1)
        made = replace(OUTPUT, key=key, size_bytes=4, sha256=storage.outputs.put(key, b"made"))
        each.complete(JOB, 1, [made], RECEIPT, minute(2))
        yield storage


def add(storage, job_id):
    key = key_of(job_id, ".jpg")
    sent = NewInput(key=key, size_bytes=4, sha256=storage.inputs.put(key, b"sent"))
    new = NewJob(
        id=job_id, priority="normal", operation="", recipe="{}", input=sent, max_attempts=3
    )
    return Each(storage.catalogue).add(new, NOON)


def examine(storage, *, digests=True, is_served=True, is_old=True, mending=None):
    examination = Examination(
        storage,
        digests=digests,
        is_served=lambda: is_served,
        is_old=lambda _: is_old,
        mending=mending,
    )
    return list(examination.run())


def kinds(findings):
    return [finding.kind for finding in findings]


def mender(storage):
    return Mending(storage, lambda: datetime.now(UTC), "me", AUDIT)


class Watched(Files):
    """Files of which each look is told before it is had."""

    def __init__(self, directory, looked):
        super().__init__(directory)
        self._looked = looked

    def size(self, key):
        self._looked(key)
        return super().size(key)

    def kept_since(self, key):
        self._looked(key)
        return super().kept_since(key)


def test_what_agrees_is_sound_and_was_looked_at(storage):
    add(storage, some_id(2))
    examination = Examination(storage, digests=True, is_served=lambda: True, is_old=lambda _: True)

    assert list(examination.run()) == []
    assert (examination.counts.jobs, examination.counts.files) == (2, 3)


def test_pages_are_turned(storage, monkeypatch):
    monkeypatch.setattr("actors.examination.PAGE", 2)
    for number in range(2, 8):
        storage.inputs.delete(add(storage, some_id(number)).input_key)

    assert kinds(examine(storage)) == ["file_missing"] * 6


def test_a_job_that_is_deleted_while_it_is_looked_at_is_not_told(storage, places):
    def delete(key):
        Each(storage.catalogue).delete(JOB, minute(3))
        storage.inputs.delete(key)

    watched = Storage(storage.catalogue, Watched(places.inputs, delete), storage.outputs)
    storage.outputs.delete(Each(storage.catalogue).find(JOB).outputs[0].key)

    assert examine(watched) == []


def test_a_file_whose_record_arrives_while_it_is_looked_at_is_no_orphan(storage, places):
    key = key_of(some_id(2), ".jpg")
    sha256 = storage.inputs.put(key, b"sent")
    sent = NewInput(key=key, size_bytes=4, sha256=sha256)
    new = NewJob(
        id=some_id(2), priority="normal", operation="", recipe="{}", input=sent, max_attempts=3
    )

    def arrive(looked_at):
        if looked_at == key:
            Each(storage.catalogue).add(new, NOON)

    watched = Storage(storage.catalogue, Watched(places.inputs, arrive), storage.outputs)

    assert examine(watched) == []


@pytest.mark.parametrize(
    ("is_served", "is_old", "expected"),
    [(True, False, []), (True, True, ["orphan"]), (False, False, ["orphan"])],
)
def test_what_may_be_arriving_is_no_orphan(storage, is_served, is_old, expected):
    storage.outputs.put(key_of(some_id(2), ".png", 1), b"data")

    assert kinds(examine(storage, is_served=is_served, is_old=is_old)) == expected


def test_beside_a_service_a_job_may_be_processing(storage):
    add(storage, some_id(2))
    Each(storage.catalogue).claim([ANY], minute(3))

    assert examine(storage) == []
    assert kinds(examine(storage, is_served=False)) == ["job_stranded"]


def test_only_reading_them_shows_that_bytes_are_others(storage):
    storage.outputs.put(Each(storage.catalogue).find(JOB).outputs[0].key, b"mad3")

    assert examine(storage, digests=False) == []
    assert kinds(examine(storage)) == ["file_damaged"]


def test_what_cannot_be_read_is_told_and_left_as_it_is(storage, places):
    def fail(_):
        raise StorageUnavailable("Input/output error")

    broken = Storage(storage.catalogue, storage.inputs, Watched(places.outputs, fail))
    before = Each(storage.catalogue).find(JOB)

    (finding,) = examine(broken, mending=mender(broken))

    assert (finding.kind, finding.mended) == ("file_unreadable", None)
    assert Each(storage.catalogue).find(JOB) == before


def test_the_files_of_what_is_gone_may_be_missing(storage):
    Each(storage.catalogue, "upkeep").lose(JOB, minute(3))
    storage.inputs.delete(key_of(JOB, ".jpg"))

    assert examine(storage) == []


def test_a_result_is_only_made_again_of_what_was_sent(storage):
    job = Each(storage.catalogue).find(JOB)
    storage.outputs.delete(job.outputs[0].key)
    storage.inputs.put(str(job.input_key), b"s3nt")

    # Without reading them nobody has noticed yet that the bytes of the input are others.
    (finding,) = examine(storage, digests=False, mending=mender(storage))

    assert (finding.kind, finding.mended) == ("file_missing", "it counts as gone")
    assert Each(storage.catalogue).find(JOB).gone_at is not None


def test_a_failed_job_without_its_input_cannot_be_retried(storage):
    job = add(storage, some_id(2))
    each = Each(storage.catalogue)
    each.cancel(job.id, minute(3))
    storage.inputs.delete(job.input_key)

    (finding,) = examine(storage, mending=mender(storage))

    assert finding.mended
    assert each.find(job.id).gone_at is not None
    assert examine(storage) == []


def test_what_is_mended_is_in_the_audit_or_not_mended(storage):
    job = add(storage, some_id(2))
    storage.inputs.delete(job.input_key)
    mending = mender(storage)

    examine(storage, mending=mending)
    (entry,) = Each(storage.catalogue, "audit").newest(9)
    with pytest.raises(WrongStatus):
        mending.job(job, [])

    assert (entry.action, entry.subject, entry.user) == ("job_mended", job.id, "me")
    assert len(Each(storage.catalogue, "audit").newest(9)) == 1


def test_beside_a_service_no_record_is_mended(storage):
    storage.outputs.delete(Each(storage.catalogue).find(JOB).outputs[0].key)
    storage.inputs.put(key_of(some_id(2), ".jpg"), b"data")

    findings = examine(storage, mending=Tidying())

    assert [(each.kind, each.mended is None) for each in findings] == [
        ("file_missing", True),
        ("orphan", False),
    ]


def test_little_room_is_told_once_for_each_disk(storage, places, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 2**20))

    (finding,) = soundness.look_at_places(places)

    assert (finding.kind, finding.text) == ("room_low", "only 1 MiB are free")
