"""A copy of a storage, made while the service runs, that is as good a storage itself.

The catalogue is copied at one moment, and what its records name is linked or copied before and
after: before, what is there, so that little can go away later; after, what has come since. What a
record names and was deleted in between is no longer in the copy either.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from actors.storage.directories import sync_directory
from actors.storage.files import SHARDS, UNLINKABLE, make_shards
from actors.storage.opening import MARK, Places, owner_of_files, view_catalogue
from actors.storage.ports import ENDED, JobNotFound, StorageError, StorageUnavailable
from actors.storage.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from actors.storage.opening import Role
    from actors.storage.ports import Catalogue, ImageRecord, Job

T = TypeVar("T")

PAGE = 500  # records, or names of files, that are in memory at a time


@dataclass
class Copied:
    """What is in a copy, and what could not be.

    `dropped` counts the jobs and images whose files were deleted while it was made, and `missing`
    are the places of files that are named and were not there before either.
    """

    jobs: int = 0
    images: int = 0
    files: int = 0
    dropped: int = 0
    missing: int = 0


def places_below(directory: Path) -> Places:
    """Return where a copy in `directory` has what."""
    return Places(directory / "jobs.db", directory / "uploads", directory / "outputs")


def back_up(places: Places, target: Path) -> Copied:
    """Copy the storage to `target`, beside the service that may have it open.

    It is durable on return, and before that there is no `target`.

    Raises:
      StorageUnavailable: if there is no such storage, or one of another version, or `target` is
        there already; nothing is left.
      OSError: if something cannot be written; nothing is left.
    """
    if os.path.lexists(target):
        raise StorageUnavailable(f"{target} is there already")
    with _beside(target) as partial, view_catalogue(places.catalogue) as live:
        copy = places_below(partial)
        for role, directory in copy.directories.items():
            directory.mkdir()
            make_shards(directory)
            _link_named(places.directories[role], directory, live)
        copy_catalogue(places.catalogue, copy.catalogue)
        catalogue = SqliteCatalogue(copy.catalogue)
        with closing(catalogue):
            copied = _Completion(places, copy, catalogue, live).run()
            for role, directory in copy.directories.items():
                mark = owner_of_files(role, catalogue.identity)
                (directory / MARK).write_text(f"{mark}\n", "utf-8")
        os.sync()  # One call for all files, of which there may be a million.
        partial.rename(target)
        sync_directory(target.parent)
    return copied


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """Yield a new directory that is removed if it is not renamed; also one that a crash has left.

    Raises:
      StorageUnavailable: if another process is making this copy.
    """
    partial = target.with_name(f".{target.name}.partial")
    partial.mkdir(exist_ok=True)
    held = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageUnavailable(f"{target} is being made by another process") from None
        try:
            for left in partial.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(held)


def copy_catalogue(source: Path, target: Path) -> None:
    """Copy a catalogue as it is at one moment. In a single step, nobody who writes disturbs it."""
    address = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(address, uri=True)) as read,
            closing(sqlite3.connect(target)) as written,
        ):
            read.backup(written)
    except sqlite3.Error as error:
        raise StorageUnavailable(f"the catalogue: {error}") from error


def _link_named(source: Path, target: Path, live: Catalogue) -> None:
    """Link what a record names. Others would be as new as the link, and no orphans for an hour."""
    for shard in SHARDS:
        with suppress(FileNotFoundError):
            for keys in _pages(source, shard):
                for key in _ask(live, _named(keys)):
                    _link(source / key, target / key)


def _pages(directory: Path, shard: str) -> Iterator[set[str]]:
    names = os.listdir(directory / shard)  # noqa: PTH208 - plain names are all it takes
    for start in range(0, len(names), PAGE):
        yield {f"{shard}/{name}" for name in names[start : start + PAGE]}


def _link(source: Path, target: Path) -> bool:
    """Let the file be at `target` as well. Return whether it is there now."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return True
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in UNLINKABLE:
            raise
        try:
            shutil.copy2(source, target)
            # Here, since the one call for all files tells of no error.
            with target.open("rb") as file:
                os.fsync(file.fileno())
        except FileNotFoundError:
            return False
    return True


