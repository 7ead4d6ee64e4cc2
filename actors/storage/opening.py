"""Open the storage that the settings name: the only place that chooses between backends."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from actors.storage.files import Files
from actors.storage.ports import Storage, StorageUnavailable
from actors.storage.sqlite import SqliteCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """Where the storage is: a SQLite file, and a directory each for inputs and outputs."""

    catalogue: Path
    inputs: Path
    outputs: Path

    def locate_input(self, key: str) -> str:
        """Return where the bytes of this input are."""
        return str(self.inputs / key)

    def locate_output(self, key: str) -> str:
        """Return where the bytes of this output are."""
        return str(self.outputs / key)


@contextmanager
def open_storage(places: Places) -> Iterator[Storage]:
    """Open the storage for this process alone, making what is missing.

    Raises:
      StorageUnavailable: if it cannot be opened, or another process has it open.
      StorageFull: if there is no room for what must be made.
    """
    with _only_process(places.catalogue):
        catalogue = SqliteCatalogue(places.catalogue)
        try:
            yield Storage(catalogue, Files(places.inputs), Files(places.outputs))
        finally:
            catalogue.close()


@contextmanager
def _only_process(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`; the system lets go of it when the process ends, however it does.

    Two processes on one catalogue would each take the other's running jobs for leftovers.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise StorageUnavailable(f"{path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageUnavailable(f"another process has {path} open") from None
        yield
