"""A Worker: one job at a time, from its bytes to its end."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog
import trio

from actors import metrics, tracing
from actors.errors import AskFailed, JobInterrupted
from actors.imaging.errors import ImageError, ImagingCrashed, RenderStopped
from actors.imaging.inspect import count_pixels
from actors.messages import Complete, Crash, Download, Fail, KeepInput, Open, Reuse, Run, TryLater
from actors.outside.breaker import HostBusy, HostResting
from actors.outside.errors import (
    OutsideError,
    SourceForbidden,
    SourceTooLarge,
    SourceUnreachable,
)
from actors.priority import give_way
from actors.rendering.process import Finished, RenderDied, held
from actors.storage.ports import (
    BlobDamaged,
    BlobNotFound,
    JobNotFound,
    Seal,
    StaleClaim,
    StorageFull,
    StorageUnavailable,
)
from actors.storage.quarantine import REFUSED, Quarantined
from actors.storage.usage import QuotaExceeded
from actors.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import FileIO

    from actors.imaging.facts import Limits
    from actors.mailbox import Address, Envelope, Mailbox
    from actors.rendering.renderer import Renderer
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
        renderer: Renderer,
        limits: Limits,
        activity: Activity,
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._fetcher = fetcher
        self._renderer = renderer
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
        if job.quarantined:
            await self._fail(job, _Failure("crashed", REFUSED))
            return
        if job.twin is not None and await self._reused(job):
            return
        with ExitStack() as files:
            await self._make(job, envelope, files)

    async def _make(self, job: Job, envelope: Envelope, files: ExitStack) -> None:
        opened = await self._opened(job, envelope, files)
        match opened:
            case _Failure():
                await self._fail(job, opened)
                return
            case _Absence():
                tracing.failed(opened.code)
                await self._store.ask(TryLater(job.id, job.attempts, *opened))
                return
        # Only now it is known of what bytes such a job is made.
        if job.input_key is None and await self._reused(job):
            return
        made = await self._rendered(job, envelope, *opened)
        match made:
            case _Failure():
                await self._fail(job, made)
            case RenderDied():
                log.error("render_died", job_id=job.id, attempt=job.attempts, why=str(made))
                await self._store.ask(Crash(job.id, job.attempts))
            case Finished():
                await self._complete(job, made)

    async def _opened(
        self, job: Job, envelope: Envelope, files: ExitStack
    ) -> tuple[FileIO, dict[str, FileIO]] | _Failure | _Absence:
        """Return the image that the job is made of, and the others; or why there is none."""
        others = {}
        try:
            original = await self._original(job, envelope, files)
            for name, key in job.others.items():
                file = await self._store.ask(Open(key))
                others[name] = files.enter_context(file)
        except BlobDamaged:
            return CHANGED
        except BlobNotFound:
            return _Failure("crashed", "The image is gone.")
        return original if isinstance(original, _Failure | _Absence) else (original, others)

    async def _rendered(
        self, job: Job, envelope: Envelope, original: FileIO, others: Mapping[str, FileIO]
    ) -> Finished | _Failure | RenderDied:
        """Return what came of the render. Raises: RenderStopped, if nobody wants it any more."""
        came: Finished | ImageError | RenderDied | None = None
        with tracing.span("render"), envelope.while_wanted():
            try:
                came = await self._renderer.render(original, job.recipe, others)
            except RenderDied as died:
                came = died
        match came:
            case None:
                raise RenderStopped
            case ImageError():
                if isinstance(came, ImagingCrashed):
                    log.error("render_crashed", job_id=job.id, bug="".join(came.__notes__))
                return _Failure(came.code, str(came))
            case Finished(image=digest) if digest != (job.input_sha256 or digest):
                metrics.BLOBS_DAMAGED.labels("digest").inc()
                log.error("blob_damaged", job_id=job.id, file=job.input_key, how="digest")
                return CHANGED
        return came

    async def _complete(self, job: Job, finished: Finished) -> None:
        try:
            await self._store.ask(Complete(job.id, job.attempts, finished.made, finished.others))
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

    async def _original(
        self, job: Job, envelope: Envelope, files: ExitStack
    ) -> FileIO | _Failure | _Absence:
        """Return the image that the job is made of; of one that is elsewhere, fetch and keep it."""
        if job.input_key is not None:
            seal = Seal(job.input_size, job.input_sha256) if job.input_size is not None else None
            file = await self._store.ask(Open(job.input_key, seal))
            return files.enter_context(file)
        data = None
        with envelope.while_wanted():
            try:
                data = await self._fetcher.ask(Download(job.image_url or "", job.id))
            except OutsideError as error:
                return _why_not(error)
        if data is None:
            raise RenderStopped
        count = partial(_count_pixels, data, self._limits)
        pixels = await in_thread(count, self._renderer.places)
        try:
            await self._store.ask(KeepInput(job.id, job.attempts, data, pixels))
        except StorageFull:
            return _Failure("out_of_space", "There was no room to keep the image.")
        except Quarantined:
            return _Failure("crashed", REFUSED)
        except QuotaExceeded as error:
            return _Failure("quota_exceeded", TOO_MANY_PIXELS.format(error.bound))
        return files.enter_context(await held(data))


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


CHANGED: Final = _Failure("crashed", "The image is not as it was sent.")


class _Absence(NamedTuple):
    """Why there is no image yet, and for how many seconds it is of no use to ask again.

    `spare`: nobody was asked, for a reason that is none of the job's, so it is no attempt.
    """

    code: str
    error: str
    seconds: float
    spare: bool = False


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
