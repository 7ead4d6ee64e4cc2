"""What all handlers work with: the way to the catalogue, the files, the clock, those who wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import msgspec
import structlog
import trio

from actors import metrics
from actors.imaging.inspect import SUFFIXES, sniff
from actors.messages import Batched
from actors.storage.audit import AUDIT
from actors.storage.batches import Batch
from actors.storage.outbox import Delivery
from actors.storage.ports import BlobDamaged, BlobNotFound, ImageRecord, Job, JobNotFound
from actors.storage.repeats import REPEATS, AnswerForgotten, DoneBefore

if TYPE_CHECKING:
    from datetime import datetime

    from actors.group_commit import GroupCommit
    from actors.messages import OfTenant, ReadImage, ReadOutput
    from actors.shelf import Shelf
    from actors.storage.keeping import Keeping
    from actors.storage.ports import Catalogue, Removed
    from actors.waiting import Waiting

T = TypeVar("T")

# Each kind of message, and what answers it.
Handlers: TypeAlias = Mapping[type, Callable[..., Awaitable[object]]]

log = structlog.get_logger("calotype.store")


@dataclass(frozen=True, slots=True)
class Stock:
    """What the Store owns, lent to its handlers. `now` is the clock that counts.

    `age_now` is the one by which it is judged what is so old that it may go.
    `threads` are for what is too long for the event loop.
    """

    catalogue: GroupCommit
    inputs: Shelf
    outputs: Shelf
    waiting: Waiting
    now: Callable[[], datetime]
    age_now: Callable[[], datetime]
    threads: trio.CapacityLimiter
    repeats: Keeping = REPEATS
    audit: Keeping = AUDIT

    async def commit(self, call: Callable[[Catalogue], T]) -> T:
        """See `GroupCommit.commit`."""
        return await self.catalogue.commit(call)

    async def commit_once(
        self,
        message: OfTenant[T],
        kind: type[T],
        call: Callable[[Catalogue], T],
        is_last: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """Commit what `message` asks for, and its answer, which is of this kind, with it.

        Of what takes several messages, only the answer to the last one is kept.

        Raises:
          DoneBefore: if it was done before, and then this is all.
          OtherRequest, AnswerForgotten: if it cannot be done, or not be answered.
        """
        once, tenant, now = message.once, message.tenant, self.age_now()
        if once is None:
            return await self.commit(call)

        def do_once(catalogue: Catalogue) -> T:
            told = catalogue.repeats.recall(tenant, once, self.repeats.since(now))
            if told is not None:
                raise DoneBefore(_decoded(told, kind))
            answer = call(catalogue)
            if is_last(answer):
                text = msgspec.json.encode(answer).decode()
                subject = _subject(answer)
                catalogue.repeats.record(tenant, once, subject, text, now, self.repeats)
            return answer

        return await self.commit(do_once)

    async def read(self, shelf: Shelf, message: ReadOutput | ReadImage) -> bytes:
        """Return the bytes that are asked for. If there should be some and are none, tell.

        Raises: BlobNotFound, BlobDamaged, StorageUnavailable.
        """
        key, part, seal = message.key, (message.offset, message.length), message.seal
        try:
            return await shelf.get(key, *part, seal, whole=message.whole)
        except BlobDamaged:
            raise
        except BlobNotFound as error:
            missing = error
        # It may have been deleted just now, and then no record has it any more.
        if await self.commit(lambda records: records.known({key})):
            shelf.note_damage(key, "missing")
        raise missing

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


def _decoded(told: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(told, type=kind)
    except msgspec.ValidationError as error:
        # An older version has told it, which knew less of jobs.
        raise AnswerForgotten from error


def _subject(answer: object) -> str:
    """Return the id of the job, image or batch that an answer is of; nothing if it is of none."""
    match answer:
        case Job() | ImageRecord() | Batch():
            return answer.id
        case Batched(batch):
            return batch.id
        case Delivery():
            return answer.subject
        case _:
            return ""


def suffix_of(data: bytes) -> str:
    """Return what the name of a file with this image should end in."""
    kind = sniff(data)
    return SUFFIXES[kind] if kind else ".bin"
