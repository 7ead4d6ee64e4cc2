"""A Worker: one job at a time, from its bytes to its end."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import structlog
import trio

from actors import metrics, tracing
from actors.errors import AskFailed, JobInterrupted
from actors.imaging.errors import ImageError, ImagingCrashed, RenderStopped, contained
from actors.imaging.inspect import count_pixels
from actors.imaging.plan import foresee
from actors.imaging.recipe import decode_recipe
from actors.imaging.render import render
from actors.messages import Complete, Download, Fail, KeepInput, Load, Reuse, Run, TryLater
from actors.outside.breaker import HostBusy, HostResting
from actors.outside.errors import (
    OutsideError,
    SourceForbidden,
    SourceTooLarge,
    SourceUnreachable,
)
from actors.priority import give_way
from actors.storage.ports import (
    BlobNotFound,
    JobNotFound,
    StaleClaim,
    StorageFull,
    StorageUnavailable,
)
from actors.storage.usage import QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from actors.imaging.facts import Limits
    from actors.imaging.made import Made
    from actors.mailbox import Address, Envelope, Mailbox
    from actors.storage.ports import Job
    from actors.supervision import Activity

log = structlog.get_logger("calotype.worker")

# Why a job fails whose image could not be fetched; the first that fits counts.
CODES: tuple[tuple[type[OutsideError], str], ...] = (
    (SourceForbidden, "source_forbidden"),
    (SourceTooLarge, "image_too_large"),
    (OutsideError, "source_unreachable"),
)

TOO_MANY_PIXELS = "With the image that was fetched, it would be more than {} pixels today."


class Worker:
    """Owns the job in its hand, from the moment it is handed over until it has ended."""

    def __init__(
        self,
        mailbox: Mailbox,
        store: Address,
        fetcher: Address,
        cpu: trio.CapacityLimiter,
        limits: Limits,
        activity: Activity,
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._fetcher = fetcher
        self._cpu = cpu
        self._limits = limits
        self._activity = activity

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work on one job after another until the mailbox ends."""
        with self._store, self._fetcher:
            task_status.started()
            self._activity.doing = "idle"
            async for envelope in self._mailbox:
                match envelope.message:
                    case Run(job):
                        with envelope:
                            if not envelope.abandoned:
                                await self._work(job, envelope)
                    case other:
                        raise TypeError(other)
                self._activity.doing = "idle"
                self._activity.handled += 1

    async def _work(self, job: Job, envelope: Envelope) -> None:
        self._activity.doing = f"job {job.id}"
        if job.attempts == 1 and job.started_at:
            metrics.QUEUE_WAIT.observe((job.started_at - job.due_since).total_seconds())
        with tracing.attempt(job):
            try:
                await self._end(job, envelope)
            except (AskFailed, StorageUnavailable, StorageFull, RenderStopped) as error:
                log.warning("job_interrupted", job_id=job.id, why=repr(error))
                tracing.failed(type(error).__name__)
                envelope.fail(JobInterrupted(job.id))
            except (StaleClaim, JobNotFound):
                # It was cancelled, deleted or given to another: it is no longer ours to end.
                log.info("result_refused", job_id=job.id, attempt=job.attempts)
                envelope.answer(None)
            else:
                envelope.answer(None)

    async def _end(self, job: Job, envelope: Envelope) -> None:
        """Complete the job or fail it."""
        if job.twin is not None and await self._reused(job):
            return
        try:
            original = await self._original(job, envelope)
            others = {name: await self._store.ask(Load(key)) for name, key in job.others.items()}
        except BlobNotFound:
            await self._fail(job, _Failure("crashed", "The image is gone."))
            return
        if isinstance(original, _Failure):
            await self._fail(job, original)
            return
        if isinstance(original, _Absence):
            tracing.failed(original.code)
            await self._store.ask(TryLater(job.id, job.attempts, *original))
            return
        # Only now it is known of what bytes such a job is made.
        if job.input_key is None and await self._reused(job):
            return

        def abandoned() -> bool:
            return envelope.abandoned

        made = await trio.to_thread.run_sync(
            _render, job, original, self._limits, abandoned, others, limiter=self._cpu
        )
        del original, others
        if isinstance(made, _Failure):
            await self._fail(job, made)
            return
        try:
            await self._store.ask(Complete(job.id, job.attempts, *made))
        except StorageFull:
            no_room = "There was no room to keep the result."
            await self._fail(job, _Failure("out_of_space", no_room))

    async def _fail(self, job: Job, failure: _Failure) -> None:
        tracing.failed(failure.code)
        await self._store.ask(Fail(job.id, job.attempts, failure.code, failure.error))

    async def _reused(self, job: Job) -> bool:
        """Whether there was a twin, and the job has ended with its results."""
        try:
            return await self._store.ask(Reuse(job.id, job.attempts))
        except StorageFull:
            return False  # There will be none for a result either, and that is dealt with there.

    async def _original(self, job: Job, envelope: Envelope) -> bytes | _Failure | _Absence:
        """Return the image that the job is made of; of one that is elsewhere, fetch and keep it."""
        if job.input_key is not None:
            return await self._store.ask(Load(job.input_key))
        data = None
        with envelope.while_wanted():
            try:
                data = await self._fetcher.ask(Download(job.image_url or "", job.id))
            except OutsideError as error:
                return _why_not(error)
        if data is None:
            raise RenderStopped
        pixels = await trio.to_thread.run_sync(_count_pixels, data, self._limits, limiter=self._cpu)
        try:
            await self._store.ask(KeepInput(job.id, job.attempts, data, pixels))
        except StorageFull:
            return _Failure("out_of_space", "There was no room to keep the image.")
        except QuotaExceeded as error:
            return _Failure("quota_exceeded", TOO_MANY_PIXELS.format(error.bound))
        return data


