"""A disk that is small enough to be filled; or, where there can be none, files that cannot grow."""

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIZE = 256 * 1024 * 1024


class Disk:
    """A directory. `is_small`: it is a file system of its own, and so can be filled."""

    def __init__(self, directory: Path, *, is_small: bool) -> None:
        self.directory = directory
        self._is_small = is_small
        self._ballast = directory / "ballast"

    @contextmanager
    def full(self, left: int, pid: int) -> Iterator[None]:
        """Leave so many bytes at most, for the time of the block.

        Where no disk can be filled, the process `pid` cannot write any file beyond so many bytes;
        one that is started meanwhile can.
        """
        if self._is_small:
            try:
                self._fill(left)
                yield
            finally:
                self._ballast.unlink(missing_ok=True)
        else:
            _limit_files(pid, left)
            yield
            _limit_files(pid, None)

    def _fill(self, left: int) -> None:
        with self._ballast.open("ab") as file:
            piece = SIZE
            while piece >= 4096:
                size = file.seek(0, os.SEEK_END)
                try:
                    os.posix_fallocate(file.fileno(), size, piece)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    # What was allocated in vain may make the file longer all the same.
                    file.truncate(size)
                    piece //= 2
            size = file.seek(0, os.SEEK_END)
            file.truncate(max(0, size - left))


def _limit_files(pid: int, size: int | None) -> None:
    """Let this process write no file beyond so many bytes, or any again; it may have ended."""
    with suppress(ProcessLookupError):
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most if size is None else size, most))


@contextmanager
def open_disk(directory: Path) -> Iterator[Disk]:
    """Mount a small file system in memory for the time of the block, if this process may."""
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", directory],
        check=False,
        capture_output=True,
    )
    try:
        yield Disk(directory, is_small=not mounted.returncode)
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "-l", directory], check=True)
