"""The catalogue on SQLite, through sqlite-utils.

Write-ahead log and `synchronous=FULL`: a commit is one fsync, and survives a power cut
(https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import msgspec
from sqlite_utils import Database

from actors.storage.directories import make_directory
from actors.storage.keys import owner_of
from actors.storage.migrations.steps import STEPS, migrations
from actors.storage.ports import (
    BlobNotFound,
    Dead,
    Elsewhere,
    ImageNotFound,
    ImageRecord,
    Job,
    JobNotFound,
    NewImage,
    NewInput,
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
    StorageInDoubt,
    StorageUnavailable,
    Tally,
    Woken,
    WrongStatus,
)
from actors.storage.presence import Presence
from actors.storage.reserve import Reserve
from actors.storage.rows import Row, Value, json_text, rows, time_or_null, time_text
from actors.storage.sqlite_audit import SqliteAudit
from actors.storage.sqlite_batches import SqliteBatches
from actors.storage.sqlite_events import SqliteEvents
from actors.storage.sqlite_keys import SqliteKeys
from actors.storage.sqlite_outbox import SqliteOutbox
from actors.storage.sqlite_quarantine import SqliteQuarantine
from actors.storage.sqlite_queue import PLACE, SqliteQueue
from actors.storage.sqlite_repeats import SqliteRepeats
from actors.storage.sqlite_retention import SqliteRetention
from actors.storage.sqlite_signing import SqliteSigning
from actors.storage.sqlite_upkeep import SqliteUpkeep
from actors.storage.sqlite_usage import SqliteUsage
from actors.storage.twins import twin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from actors.storage.ports import Catalogue

Role = Literal["owner", "guest", "viewer"]
MODES: Mapping[Role, str] = MappingProxyType({"owner": "rwc", "guest": "rw", "viewer": "ro"})
PATIENCE = 5.0  # seconds for another process to end its transaction
CHECKED = 256 * 1024 * 1024  # bytes of a catalogue that is looked through at the start
DAMAGED = "the catalogue is damaged, and was left as it is: {}"

INSERT = f"""
    insert into jobs (id, status, priority, position, operation, preset, recipe, input_key,
        input_size, input_sha256, image_id, image_url, others, attempts,
        attempts_allowed, max_attempts, created_at, updated_at, tenant, retain, run_at, due,
        callback_url, metadata, batch_id, trace, twin, latest_at)
    values (:id, 'pending', :priority, iif(:due, {PLACE}, 0), :operation, :preset, :recipe,
        :input_key, :input_size, :input_sha256, :image_id, :image_url, :others, 0,
        :max_attempts, :max_attempts, :now, :now, :tenant, :retain, :run_at, :due,
        :callback_url, :metadata, :batch_id, :trace, :twin,
        max(:now, coalesce((select max(latest_at) from jobs), '')))
