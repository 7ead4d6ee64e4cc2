"""A storage belongs to one process at a time."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlite_utils import Database

from actors.storage.migrations.steps import migrations
from actors.storage.opening import is_open, open_beside, open_storage
from actors.storage.ports import Elsewhere, Job, Query, StorageUnavailable
from tests.conftest import NOON, places_in
from tests.storage.catalogues import ANY, OUTPUT, RECEIPT, Each, new_job

ROOT = Path(__file__).parent.parent.parent

HOLD = """
import sys
from pathlib import Path
from actors.storage.opening import open_storage
from tests.conftest import places_in
from tests.storage.catalogues import Each, NOON, new_job
with open_storage(places_in(Path(sys.argv[1]))) as storage:
    storage.inputs.put("3f/a", b"data")
    Each(storage.catalogue).add(new_job("a"), NOON)
    print("open", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(directory):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "open\n"
            yield process
        finally:
            process.kill()


def test_opening_makes_what_is_missing(tmp_path):
    places = places_in(tmp_path / "new" / "place")

    with open_storage(places) as storage:
        storage.inputs.put("3f/a", b"in")
        storage.outputs.put("3f/a", b"out")
        job = Each(storage.catalogue).add(new_job("a"), NOON)

    assert places.catalogue.is_file()
    assert (places.inputs / "3f" / "a").read_bytes() == b"in"
    assert (places.outputs / "3f" / "a").read_bytes() == b"out"
    assert job.status == "pending"


def test_what_was_made_is_on_the_disk_by_name(tmp_path, monkeypatch):
    synced = set()
    fsync = os.fsync

    def noted_fsync(descriptor):
        synced.add(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    with open_storage(places_in(tmp_path / "new" / "place")):
        pass

    assert {str(tmp_path), str(tmp_path / "new"), str(tmp_path / "new" / "place")} <= synced


def test_a_second_opening_is_refused_until_the_first_has_ended(tmp_path):
    with (
        open_storage(places_in(tmp_path)),
        pytest.raises(StorageUnavailable, match="another process"),
        open_storage(places_in(tmp_path)),
    ):
        pass

    with open_storage(places_in(tmp_path)) as storage:
        assert Each(storage.catalogue).pending() == 0


def test_a_second_process_is_refused_and_takes_over_when_the_first_is_killed(tmp_path):
    with another_process(tmp_path) as process:
        with (
            pytest.raises(StorageUnavailable, match="another process"),
            open_storage(places_in(tmp_path)),
        ):
            pass
        process.kill()
        process.wait()

        with open_storage(places_in(tmp_path)) as storage:
            job = Each(storage.catalogue).find("a")
            data = storage.inputs.get("3f/a")

    assert (job.status, data) == ("pending", b"data")


def test_a_refused_opening_touches_nothing(tmp_path):
    with another_process(tmp_path):
        (tmp_path / "inputs" / ".partial" / "7").write_bytes(b"half")  # In the other's hands.

        with pytest.raises(StorageUnavailable), open_storage(places_in(tmp_path)):
            pass

        assert (tmp_path / "inputs" / ".partial" / "7").read_bytes() == b"half"


def test_an_opening_that_fails_half_way_lets_go_of_everything(tmp_path):
    (tmp_path / "outputs").write_bytes(b"in the way")

    with pytest.raises(StorageUnavailable), open_storage(places_in(tmp_path)):
        pass
    (tmp_path / "outputs").unlink()

    with open_storage(places_in(tmp_path)) as storage:
        assert Each(storage.catalogue).pending() == 0


@pytest.mark.parametrize("name", ["calotype.db", "inputs", "outputs"])
def test_what_cannot_be_made_is_unavailable(tmp_path, name):
    places = places_in(tmp_path)
    if name == "calotype.db":
        places.catalogue.mkdir()
    else:
        (tmp_path / name).write_bytes(b"in the way")

    with pytest.raises(StorageUnavailable), open_storage(places):
        pass


def test_a_lock_file_in_an_impossible_place_is_unavailable(tmp_path):
    (tmp_path / "calotype.db.lock").mkdir()

    with pytest.raises(StorageUnavailable), open_storage(places_in(tmp_path)):
        pass


def test_the_error_of_the_block_goes_through(tmp_path):
    with pytest.raises(ZeroDivisionError), open_storage(places_in(tmp_path)):
        raise ZeroDivisionError

    with open_storage(places_in(tmp_path)):
        pass


def test_a_directory_that_belongs_to_another_catalogue_is_refused_and_left_alone(tmp_path):
    first = places_in(tmp_path)
    with open_storage(first) as storage:
        storage.inputs.put("3f/a", b"data")
    second = replace(first, catalogue=tmp_path / "another.db")

    with pytest.raises(StorageUnavailable, match="inputs are the inputs of"):
        open_storage(second).__enter__()

    with open_storage(first) as storage:
        assert storage.inputs.get("3f/a") == b"data"


def test_two_catalogues_cannot_share_a_directory_at_the_same_time(tmp_path):
    first = places_in(tmp_path)
    second = replace(places_in(tmp_path / "second"), outputs=first.outputs)

    with open_storage(first), pytest.raises(StorageUnavailable, match="another process"):
        open_storage(second).__enter__()


def test_a_directory_that_has_been_marked_by_nobody_is_taken_over(tmp_path):
    places = places_in(tmp_path)
    (places.inputs / "3f").mkdir(parents=True)
    (places.inputs / "3f" / "a").write_bytes(b"data")

    with open_storage(places) as storage:
        assert storage.inputs.get("3f/a") == b"data"
    with open_storage(places) as storage:
        assert storage.inputs.get("3f/a") == b"data"


@pytest.mark.parametrize("name", ["inputs", "outputs"])
def test_a_bare_directory_is_not_taken_for_one_whose_files_the_catalogue_names(tmp_path, name):
    places = places_in(tmp_path)
    with open_storage(places) as storage:
        each = Each(storage.catalogue)
        each.add(new_job("a"), NOON)
        each.claim([ANY], NOON)
        each.complete("a", 1, [OUTPUT], RECEIPT, NOON)
        storage.inputs.put("3f/a", b"data")
    (tmp_path / name).rename(tmp_path / "disk")
    (tmp_path / name).mkdir()

    for _ in range(2):
        with pytest.raises(StorageUnavailable, match="is its disk mounted"):
            open_storage(places).__enter__()

    assert [each.name for each in (tmp_path / name).iterdir()] == [".calotype"]
    (tmp_path / name / ".calotype").unlink()
    (tmp_path / name).rmdir()
    (tmp_path / "disk").rename(tmp_path / name)
    with open_storage(places) as storage:
        assert storage.inputs.get("3f/a") == b"data"


def test_a_directory_in_which_nothing_is_to_be_is_marked_anew(tmp_path):
    places = places_in(tmp_path)
    with open_storage(places) as storage:
        Each(storage.catalogue).add(new_job("a"), NOON)
    shutil.rmtree(places.outputs)

    with open_storage(places) as storage:
        assert Each(storage.catalogue).find("a").status == "pending"


def test_of_a_directory_that_has_lost_its_mark_the_files_are_taken_over(tmp_path):
    places = places_in(tmp_path)
    with open_storage(places) as storage:
        Each(storage.catalogue).add(new_job("a"), NOON)
        storage.inputs.put("3f/a", b"data")
    (places.inputs / ".calotype").unlink()

    with open_storage(places) as storage:
        assert storage.inputs.get("3f/a") == b"data"


def test_swapped_directories_are_refused(tmp_path):
    places = places_in(tmp_path)
    with open_storage(places):
        pass
    swapped = replace(places, inputs=places.outputs, outputs=places.inputs)

    with pytest.raises(StorageUnavailable, match="are the outputs of"), open_storage(swapped):
        pass


# --- Beside the service ---------------------------------------------------------------------------


def add_beside(path: Path, name: str) -> None:
    with open_beside(path) as catalogue:
        Each(catalogue).add(new_job(name, image=Elsewhere("http://example.org/a.png")), NOON)


def test_what_is_not_there_yet_is_made_and_left_to_the_service(tmp_path):
    places = places_in(tmp_path / "new" / "place")

    add_beside(places.catalogue, "a")

    with open_storage(places) as storage:
        assert Each(storage.catalogue).find("a").status == "pending"


def test_the_service_and_who_writes_beside_it_see_what_the_other_did(tmp_path):
    places = places_in(tmp_path)
    with open_storage(places) as storage:
        each = Each(storage.catalogue)
        each.add(new_job("a"), NOON)

        with open_beside(places.catalogue) as beside:
            found = Each(beside).find("a")
            each.add(new_job("b"), NOON)
            Each(beside).add(new_job("c"), NOON)

        assert found.id == "a"
        assert {job.id for job in each.page(Query(limit=9)).jobs} == {"a", "b", "c"}
        each.add(new_job("d"), NOON)


def test_who_is_open_beside_does_not_keep_the_service_from_starting(tmp_path):
    places = places_in(tmp_path)

    with open_beside(places.catalogue) as beside, open_storage(places) as storage:
        Each(beside).add(new_job("a"), NOON)
        assert Each(storage.catalogue).find("a").id == "a"


def test_a_catalogue_of_an_older_version_is_migrated_only_if_nobody_has_it_open(tmp_path):
    places = places_in(tmp_path)
    database = Database(sqlite3.connect(places.catalogue))
    migrations.apply(database, stop_before="0005_keys")
    database.close()
    lock = places.catalogue.with_name("calotype.db.lock")

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with (
            pytest.raises(StorageUnavailable, match="older version"),
            open_beside(places.catalogue),
        ):
            pass

    add_beside(places.catalogue, "a")


def test_a_batch_waits_for_another_process_to_end_its_transaction(tmp_path):
    """Also if the other commits between our first look and our first write."""
    places = places_in(tmp_path)
    with (
        open_storage(places) as storage,
        open_beside(places.catalogue) as beside,
        ThreadPoolExecutor(1) as thread,
    ):
        writing = []

        def slowly(it):
            it.pending()
            writing.append(thread.submit(beside.batch, [lambda it: it.add(new_job("b"), NOON)]))
            time.sleep(0.1)
            return it.add(new_job("a"), NOON)

        (job,) = storage.catalogue.batch([slowly])
        writing[0].result()

        assert isinstance(job, Job)
        assert Each(storage.catalogue).pending() == 2


def test_many_writes_from_both_sides_all_come_through(tmp_path):
    places = places_in(tmp_path)
    with (
        open_storage(places) as storage,
        open_beside(places.catalogue) as beside,
        ThreadPoolExecutor(2) as threads,
    ):

        def add_many(catalogue, name):
            def look_and_add(number):
                return lambda it: (it.pending(), it.add(new_job(f"{name}{number}"), NOON))

            return [catalogue.batch([look_and_add(number)]) for number in range(50)]

        ours = threads.submit(add_many, storage.catalogue, "a")
        theirs = threads.submit(add_many, beside, "b")

        results = [*ours.result(), *theirs.result()]
        assert all(isinstance(result, tuple) for (result,) in results)
        assert Each(storage.catalogue).pending() == 100


def test_whether_it_is_open_is_seen_without_opening_it(tmp_path):
    places = places_in(tmp_path)
    before = is_open(places)
    with open_storage(places):
        meanwhile = is_open(places)

    assert (before, meanwhile, is_open(places)) == (False, True, False)
    assert not is_open(places_in(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()
