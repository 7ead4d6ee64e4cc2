"""Blobs in a directory: written beside, fsynced, renamed.

The order is the one that survives a power cut: data to the disk (fsync of the file), the name
(rename), the name to the disk (fsync of the directory). See "Crash-consistent applications"
(Pillai et al., OSDI 2014), table 1.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import stat
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from actors.storage.directories import make_directory, sync_directory
from actors.storage.ports import BlobFile, BlobNotFound, StorageFull, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.storage.reserve import Reserve

# There can be no other link: on this file system, between these two, or to this file.
UNLINKABLE = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS}
PARTIAL = ".partial"
SHARDS = tuple(f"{number:02x}" for number in range(256))


class Files:
    """Blobs under one directory, which is made if need be. One process owns it at a time.

    With `to_look` the directory stays as it is, for whoever only gets. Nothing is put there while
    the `reserve` cannot be held.
    """

    def __init__(
        self, directory: Path, *, to_look: bool = False, reserve: Reserve | None = None
    ) -> None:
        self._directory = directory
        self._partial = directory / PARTIAL
        self._reserve = reserve
        self._numbers = itertools.count()
        if to_look:
            return
        with _named_errors():
            make_directory(directory)
            make_shards(directory)
            for leftover in self._partial.iterdir():
                leftover.unlink()

    def put(self, key: str, data: bytes) -> str:
        """See `Blobs.put`."""
        path = self._directory / key
        beside = self._partial / f"{next(self._numbers)}"
        with _named_errors():
            if self._reserve:
                self._reserve.require()
            try:
                with beside.open("xb", buffering=0) as file:
                    rest = memoryview(data)
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(file.fileno())
                beside.rename(path)
            except OSError:
                beside.unlink(missing_ok=True)
                raise
            sync_directory(path.parent)
        return hashlib.sha256(data).hexdigest()

    def copy(self, key: str, to: str) -> int:
        """See `Blobs.copy`. It is a link, and takes no room, where there can be one."""
        path = self._directory / to
        with _named_errors():
            try:
                path.hardlink_to(self._directory / key)
            except FileNotFoundError:
                raise BlobNotFound(key) from None
            except OSError as error:
                if error.errno not in UNLINKABLE:
                    raise
            else:
                sync_directory(path.parent)
                return path.stat().st_size
        data = self.get(key)
        self.put(to, data)
        return len(data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Blobs.get`."""
        with self.open(key) as file, _named_errors():
            rest = os.fstat(file.fileno()).st_size - offset
            wanted = rest if length is None else min(length, rest)
            return os.pread(file.fileno(), wanted, offset) if wanted > 0 else b""

    def open(self, key: str) -> BlobFile:
        """See `Blobs.open`."""
        with self._looking_for(key):
            file = BlobFile(self._directory / key)
            # What somebody has put there that is no file can have no bytes.
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                file.close()
                raise BlobNotFound(key)
            return file

    def size(self, key: str) -> int:
        """See `Blobs.size`."""
        with self._looking_for(key):
            return (self._directory / key).stat().st_size

    def kept_since(self, key: str) -> datetime:
        """See `Blobs.kept_since`."""
        with self._looking_for(key):
            # Not when it was written last, which for a link is when its first name was new.
            changed = (self._directory / key).stat().st_ctime
            return datetime.fromtimestamp(changed, UTC)

    def sha256(self, key: str) -> str:
        """See `Blobs.sha256`."""
        with self._looking_for(key), (self._directory / key).open("rb", buffering=0) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def _looking_for(self, key: str) -> Iterator[None]:
        """Raise what is wrong with a file under its name of the port's."""
        with _named_errors():
            try:
                yield
            except FileNotFoundError:
                if not (self._directory / key).parent.is_dir():
                    raise  # It is not the file that is missing: a disk is not mounted, perhaps.
                raise BlobNotFound(key) from None

    def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        with _named_errors():
            (self._directory / key).unlink(missing_ok=True)

    def locate(self, key: str) -> str:
        """See `Blobs.locate`."""
        return str(self._directory / key)

    def shards(self) -> Iterator[list[str]]:
        """See `Blobs.shards`."""
        for shard in SHARDS:
            keys = []
            with (
                _named_errors(),
                suppress(FileNotFoundError),
                os.scandir(self._directory / shard) as entries,
            ):
                keys = [f"{shard}/{entry.name}" for entry in entries]
            yield keys


def make_shards(directory: Path) -> None:
    """Make the directories that are missing in `directory`, and have their names on the disk."""
    with _named_errors():
        for name in (PARTIAL, *SHARDS):
            (directory / name).mkdir(exist_ok=True)
        sync_directory(directory)


@contextmanager
def _named_errors() -> Iterator[None]:
    """Raise what the operating system says under the port's names."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull(os.strerror(error.errno)) from error
        raise StorageUnavailable(error.strerror or str(error)) from error
    except MemoryError as error:
        raise StorageUnavailable("no memory") from error
