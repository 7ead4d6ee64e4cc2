"""The catalogue in memory: the fake that the contract suite verifies beside the real one."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from actors.storage.ports import (
    ENDED,
    PRIORITIES,
    STATUSES,
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
    Query,
    Removed,
    StaleClaim,
    StorageError,
    Tally,
    Woken,
    WrongStatus,
)
from actors.storage.twins import LET_GO, twin_of
from tests.storage.memory.audit import MemoryAudit
from tests.storage.memory.batches import MemoryBatches
from tests.storage.memory.events import MemoryEvents
from tests.storage.memory.keys import MemoryKeys
from tests.storage.memory.outbox import MemoryOutbox
from tests.storage.memory.quarantine import MemoryQuarantine
from tests.storage.memory.repeats import MemoryRepeats
from tests.storage.memory.retention import MemoryRetention
from tests.storage.memory.signing import MemorySigning
from tests.storage.memory.upkeep import MemoryUpkeep
from tests.storage.memory.usage import MemoryUsage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from datetime import datetime

    from actors.storage.ports import Catalogue, Priority


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    position: int
    due: bool
    job: Job
    purged: bool = False
    held: bool = False

    @property
    def order(self) -> tuple[int, int, int]:
        return PRIORITIES.index(self.job.priority), self.position, self.number


@dataclass(frozen=True, slots=True)
class _Kept:
    image: ImageRecord
    deleted: bool


class MemoryCatalogue:
    """A catalogue as long as the process lives."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._images: dict[str, _Kept] = {}
        self.keys = MemoryKeys()
        self.repeats = MemoryRepeats()
        self.audit = MemoryAudit()
        self.quarantine = MemoryQuarantine()
        self.events = MemoryEvents()
        self.usage = MemoryUsage()
        self.outbox = MemoryOutbox()
        self.signing = MemorySigning()
        self.retention = MemoryRetention(
            lambda: self._entries,
            lambda: self._images,
            self._is_used,
            self._unneeded,
            self.delete,
            self._is_awaited,
        )
        self.batches = MemoryBatches(
            lambda: self._entries,
            self.cancel,
            self.delete,
            lambda: self.outbox,
        )
        self.upkeep = MemoryUpkeep(self)
        self._numbers = 0
        self._reached = dict.fromkeys(PRIORITIES, 0)
        self._paused = False

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """See `Catalogue.batch`."""
        return [self._attempt(call) for call in calls]

    def _attempt(self, call: Callable[[Catalogue], object]) -> object:
        before = copy.copy(self._entries), copy.copy(self._images)
        registers = self.keys.copy(), self.events.copy(), self.usage.copy()
        others = self.repeats.copy(), self.audit.copy(), self.batches.copy()
        outgoing = self.outbox.copy(), self.signing.copy()
        quarantine = self.quarantine.copy()
        reached, paused = copy.copy(self._reached), self._paused
        try:
            return call(self)
        except StorageError as error:
            self._entries, self._images = before
            self.keys, self.events, self.usage = registers
            self.repeats, self.audit, self.batches = others
            self.outbox, self.signing = outgoing
            self.quarantine = quarantine
            self._reached, self._paused = reached, paused
            return error

    def add(self, new: NewJob, now: datetime) -> Job:
        """See `Catalogue.add`."""
        tenant, sent = new.tenant, new.input
        taken = self.find_image(sent, tenant) if isinstance(sent, str) else sent
        there = None if isinstance(taken, Elsewhere) else taken
        job = Job(
            id=new.id,
            status="pending",
            priority=new.priority,
            operation=new.operation,
            preset=new.preset,
            recipe=new.recipe,
            input_key=there.key if there else None,
            input_size=there.size_bytes if there else None,
            input_sha256=there.sha256 if there else None,
            image_id=taken.id if isinstance(taken, ImageRecord) else None,
            others={each: self.find_image(each, tenant).key for each in new.other_images},
            outputs=(),
            receipt=None,
            error_code=None,
            error=None,
            attempts=0,
            attempts_allowed=new.max_attempts,
            max_attempts=new.max_attempts,
            spared=0,
            created_at=now,
            started_at=None,
            updated_at=now,
            run_at=new.run_at if new.run_at and new.run_at > now else None,
            tenant=tenant,
            image_url=taken.url if isinstance(taken, Elsewhere) else None,
            retain=new.retain,
            twin=twin_of(tenant, there.sha256, new.recipe, new.made_with) if there else None,
            callback_url=new.callback_url,
            metadata=new.metadata,
            batch_id=new.batch_id,
            trace=new.trace,
        )
        self._numbers += 1
        due = job.run_at is None
        return self._put(_Entry(self._numbers, self._place(job) if due else 0, due, job))

    def add_all(self, new: Sequence[NewJob], now: datetime) -> None:
        """See `Catalogue.add_all`."""
        for each in new:
            self.add(each, now)

    def find(self, job_id: str) -> Job:
        """See `Catalogue.find`."""
        return self._entry(job_id).job

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
        claimed: list[Job] = []
        for turn in () if self._paused else turns:
            fetched_now = sum(job.input_key is None for job in self.processing())
            entry = self._first(turn, may_fetch=fetching is None or fetched_now < fetching)
            if entry is None:
                break
            job = entry.job
            self._reached[job.priority] = max(self._reached[job.priority], entry.position)
            claimed.append(
                self._change(
                    replace(
                        job,
                        status="processing",
                        attempts=job.attempts + 1,
                        started_at=now,
                        updated_at=now,
                    )
                )
            )
        return claimed

    def wake(self, now: datetime, limit: int) -> Woken:
        """See `Catalogue.wake`."""
        waiting = sorted(self._waiting(), key=lambda entry: (entry.job.due_since, entry.number))
        due = [entry for entry in waiting if entry.job.due_since <= now][:limit]
        for entry in due:
            place = entry.position or self._place(entry.job)
            self._put(replace(entry, position=place, due=True))
        return Woken(len(due), min((e.job.due_since for e in self._waiting()), default=None))

    def pause(self, *, paused: bool) -> None:
        """See `Catalogue.pause`."""
        self._paused = paused

    def unclaim(self, job_id: str, attempt: int, now: datetime) -> None:
        """See `Catalogue.unclaim`."""
        entry = self._entries.get(job_id)
        if entry and entry.job.status == "processing" and entry.job.attempts == attempt:
            self._change(replace(entry.job, status="pending", attempts=attempt - 1, updated_at=now))

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
        released = replace(
            job,
            status="pending",
            attempts_allowed=job.attempts_allowed + spare,
            spared=job.spared + spare,
            run_at=run_at or job.run_at,
            updated_at=now,
        )
        return self._change(released, due=run_at is None)

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
        return self._change(
            replace(
                job,
                status="pending",
                attempts_allowed=job.attempts_allowed + spare,
                spared=job.spared + spare,
                run_at=run_at,
                error_code=code,
                error=error,
                updated_at=now,
            ),
            due=False,
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
        return self._change(
            replace(
                job,
                input_key=file.key,
                input_size=file.size_bytes,
                input_sha256=file.sha256,
                twin=twin_of(job.tenant, file.sha256, job.recipe, made_with),
                updated_at=now,
            )
        )

    def complete(
        self, job_id: str, attempt: int, outputs: Sequence[Output], receipt: str, now: datetime
    ) -> Job:
        """See `Catalogue.complete`."""
        job = self._claimed(job_id, attempt)
        return self._change(
            replace(
                job,
                status="completed",
                outputs=tuple(outputs),
                receipt=receipt,
                error_code=None,
                error=None,
                updated_at=now,
            )
        )

    def finished_twin(self, job_id: str) -> Job | None:
        """See `Catalogue.finished_twin`."""
        return next(iter(self._finished(self.find(job_id).twin)), None)

    def fail(self, job_id: str, attempt: int, code: str, error: str, now: datetime) -> Job:
        """See `Catalogue.fail`."""
        job = self._claimed(job_id, attempt)
        return self._change(
            replace(job, status="failed", error_code=code, error=error, updated_at=now)
        )

    def cancel(self, job_id: str, now: datetime) -> Job:
        """See `Catalogue.cancel`."""
        job = self.find(job_id)
        if job.status == "cancelled":
            return job
        if job.status not in {"pending", "processing"}:
            raise WrongStatus(job.status)
        cancelled = replace(job, status="cancelled", error_code=None, error=None, updated_at=now)
        return self._change(cancelled)

    def retry(self, job_id: str, max_attempts: int, now: datetime) -> Job:
        """See `Catalogue.retry`."""
        entry = self._entry(job_id)
        if entry.job.status not in {"failed", "cancelled"}:
            raise WrongStatus(entry.job.status)
        if entry.job.gone_at is not None:
            raise BlobNotFound(entry.job.input_key)
        job = replace(
            entry.job,
            status="pending",
            error_code=None,
            error=None,
            attempts_allowed=entry.job.attempts + max_attempts,
            max_attempts=max_attempts,
            spared=0,
            run_at=None,
            started_at=None,
            updated_at=now,
        )
        return self._put(replace(entry, position=self._place(entry.job), due=True, job=job))

    def dead(self, which: Dead) -> list[tuple[int, Job]]:
        """See `Catalogue.dead`."""
        found = [
            (entry.number, entry.job)
            for entry in self._entries.values()
            if entry.job.status == "failed"
            and entry.job.gone_at is None
            and entry.number > which.after
            and (which.code is None or entry.job.error_code == which.code)
            and (which.failed_before is None or entry.job.updated_at < which.failed_before)
        ]
        return found[: which.limit]

    def delete(self, job_id: str, now: datetime) -> Removed:
        """See `Catalogue.delete`."""
        job = self.find(job_id)
        del self._entries[job_id]
        self._let_go(job.twin)
        self.repeats.forget(job_id)
        self.events.note_deletion(job, now)
        self.usage.leave(job_id)
        self.batches.changed(job.batch_id)
        self.outbox.forget(job_id)
        inputs = [job.input_key] if job.input_key and not job.image_id else []
        for image_id in job.images:
            inputs += self._unneeded(image_id)
        return Removed(job, tuple(inputs), tuple(output.key for output in job.outputs))

    def processing(self) -> list[Job]:
        """See `Catalogue.processing`."""
        return [e.job for e in self._entries.values() if e.job.status == "processing"]

    def page(self, query: Query) -> Page:
        """See `Catalogue.page`."""
        fitting = [
            entry
            for entry in reversed(self._entries.values())
            if entry.job.tenant == query.tenant
            and (query.status is None or entry.job.status == query.status)
            and (query.operation is None or entry.job.operation == query.operation)
            and (query.preset is None or entry.job.preset == query.preset)
            and (query.batch_id is None or entry.job.batch_id == query.batch_id)
            and (query.created_after is None or entry.job.created_at > query.created_after)
            and (query.cursor is None or entry.number < query.cursor)
        ]
        shown = fitting[: query.limit]
        more = len(fitting) > query.limit
        return Page(tuple(entry.job for entry in shown), shown[-1].number if more else None)

    def pending(self) -> int:
        """See `Catalogue.pending`."""
        return self.tally().count("pending")

    def tally(self) -> Tally:
        """See `Catalogue.tally`."""
        counts = {(status, priority): 0 for status in STATUSES for priority in PRIORITIES}
        for entry in self._entries.values():
            counts[entry.job.status, entry.job.priority] += 1
        waiting = dict.fromkeys(PRIORITIES, 0)
        for entry in self._waiting():
            waiting[entry.job.priority] += 1
        due = (e.job.due_since for e in self._entries.values() if _is_due(e))
        since = min(due, default=None)
        return Tally(
            *(counts, waiting, since, self._paused),
            *(self.retention.stored(), self.outbox.counts()),
        )

    def add_image(self, new: NewImage, now: datetime) -> ImageRecord:
        """See `Catalogue.add_image`."""
        image = ImageRecord(**asdict(new), created_at=now)
        self._images[image.id] = _Kept(image, deleted=False)
        return image

    def find_image(self, image_id: str, tenant: str = "") -> ImageRecord:
        """See `Catalogue.find_image`."""
        kept = self._images.get(image_id)
        if kept is None or kept.deleted or kept.image.tenant != tenant:
            raise ImageNotFound(image_id)
        return kept.image

    def delete_image(self, image_id: str, tenant: str = "") -> tuple[str, ...]:
        """See `Catalogue.delete_image`."""
        self._images[image_id] = _Kept(self.find_image(image_id, tenant), deleted=True)
        self.repeats.forget(image_id)
        return self._unneeded(image_id)

    def known(self, keys: Collection[str]) -> set[str]:
        """See `Catalogue.known`."""
        needed: set[str | None] = {kept.image.key for kept in self._images.values()}
        for entry in self._entries.values():
            if entry.purged:
                continue
            needed |= {entry.job.input_key, *(output.key for output in entry.job.outputs)}
        return {key for key in keys if key in needed}

    def close(self) -> None:
        """See `Catalogue.close`."""

    def _entry(self, job_id: str) -> _Entry:
        try:
            return self._entries[job_id]
        except KeyError:
            raise JobNotFound(job_id) from None

    def _claimed(self, job_id: str, attempt: int) -> Job:
        job = self.find(job_id)
        if job.status != "processing" or job.attempts != attempt:
            raise StaleClaim(job_id)
        return job

    def _unneeded(self, image_id: str) -> tuple[str, ...]:
        image = self._images.get(image_id)
        if image is None or not image.deleted or self._is_used(image_id):
            return ()
        return (self._images.pop(image_id).image.key,)

    def _is_awaited(self, job: Job) -> bool:
        """Whether somebody is still to be told of it, or of the batch that it is counted in."""
        in_batch = any(
            entry.job.batch_id == job.batch_id and entry.job.status not in ENDED
            for entry in self._entries.values()
            if job.batch_id is not None
        )
        return in_batch or self.outbox.is_open(job.id)

    def _is_used(self, image_id: str) -> bool:
        return any(
            image_id in entry.job.images for entry in self._entries.values() if not entry.purged
        )

    def _first(self, turn: Sequence[Priority], *, may_fetch: bool) -> _Entry | None:
        for priority in turn:
            due = [
                entry
                for entry in self._entries.values()
                if _is_due(entry)
                and not entry.held
                and entry.job.priority == priority
                and (may_fetch or entry.job.input_key is not None)
            ]
            if due:
                return min(due, key=lambda entry: (entry.position, entry.number))
        return None

    def _waiting(self) -> list[_Entry]:
        return [e for e in self._entries.values() if e.job.status == "pending" and not e.due]

    def _place(self, job: Job) -> int:
        """Return the place of the next job of this one's tenant."""
        of_tenant = (
            entry.position
            for entry in self._entries.values()
            if _is_due(entry)
            and (entry.job.priority, entry.job.tenant) == (job.priority, job.tenant)
        )
        return 1 + max(self._reached[job.priority], *of_tenant, 0)

    def _change(self, job: Job, *, due: bool = True) -> Job:
        return self._put(replace(self._entries[job.id], job=job, due=due))

    def _put(self, entry: _Entry) -> Job:
        """Keep an entry, new or changed. There is no other way in, so no event is missed."""
        before = self._entries.get(entry.job.id)
        self._entries[entry.job.id] = entry
        self.events.note(before.job if before else None, entry.job)
        self.batches.changed(entry.job.batch_id)
        if entry.job.status in ENDED:
            self.usage.leave(entry.job.id)
            self.outbox.announce(entry.job)
        self._hold_back(entry)
        return entry.job

    def _finished(self, twin: str | None) -> list[Job]:
        """Return the completed jobs of these twins whose files are kept, the newest first."""
        entries = sorted(self._entries.values(), key=lambda entry: -entry.number)
        return [
            entry.job
            for entry in entries
            if twin and entry.job.twin == twin
            if entry.job.status == "completed" and entry.job.gone_at is None
        ]

    def _queued(self, twin: str | None, *, held: bool) -> list[_Entry]:
        """Return the twins that are due, in the order of the queue."""
        twins = (e for e in self._entries.values() if twin and e.job.twin == twin)
        found = [entry for entry in twins if _is_due(entry) and entry.held == held]
        return sorted(found, key=lambda entry: entry.order)

    def _hold_back(self, entry: _Entry) -> None:
        """Hold a job back that was changed, or its twins that are behind it."""
        twin, begun = entry.job.twin, entry.job.status == "processing"
        finished = bool(self._finished(twin))
        if _is_due(entry):
            self._entries[entry.job.id] = replace(entry, held=bool(twin) and not finished)
        if not finished and (begun or _is_due(entry)):
            for other in self._queued(twin, held=False):
                if begun or other.order > entry.order:
                    self._entries[other.job.id] = replace(other, held=True)
        if not begun:
            self._let_go(twin)

    def _let_go(self, twin: str | None) -> None:
        """Let the first of those go that are held back, as many as may be begun."""
        held, free = self._queued(twin, held=True), self._queued(twin, held=False)
        first_is_free = bool(held and free) and free[0].order < held[0].order
        if self._finished(twin):
            count = LET_GO
        elif first_is_free or any(job.twin == twin for job in self.processing()):
            count = 0
        else:
            count = 1
        for entry in held[:count]:
            self._entries[entry.job.id] = replace(entry, held=False)


def _is_due(entry: _Entry) -> bool:
    return entry.job.status == "pending" and entry.due
