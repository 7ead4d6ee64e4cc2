"""Whether files that are open are still the ones that are found under their names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class Presence:
    """The files that were under these names when it was made.

    Who has a file open can go on writing to it when it has been deleted or another has been put
    in its place, and notices nothing; but nobody will ever find what was written.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._seen = [(os.fspath(path), _identity(path)) for path in paths]

    def lost(self) -> str | None:
        """Return the first file that is no longer there, or is another; None if there is none.

        Raises:
          OSError: if that cannot be found out.
        """
        return next((path for path, seen in self._seen if _identity(path) != seen), None)


def _identity(path: str | Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  (twice in each transaction: half the time of Path's)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
