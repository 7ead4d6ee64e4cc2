"""The register of repeated requests in memory: a part of the fake catalogue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from actors.storage.repeats import AnswerForgotten, OtherRequest

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.keeping import Keeping
    from actors.storage.repeats import Once


@dataclass(frozen=True, slots=True)
class _Record:
    fingerprint: str
    subject: str
    answer: str | None
    at: datetime


class MemoryRepeats:
    """See `RepeatRegister`."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, _Record]] = {}

    def copy(self) -> MemoryRepeats:
        """Return a register with the same in it, which changes on its own."""
        twin = MemoryRepeats()
        twin._records = {tenant: dict(records) for tenant, records in self._records.items()}
        return twin

    def recall(self, tenant: str, once: Once, since: datetime) -> str | None:
        """See `RepeatRegister.recall`."""
        found = self._records.get(tenant, {}).get(once.name)
        if found is None or found.at < since:
            return None
        if found.fingerprint != once.fingerprint:
            raise OtherRequest
        if found.answer is None:
            raise AnswerForgotten
        return found.answer

    def record(
        self,
        tenant: str,
        once: Once,
        subject: str,
        answer: str,
        now: datetime,
        bounds: Keeping,
    ) -> None:
        """See `RepeatRegister.record`."""
        records = self._records.setdefault(tenant, {})
        records.pop(once.name, None)
        records[once.name] = _Record(once.fingerprint, subject, answer, now)
        for name in list(records)[: -bounds.most]:
            del records[name]

    def forget(self, subject: str) -> None:
        """See `RepeatRegister.forget`."""
        for records in self._records.values():
            for name, record in records.items():
                if record.subject == subject:
                    records[name] = replace(record, answer=None)
