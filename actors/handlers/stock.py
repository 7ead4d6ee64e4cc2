"""What all handlers work with: the way to the catalogue, the files, the clock, those who wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import structlog

from actors import metrics
from actors.imaging.inspect import SUFFIXES, sniff
from actors.storage.ports import JobNotFound

if TYPE_CHECKING:
    from datetime import datetime

    from actors.group_commit import GroupCommit
    from actors.shelf import Shelf
    from actors.storage.ports import Catalogue, Job, Removed
    from actors.waiting import Waiting

T = TypeVar("T")

# Each kind of message, and what answers it.
Handlers: TypeAlias = Mapping[type, Callable[..., Awaitable[object]]]

log = structlog.get_logger("calotype.store")


@dataclass(frozen=True, slots=True)
class Stock:
    """What the Store owns, lent to its handlers. `now` is the clock that counts."""

    catalogue: GroupCommit
    inputs: Shelf
    outputs: Shelf
    waiting: Waiting
    now: Callable[[], datetime]

    async def commit(self, call: Callable[[Catalogue], T]) -> T:
        """See `GroupCommit.commit`."""
        return await self.catalogue.commit(call)

    async def forget(self, removed: Removed) -> None:
        """Tell all who wait for a job that it was deleted, and delete its files."""
        job = removed.job
        self.waiting.fail(job.id, JobNotFound(job.id), job.tenant)
        for key in removed.inputs:
            await self.inputs.forget(key)
        for key in removed.outputs:
            await self.outputs.forget(key)

    def ended(self, job: Job) -> None:
        """Tell all who wait, and the world."""
        self.waiting.settle(job)
        metrics.JOBS.labels(job.status).inc()
        log.info(
            "job_ended",
            job_id=job.id,
            status=job.status,
            error_code=job.error_code,
            attempts=job.attempts,
            seconds=round((job.updated_at - job.created_at).total_seconds(), 3),
        )


def suffix_of(data: bytes) -> str:
    """Return what the name of a file with this image should end in."""
    kind = sniff(data)
    return SUFFIXES[kind] if kind else ".bin"
