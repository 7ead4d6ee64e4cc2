"""Room that is kept for the time when there is none, so that deleting is still possible."""

from __future__ import annotations

import errno
import itertools
import os
from typing import TYPE_CHECKING

from actors.storage.ports import StorageFull

if TYPE_CHECKING:
    from pathlib import Path

RESERVE = 4 * 1024 * 1024  # bytes: some thousand deletions


class Reserve:
    """A file that does nothing but take room beside the catalogue.

    When the catalogue finds no room it is `released`, and from then until there is `twice` as much
    again nothing new may be kept: what there is, is for deletions and for the ends of jobs.
    May be used by several threads at a time, of the process that owns the catalogue. What one that
    was killed has begun is deleted.
    """

    def __init__(self, path: Path, size: int = RESERVE) -> None:
        self._path = path
        self._size = size
        self._numbers = itertools.count()
        for left in path.parent.iterdir():
            if left.name.startswith(f"{path.name}-"):
                left.unlink()
        # It may be that of a process that was killed.
        self._held = path.is_file() and path.stat().st_size == size

    def require(self) -> None:
        """Return if it is held, or can be held again. To be asked before anything new is kept.

        Raises:
          StorageFull: if there is too little room for it.
          OSError: if it fails for another reason.
        """
        if self._held:
            return
        there = os.statvfs(self._path.parent)
        if there.f_bavail * there.f_frsize < 2 * self._size:
            raise StorageFull("what room there is, is for deletions")
        beside = self._path.with_name(f"{self._path.name}-{next(self._numbers)}")
        try:
            with beside.open("xb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
            beside.rename(self._path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
                raise
            raise StorageFull("what room there is, is for deletions") from error
        self._held = True

    def release(self) -> bool:
        """Give up the room. Returns False if there is none to give up.

        Raises:
          OSError: if that fails.
        """
        if not self._held:
            return False
        self._held = False
        self._path.unlink(missing_ok=True)
        return True
