"""The audit in memory: a part of the fake catalogue."""

from __future__ import annotations

from dataclasses import fields
from itertools import dropwhile
from typing import TYPE_CHECKING

from actors.storage.audit import Act, Entry

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.keeping import Keeping


class MemoryAudit:
    """See `AuditRegister`."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def copy(self) -> MemoryAudit:
        """Return an audit with the same in it, which changes on its own."""
        twin = MemoryAudit()
        twin._entries = list(self._entries)
        return twin

    def note(self, act: Act, now: datetime, bounds: Keeping) -> None:
        """See `AuditRegister.note`."""
        number = self._entries[-1].number + 1 if self._entries else 1
        said = {each.name: getattr(act, each.name) for each in fields(Act)}
        entries = [*self._entries, Entry(number=number, at=now, **said)][-bounds.most :]
        since = bounds.since(now)
        self._entries = list(dropwhile(lambda entry: entry.at < since, entries))

    def newest(self, limit: int) -> list[Entry]:
        """See `AuditRegister.newest`."""
        return self._entries[::-1][:limit]