def _count_pixels(data: bytes, limits: Limits) -> int:
    give_way()
    return count_pixels(data, limits)


class _Failure(NamedTuple):
    """What is wrong with the image, or was with the render.

    Not raised: an exception would come with the frames that hold the image, in a cycle, so that
    many broken ones fill the memory before they are collected.
    """

    code: str
    error: str


class _Absence(NamedTuple):
    """Why there is no image yet, and for how many seconds it is of no use to ask again.

    `spare`: nobody was asked, for a reason that is none of the job's, so it is no attempt.
    """

    code: str
    error: str
    seconds: float
    spare: bool = False


class _Success(NamedTuple):
    """What was made, and the SHA-256 of each of the other images that it was made of."""

    made: tuple[Made, ...]
    others: Mapping[str, str]


def _why_not(error: OutsideError) -> _Failure | _Absence:
    code = next(code for kind, code in CODES if isinstance(error, kind))
    told = f"The image could not be fetched. {error}"
    match error:
        case HostBusy():
            return _Absence(code, told, 0.0, spare=True)
        case HostResting(seconds=seconds):
            return _Absence(code, told, seconds)
        case SourceUnreachable(may_pass=True, retry_after=seconds):
            return _Absence(code, told, seconds or 0.0)
        case _:
            return _Failure(code, told)


def _render(
    job: Job,
    original: bytes,
    limits: Limits,
    abandoned: Callable[[], bool],
    others: Mapping[str, bytes],
) -> _Success | _Failure:
    """Render in this thread, giving way to the event loop."""
    give_way()
    begun = time.perf_counter()
    try:
        with tracing.span("render"), contained():
            recipe = decode_recipe(job.recipe)
            foresee(original, recipe, limits)  # What would take too long is not begun.
            made = render(original, recipe, limits, abandoned, others)
    except ImageError as error:
        if isinstance(error, ImagingCrashed):
            log.exception("render_crashed", job_id=job.id)
        return _Failure(error.code, str(error))
    metrics.RENDER.observe(time.perf_counter() - begun)
    return _Success(made, {name: sha256(data).hexdigest() for name, data in others.items()})
