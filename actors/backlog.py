"""The bound of what may be pending."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from actors.errors import BacklogFull

if TYPE_CHECKING:
    from collections.abc import Iterator


class Backlog:
    """At most `limit` jobs are pending or about to be. `pending` is what the catalogue counts."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.pending = 0
        self._accepting = 0

    @contextmanager
    def room(self, wanted: int = 1, *, least: int = 1) -> Iterator[int]:
        """Hold places in the backlog until the jobs that take them are counted as pending.

        Yields as many as are `wanted`, or as many as there are.

        Raises: BacklogFull, if there are not even the `least` of them.
        """
        places = min(wanted, self._limit - self.pending - self._accepting)
        if places < least:
            raise BacklogFull(self._limit)
        self._accepting += places
        try:
            yield places
        finally:
            self._accepting -= places
