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
    def room(self) -> Iterator[None]:
        """Hold a place in the backlog until the job that takes it is counted as pending.

        Raises: BacklogFull.
        """
        if self.pending + self._accepting >= self._limit:
            raise BacklogFull(self._limit)
        self._accepting += 1
        try:
            yield
        finally:
            self._accepting -= 1
