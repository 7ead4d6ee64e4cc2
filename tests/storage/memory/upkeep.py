"""The register of upkeep in memory: a part of the fake catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from actors.storage.ports import ENDED, ImageNotFound, ImageRecord, JobNotFound, WrongStatus

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.ports import Job
    from tests.storage.memory.catalogue import MemoryCatalogue


class MemoryUpkeep:
    """See `UpkeepRegister`. It is a part of its catalogue, and changes its entries."""

    def __init__(self, catalogue: MemoryCatalogue) -> None:
        self._catalogue = catalogue

    def jobs(self, after: int, limit: int) -> list[tuple[int, Job]]:
        """See `UpkeepRegister.jobs`."""
        entries = sorted(self._catalogue._entries.values(), key=lambda entry: entry.number)
        kept = [entry for entry in entries if entry.number > after and not entry.purged]
        return [(entry.number, entry.job) for entry in kept[:limit]]

    def images(self, after: str, limit: int) -> list[ImageRecord]:
        """See `UpkeepRegister.images`."""
        images = self._catalogue._images
        return [images[name].image for name in sorted(images) if name > after][:limit]

    def remake(self, job_id: str, now: datetime) -> Job:
        """See `UpkeepRegister.remake`."""
        job = self._job(job_id, {"completed"})
        again = replace(
            job,
            status="pending",
            outputs=(),
            receipt=None,
            attempts_allowed=job.attempts + job.max_attempts,
            spared=0,
            run_at=None,
            started_at=None,
            updated_at=now,
        )
        catalogue = self._catalogue
        entry = catalogue._entries[job_id]
        catalogue._put(replace(entry, position=catalogue._place(job), due=True, job=again))
        return job

    def refuse(self, job_id: str, error: str, now: datetime) -> Job:
        """See `UpkeepRegister.refuse`."""
        job = self._job(job_id, {"pending"})
        return self._catalogue._change(
            replace(job, status="failed", error_code="crashed", error=error, updated_at=now)
        )

    def lose(self, job_id: str, now: datetime) -> None:
        """See `UpkeepRegister.lose`."""
        self._catalogue._change(replace(self._job(job_id, ENDED), gone_at=now))

    def lose_input(self, job_id: str, now: datetime) -> None:
        """See `UpkeepRegister.lose_input`."""
        job = self._job(job_id, {"completed"})
        if job.image_id is not None:
            raise WrongStatus(job.status)
        self._catalogue._change(replace(job, input_key=None, input_size=None, updated_at=now))

    def lose_image(self, image_id: str) -> str:
        """See `UpkeepRegister.lose_image`."""
        lost = self._catalogue._images.pop(image_id, None)
        if lost is None:
            raise ImageNotFound(image_id)
        self._catalogue.repeats.forget(image_id)
        return lost.image.key

    def _job(self, job_id: str, statuses: frozenset[str] | set[str]) -> Job:
        entry = self._catalogue._entries.get(job_id)
        if entry is None:
            raise JobNotFound(job_id)
        if entry.job.status not in statuses or entry.job.gone_at is not None:
            raise WrongStatus(entry.job.status)
        return entry.job
