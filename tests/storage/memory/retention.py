"""The register of retention in memory: a part of the fake catalogue."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from actors.storage.ports import ENDED
from actors.storage.retention import Unneeded

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.storage.ports import Job, Removed
    from actors.storage.retention import Rules
    from tests.storage.memory.catalogue import _Entry, _Kept


class MemoryRetention:
    """See `RetentionRegister`. It looks into its catalogue by what that lends it."""

    def __init__(
        self,
        entries: Callable[[], dict[str, _Entry]],
        images: Callable[[], dict[str, _Kept]],
        is_used: Callable[[str], bool],
        unneeded_image: Callable[[str], tuple[str, ...]],
        delete_job: Callable[[str, datetime], Removed],
        is_awaited: Callable[[Job], bool],
    ) -> None:
        self._entries = entries
        self._images = images
        self._is_used = is_used
        self._unneeded_image = unneeded_image
        self._delete_job = delete_job
        self._is_awaited = is_awaited

    def expire(self, rules: Rules, now: datetime, limit: int) -> list[str]:
        """See `RetentionRegister.expire`."""
        gone: list[str] = []
        for job in self._ended():
            kept = rules.results if job.retain is None else timedelta(seconds=job.retain)
            if len(gone) < limit and kept is not None and job.updated_at + kept <= now:
                gone.append(self._mark(job, now))
        for job in self._ended():
            full = rules.max_bytes is not None and self._ended_bytes() > rules.max_bytes
            if full and job.retain is None and len(gone) < limit:
                gone.append(self._mark(job, now))
        return gone

    def _ended(self) -> list[Job]:
        jobs = [entry.job for entry in self._entries().values()]
        ended = [job for job in jobs if job.status in ENDED and job.gone_at is None]
        return sorted(ended, key=lambda job: job.updated_at)

    def _mark(self, job: Job, now: datetime) -> str:
        entries = self._entries()
        entries[job.id] = replace(entries[job.id], job=replace(job, gone_at=now))
        return job.id

    def _gone(self, before: datetime, limit: int, *, purged: bool) -> list[Job]:
        found = [
            entry.job
            for entry in self._entries().values()
            if entry.purged == purged and entry.job.gone_at and entry.job.gone_at <= before
        ]
        return found[:limit]

    def purge(self, before: datetime, limit: int) -> Unneeded:
        """See `RetentionRegister.purge`."""
        inputs: list[str] = []
        outputs: list[str] = []
        gone = self._gone(before, limit, purged=False)
        for job in gone:
            entries = self._entries()
            entries[job.id] = replace(entries[job.id], purged=True)
            if job.image_id is None and job.input_key is not None:
                inputs.append(job.input_key)
            outputs += [output.key for output in job.outputs]
            for image_id in job.images:
                inputs += self._unneeded_image(image_id)
        return Unneeded(len(gone), tuple(inputs), tuple(outputs))

    def forget_images(self, before: datetime, limit: int) -> Unneeded:
        """See `RetentionRegister.forget_images`."""
        images = self._images()
        old = [
            kept.image
            for kept in images.values()
            if kept.image.created_at <= before and not self._is_used(kept.image.id)
        ]
        old = sorted(old, key=lambda image: image.created_at)[:limit]
        return Unneeded(len(old), tuple(images.pop(image.id).image.key for image in old))

    def forget_records(self, before: datetime, limit: int, now: datetime) -> list[Removed]:
        """See `RetentionRegister.forget_records`."""
        gone = self._gone(before, len(self._entries()), purged=True)
        forgotten = [job for job in gone if not self._is_awaited(job)][:limit]
        return [self._delete_job(job.id, now) for job in forgotten]

    def _ended_bytes(self) -> int:
        return _bytes_of([job for job in self._ended() if job.retain is None])

    def stored(self) -> int:
        """See `RetentionRegister.stored`."""
        jobs = [entry.job for entry in self._entries().values() if entry.job.gone_at is None]
        return _bytes_of(jobs) + sum(kept.image.size_bytes for kept in self._images().values())


def _bytes_of(jobs: list[Job]) -> int:
    sent = sum(job.input_size or 0 for job in jobs if job.image_id is None)
    return sent + sum(output.size_bytes for job in jobs for output in job.outputs)
