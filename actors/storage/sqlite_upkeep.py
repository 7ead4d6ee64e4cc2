"""The register of upkeep on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.storage.ports import ImageNotFound, ImageRecord, JobNotFound, WrongStatus
from actors.storage.rows import rows, time_text
from actors.storage.sqlite_queue import PLACE

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.ports import Job
    from actors.storage.rows import Row, Value

ENDED = "status in ('completed', 'failed', 'cancelled') and gone_at is null"


class SqliteUpkeep:
    """See `UpkeepRegister`. It borrows the connection of its catalogue, and how it reads jobs."""

    def __init__(
        self, db: Database, job_of: Callable[[Row], Job], forget_repeats: Callable[[str], None]
    ) -> None:
        self._db = db
        self._job_of = job_of
        self._forget_repeats = forget_repeats

    def jobs(self, after: int, limit: int) -> list[tuple[int, Job]]:
        """See `UpkeepRegister.jobs`."""
        # With its plus, no index is taken for the order of the table.
        found = rows(
            self._db,
            "select * from jobs where number > :after and +purged = 0 order by number limit :limit",
            {"after": after, "limit": limit},
        )
        return [(msgspec.convert(row["number"], int), self._job_of(row)) for row in found]

    def images(self, after: str, limit: int) -> list[ImageRecord]:
        """See `UpkeepRegister.images`."""
        found = rows(
            self._db,
            "select * from images where id > :after order by id limit :limit",
            {"after": after, "limit": limit},
        )
        return [msgspec.convert(row, ImageRecord) for row in found]

    def remake(self, job_id: str, now: datetime) -> Job:
        """See `UpkeepRegister.remake`."""
        job = self._find(job_id)
        values = {"priority": job.priority, "tenant": job.tenant}
        self._change(
            job,
            f"status = 'pending', position = {PLACE}, outputs = null, receipt = null, "
            "attempts_allowed = attempts + max_attempts, spared = 0, run_at = null, due = 1, "
            "started_at = null, updated_at = :now",
            "status = 'completed' and gone_at is null",
            {**values, "now": time_text(now)},
        )
        return job

    def refuse(self, job_id: str, error: str, now: datetime) -> Job:
        """See `UpkeepRegister.refuse`."""
        self._change(
            self._find(job_id),
            "status = 'failed', error_code = 'crashed', error = :error, updated_at = :now",
            "status = 'pending'",
            {"error": error, "now": time_text(now)},
        )
        return self._find(job_id)

    def lose(self, job_id: str, now: datetime) -> None:
        """See `UpkeepRegister.lose`."""
        self._change(self._find(job_id), "gone_at = :now", ENDED, {"now": time_text(now)})

    def lose_input(self, job_id: str, now: datetime) -> None:
        """See `UpkeepRegister.lose_input`."""
        self._change(
            self._find(job_id),
            "input_key = null, input_size = null, updated_at = :now",
            "status = 'completed' and gone_at is null and image_id is null",
            {"now": time_text(now)},
        )

    def lose_image(self, image_id: str) -> str:
        """See `UpkeepRegister.lose_image`."""
        self._forget_repeats(image_id)
        self._db.execute("delete from uses where image = :id", {"id": image_id})
        lost = rows(self._db, "delete from images where id = :id returning key", {"id": image_id})
        if not lost:
            raise ImageNotFound(image_id)
        return str(lost[0]["key"])

    def _find(self, job_id: str) -> Job:
        found = rows(self._db, "select * from jobs where id = :id", {"id": job_id})
        if not found:
            raise JobNotFound(job_id)
        return self._job_of(found[0])

    def _change(self, job: Job, change: str, only_if: str, values: dict[str, Value]) -> None:
        changed = rows(
            self._db,
            f"update jobs set {change} where id = :id and {only_if} returning number",
            {"id": job.id, **values},
        )
        if not changed:
            raise WrongStatus(job.status)
