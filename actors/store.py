"""The Store: the only code that touches what outlives a request."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog
import trio

from actors import metrics
from actors.errors import BacklogFull, Draining
from actors.group_commit import GroupCommit
from actors.imaging.inspect import MEDIA_TYPES, SUFFIXES, sniff
from actors.imaging.recipe import encode_recipe
from actors.messages import (
    Await,
    Cancel,
    Claim,
    Complete,
    Count,
    Delete,
    Drain,
    Fail,
    Fetch,
    Fetched,
    Find,
    ListJobs,
    Load,
    ReadOutput,
    Reclaim,
    Retry,
    Submit,
)
from actors.storage.ports import (
    JobNotFound,
    NewJob,
    Output,
    StorageError,
)
from actors.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from actors.mailbox import Envelope, Mailbox
    from actors.storage.ports import Blobs, Catalogue, Job, Priority, Storage
    from actors.supervision import Activity

T = TypeVar("T")
OpenStorage = Callable[[], AbstractContextManager["Storage"]]

log = structlog.get_logger("calotype.store")

# Of ten hand-outs, eight ask for the high priority first, one for the normal and one for the low.
# So each priority is sure of its share of the Workers, however much of a higher one there is.
TURNS: tuple[tuple[Priority, ...], ...] = (
    *(4 * (("high", "normal", "low"),)),
    ("normal", "high", "low"),
    *(4 * (("high", "normal", "low"),)),
    ("low", "normal", "high"),
)
GIVEN_UP = (
    "It was begun {} times, and each time the process or the Worker ended before the job did."
)
SWEEP_CHUNK = 1_000
UUID_LENGTH = 36


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """The bounds of the Store.

    `backlog`: pending jobs; beyond it a submit is refused.
    `asks`: messages being worked on at once; the rest wait in the mailbox.
    `attempts`: how often a job may be begun before a crash is final.
    """

    backlog: int
    asks: int
    attempts: int


class Store:
    """Owns the storage from its start to its end, and every byte that outlives a request.

    Each message is a task of its own that waits for threads alone, so nobody waits for anybody
    else's file. Changes to the catalogue go through one group commit.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        open_storage: OpenStorage,
        limits: StoreLimits,
        threads: trio.CapacityLimiter,
        activity: Activity,
        clock: Callable[[], datetime] = partial(datetime.now, UTC),
    ) -> None:
        self._mailbox = mailbox
        self._open_storage = open_storage
        self._limits = limits
        self._threads = threads
        self._activity = activity
        self._now = clock
        self._asks = trio.Semaphore(limits.asks)
        self._catalogue = GroupCommit(max_batch=limits.asks)
        self._waiting = Waiting()
        self._claim: Envelope | None = None
        self._claim_limit = 0
        self._unheard: list[Job] = []
        self._handed_out = 0
        self._pending = 0
        self._accepting = 0
        self._draining = False
        self._storage: Storage

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends, then finish what is in hand and close the storage."""
        with ExitStack() as stack:
            self._storage = await trio.to_thread.run_sync(stack.enter_context, self._open_storage())
            stack.enter_context(self._waiting)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    self._catalogue.run, self._storage.catalogue, self._last_call, self._committed
                )
                with self._catalogue:
                    async with trio.open_nursery() as background:
                        background.start_soon(self._sweep)
                        task_status.started()
                        await self._receive()
                        background.cancel_scope.cancel()

    async def _receive(self) -> None:
        async with trio.open_nursery() as work:
            async for envelope in self._mailbox:
                self._activity.handled += 1
                match envelope.message:
                    case Claim(limit):
                        self._stand(envelope, limit)
                    case Await(job_id):
                        work.start_soon(self._await, job_id, envelope)
                    case _:
                        # Waiting here is safe: those who hold a place wait for threads only.
                        await self._asks.acquire()
                        work.start_soon(self._handle, envelope)
        self._stand(None, 0)

    async def _handle(self, envelope: Envelope) -> None:
        try:
            with envelope:
                try:
                    envelope.answer(await self._answer(envelope.message))
                except (StorageError, BacklogFull) as error:
                    envelope.fail(error)
        finally:
            self._asks.release()

    async def _answer(self, message: object) -> object:  # noqa: C901, PLR0911 (one row a message)
        match message:
            case Submit():
                return await self._submit(message)
            case Find(job_id):
                return await self._find(job_id)
            case ListJobs(query):
                return await self._catalogue.commit(lambda catalogue: catalogue.page(query))
            case Cancel(job_id):
                return await self._cancel(job_id)
            case Retry(job_id):
                return await self._retry(job_id)
            case Delete(job_id):
                return await self._delete(job_id)
            case Fetch(job_id, length):
                return await self._fetch(job_id, length)
            case ReadOutput(key, offset, length):
                return await self._in_thread(self._storage.outputs.get, key, offset, length)
            case Drain():
                return self._drain()
            case Count():
                return await self._catalogue.commit(lambda catalogue: catalogue.tally())
            case Reclaim(held):
                return await self._reclaim(held)
            case Load(key):
                return await self._in_thread(self._storage.inputs.get, key)
            case Complete():
                return await self._complete(message)
            case Fail():
                return await self._fail(message)
        raise TypeError(message)

    # --- What clients ask ---------------------------------------------------------------------

    async def _submit(self, message: Submit) -> Job:
        self._check_backlog()
        job_id = str(uuid.uuid4())
        new = NewJob(
            id=job_id,
            priority=message.priority,
            operation=message.operation,
            recipe=encode_recipe(message.recipe),
            input_key=_key(job_id, job_id, _suffix(message.data)),
            input_size=len(message.data),
            max_attempts=self._limits.attempts,
        )
        self._accepting += 1
        try:
            async with self._kept(self._storage.inputs, new.input_key, message.data):
                now = self._now()
                job = await self._catalogue.commit(lambda catalogue: catalogue.add(new, now))
        finally:
            self._accepting -= 1
        metrics.INPUT_SIZE.observe(job.input_size)
        log.info("job_accepted", job_id=job.id, operation=job.operation, size=job.input_size)
        return job

    def _check_backlog(self) -> None:
        if self._pending + self._accepting >= self._limits.backlog:
            raise BacklogFull(self._limits.backlog)

    async def _find(self, job_id: str) -> Job:
        return await self._catalogue.commit(lambda catalogue: catalogue.find(job_id))

    async def _await(self, job_id: str, envelope: Envelope) -> None:
        # Before looking, so that no end can slip through between the two.
        self._waiting.add(job_id, envelope)
        try:
            job = await self._find(job_id)
        except StorageError as error:
            self._waiting.fail(job_id, error)
        else:
            self._waiting.settle(job)
            if self._draining:
                self._waiting.fail(job_id, Draining())

    def _drain(self) -> None:
        self._draining = True
        self._waiting.fail_all(Draining)

    async def _cancel(self, job_id: str) -> Job:
        now = self._now()
        job = await self._catalogue.commit(lambda catalogue: catalogue.cancel(job_id, now))
        self._ended(job)
        return job

    async def _retry(self, job_id: str) -> Job:
        self._check_backlog()
        attempts, now = self._limits.attempts, self._now()
        return await self._catalogue.commit(
            lambda catalogue: catalogue.retry(job_id, attempts, now)
        )

    async def _delete(self, job_id: str) -> None:
        job = await self._catalogue.commit(lambda catalogue: catalogue.delete(job_id))
        self._waiting.fail(job_id, JobNotFound(job_id))
        log.info("job_deleted", job_id=job_id)
        await self._forget(self._storage.inputs, job.input_key)
        if job.output:
            await self._forget(self._storage.outputs, job.output.key)

    async def _fetch(self, job_id: str, length: int) -> Fetched:
        job = await self._find(job_id)
        if job.output is None or not length:
            return Fetched(job, b"")
        return Fetched(
            job, await self._in_thread(self._storage.outputs.get, job.output.key, 0, length)
        )

    # --- The hand-out of work -----------------------------------------------------------------

    def _stand(self, claim: Envelope | None, limit: int) -> None:
        if self._claim:
            with self._claim:
                pass
        self._claim, self._claim_limit = claim, limit
        self._catalogue.nudge()

    def _last_call(self) -> Callable[[Catalogue], tuple[list[Job], int]]:
        """End each transaction with the standing claim, so that a new job needs no second one."""
        limit = self._claim_limit if self._claim and not self._claim.abandoned else 0
        turns = [TURNS[(self._handed_out + n) % len(TURNS)] for n in range(limit)]
        unheard, self._unheard = self._unheard, []
        now = self._now()

        def last(catalogue: Catalogue) -> tuple[list[Job], int]:
            for job in unheard:
                catalogue.unclaim(job.id, job.attempts, now)
            return catalogue.claim(turns, now), catalogue.pending()

        return last

    def _committed(self, claimed: tuple[list[Job], int]) -> None:
        jobs, self._pending = claimed
        if not jobs or not self._claim:
            return
        self._handed_out += len(jobs)
        claim, self._claim = self._claim, None
        with claim:
            if not claim.answer(tuple(jobs)):
                self._unheard = jobs
                self._catalogue.nudge()

    async def _reclaim(self, held: frozenset[str]) -> None:
        now = self._now()

        def reclaim(catalogue: Catalogue) -> list[Job]:
            return [
                catalogue.release(job.id, job.attempts, GIVEN_UP.format(job.attempts), now)
                for job in catalogue.processing()
                if job.id not in held
            ]

        for job in await self._catalogue.commit(reclaim):
            log.warning("job_reclaimed", job_id=job.id, status=job.status, attempts=job.attempts)
            self._ended(job)

    # --- What Workers report ------------------------------------------------------------------

    async def _complete(self, message: Complete) -> None:
        job_id, attempt, rendered = message.job_id, message.attempt, message.rendered
        # The attempt is part of the name, so that a late one cannot overwrite what counts.
        key = _key(job_id, f"{job_id}-{attempt}", SUFFIXES[rendered.format])
        async with self._kept(self._storage.outputs, key, rendered.data) as sha256:
            output = Output(
                key=key,
                media_type=MEDIA_TYPES[rendered.format],
                width=rendered.width,
                height=rendered.height,
                size_bytes=len(rendered.data),
                sha256=sha256,
            )
            now = self._now()
            job = await self._catalogue.commit(
                lambda catalogue: catalogue.complete(job_id, attempt, output, now)
            )
        metrics.OUTPUT_SIZE.observe(output.size_bytes)
        self._ended(job)

    async def _fail(self, message: Fail) -> None:
        now = self._now()
        job = await self._catalogue.commit(
            lambda catalogue: catalogue.fail(
                message.job_id, message.attempt, message.code, message.error, now
            )
        )
        self._ended(job)

    def _ended(self, job: Job) -> None:
        """Tell all who wait, and the world, if `job` has ended."""
        self._waiting.settle(job)
        if job.status == "pending":
            return
        metrics.JOBS.labels(job.status).inc()
        log.info(
            f"job_{job.status}",
            job_id=job.id,
            attempts=job.attempts,
            seconds=round((job.updated_at - job.created_at).total_seconds(), 3),
            error_code=job.error_code,
        )

    # --- Files --------------------------------------------------------------------------------

    @asynccontextmanager
    async def _kept(self, blobs: Blobs, key: str, data: bytes) -> AsyncIterator[str]:
        """Keep `data` for the time of the block, and for good if the block ends well.

        Yields its SHA-256.
        """
        sha256 = await self._in_thread(blobs.put, key, data)
        try:
            yield sha256
        except StorageError:
            await self._forget(blobs, key)
            raise

    async def _forget(self, blobs: Blobs, key: str) -> None:
        try:
            await self._in_thread(blobs.delete, key)
        except StorageError as error:
            # Nothing refers to it any more, so the sweep after the next start will find it.
            log.warning("file_left_behind", file=blobs.locate(key), error=str(error))

    async def _sweep(self) -> None:
        """Delete the files that no job refers to: what a crash left between a file and its row."""
        for blobs in (self._storage.inputs, self._storage.outputs):
            shards = blobs.shards()
            while (keys := await self._in_thread(next, shards, None)) is not None:
                for start in range(0, len(keys), SWEEP_CHUNK):
                    chunk = keys[start : start + SWEEP_CHUNK]
                    ids = {_job_id(key) for key in chunk}
                    known = await self._catalogue.commit(
                        lambda catalogue, ids=ids: catalogue.keys(ids)
                    )
                    for key in set(chunk) - known:
                        log.info("orphan_swept", file=blobs.locate(key))
                        await self._forget(blobs, key)

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await trio.to_thread.run_sync(partial(function, *args), limiter=self._threads)


def _key(job_id: str, name: str, suffix: str) -> str:
    """Return the key of a file of this job: fanned out by the first digits of its id."""
    return f"{job_id[:2]}/{name}{suffix}"


def _job_id(key: str) -> str:
    """Return the id of the job that a file of this key would belong to."""
    return key[3 : 3 + UUID_LENGTH]


def _suffix(data: bytes) -> str:
    """Return the suffix that a person would expect of these bytes."""
    found = sniff(data)
    return SUFFIXES[found] if found else ".bin"
