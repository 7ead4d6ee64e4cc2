"""The register of batches on SQLite: a part of the catalogue, on its connection.

Triggers count the jobs, so that no way in which one may change can forget to.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec

from actors.storage.batches import Batch, BatchNotFound, Deleted
from actors.storage.ports import STATUSES
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.batches import NewBatch
    from actors.storage.ports import Job, Removed
    from actors.storage.rows import Row, Value

# One without jobs is there until its end has been told, for nobody else.
KEPT = f"{' + '.join(STATUSES)} > 0"


class SqliteBatches:
    """See `BatchRegister`. It borrows the connection of its catalogue, and how that ends a job."""

    def __init__(
        self,
        db: Database,
        cancel_job: Callable[[str, datetime], Job],
        delete_job: Callable[[str, datetime], Removed],
    ) -> None:
        self._db = db
        self._cancel_job = cancel_job
        self._delete_job = delete_job

    def add(self, new: NewBatch, now: datetime) -> None:
        """See `BatchRegister.add`."""
        self._db.execute(
            "insert into batches (id, tenant, callback_url, metadata, created_at) "
            "values (:id, :tenant, :callback_url, :metadata, :now)",
            {**asdict(new), "now": time_text(now)},
        )

    def find(self, batch_id: str, tenant: str) -> Batch:
        """See `BatchRegister.find`."""
        return self._one(
            f"select * from batches where id = :id and tenant = :tenant and not deleted and {KEPT}",
            {"id": batch_id, "tenant": tenant},
        )

    def cancel(self, batch_id: str, tenant: str, now: datetime, limit: int) -> list[Job]:
        """See `BatchRegister.cancel`."""
        self.find(batch_id, tenant)
        running = self._ids(
            "select id from jobs where batch_id = :batch and status in ('pending', 'processing') "
            "order by number limit :limit",
            {"batch": batch_id, "limit": limit},
        )
        return [self._cancel_job(job_id, now) for job_id in running]

    def delete(self, batch_id: str, tenant: str) -> Deleted:
        """See `BatchRegister.delete`."""
        own: dict[str, Value] = {"id": batch_id, "tenant": tenant}
        batch = self._one(
            f"select * from batches where id = :id and tenant = :tenant and {KEPT}", own
        )
        marked = self._ids(
            "update batches set deleted = 1, news = 0 where id = :id and not deleted returning id",
            {"id": batch_id},
        )
        return Deleted(batch.size, is_new=bool(marked))

    def clear(self, now: datetime, limit: int, batch_id: str | None = None) -> list[Removed]:
        """See `BatchRegister.clear`."""
        left = self._ids(
            "select jobs.id from batches join jobs on jobs.batch_id = batches.id "
            "where batches.deleted and batches.id = coalesce(:batch, batches.id) "
            "order by batches.number, jobs.number limit :limit",
            {"batch": batch_id, "limit": limit},
        )
        return [self._delete_job(job_id, now) for job_id in left]

    def ended(self) -> list[Batch]:
        """See `BatchRegister.ended`."""
        ended = rows(self._db, "select * from batches where news order by number", {})
        if ended:
            self._db.execute(f"delete from batches where news and not ({KEPT})")
            self._db.execute("update batches set news = 0 where news")
        return [_batch(row) for row in ended]

    def _ids(self, sql: str, values: dict[str, Value]) -> list[str]:
        return [str(row["id"]) for row in rows(self._db, sql, values)]

    def _one(self, sql: str, values: dict[str, Value]) -> Batch:
        found = rows(self._db, sql, values)
        if not found:
            raise BatchNotFound(values["id"])
        return _batch(found[0])


def _batch(row: Row) -> Batch:
    return msgspec.convert({**row, "counts": {status: row[status] for status in STATUSES}}, Batch)
