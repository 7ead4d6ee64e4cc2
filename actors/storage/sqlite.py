"""The catalogue on SQLite, through sqlite-utils.

Write-ahead log and `synchronous=FULL`: a commit is one fsync, and survives a power cut
(https://sqlite.org/pragma.html#pragma_synchronous).
Times are RFC 3339 text in UTC with microseconds, so that they sort and a person can read them.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from sqlite_utils import Database

from actors.storage.directories import make_directory
from actors.storage.migrations import STEPS, migrations
from actors.storage.ports import (
    Job,
    JobNotFound,
    NewJob,
    Output,
    Page,
    Priority,
    Query,
    StaleClaim,
    Status,
    StorageError,
    StorageFull,
    StorageUnavailable,
    Tally,
    WrongStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from actors.storage.ports import Catalogue

Value = str | int | None

LAST = "(select coalesce(max(position), 0) + 1 from jobs)"
FIRST_PENDING = (
    "select number from jobs where status = 'pending' and priority = :priority "
    "order by position limit 1"
)


class SqliteCatalogue:
    """One connection to one database file, made and migrated if need be.

    Used by one thread at a time, not always the same one.
    """

    def __init__(self, path: Path) -> None:
        with _named_errors():
            make_directory(path.parent)
            self._db = Database(sqlite3.connect(path, check_same_thread=False))
            try:
                self._db.enable_wal()
                self._db.execute("pragma synchronous = full")
                self._migrate()
            except BaseException:
                self._db.close()
                raise

    def _migrate(self) -> None:
        unknown = {step.name for step in migrations.applied(self._db)} - STEPS.keys()
        if unknown:
            raise StorageUnavailable("the catalogue was made by a newer version of Calotype")
        migrations.apply(self._db)

    @property
    def identity(self) -> str:
        """The name that this catalogue was given when it was made; no other has it."""
        with _named_errors():
            (identity,) = self._db.execute("select id from catalogue").fetchone()
        return str(identity)

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """See `Catalogue.batch`."""
        with _named_errors(), self._db.atomic():
            return [self._attempt(call) for call in calls]

    def _attempt(self, call: Callable[[Catalogue], object]) -> object:
        try:
            with self._db.atomic():
                return call(self)
        except StorageError as error:
            return error

    def add(self, new: NewJob, now: datetime) -> Job:
        """See `Catalogue.add`."""
        return self._one(
            f"""
            insert into jobs (id, status, priority, position, operation, recipe, input_key,
                input_size, attempts, attempts_allowed, created_at, updated_at)
            values (:id, 'pending', :priority, {LAST}, :operation, :recipe, :input_key,
                :input_size, 0, :max_attempts, :now, :now)
            returning *
            """,
            {
                "id": new.id,
                "priority": new.priority,
                "operation": new.operation,
                "recipe": new.recipe,
                "input_key": new.input_key,
                "input_size": new.input_size,
                "max_attempts": new.max_attempts,
                "now": _text(now),
            },
        )

    def find(self, job_id: str) -> Job:
        """See `Catalogue.find`."""
        jobs = self._jobs("select * from jobs where id = :id", {"id": job_id})
        if not jobs:
            raise JobNotFound(job_id)
        return jobs[0]

    def claim(self, turns: Iterable[Sequence[Priority]], now: datetime) -> list[Job]:
        """See `Catalogue.claim`."""
        claimed = []
        for turn in turns:
            for priority in turn:
                jobs = self._jobs(
                    f"""
                    update jobs set status = 'processing', attempts = attempts + 1,
                        started_at = :now, updated_at = :now
                    where number = ({FIRST_PENDING})
                    returning *
                    """,
                    {"priority": priority, "now": _text(now)},
                )
                claimed += jobs
                if jobs:
                    break
            else:
                break
        return claimed

    def unclaim(self, job_id: str, attempt: int, now: datetime) -> None:
        """See `Catalogue.unclaim`."""
        self._db.execute(
            "update jobs set status = 'pending', attempts = attempts - 1, updated_at = :now "
            "where id = :id and status = 'processing' and attempts = :attempt",
            {"id": job_id, "attempt": attempt, "now": _text(now)},
        )

    def release(
        self, job_id: str, attempt: int, error: str, now: datetime, *, spare: bool = False
    ) -> Job:
        """See `Catalogue.release`."""
        job = self._claimed(job_id, attempt)
        if job.attempts >= job.attempts_allowed + spare:
            return self.fail(job_id, attempt, "crashed", error, now)
        return self._one(
            "update jobs set status = 'pending', attempts_allowed = attempts_allowed + :spare, "
            "spared = spared + :spare, updated_at = :now where id = :id returning *",
            {"id": job_id, "spare": int(spare), "now": _text(now)},
        )

    def complete(self, job_id: str, attempt: int, output: Output, now: datetime) -> Job:
        """See `Catalogue.complete`."""
        self._claimed(job_id, attempt)
        return self._one(
            """
            update jobs set status = 'completed', updated_at = :now, output_key = :key,
                output_type = :media_type, output_width = :width, output_height = :height,
                output_size = :size_bytes, output_sha256 = :sha256
            where id = :id returning *
            """,
            {
                "id": job_id,
                "now": _text(now),
                "key": output.key,
                "media_type": output.media_type,
                "width": output.width,
                "height": output.height,
                "size_bytes": output.size_bytes,
                "sha256": output.sha256,
            },
        )

    def fail(self, job_id: str, attempt: int, code: str, error: str, now: datetime) -> Job:
        """See `Catalogue.fail`."""
        self._claimed(job_id, attempt)
        return self._one(
            "update jobs set status = 'failed', error_code = :code, error = :error, "
            "updated_at = :now where id = :id returning *",
            {"id": job_id, "code": code, "error": error, "now": _text(now)},
        )

    def cancel(self, job_id: str, now: datetime) -> Job:
        """See `Catalogue.cancel`."""
        job = self.find(job_id)
        if job.status == "cancelled":
            return job
        if job.status not in {"pending", "processing"}:
            raise WrongStatus(job.status)
        return self._one(
            "update jobs set status = 'cancelled', updated_at = :now where id = :id returning *",
            {"id": job_id, "now": _text(now)},
        )

    def retry(self, job_id: str, max_attempts: int, now: datetime) -> Job:
        """See `Catalogue.retry`."""
        job = self.find(job_id)
        if job.status not in {"failed", "cancelled"}:
            raise WrongStatus(job.status)
        return self._one(
            f"""
            update jobs set status = 'pending', position = {LAST}, error_code = null, error = null,
                attempts_allowed = attempts + :max_attempts, spared = 0, started_at = null,
                updated_at = :now
            where id = :id returning *
            """,
            {"id": job_id, "max_attempts": max_attempts, "now": _text(now)},
        )

    def delete(self, job_id: str) -> Job:
        """See `Catalogue.delete`."""
        job = self.find(job_id)
        self._db.execute("delete from jobs where id = :id", {"id": job_id})
        return job

    def processing(self) -> list[Job]:
        """See `Catalogue.processing`."""
        return self._jobs("select * from jobs where status = 'processing' order by number", {})

    def page(self, query: Query) -> Page:
        """See `Catalogue.page`."""
        after = None if query.created_after is None else _text(query.created_after)
        filters = (
            ("status = :status", query.status),
            ("operation = :operation", query.operation),
            ("number < :cursor", query.cursor),
            ("created_at > :after", after),
            # By number as well, so that a page ends where the answer ends and not where the
            # table does.
            ("number >= (select min(number) from jobs where created_at > :after)", after),
        )
        where = " and ".join(each for each, value in filters if value is not None)
        rows = self._rows(
            f"select * from jobs where {where or 'true'} order by number desc limit :limit",
            {
                "status": query.status,
                "operation": query.operation,
                "cursor": query.cursor,
                "after": after,
                "limit": query.limit + 1,
            },
        )
        shown = rows[: query.limit]
        more = len(rows) > query.limit
        return Page(tuple(row.job() for row in shown), shown[-1].number if more else None)

    def pending(self) -> int:
        """See `Catalogue.pending`."""
        with _named_errors():
            (count,) = self._db.execute(
                "select sum(jobs) from tallies where status = 'pending'"
            ).fetchone()
        return int(count)

    def tally(self) -> Tally:
        """See `Catalogue.tally`."""
        rows = self._db.execute("select status, priority, jobs from tallies").fetchall()
        counts: dict[tuple[Status, Priority], int] = {
            (status, priority): jobs for status, priority, jobs in rows
        }
        (oldest,) = self._db.execute(
            "select min(created_at) from jobs where number in ("
            + " union all ".join(
                f"select * from ({FIRST_PENDING.replace(':priority', repr(priority))})"
                for priority in ("high", "normal", "low")
            )
            + ")"
        ).fetchone()
        return Tally(counts, None if oldest is None else datetime.fromisoformat(oldest))

    def keys(self, job_ids: Collection[str]) -> set[str]:
        """See `Catalogue.keys`."""
        marks = ", ".join("?" * len(job_ids))
        rows = self._db.execute(
            f"select input_key, output_key from jobs where id in ({marks})", list(job_ids)
        )
        return {key for row in rows.fetchall() for key in row if key is not None}

    def close(self) -> None:
        """See `Catalogue.close`."""
        self._db.close()

    def _claimed(self, job_id: str, attempt: int) -> Job:
        job = self.find(job_id)
        if job.status != "processing" or job.attempts != attempt:
            raise StaleClaim(job_id)
        return job

    def _one(self, sql: str, values: Mapping[str, Value]) -> Job:
        (job,) = self._jobs(sql, values)
        return job

    def _jobs(self, sql: str, values: Mapping[str, Value]) -> list[Job]:
        return [row.job() for row in self._rows(sql, values)]

    def _rows(self, sql: str, values: Mapping[str, Value]) -> list[_Row]:
        cursor = self._db.execute(sql, dict(values))
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor]
        return msgspec.convert(rows, list[_Row])


class _Row(msgspec.Struct):
    """A row of the table `jobs`."""

    number: int
    id: str
    status: Status
    priority: Priority
    operation: str
    recipe: str
    input_key: str
    input_size: int
    output_key: str | None
    output_type: str | None
    output_width: int | None
    output_height: int | None
    output_size: int | None
    output_sha256: str | None
    error_code: str | None
    error: str | None
    attempts: int
    attempts_allowed: int
    spared: int
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime

    def job(self) -> Job:
        return Job(
            id=self.id,
            status=self.status,
            priority=self.priority,
            operation=self.operation,
            recipe=self.recipe,
            input_key=self.input_key,
            input_size=self.input_size,
            output=self._output(),
            error_code=self.error_code,
            error=self.error,
            attempts=self.attempts,
            attempts_allowed=self.attempts_allowed,
            spared=self.spared,
            created_at=self.created_at,
            started_at=self.started_at,
            updated_at=self.updated_at,
        )

    def _output(self) -> Output | None:
        if self.output_key is None:
            return None
        return Output(
            key=self.output_key,
            media_type=self.output_type or "",
            width=self.output_width or 0,
            height=self.output_height or 0,
            size_bytes=self.output_size or 0,
            sha256=self.output_sha256 or "",
        )


def _text(moment: datetime) -> str:
    """Return `moment` as fixed-width RFC 3339 text in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


@contextmanager
def _named_errors() -> Iterator[None]:
    """Raise what SQLite and the operating system say under the port's names."""
    try:
        yield
    except sqlite3.OperationalError as error:
        # Only what SQLite itself says has a code; Python's sqlite3 raises this class as well.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            raise StorageFull("no room for the catalogue") from error
        raise StorageUnavailable(f"the catalogue: {error}") from error
    except sqlite3.DatabaseError as error:
        # The class itself says that the file is damaged, or no catalogue; its others name bugs.
        if type(error) is not sqlite3.DatabaseError:
            raise
        raise StorageUnavailable(f"the catalogue: {error}") from error
    except OSError as error:
        raise StorageUnavailable(f"the catalogue: {error.strerror}") from error
