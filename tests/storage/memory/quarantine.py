"""The quarantine in memory: a part of the fake catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.quarantine import Suspect

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.keeping import Keeping


class MemoryQuarantine:
    """See `QuarantineRegister`."""

    def __init__(self) -> None:
        # In the order of their last deaths, each with the versions that it was noted under.
        self._suspects: dict[tuple[str, str], tuple[str, Suspect]] = {}

    def copy(self) -> MemoryQuarantine:
        """Return a quarantine with the same in it, which changes on its own."""
        twin = MemoryQuarantine()
        twin._suspects = dict(self._suspects)
        return twin

    def note(
        self,
        tenant: str,
        sha256: str,
        made_with: str,
        job_id: str,
        now: datetime,
        bounds: Keeping,
    ) -> int:
        """See `QuarantineRegister.note`."""
        deaths = self.deaths(tenant, sha256, made_with) + 1
        self._suspects.pop((tenant, sha256), None)
        self._suspects[tenant, sha256] = (
            made_with,
            Suspect(tenant=tenant, sha256=sha256, deaths=deaths, job_id=job_id, last_at=now),
        )
        since = bounds.since(now)
        kept = list(self._suspects.items())[-bounds.most :]
        self._suspects = {key: value for key, value in kept if value[1].last_at >= since}
        return deaths

    def deaths(self, tenant: str, sha256: str, made_with: str) -> int:
        """See `QuarantineRegister.deaths`."""
        then, suspect = self._suspects.get((tenant, sha256), ("", None))
        return suspect.deaths if suspect and then == made_with else 0

    def newest(self, made_with: str, limit: int) -> list[Suspect]:
        """See `QuarantineRegister.newest`."""
        found = [suspect for then, suspect in self._suspects.values() if then == made_with]
        return found[::-1][:limit]

    def release(self, sha256: str) -> int:
        """See `QuarantineRegister.release`."""
        held = [key for key in self._suspects if key[1] == sha256]
        for key in held:
            del self._suspects[key]
        return len(held)
