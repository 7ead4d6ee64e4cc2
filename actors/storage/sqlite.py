"""The catalogue on SQLite, through sqlite-utils.

Write-ahead log and `synchronous=FULL`: a commit is one fsync, and survives a power cut
(https://sqlite.org/pragma.html#pragma_synchronous).
Times are RFC 3339 text in UTC with microseconds, so that they sort and a person can read them.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from sqlite_utils import Database

from actors.storage.directories import make_directory
from actors.storage.keys import owner_of
from actors.storage.migrations import STEPS, migrations
from actors.storage.ports import (
    ImageNotFound,
    ImageRecord,
    Job,
    JobNotFound,
    NewImage,
    NewJob,
    Output,
    Page,
    Priority,
    Query,
    Removed,
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
Row = dict[str, object]

LAST = "(select coalesce(max(position), 0) + 1 from jobs)"
FIRST_PENDING = (
    "select number from jobs where status = 'pending' and priority = :priority "
    "order by position limit 1"
)
OUTPUTS = msgspec.json.Decoder(tuple[Output, ...])


class SqliteCatalogue:
    """One connection to one database file, made and migrated if need be.

    Used by one thread at a time, not always the same one.
    With `to_look` the file stays as it is, and whoever has it open is not disturbed.
    """

    def __init__(self, path: Path, *, to_look: bool = False) -> None:
        with _named_errors():
            if not to_look:
                make_directory(path.parent)
            address = f"{path.absolute().as_uri()}?mode={'ro' if to_look else 'rwc'}"
            self._db = Database(sqlite3.connect(address, uri=True, check_same_thread=False))
            try:
                self._prepare(to_look=to_look)
            except BaseException:
                self._db.close()
                raise

    def _prepare(self, *, to_look: bool) -> None:
        applied = {step.name for step in migrations.applied(self._db)}
        if applied - STEPS.keys():
            raise StorageUnavailable("the catalogue was made by a newer version of Calotype")
        if to_look:
            if STEPS.keys() - applied:
                raise StorageUnavailable("the catalogue was made by an older version of Calotype")
            return
        self._db.enable_wal()
        self._db.execute("pragma synchronous = full")
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
        taken = self.find_image(new.input) if isinstance(new.input, str) else new.input
        others = {image_id: self.find_image(image_id).key for image_id in new.other_images}
        job = self._one(
            f"""
            insert into jobs (id, status, priority, position, operation, preset, recipe, input_key,
                input_size, input_sha256, image_id, others, attempts, attempts_allowed,
                created_at, updated_at)
            values (:id, 'pending', :priority, {LAST}, :operation, :preset, :recipe, :input_key,
                :input_size, :input_sha256, :image_id, :others, 0, :max_attempts,
                :now, :now)
            returning *
            """,
            {
                "id": new.id,
                "priority": new.priority,
                "operation": new.operation,
                "preset": new.preset,
                "recipe": new.recipe,
                "input_key": taken.key,
                "input_size": taken.size_bytes,
                "input_sha256": taken.sha256,
                "image_id": taken.id if isinstance(taken, ImageRecord) else None,
                "others": _json(others),
                "max_attempts": new.max_attempts,
                "now": _text(now),
            },
        )
        for image_id in job.images:
            self._db.execute(
                "insert into uses (job, image) select number, :image from jobs where id = :id",
                {"id": job.id, "image": image_id},
            )
        return job

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

    def complete(
        self, job_id: str, attempt: int, outputs: Sequence[Output], receipt: str, now: datetime
    ) -> Job:
        """See `Catalogue.complete`."""
        self._claimed(job_id, attempt)
        return self._one(
            "update jobs set status = 'completed', outputs = :outputs, receipt = :receipt, "
            "updated_at = :now where id = :id returning *",
            {"id": job_id, "outputs": _json(outputs), "receipt": receipt, "now": _text(now)},
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

    def delete(self, job_id: str) -> Removed:
        """See `Catalogue.delete`."""
        job = self.find(job_id)
        self._db.execute("delete from jobs where id = :id", {"id": job_id})
        inputs = [] if job.image_id else [job.input_key]
        for image_id in job.images:
            inputs += self._unneeded(image_id)
        return Removed(job, tuple(inputs), tuple(output.key for output in job.outputs))

    def processing(self) -> list[Job]:
        """See `Catalogue.processing`."""
        return self._jobs("select * from jobs where status = 'processing' order by number", {})

    def page(self, query: Query) -> Page:
        """See `Catalogue.page`."""
        after = None if query.created_after is None else _text(query.created_after)
        filters = (
            ("status = :status", query.status),
            ("operation = :operation", query.operation),
            ("preset = :preset", query.preset),
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
                "preset": query.preset,
                "cursor": query.cursor,
                "after": after,
                "limit": query.limit + 1,
            },
        )
        shown = rows[: query.limit]
        more = len(rows) > query.limit
        cursor = msgspec.convert(shown[-1]["number"], int) if more else None
        return Page(tuple(_job(row) for row in shown), cursor)

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

    def add_image(self, new: NewImage, now: datetime) -> ImageRecord:
        """See `Catalogue.add_image`."""
        return self._image(
            """
            insert into images (id, key, format, width, height, frames, size_bytes, sha256,
                facts, created_at)
            values (:id, :key, :format, :width, :height, :frames, :size_bytes, :sha256,
                :facts, :now)
            returning *
            """,
            {**asdict(new), "now": _text(now)},
        )

    def find_image(self, image_id: str) -> ImageRecord:
        """See `Catalogue.find_image`."""
        return self._image("select * from images where id = :id and not deleted", {"id": image_id})

    def delete_image(self, image_id: str) -> tuple[str, ...]:
        """See `Catalogue.delete_image`."""
        self._image(
            "update images set deleted = 1 where id = :id and not deleted returning *",
            {"id": image_id},
        )
        return self._unneeded(image_id)

    def known(self, keys: Collection[str]) -> set[str]:
        """See `Catalogue.known`."""
        owners = list({owner for key in keys if (owner := owner_of(key))})
        marks = ", ".join("?" * len(owners))
        images = self._db.execute(f"select key from images where id in ({marks})", owners)
        jobs = self._db.execute(
            f"select input_key, outputs from jobs where id in ({marks})", owners
        )
        needed = {key for (key,) in images}
        for input_key, outputs in jobs:
            needed |= {input_key, *(output.key for output in OUTPUTS.decode(outputs or "[]"))}
        return needed.intersection(keys)

    def close(self) -> None:
        """See `Catalogue.close`."""
        self._db.close()

    def _claimed(self, job_id: str, attempt: int) -> Job:
        job = self.find(job_id)
        if job.status != "processing" or job.attempts != attempt:
            raise StaleClaim(job_id)
        return job

    def _unneeded(self, image_id: str) -> tuple[str, ...]:
        """Forget an image that is deleted and has no use left; return the key of its file."""
        rows = self._rows(
            "delete from images where id = :id and deleted "
            "and not exists (select 1 from uses where image = :id) returning key",
            {"id": image_id},
        )
        return tuple(str(row["key"]) for row in rows)

    def _image(self, sql: str, values: Mapping[str, Value]) -> ImageRecord:
        rows = self._rows(sql, values)
        if not rows:
            raise ImageNotFound(values["id"])
        return msgspec.convert(rows[0], ImageRecord)

    def _one(self, sql: str, values: Mapping[str, Value]) -> Job:
        (job,) = self._jobs(sql, values)
        return job

    def _jobs(self, sql: str, values: Mapping[str, Value]) -> list[Job]:
        return [_job(row) for row in self._rows(sql, values)]

    def _rows(self, sql: str, values: Mapping[str, Value]) -> list[Row]:
        cursor = self._db.execute(sql, dict(values))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def _job(row: Row) -> Job:
    """Return the job that is in this row of `jobs`."""
    return msgspec.convert(
        {
            **row,
            "others": msgspec.json.decode(str(row["others"])),
            "outputs": OUTPUTS.decode(str(row["outputs"] or "[]")),
        },
        Job,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


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