"""
# The time of the job itself would not do, since a clock may have been set back.
FIRST_AFTER = "select number from jobs where latest_at > :after order by latest_at, number limit 1"
OUTPUTS = msgspec.json.Decoder(tuple[Output, ...])


class SqliteCatalogue:
    """One connection to one database file, made and migrated if need be.

    Used by one thread at a time, not always the same one.
    As an "owner" it makes or migrates the file if need be. As a "guest" it writes beside the
    service that may have it open, and as a "viewer" it only reads: both take the file as it is.
    """

    def __init__(self, path: Path, role: Role = "owner") -> None:
        self.reserve: Reserve | None = None  # of the owner alone
        self._presence = Presence(())
        with _named_errors():
            if role == "owner":
                make_directory(path.parent)
                _refuse_damaged(path)
            self._db = Database(_connect(path, role))
            self.keys = SqliteKeys(self._db)
            self.repeats = SqliteRepeats(self._db)
            self.audit = SqliteAudit(self._db)
            self.quarantine = SqliteQuarantine(self._db)
            self.events = SqliteEvents(self._db)
            self._queue = SqliteQueue(self._db)
            self.usage = SqliteUsage(self._db)
            self.batches = SqliteBatches(self._db, self.cancel, self.delete)
            self.outbox = SqliteOutbox(self._db)
            self.signing = SqliteSigning(self._db)
            self.retention = SqliteRetention(self._db, self.delete, self._unneeded)
            self.upkeep = SqliteUpkeep(self._db, _job, self.repeats.forget)
            try:
                self._prepare(role)
                if role == "owner":
                    self._presence = Presence(
                        path.with_name(f"{path.name}{end}") for end in ("", "-wal", "-shm")
                    )
                    self.reserve = Reserve(path.with_name(f"{path.name}-reserve"))
                    with suppress(StorageFull):
                        self.reserve.require()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self, role: Role) -> None:
        applied = {step.name for step in migrations.applied(self._db)}
        if applied - STEPS.keys():
            raise StorageUnavailable("the catalogue was made by a newer version of Calotype")
        if role != "owner" and STEPS.keys() - applied:
            raise StorageUnavailable("the catalogue was made by an older version of Calotype")
        if role != "viewer":
            self._db.enable_wal()
            self._db.execute("pragma synchronous = full")
        if role == "owner":
            migrations.apply(self._db)
            self._empty_log()

    def _empty_log(self) -> None:
        """Empty the log, whatever the steps or an end in the middle have left in it.

        It is a file of its own, which must find room to grow. Where there is no room in the
        catalogue for what is in it, it stays as it is, and all of it counts.
        """
        try:
            self._db.execute("pragma wal_checkpoint(truncate)")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise

    @property
    def identity(self) -> str:
        """The name that this catalogue was given when it was made; no other has it."""
        with _named_errors():
            (identity,) = self._db.execute("select id from catalogue").fetchone()
        return str(identity)

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """See `Catalogue.batch`."""
        try:
            return self._batch(calls)
        except StorageFull:
            with _named_errors():
                if not self.reserve or not self.reserve.release():
                    raise
        # Again with that room, in which calls that add anything are refused, and others are not.
        return self._batch(calls)

    def _batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        with _named_errors():
            if lost := self._presence.lost():
                raise StorageUnavailable(f"{lost} was deleted or replaced")
            with self._transaction():
                results = [self._attempt(call) for call in calls]
            if lost := self._presence.lost():
                raise StorageInDoubt(f"{lost} was deleted or replaced")
            return results

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._db.conn
        # With a plain "begin", a commit of another process between our first look and our first
        # write would fail ours at once; this waits for its turn as long as `PATIENCE`.
        connection.execute("begin immediate")
        try:
            yield
            connection.execute("commit")
        except sqlite3.OperationalError as error:
            connection.rollback()
            # It is in the log and undone in memory, and the next transaction is written over it.
            # Should the process end before that, the next start finds it if the disk has it. To
            # flush it again would prove nothing: what the system could not write, it forgets.
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR_FSYNC:
                raise StorageInDoubt("the catalogue could not be flushed to the disk") from error
            raise
        except BaseException:
            connection.rollback()
            raise

    def _attempt(self, call: Callable[[Catalogue], object]) -> object:
        try:
            with self._db.atomic():
                return call(self)
        except StorageError as error:
            return error

    def add(self, new: NewJob, now: datetime) -> Job:
        """See `Catalogue.add`."""
        self._require_room()
        job = self._one(f"{INSERT} returning *", self._row(new, now, self.find_image))
        self._use([job])
        return job

    def add_all(self, new: Sequence[NewJob], now: datetime) -> None:
        """See `Catalogue.add_all`."""
        self._require_room()
        # Many of them may be of the same image.
        find_image = functools.cache(self.find_image)
        self._db.conn.executemany(INSERT, [self._row(each, now, find_image) for each in new])
        self._use(new)

    def _row(
        self, new: NewJob, now: datetime, find_image: Callable[[str, str], ImageRecord]
    ) -> dict[str, Value]:
        tenant, sent = new.tenant, new.input
        taken = find_image(sent, tenant) if isinstance(sent, str) else sent
        there = None if isinstance(taken, Elsewhere) else taken
        others = {each: find_image(each, tenant).key for each in new.other_images}
        run_at = new.run_at if new.run_at and new.run_at > now else None
        return {
            "id": new.id,
            "tenant": tenant,
            "priority": new.priority,
            "operation": new.operation,
            "preset": new.preset,
            "recipe": new.recipe,
            "input_key": there.key if there else None,
            "input_size": there.size_bytes if there else None,
            "input_sha256": there.sha256 if there else None,
            "image_id": taken.id if isinstance(taken, ImageRecord) else None,
            "image_url": taken.url if isinstance(taken, Elsewhere) else None,
            "others": json_text(others),
            "max_attempts": new.max_attempts,
            "retain": new.retain,
            "callback_url": new.callback_url,
            "metadata": new.metadata,
            "batch_id": new.batch_id,
            "trace": new.trace,
            "now": time_text(now),
            "run_at": time_or_null(run_at),
            "due": int(run_at is None),
            "twin": twin_of(tenant, there.sha256, new.recipe, new.made_with) if there else None,
        }

    def _use(self, jobs: Iterable[Job | NewJob]) -> None:
        """Note which images these jobs need."""
        self._db.conn.executemany(
            "insert into uses (job, image) select number, :image from jobs where id = :id",
            [{"id": job.id, "image": image_id} for job in jobs for image_id in job.images],
        )

    def find(self, job_id: str) -> Job:
        """See `Catalogue.find`."""
        jobs = self._jobs("select * from jobs where id = :id", {"id": job_id})
        if not jobs:
            raise JobNotFound(job_id)
        return jobs[0]

    def find_own(self, job_id: str, tenant: str) -> Job:
        """See `Catalogue.find_own`."""
        job = self.find(job_id)
        if job.tenant != tenant:
            raise JobNotFound(job_id)
        return job

    def claim(
        self, turns: Iterable[Sequence[Priority]], now: datetime, *, fetching: int | None = None
    ) -> list[Job]:
        """See `Catalogue.claim`."""
        return [_job(row) for row in self._queue.claim(turns, now, fetching)]

    def wake(self, now: datetime, limit: int) -> Woken:
        """See `Catalogue.wake`."""
        return self._queue.wake(now, limit)

    def pause(self, *, paused: bool) -> None:
        """See `Catalogue.pause`."""
        self._queue.pause(paused=paused)

    def unclaim(self, job_id: str, attempt: int, now: datetime) -> None:
        """See `Catalogue.unclaim`."""
        self._db.execute(
            "update jobs set status = 'pending', attempts = attempts - 1, updated_at = :now "
            "where id = :id and status = 'processing' and attempts = :attempt",
            {"id": job_id, "attempt": attempt, "now": time_text(now)},
        )

    def release(
        self,
        job_id: str,
        attempt: int,
        error: str,
        now: datetime,
        *,
        spare: bool = False,
        run_at: datetime | None = None,
    ) -> Job:
        """See `Catalogue.release`."""
        job = self._claimed(job_id, attempt)
        if job.attempts >= job.attempts_allowed + spare:
            return self.fail(job_id, attempt, "crashed", error, now)
        return self._one(
            "update jobs set status = 'pending', attempts_allowed = attempts_allowed + :spare, "
            "spared = spared + :spare, run_at = coalesce(:run_at, run_at), due = :due, "
            "updated_at = :now where id = :id returning *",
            {
                "id": job_id,
                "spare": int(spare),
                "run_at": time_or_null(run_at),
                "due": int(run_at is None),
                "now": time_text(now),
            },
        )

    def postpone(
        self,
        job_id: str,
        attempt: int,
        code: str,
        error: str,
        now: datetime,
        *,
        run_at: datetime,
        spare: bool = False,
    ) -> Job:
        """See `Catalogue.postpone`."""
        job = self._claimed(job_id, attempt)
        if job.attempts >= job.attempts_allowed + spare:
            return self.fail(job_id, attempt, code, error, now)
        return self._one(
            "update jobs set status = 'pending', attempts_allowed = attempts_allowed + :spare, "
            "spared = spared + :spare, run_at = :run_at, due = 0, error_code = :code, "
            "error = :error, updated_at = :now where id = :id returning *",
            {
                "id": job_id,
                "spare": int(spare),
                "run_at": time_text(run_at),
                "code": code,
                "error": error,
                "now": time_text(now),
            },
        )

    def supply(
        self,
        job_id: str,
        attempt: int,
        file: NewInput,
        now: datetime,
        *,
        made_with: str | None = None,
    ) -> Job:
        """See `Catalogue.supply`."""
        job = self._claimed(job_id, attempt)
        if job.input_key is not None:
            raise StaleClaim(job_id)
        return self._one(
            "update jobs set input_key = :key, input_size = :size, input_sha256 = :sha256, "
            "twin = :twin, updated_at = :now where id = :id returning *",
            {
                "id": job_id,
                "key": file.key,
                "size": file.size_bytes,
                "sha256": file.sha256,
                "twin": twin_of(job.tenant, file.sha256, job.recipe, made_with),
                "now": time_text(now),
            },
        )

    def complete(
        self, job_id: str, attempt: int, outputs: Sequence[Output], receipt: str, now: datetime
    ) -> Job:
        """See `Catalogue.complete`."""
        self._claimed(job_id, attempt)
        return self._one(
            "update jobs set status = 'completed', outputs = :outputs, receipt = :receipt, "
            "error_code = null, error = null, updated_at = :now where id = :id returning *",
            {
                "id": job_id,
                "outputs": json_text(outputs),
                "receipt": receipt,
                "now": time_text(now),
            },
        )

    def finished_twin(self, job_id: str) -> Job | None:
        """See `Catalogue.finished_twin`."""
        found = self._jobs(
            "select * from jobs where twin = :twin and status = 'completed' and gone_at is null "
            "order by number desc limit 1",
            {"twin": self.find(job_id).twin},
        )
        return found[0] if found else None

    def fail(self, job_id: str, attempt: int, code: str, error: str, now: datetime) -> Job:
        """See `Catalogue.fail`."""
        self._claimed(job_id, attempt)
        return self._one(
            "update jobs set status = 'failed', error_code = :code, error = :error, "
            "updated_at = :now where id = :id returning *",
            {"id": job_id, "code": code, "error": error, "now": time_text(now)},
        )

    def cancel(self, job_id: str, now: datetime) -> Job:
        """See `Catalogue.cancel`."""
        job = self.find(job_id)
        if job.status == "cancelled":
            return job
        if job.status not in {"pending", "processing"}:
            raise WrongStatus(job.status)
        return self._one(
            "update jobs set status = 'cancelled', error_code = null, error = null, "
            "updated_at = :now where id = :id returning *",
            {"id": job_id, "now": time_text(now)},
        )

    def retry(self, job_id: str, max_attempts: int, now: datetime) -> Job:
        """See `Catalogue.retry`."""
        job = self.find(job_id)
        if job.status not in {"failed", "cancelled"}:
            raise WrongStatus(job.status)
        if job.gone_at is not None:
            raise BlobNotFound(job.input_key)
        return self._one(
            f"""
            update jobs set status = 'pending', position = {PLACE}, error_code = null, error = null,
                attempts_allowed = attempts + :max_attempts, max_attempts = :max_attempts,
                spared = 0, run_at = null, due = 1, started_at = null, updated_at = :now
            where id = :id returning *
            """,
            {
                "id": job_id,
                "priority": job.priority,
                "tenant": job.tenant,
                "max_attempts": max_attempts,
                "now": time_text(now),
            },
        )

    def dead(self, which: Dead) -> list[tuple[int, Job]]:
        """See `Catalogue.dead`."""
        filters = (
            ("error_code = :code", which.code),
            ("updated_at < :before", which.failed_before),
        )
        more = "".join(f" and {each}" for each, value in filters if value is not None)
        found = rows(
            self._db,
            "select * from jobs where status = 'failed' and gone_at is null "
            f"and number > :after{more} order by number limit :limit",
            {
                "code": which.code,
                "before": time_or_null(which.failed_before),
                "after": which.after,
                "limit": which.limit,
            },
        )
        return [(msgspec.convert(row["number"], int), _job(row)) for row in found]

    def delete(self, job_id: str, now: datetime) -> Removed:
        """See `Catalogue.delete`."""
        job = self.find(job_id)
        # The trigger that notes the deletion can see no other time than this.
        self._db.execute(
            "update jobs set updated_at = :now where id = :id",
            {"id": job_id, "now": time_text(now)},
        )
        self._db.execute("delete from jobs where id = :id", {"id": job_id})
        self.repeats.forget(job_id)
        inputs = [job.input_key] if job.input_key and not job.image_id else []
        for image_id in job.images:
            inputs += self._unneeded(image_id)
        return Removed(job, tuple(inputs), tuple(output.key for output in job.outputs))

    def processing(self) -> list[Job]:
        """See `Catalogue.processing`."""
        return self._jobs("select * from jobs where status = 'processing' order by number", {})

    def page(self, query: Query) -> Page:
        """See `Catalogue.page`."""
        after = None if query.created_after is None else time_text(query.created_after)
        # With its plus, no index over the tenant's jobs is taken for that of the few of a batch.
        whose = "tenant = :tenant" if query.batch_id is None else "+tenant = :tenant"
        filters = (
            (whose, query.tenant),
            ("status = :status", query.status),
            ("operation = :operation", query.operation),
            ("preset = :preset", query.preset),
            ("batch_id = :batch_id", query.batch_id),
            ("number < :cursor", query.cursor),
            ("created_at > :after", after),
            # By number as well, so that a page ends where the answer ends and not where the
            # table does.
            (f"number >= ({FIRST_AFTER})", after),
        )
        where = " and ".join(each for each, value in filters if value is not None)
        found = rows(
            self._db,
            f"select * from jobs where {where} order by number desc limit :limit",
            {
                "tenant": query.tenant,
                "status": query.status,
                "operation": query.operation,
                "preset": query.preset,
                "batch_id": query.batch_id,
                "cursor": query.cursor,
                "after": after,
                "limit": query.limit + 1,
            },
        )
        shown = found[: query.limit]
        more = len(found) > query.limit
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
        tallies = self._db.execute("select status, priority, jobs from tallies").fetchall()
        counts: dict[tuple[Status, Priority], int] = {
            (status, priority): jobs for status, priority, jobs in tallies
        }
        queue = self._queue
        return Tally(
            *(counts, queue.waiting(), queue.oldest(), queue.paused),
            *(self.retention.stored(), self.outbox.counts()),
        )

    def add_image(self, new: NewImage, now: datetime) -> ImageRecord:
        """See `Catalogue.add_image`."""
        self._require_room()
        return self._image(
            """
            insert into images (id, key, format, width, height, frames, size_bytes, sha256,
                facts, tenant, created_at)
            values (:id, :key, :format, :width, :height, :frames, :size_bytes, :sha256,
                :facts, :tenant, :now)
            returning *
            """,
            {**asdict(new), "now": time_text(now)},
        )

    def find_image(self, image_id: str, tenant: str = "") -> ImageRecord:
        """See `Catalogue.find_image`."""
        return self._image(
            "select * from images where id = :id and tenant = :tenant and not deleted",
            {"id": image_id, "tenant": tenant},
        )

    def delete_image(self, image_id: str, tenant: str = "") -> tuple[str, ...]:
        """See `Catalogue.delete_image`."""
        self._image(
            "update images set deleted = 1 where id = :id and tenant = :tenant and not deleted "
            "returning *",
            {"id": image_id, "tenant": tenant},
        )
        self.repeats.forget(image_id)
        return self._unneeded(image_id)

    def known(self, keys: Collection[str]) -> set[str]:
        """See `Catalogue.known`."""
        owners = list({owner for key in keys if (owner := owner_of(key))})
        marks = ", ".join("?" * len(owners))
        images = self._db.execute(f"select key from images where id in ({marks})", owners)
        jobs = self._db.execute(
            f"select input_key, outputs from jobs where id in ({marks}) and not purged", owners
        )
        needed = {key for (key,) in images}
        for input_key, outputs in jobs:
            needed |= {input_key, *(output.key for output in OUTPUTS.decode(outputs or "[]"))}
        return needed.intersection(keys)

    def close(self) -> None:
        """See `Catalogue.close`."""
        self._db.close()
        if self.reserve:
            with _named_errors():
                self.reserve.release()

    def _require_room(self) -> None:
        if self.reserve:
            self.reserve.require()

    def _claimed(self, job_id: str, attempt: int) -> Job:
        job = self.find(job_id)
        if job.status != "processing" or job.attempts != attempt:
            raise StaleClaim(job_id)
        return job

    def _unneeded(self, image_id: str) -> tuple[str, ...]:
        """Forget an image that is deleted and has no use left; return the key of its file."""
        gone = rows(
            self._db,
            "delete from images where id = :id and deleted "
            "and not exists (select 1 from uses where image = :id) returning key",
            {"id": image_id},
        )
        return tuple(str(row["key"]) for row in gone)

    def _image(self, sql: str, values: Mapping[str, Value]) -> ImageRecord:
        found = rows(self._db, sql, values)
        if not found:
            raise ImageNotFound(values["id"])
        return msgspec.convert(found[0], ImageRecord)

    def _one(self, sql: str, values: Mapping[str, Value]) -> Job:
        (job,) = self._jobs(sql, values)
        return job

    def _jobs(self, sql: str, values: Mapping[str, Value]) -> list[Job]:
        return [_job(row) for row in rows(self._db, sql, values)]


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


def _connect(path: Path, role: Role) -> sqlite3.Connection:
    address = f"{path.absolute().as_uri()}?mode={MODES[role]}"
    return sqlite3.connect(address, uri=True, check_same_thread=False, timeout=PATIENCE)


def _refuse_damaged(path: Path) -> None:
    """Raise StorageUnavailable if what is at `path` is damaged. Nothing is changed by this.

    One that is so large that a start would take long is not looked through.
    """
    if not path.is_file() or not 0 < path.stat().st_size <= CHECKED:
        return
    # As an owner would, closing it would write the log into what is damaged.
    with closing(_connect(path, "viewer")) as connection:
        (told,) = connection.execute("pragma quick_check(1)").fetchone()
    if told != "ok":
        raise StorageUnavailable(DAMAGED.format(" ".join(told.split())))


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
        raise StorageUnavailable(DAMAGED.format(error)) from error
    except msgspec.MsgspecError as error:
        raise StorageUnavailable(DAMAGED.format(error)) from error
    except MemoryError as error:
        raise StorageUnavailable("the catalogue: no memory") from error
    except OSError as error:
        raise StorageUnavailable(f"the catalogue: {error.strerror}") from error
