"""Both ports in memory: the fake that the contract suite verifies beside the real ones."""

from __future__ import annotations

import copy
import hashlib
import itertools
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from actors.storage.memory_keys import MemoryKeys
from actors.storage.memory_retention import MemoryRetention
from actors.storage.memory_usage import MemoryUsage
from actors.storage.ports import (
    ENDED,
    PRIORITIES,
    STATUSES,
    BlobNotFound,
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
    WrongStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from actors.storage.ports import Catalogue, Priority


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int
    position: int
    job: Job
    purged: bool = False


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
        self.usage = MemoryUsage()
        self.retention = MemoryRetention(
            lambda: self._entries, lambda: self._images, self._is_used, self._unneeded, self.delete
        )
        self._numbers = 0
        self._positions = 0

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """See `Catalogue.batch`."""
        return [self._attempt(call) for call in calls]

    def _attempt(self, call: Callable[[Catalogue], object]) -> object:
        before = copy.copy(self._entries), copy.copy(self._images)
        registers = self.keys.copy(), self.usage.copy()
        try:
            return call(self)
        except StorageError as error:
            self._entries, self._images = before
            self.keys, self.usage = registers
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
            spared=0,
            created_at=now,
            started_at=None,
            updated_at=now,
            tenant=tenant,
            image_url=taken.url if isinstance(taken, Elsewhere) else None,
            retain=new.retain,
            trace=new.trace,
        )
        self._numbers += 1
        self._positions += 1
        self._entries[job.id] = _Entry(self._numbers, self._positions, job)
        return job

    def find(self, job_id: str) -> Job:
        """See `Catalogue.find`."""
        return self._entry(job_id).job

    def find_own(self, job_id: str, tenant: str) -> Job:
        """See `Catalogue.find_own`."""
        job = self.find(job_id)
        if job.tenant != tenant:
            raise JobNotFound(job_id)
        return job

    def claim(self, turns: Iterable[Sequence[Priority]], now: datetime) -> list[Job]:
        """See `Catalogue.claim`."""
        claimed = []
        for turn in turns:
            job = self._first_pending(turn)
            if job is None:
                break
            claimed.append(
                self._put(
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

    def unclaim(self, job_id: str, attempt: int, now: datetime) -> None:
        """See `Catalogue.unclaim`."""
        entry = self._entries.get(job_id)
        if entry and entry.job.status == "processing" and entry.job.attempts == attempt:
            self._put(replace(entry.job, status="pending", attempts=attempt - 1, updated_at=now))

    def release(
        self, job_id: str, attempt: int, error: str, now: datetime, *, spare: bool = False
    ) -> Job:
        """See `Catalogue.release`."""
        job = self._claimed(job_id, attempt)
        if job.attempts >= job.attempts_allowed + spare:
            return self.fail(job_id, attempt, "crashed", error, now)
        return self._put(
            replace(
                job,
                status="pending",
                attempts_allowed=job.attempts_allowed + spare,
                spared=job.spared + spare,
                updated_at=now,
            )
        )

    def supply(self, job_id: str, attempt: int, file: NewInput, now: datetime) -> Job:
        """See `Catalogue.supply`."""
        job = self._claimed(job_id, attempt)
        if job.input_key is not None:
            raise StaleClaim(job_id)
        return self._put(
            replace(
                job,
                input_key=file.key,
                input_size=file.size_bytes,
                input_sha256=file.sha256,
                updated_at=now,
            )
        )

    def complete(
        self, job_id: str, attempt: int, outputs: Sequence[Output], receipt: str, now: datetime
    ) -> Job:
        """See `Catalogue.complete`."""
        job = self._claimed(job_id, attempt)
        return self._put(
            replace(
                job, status="completed", outputs=tuple(outputs), receipt=receipt, updated_at=now
            )
        )

    def fail(self, job_id: str, attempt: int, code: str, error: str, now: datetime) -> Job:
        """See `Catalogue.fail`."""
        job = self._claimed(job_id, attempt)
        return self._put(
            replace(job, status="failed", error_code=code, error=error, updated_at=now)
        )

    def cancel(self, job_id: str, now: datetime) -> Job:
        """See `Catalogue.cancel`."""
        job = self.find(job_id)
        if job.status == "cancelled":
            return job
        if job.status not in {"pending", "processing"}:
            raise WrongStatus(job.status)
        return self._put(replace(job, status="cancelled", updated_at=now))

    def retry(self, job_id: str, max_attempts: int, now: datetime) -> Job:
        """See `Catalogue.retry`."""
        entry = self._entry(job_id)
        if entry.job.status not in {"failed", "cancelled"}:
            raise WrongStatus(entry.job.status)
        if entry.job.gone_at is not None:
            raise BlobNotFound(entry.job.input_key)
        self._positions += 1
        self._entries[job_id] = replace(entry, position=self._positions)
        return self._put(
            replace(
                entry.job,
                status="pending",
                error_code=None,
                error=None,
                attempts_allowed=entry.job.attempts + max_attempts,
                spared=0,
                started_at=None,
                updated_at=now,
            )
        )

    def delete(self, job_id: str) -> Removed:
        """See `Catalogue.delete`."""
        job = self.find(job_id)
        del self._entries[job_id]
        self.usage.leave(job_id)
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
        heads = [self._first_pending([priority]) for priority in PRIORITIES]
        since = min((job.created_at for job in heads if job), default=None)
        return Tally(counts, since, self.retention.stored())

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

    def _is_used(self, image_id: str) -> bool:
        return any(
            image_id in entry.job.images for entry in self._entries.values() if not entry.purged
        )

    def _first_pending(self, turn: Sequence[Priority]) -> Job | None:
        for priority in turn:
            waiting = [
                entry
                for entry in self._entries.values()
                if entry.job.status == "pending" and entry.job.priority == priority
            ]
            if waiting:
                return min(waiting, key=lambda entry: entry.position).job
        return None

    def _put(self, job: Job) -> Job:
        self._entries[job.id] = replace(self._entries[job.id], job=job)
        if job.status in ENDED:
            self.usage.leave(job.id)
        return job


class MemoryBlobs:
    """Blobs as long as the process lives."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> str:
        """See `Blobs.put`."""
        self._blobs[key] = data
        return hashlib.sha256(data).hexdigest()

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Blobs.get`."""
        try:
            data = self._blobs[key]
        except KeyError:
            raise BlobNotFound(key) from None
        return data[offset:] if length is None else data[offset : offset + length]

    def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        self._blobs.pop(key, None)

    def locate(self, key: str) -> str:
        """See `Blobs.locate`."""
        return f"memory:{key}"

    def shards(self) -> Iterator[list[str]]:
        """See `Blobs.shards`."""
        for _, keys in itertools.groupby(sorted(self._blobs), lambda key: key[:2]):
            yield list(keys)
