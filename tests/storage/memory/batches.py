"""The register of batches in memory: a part of the fake catalogue."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from actors.storage.batches import Batch, BatchNotFound, Deleted
from actors.storage.ports import ENDED, STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.storage.batches import NewBatch
    from actors.storage.ports import Job, Removed
    from tests.storage.memory.catalogue import _Entry
    from tests.storage.memory.outbox import MemoryOutbox


@dataclass(frozen=True, slots=True)
class _Known:
    new: NewBatch
    created_at: datetime
    is_deleted: bool = False
    was_running: bool = False
    is_news: bool = False


class MemoryBatches:
    """See `BatchRegister`. It looks into its catalogue by what that lends it."""

    def __init__(
        self,
        entries: Callable[[], dict[str, _Entry]],
        cancel_job: Callable[[str, datetime], Job],
        delete_job: Callable[[str, datetime], Removed],
        outbox: Callable[[], MemoryOutbox],
    ) -> None:
        self._entries = entries
        self._cancel_job = cancel_job
        self._delete_job = delete_job
        self._outbox = outbox
        self._batches: dict[str, _Known] = {}

    def copy(self) -> MemoryBatches:
        """Return a register with the same in it, which changes on its own."""
        twin = MemoryBatches(self._entries, self._cancel_job, self._delete_job, self._outbox)
        twin._batches = dict(self._batches)
        return twin

    def add(self, new: NewBatch, now: datetime) -> None:
        """See `BatchRegister.add`."""
        self._batches[new.id] = _Known(new, now)

    def find(self, batch_id: str, tenant: str) -> Batch:
        """See `BatchRegister.find`."""
        if self._own(batch_id, tenant).is_deleted:
            raise BatchNotFound(batch_id)
        return self._batch(batch_id)

    def cancel(self, batch_id: str, tenant: str, now: datetime, limit: int) -> list[Job]:
        """See `BatchRegister.cancel`."""
        self.find(batch_id, tenant)
        running = [job.id for job in self._jobs(batch_id) if job.status not in ENDED]
        return [self._cancel_job(job_id, now) for job_id in running[:limit]]

    def delete(self, batch_id: str, tenant: str) -> Deleted:
        """See `BatchRegister.delete`."""
        known = self._own(batch_id, tenant)
        self._batches[batch_id] = replace(known, is_deleted=True, is_news=False)
        self._outbox().forget(batch_id)
        return Deleted(len(self._jobs(batch_id)), is_new=not known.is_deleted)

    def clear(self, now: datetime, limit: int, batch_id: str | None = None) -> list[Removed]:
        """See `BatchRegister.clear`."""
        left = [
            job.id
            for each, known in self._batches.items()
            if known.is_deleted and batch_id in {None, each}
            for job in self._jobs(each)
        ]
        return [self._delete_job(job_id, now) for job_id in left[:limit]]

    def ended(self) -> list[Batch]:
        """See `BatchRegister.ended`."""
        ended = [self._batch(each) for each, known in self._batches.items() if known.is_news]
        for batch in ended:
            self._batches[batch.id] = replace(self._batches[batch.id], is_news=False)
            if not batch.size:
                del self._batches[batch.id]
        return ended

    def changed(self, batch_id: str | None) -> None:
        """Notice that one of its jobs has come, has changed, or is gone."""
        if batch_id is None:
            return
        batch, known = self._batch(batch_id), self._batches[batch_id]
        is_news = batch.has_ended and (known.is_news or known.was_running) and not known.is_deleted
        self._batches[batch_id] = replace(known, was_running=not batch.has_ended, is_news=is_news)
        if not batch.size and not is_news:
            del self._batches[batch_id]

    def _own(self, batch_id: str, tenant: str) -> _Known:
        known = self._batches.get(batch_id)
        if known is None or known.new.tenant != tenant or not self._jobs(batch_id):
            raise BatchNotFound(batch_id)
        return known

    def _jobs(self, batch_id: str) -> list[Job]:
        jobs = [entry.job for entry in self._entries().values()]
        return [job for job in jobs if job.batch_id == batch_id]

    def _batch(self, batch_id: str) -> Batch:
        known, statuses = self._batches[batch_id], [job.status for job in self._jobs(batch_id)]
        return Batch(
            **asdict(known.new),
            created_at=known.created_at,
            counts={status: statuses.count(status) for status in STATUSES},
        )
