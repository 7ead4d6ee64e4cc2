"""Open the storage that the settings name: the only place that chooses between backends."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Literal

from actors.storage.directories import make_directory
from actors.storage.files import SHARDS, Files
from actors.storage.ports import ENDED, Storage, StorageUnavailable
from actors.storage.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from actors.storage.ports import Catalogue, Job

Role = Literal["inputs", "outputs"]

MARK = ".calotype"
PAGE = 500  # jobs that are looked at at a time


class AlreadyOpen(StorageUnavailable):
    """Another process has it open."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the storage is: a SQLite file, and a directory each for inputs and outputs."""

    catalogue: Path
    inputs: Path
    outputs: Path

    @property
    def directories(self) -> dict[Role, Path]:
        """The directories by what their files are."""
        return {"inputs": self.inputs, "outputs": self.outputs}

    def locate_input(self, key: str) -> str:
        """Return where the bytes of this input are."""
        return str(self.inputs / key)

    def locate_output(self, key: str) -> str:
        """Return where the bytes of this output are."""
        return str(self.outputs / key)


@contextmanager
def open_storage(places: Places) -> Iterator[Storage]:
    """Open the storage for this process alone, making what is missing.

    Two processes on one catalogue would each take the other's running jobs for leftovers, and two
    catalogues on one directory each the other's files. So each place is locked, and a directory
    is marked with what its files are.

    Raises:
      StorageUnavailable: if it cannot be opened, another process has it open, or a directory
        belongs to another catalogue, or is empty though the catalogue names files in it.
      StorageFull: if there is no room for what must be made.
    """
    with ExitStack() as stack:
        stack.enter_context(_locked(_lock_of(places.catalogue)))
        catalogue = SqliteCatalogue(places.catalogue)
        stack.callback(catalogue.close)
        for role, directory in places.directories.items():
            mark = stack.enter_context(_locked(directory / MARK))
            _mark(directory, mark, role, catalogue)
        reserve = catalogue.reserve
        yield Storage(
            catalogue,
            Files(places.inputs, reserve=reserve),
            Files(places.outputs, reserve=reserve),
        )


@contextmanager
def view_storage(places: Places) -> Iterator[Storage]:
    """Open the storage to look into it, beside the service that may have it open.

    Raises:
      StorageUnavailable: if there is none, or one of another version.
    """
    with view_catalogue(places.catalogue) as catalogue:
        yield Storage(
            catalogue, Files(places.inputs, to_look=True), Files(places.outputs, to_look=True)
        )


@contextmanager
def view_catalogue(path: Path) -> Iterator[Catalogue]:
    """Open the catalogue alone, to look into it. Raises as `view_storage`."""
    catalogue = SqliteCatalogue(path, "viewer")
    try:
        yield catalogue
    finally:
        catalogue.close()


@contextmanager
def open_beside(path: Path) -> Iterator[Catalogue]:
    """Open the catalogue to change a little of it, beside the service that may have it open.

    If nobody has, it is made or migrated if need be.

    Raises:
      StorageUnavailable: if it cannot be opened, or the service that has it open is of another
        version.
      StorageFull: if there is no room for what must be made.
    """
    try:
        # For no longer than that takes, so that a service which starts just now finds it free.
        with _locked(_lock_of(path)):
            SqliteCatalogue(path).close()
    except AlreadyOpen:
        pass
    catalogue = SqliteCatalogue(path, "guest")
    try:
        yield catalogue
    finally:
        catalogue.close()


def is_open(places: Places) -> bool:
    """Return whether a process has the storage open at this moment, or may have it open."""
    try:
        with _lock_of(places.catalogue).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False  # Nobody ever had.
    except OSError:
        return True  # It is locked, or we are not let in there.
    return False


def owner_of_files(role: Role, identity: str) -> str:
    """Return what the mark of a directory says in which the catalogue of this name has files."""
    return f"{role} of {identity}"


def _lock_of(catalogue: Path) -> Path:
    return catalogue.with_name(f"{catalogue.name}.lock")


@contextmanager
def _locked(path: Path) -> Iterator[IO[str]]:
    """Hold a lock on `path`; the system lets go of it when the process ends, however it does."""
    try:
        make_directory(path.parent)
        file = path.open("a+")
    except OSError as error:
        raise StorageUnavailable(f"{path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyOpen(f"another process has {path} open") from None
        yield file


def _mark(directory: Path, mark: IO[str], role: Role, catalogue: SqliteCatalogue) -> None:
    """Say in `directory` what its files are, and of which catalogue.

    Raises:
      StorageUnavailable: if they are others, which would be lost to our sweep; or if there should
        be some and it is bare, as the place of a disk that is not mounted.
    """
    owner = owner_of_files(role, catalogue.identity)
    try:
        mark.seek(0)
        found = mark.read().strip()
        if not found:
            # A version that made no marks made these; and whoever deletes a mark means it.
            is_bare = not any((directory / shard).is_dir() for shard in SHARDS)
            if is_bare and any(catalogue.batch([partial(_names_files, role)])):
                raise StorageUnavailable(
                    f"{directory} has no mark of ours, and none of the files that the catalogue "
                    "names: is its disk mounted?"
                )
            mark.write(f"{owner}\n")
            mark.flush()
            os.fsync(mark.fileno())
            return
    except OSError as error:
        raise StorageUnavailable(f"{directory}: {error.strerror}") from error
    if found != owner:
        raise StorageUnavailable(
            f"the files in {directory} are the {found}, and not the {owner}; "
            f"choose another directory, or delete {directory / MARK} to have those files removed"
        )


def _names_files(role: Role, catalogue: Catalogue) -> bool:
    """Return whether there should be files. It takes a while if there are none, and many jobs."""
    if role == "inputs" and catalogue.upkeep.images("", 1):
        return True
    after = 0
    while jobs := catalogue.upkeep.jobs(after, PAGE):
        if any(_names_file(job, role) for _, job in jobs):
            return True
        after = jobs[-1][0]
    return False


def _names_file(job: Job, role: Role) -> bool:
    if job.gone_at is not None:
        return False
    if role == "outputs":
        return bool(job.outputs)
    return job.own_input is not None or (job.input_key is not None and job.status not in ENDED)
