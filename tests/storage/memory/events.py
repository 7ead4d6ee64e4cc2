"""The register of events in memory: a part of the fake catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.events import Bounds, Event

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.events import Change, Interest, Reason
    from actors.storage.ports import Job


class MemoryEvents:
    """See `EventRegister`. What the triggers of SQLite do is `note` here."""

    def __init__(self) -> None:
        self._events: tuple[Event, ...] = ()
        self._last = 0

    def copy(self) -> MemoryEvents:
        """Return a register with the same in it, which changes on its own."""
        twin = MemoryEvents()
        twin._events, twin._last = self._events, self._last
        return twin

    def note(self, before: Job | None, after: Job) -> None:
        """Note what became of a job, if its status is another; `before` is None if it is new."""
        if before is None or before.status != after.status:
            self._add(after, after.status, _reason(before, after), after.updated_at)

    def note_deletion(self, job: Job, now: datetime) -> None:
        """Note that a job was deleted."""
        self._add(job, "deleted", None, now)

    def _add(self, job: Job, status: Change, reason: Reason | None, time: datetime) -> None:
        self._last += 1
        event = Event(
            number=self._last,
            tenant=job.tenant,
            job_id=job.id,
            status=status,
            attempt=job.attempts,
            reason=reason,
            error_code=job.error_code,
            time=time,
        )
        self._events = (*self._events, event)

    def bounds(self) -> Bounds:
        """See `EventRegister.bounds`."""
        return Bounds(self._events[0].number - 1 if self._events else self._last, self._last)

    def read(self, after: int, up_to: int, interest: Interest | None, limit: int) -> list[Event]:
        """See `EventRegister.read`."""
        between = (event for event in self._events if after < event.number <= up_to)
        return [event for event in between if interest is None or interest.wants(event)][:limit]

    def trim(self, kept: int, since: datetime, step: int) -> bool:
        """See `EventRegister.trim`."""
        gone = 0
        for event in self._events[:step]:
            is_kept = event.number > self._last - kept and event.time >= since
            if is_kept or event.number == self._last:
                break
            gone += 1
        self._events = self._events[gone:]
        return gone == step


def _reason(before: Job | None, after: Job) -> Reason | None:
    if after.status != "pending":
        return None
    if before is None:
        return "submitted"
    if before.status != "processing":
        return "retried"
    return "unclaimed" if after.attempts < before.attempts else "given_back"