class _Completion:
    """Makes the files of a copy those that its catalogue names."""

    def __init__(self, places: Places, copy: Places, catalogue: Catalogue, live: Catalogue) -> None:
        self._places = places
        self._copy = copy
        self._catalogue = catalogue
        self._live = live
        self._copied = Copied()

    def run(self) -> Copied:
        _ask(self._catalogue, _nobody_works)
        self._complete_images()
        self._complete_jobs()
        for directory in self._copy.directories.values():
            self._remove_others(directory)
        return self._copied

    def _complete_images(self) -> None:
        after = ""
        while images := _ask(self._catalogue, _images_after(after)):
            after = images[-1].id
            for image in images:
                if self._bring("inputs", image.key) or not self._is_deleted(image.key):
                    self._copied.images += 1
                else:
                    self._drop(_forgotten(image.id))

    def _complete_jobs(self) -> None:
        after = 0
        while jobs := _ask(self._catalogue, _jobs_after(after)):
            after = jobs[-1][0]
            for _, job in jobs:
                self._complete_job(job)

    def _complete_job(self, job: Job) -> None:
        named: list[tuple[Role, str]] = [("outputs", each.key) for each in job.outputs]
        if job.own_input:
            named.append(("inputs", job.own_input[0]))
        elif job.input_key and job.status not in ENDED:
            named.append(("inputs", job.input_key))
        if job.status not in ENDED:
            named += [("inputs", key) for key in job.others.values()]
        lost = [key for role, key in named if not self._bring(role, key)]
        # Nobody can ask for what is gone already.
        if job.gone_at is not None or not any(map(self._is_deleted, lost)):
            self._copied.jobs += 1
        elif job.status in ENDED and self._is_still_known(job.id):
            self._copied.jobs += 1
            self._drop(_gone(job.id))
        else:
            self._drop(_deleted(job.id))

    def _bring(self, role: Role, key: str) -> bool:
        target = self._copy.directories[role] / key
        # It may have been there before, and have been deleted since.
        there = _link(self._places.directories[role] / key, target) or target.exists()
        self._copied.files += there
        return there

    def _is_deleted(self, key: str) -> bool:
        """Whether the service needs the file no more, whose absence is then no fault."""
        if _ask(self._live, lambda records: records.known({key})):
            self._copied.missing += 1
            return False
        return True

    def _is_still_known(self, job_id: str) -> bool:
        try:
            _ask(self._live, lambda records: records.find(job_id))
        except JobNotFound:
            return False
        return True

    def _drop(self, call: Callable[[Catalogue], object]) -> None:
        _ask(self._catalogue, call)
        self._copied.dropped += 1

    def _remove_others(self, directory: Path) -> None:
        for shard in SHARDS:
            for keys in _pages(directory, shard):
                for key in keys - _ask(self._catalogue, _named(keys)):
                    (directory / key).unlink()


# --- What is asked of catalogues ------------------------------------------------------------------


def _ask(catalogue: Catalogue, call: Callable[[Catalogue], T]) -> T:
    (told,) = catalogue.batch([call])
    if isinstance(told, StorageError):
        raise told
    return cast("T", told)


def _nobody_works(records: Catalogue) -> None:
    """Undo the claims: in the copy nothing has been begun."""
    for job in records.processing():
        records.unclaim(job.id, job.attempts, datetime.now(UTC))


def _images_after(image_id: str) -> Callable[[Catalogue], list[ImageRecord]]:
    return lambda records: records.upkeep.images(image_id, PAGE)


def _jobs_after(number: int) -> Callable[[Catalogue], list[tuple[int, Job]]]:
    return lambda records: records.upkeep.jobs(number, PAGE)


def _named(keys: set[str]) -> Callable[[Catalogue], set[str]]:
    return lambda records: records.known(keys)


def _forgotten(image_id: str) -> Callable[[Catalogue], object]:
    return lambda records: records.upkeep.lose_image(image_id)


def _gone(job_id: str) -> Callable[[Catalogue], object]:
    return lambda records: records.upkeep.lose(job_id, datetime.now(UTC))


def _deleted(job_id: str) -> Callable[[Catalogue], object]:
    return lambda records: records.delete(job_id, datetime.now(UTC))
