"""Verifying: the same bytes again, and what differs is told."""

import msgspec
import pytest

from actors.imaging.facts import Limits
from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.receipt import details, media_type, receipt, suffix
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.imaging.render import render
from actors.storage.keys import key_of
from actors.storage.opening import open_storage, view_storage
from actors.storage.ports import (
    BlobNotFound,
    JobNotFound,
    NewInput,
    NewJob,
    StorageUnavailable,
    WrongStatus,
)
from actors.storage.ports import Output as Kept
from actors.verification import verify
from tests.conftest import NOON, draw, places_in
from tests.storage.catalogues import Each, some_id

RECIPE = Recipe(
    (
        Output(name="small", operations=(Thumbnail(16, 16),), format="png"),
        Output(name="facts", format="json"),
    )
)
JOB = some_id(1)


@pytest.fixture
def storage(tmp_path, photo):
    """A storage with one job that is pending."""
    with open_storage(places_in(tmp_path)) as opened:
        key = key_of(JOB, ".jpg")
        sha256 = opened.inputs.put(key, photo)
        new = NewJob(
            id=JOB,
            priority="normal",
            operation="",
            recipe=encode_recipe(RECIPE),
            input=NewInput(key=key, size_bytes=len(photo), sha256=sha256),
            max_attempts=3,
        )
        Each(opened.catalogue).add(new, NOON)
        yield opened


@pytest.fixture
def completed(storage, photo):
    """The same, and the job is completed."""
    each = Each(storage.catalogue)
    each.claim([("normal",)], NOON)
    outputs = []
    for made in render(photo, RECIPE):
        key = key_of(JOB, suffix(made), 1)
        outputs.append(
            Kept(
                name=made.name,
                key=key,
                media_type=media_type(made),
                width=made.width,
                height=made.height,
                size_bytes=len(made.data),
                sha256=storage.outputs.put(key, made.data),
                details=details(made),
            )
        )
    each.complete(JOB, 1, outputs, receipt({}), NOON)
    return storage


def test_the_same_job_gives_the_same_bytes(completed):
    verification = verify(completed, JOB, Limits())

    assert [verdict.name for verdict in verification.verdicts] == ["small", "facts"]
    assert verification.is_the_same
    assert verification.versions == ()


def test_it_can_be_verified_while_the_service_has_the_storage_open(completed, tmp_path):
    with view_storage(places_in(tmp_path)) as viewed:
        assert verify(viewed, JOB, Limits()).is_the_same


def test_a_file_that_was_changed_is_told(completed):
    job = Each(completed.catalogue).find(JOB)
    completed.outputs.put(job.outputs[0].key, b"another")

    verification = verify(completed, JOB, Limits())

    assert [(each.kept, each.again) for each in verification.verdicts] == [
        (False, True),
        (True, True),
    ]
    assert not verification.is_the_same


def test_another_result_is_told_with_the_versions_that_differ(completed):
    older = msgspec.json.encode({"versions": {"pillow": "9.9.9"}}).decode()
    job = Each(completed.catalogue).find(JOB)
    completed.catalogue._db.execute("update jobs set receipt = ?", [older])
    completed.inputs.put(job.input_key, draw(20, 10))

    verification = verify(completed, JOB, Limits())

    assert [each.again for each in verification.verdicts] == [False, False]
    assert ("pillow", "9.9.9") in [(name, then) for name, then, _ in verification.versions]


def test_what_is_not_completed_has_nothing_to_compare(storage):
    with pytest.raises(WrongStatus):
        verify(storage, JOB, Limits())


def test_an_unknown_job_is_named(storage):
    with pytest.raises(JobNotFound):
        verify(storage, some_id(2), Limits())


def test_an_output_that_is_gone_is_not_kept_and_the_others_are_judged(completed):
    first, *others = Each(completed.catalogue).find(JOB).outputs
    completed.outputs.delete(first.key)

    verdicts = verify(completed, JOB, Limits()).verdicts

    assert [(each.kept, each.again) for each in verdicts] == [
        (False, True),
        *[(True, True) for _ in others],
    ]


def test_a_file_that_is_gone_is_named(completed):
    job = Each(completed.catalogue).find(JOB)
    completed.inputs.delete(job.input_key)

    with pytest.raises(BlobNotFound):
        verify(completed, JOB, Limits())


def test_looking_makes_nothing(tmp_path):
    with pytest.raises(StorageUnavailable), view_storage(places_in(tmp_path / "nowhere")):
        pass

    assert list(tmp_path.iterdir()) == []


def test_looking_changes_nothing(completed, tmp_path):
    partial = tmp_path / "inputs" / ".partial" / "0"
    partial.write_bytes(b"being written")

    with view_storage(places_in(tmp_path)):
        pass

    assert partial.exists()
