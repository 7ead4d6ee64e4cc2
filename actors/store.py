"""The Store: the only code that touches what outlives a request."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
import trio

from actors import metrics
from actors.errors import BacklogFull, Draining, OutputNotFound
from actors.group_commit import GroupCommit
from actors.imaging.inspect import SUFFIXES, sniff
from actors.imaging.receipt import details, media_type, receipt, suffix
from actors.imaging.recipe import encode_recipe
from actors.messages import (
    Await,
    Cancel,
    Claim,
    Complete,
    Count,
    CountKeys,
    Delete,
    DeleteImage,
    Drain,
    Fail,
    Fetch,
    Fetched,
    Find,
    FindImage,
    FindKey,
    FindTenant,
    KeepImage,
    KeepInput,
    LearnLinkSecret,
    ListJobs,
    Load,
    ReadImage,
    ReadOutput,
    Reclaim,
    Retry,
    Submit,
)
from actors.shelf import Shelf
from actors.standing_claim import StandingClaim
from actors.storage.keys import key_of
from actors.storage.ports import (
    Elsewhere,
    ImageRecord,
    JobNotFound,
    NewImage,
    NewInput,
    NewJob,
    Output,
    Page,
    Removed,
    StorageError,
    Tally,
)
from actors.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.imaging.made import Made
    from actors.mailbox import Envelope, Mailbox
    from actors.orders import Orders
    from actors.storage.credentials import Key
    from actors.storage.ports import Catalogue, Job, Storage
    from actors.supervision import Activity

OpenStorage = Callable[[], AbstractContextManager["Storage"]]

log = structlog.get_logger("calotype.store")

GIVEN_UP = (
    "It was begun {} times and never ended: the process or a Worker crashed, or the storage failed."
)

# Attempts that failed through no fault of the job do not count, but this many are enough.
MOST_SPARED = 20


def utc_now() -> datetime:
    """Return the time; the Store's clock is the one that counts."""
    return datetime.now(UTC)


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
        orders: Orders,
        activity: Activity,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._mailbox = mailbox
        self._open_storage = open_storage
        self._limits = limits
        self._threads = threads
        self._orders = orders
        self._activity = activity
        self._now = clock
        self._asks = trio.Semaphore(limits.asks)
        self._catalogue = GroupCommit(max_batch=limits.asks)
        self._claim = StandingClaim()
        self._waiting = Waiting()
        self._pending = 0
        self._accepting = 0
        self._inputs: Shelf
        self._outputs: Shelf
        self._actions: dict[type, Callable[..., Awaitable[object]]] = {
            Submit: self._submit,
            Find: self._find,
            ListJobs: self._list,
            Cancel: self._cancel,
            Retry: self._retry,
            Delete: self._delete,
            Fetch: self._fetch,
            ReadOutput: self._read_output,
            FindImage: self._find_image,
            ReadImage: self._read_image,
            DeleteImage: self._delete_image,
            KeepImage: self._keep_image,
            FindTenant: self._find_tenant,
            FindKey: self._find_key,
            CountKeys: self._count_keys,
            LearnLinkSecret: self._learn_link_secret,
            Count: self._count,
            Drain: self._drain,
            Reclaim: self._reclaim,
            Load: self._load,
            KeepInput: self._keep_input,
            Complete: self._complete,
            Fail: self._fail,
        }

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends, then finish what is in hand and close the storage."""
        with ExitStack() as stack:
            storage = await trio.to_thread.run_sync(stack.enter_context, self._open_storage())
            self._inputs = Shelf(storage.inputs, self._threads)
            self._outputs = Shelf(storage.outputs, self._threads)
            self._pending = await trio.to_thread.run_sync(
                storage.catalogue.pending, limiter=self._threads
            )
            stack.enter_context(self._waiting)
            stack.callback(self._claim.release)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    self._catalogue.run,
                    storage.catalogue,
                    self._last_call,
                    self._committed,
                    self._claim.fail,
                )
                with self._catalogue:
                    async with trio.open_nursery() as background:
                        background.start_soon(self._sweep)
                        task_status.started()
                        await self._receive()
                        background.cancel_scope.cancel()

    async def _receive(self) -> None:
        self._activity.doing = "serving"
        async with trio.open_nursery() as work:
            async for envelope in self._mailbox:
                self._activity.handled += 1
                match envelope.message:
                    case Claim(limit):
                        self._claim.stand(envelope, limit)
                        self._catalogue.nudge()
                    case Await() as message:
                        work.start_soon(self._await, message, envelope)
                    case _:
                        # Safe in this loop: those who hold a place wait for threads only.
                        await envelope.take_place(self._asks)
                        work.start_soon(self._handle, envelope)
            self._activity.doing = "finishing"
        # The last jobs may have been claimed for somebody who has left: have them undone.
        self._catalogue.nudge()

    async def _handle(self, envelope: Envelope) -> None:
        try:
            with envelope:
                message = envelope.message
                if envelope.abandoned and not isinstance(message, Cancel | Delete):
                    return  # With those two, the Dispatcher has stopped the Worker already.
                try:
                    envelope.answer(await self._actions[type(message)](message))
                except (StorageError, BacklogFull, OutputNotFound) as error:
                    envelope.fail(error)
        finally:
            self._asks.release()

    def _last_call(self) -> Callable[[Catalogue], tuple[list[Job], int]]:
        claim = self._claim.call(self._now())
        return lambda catalogue: (claim(catalogue), catalogue.pending())

    def _committed(self, last: tuple[list[Job], int]) -> None:
        jobs, self._pending = last
        if not self._claim.answer(jobs):
            self._catalogue.nudge()

    async def _sweep(self) -> None:
        try:
            await self._inputs.sweep(self._catalogue)
            await self._outputs.sweep(self._catalogue)
        except StorageError as error:
            log.warning("sweep_ended_early", error=str(error))

    # --- What clients ask -------------------------------------------------------------------------

    async def _submit(self, message: Submit) -> Job:
        job_id = str(uuid.uuid4())
        with self._room():
            if isinstance(message.image, str | Elsewhere):
                job = await self._add(job_id, message, message.image)
            else:
                key = key_of(job_id, _suffix(message.image))
                async with self._inputs.kept(key, message.image) as sha256:
                    sent = NewInput(key=key, size_bytes=len(message.image), sha256=sha256)
                    job = await self._add(job_id, message, sent)
                metrics.INPUT_SIZE.observe(sent.size_bytes)
        log.info("job_accepted", job_id=job.id, operation=job.operation, size=job.input_size)
        return job

    async def _add(self, job_id: str, message: Submit, image: NewInput | Elsewhere | str) -> Job:
        new = NewJob(
            id=job_id,
            priority=message.priority,
            operation=message.operation,
            preset=message.preset,
            recipe=encode_recipe(message.recipe),
            input=image,
            other_images=message.recipe.needs,
            max_attempts=self._limits.attempts,
            tenant=message.tenant,
        )
        now = self._now()
        return await self._catalogue.commit(lambda catalogue: catalogue.add(new, now))

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Hold a place in the backlog until the job that takes it is counted as pending."""
        if self._pending + self._accepting >= self._limits.backlog:
            raise BacklogFull(self._limits.backlog)
        self._accepting += 1
        try:
            yield
        finally:
            self._accepting -= 1

    async def _find(self, message: Find) -> Job:
        job_id, tenant = message.job_id, message.tenant
        return await self._catalogue.commit(lambda records: records.find_own(job_id, tenant))

    async def _find_tenant(self, message: FindTenant) -> str:
        job = await self._catalogue.commit(lambda records: records.find(message.job_id))
        return job.tenant

    async def _find_key(self, message: FindKey) -> Key:
        return await self._catalogue.commit(lambda records: records.keys.find(message.key_id))

    async def _count_keys(self, _: CountKeys) -> int:
        return await self._catalogue.commit(lambda records: records.keys.count())

    async def _learn_link_secret(self, _: LearnLinkSecret) -> str:
        fresh = secrets.token_hex(32)
        return await self._catalogue.commit(lambda records: records.keys.link_secret(fresh))

    async def _list(self, message: ListJobs) -> Page:
        query = replace(message.query, tenant=message.tenant)
        return await self._catalogue.commit(lambda catalogue: catalogue.page(query))

    async def _count(self, _: Count) -> Tally:
        return await self._catalogue.commit(lambda catalogue: catalogue.tally())

    async def _await(self, message: Await, envelope: Envelope) -> None:
        job_id, tenant = message.job_id, message.tenant
        # Before looking, so that no end can slip through between the two.
        self._waiting.add(job_id, envelope, tenant)
        try:
            job = await self._find(Find(job_id, tenant=tenant))
        except StorageError as error:
            self._waiting.fail(job_id, error, tenant)
        else:
            self._waiting.settle(job)
            if self._orders.draining.is_set():
                self._waiting.fail(job_id, Draining(), tenant)

    async def _drain(self, _: Drain) -> None:
        self._waiting.fail_all(Draining)

    async def _cancel(self, message: Cancel) -> Job:
        now = self._now()

        def cancel(catalogue: Catalogue) -> Job:
            catalogue.find_own(message.job_id, message.tenant)
            return catalogue.cancel(message.job_id, now)

        job = await self._catalogue.commit(cancel)
        if job.updated_at == now:
            self._ended(job)
        return job

    async def _retry(self, message: Retry) -> Job:
        attempts, now = self._limits.attempts, self._now()

        def retry(catalogue: Catalogue) -> Job:
            catalogue.find_own(message.job_id, message.tenant)
            return catalogue.retry(message.job_id, attempts, now)

        with self._room():
            return await self._catalogue.commit(retry)

    async def _delete(self, message: Delete) -> None:
        def delete(catalogue: Catalogue) -> Removed:
            catalogue.find_own(message.job_id, message.tenant)
            return catalogue.delete(message.job_id)

        removed = await self._catalogue.commit(delete)
        self._waiting.fail(removed.job.id, JobNotFound(removed.job.id), removed.job.tenant)
        log.info("job_deleted", job_id=removed.job.id, tenant=message.tenant)
        for key in removed.inputs:
            await self._inputs.forget(key)
        for key in removed.outputs:
            await self._outputs.forget(key)

    async def _fetch(self, message: Fetch) -> Fetched:
        job = await self._find(Find(message.job_id, tenant=message.tenant))
        if job.status != "completed":
            return Fetched(job, None, b"")
        output = next((each for each in job.outputs if message.name in {None, each.name}), None)
        if output is None:
            raise OutputNotFound(message.name)
        return Fetched(job, output, await self._outputs.get(output.key, 0, message.length))

    async def _read_output(self, message: ReadOutput) -> bytes:
        return await self._outputs.get(message.key, message.offset, message.length)

    async def _find_image(self, message: FindImage) -> ImageRecord:
        image_id, tenant = message.image_id, message.tenant
        return await self._catalogue.commit(lambda records: records.find_image(image_id, tenant))

    async def _read_image(self, message: ReadImage) -> bytes:
        return await self._inputs.get(message.key, message.offset, message.length)

    async def _delete_image(self, message: DeleteImage) -> None:
        image_id, tenant = message.image_id, message.tenant
        unneeded = await self._catalogue.commit(
            lambda records: records.delete_image(image_id, tenant)
        )
        log.info("image_deleted", image_id=image_id, tenant=tenant)
        for key in unneeded:
            await self._inputs.forget(key)

    async def _keep_image(self, message: KeepImage) -> ImageRecord:
        image_id, facts, now = str(uuid.uuid4()), message.facts, self._now()
        key = key_of(image_id, SUFFIXES[facts.format])
        async with self._inputs.kept(key, message.data) as sha256:
            new = NewImage(
                id=image_id,
                key=key,
                format=facts.format,
                width=facts.size_as_shown[0],
                height=facts.size_as_shown[1],
                frames=facts.frames,
                size_bytes=len(message.data),
                sha256=sha256,
                facts=message.described,
                tenant=message.tenant,
            )
            image = await self._catalogue.commit(lambda records: records.add_image(new, now))
        metrics.INPUT_SIZE.observe(image.size_bytes)
        log.info("image_kept", image_id=image.id, format=image.format, size=image.size_bytes)
        return image

    # --- What the Dispatcher and the Workers ask --------------------------------------------------

    async def _reclaim(self, message: Reclaim) -> None:
        now = self._now()

        def give_back(catalogue: Catalogue, job: Job) -> Job:
            error = GIVEN_UP.format(job.attempts)
            spare = job.id in message.spared and job.spared < MOST_SPARED
            return catalogue.release(job.id, job.attempts, error, now, spare=spare)

        def reclaim(catalogue: Catalogue) -> list[Job]:
            processing = catalogue.processing()
            return [give_back(catalogue, job) for job in processing if job.id not in message.held]

        for job in await self._catalogue.commit(reclaim):
            log.warning("job_reclaimed", job_id=job.id, status=job.status, attempts=job.attempts)
            if job.status == "failed":
                self._ended(job)

    async def _load(self, message: Load) -> bytes:
        return await self._inputs.get(message.key)

    async def _keep_input(self, message: KeepInput) -> None:
        job_id, attempt, size = message.job_id, message.attempt, len(message.data)
        # Of each attempt its own, so that one which comes late cannot take the file of another.
        key = key_of(job_id, _suffix(message.data), attempt)
        async with self._inputs.kept(key, message.data) as sha256:
            file, now = NewInput(key=key, size_bytes=size, sha256=sha256), self._now()
            await self._catalogue.commit(lambda records: records.supply(job_id, attempt, file, now))
        metrics.INPUT_SIZE.observe(size)

    async def _complete(self, message: Complete) -> None:
        job_id, attempt = message.job_id, message.attempt
        async with AsyncExitStack() as kept:
            outputs = [await self._kept(kept, message, made) for made in message.made]
            now, made_with = self._now(), receipt(message.others)
            job = await self._catalogue.commit(
                lambda records: records.complete(job_id, attempt, outputs, made_with, now)
            )
        for output in outputs:
            metrics.OUTPUT_SIZE.observe(output.size_bytes)
        self._ended(job)

    async def _kept(self, kept: AsyncExitStack, message: Complete, made: Made) -> Output:
        key = key_of(message.job_id, suffix(made), message.attempt)
        sha256 = await kept.enter_async_context(self._outputs.kept(key, made.data))
        return Output(
            name=made.name,
            key=key,
            media_type=media_type(made),
            width=made.width,
            height=made.height,
            size_bytes=len(made.data),
            sha256=sha256,
            details=details(made),
        )

    async def _fail(self, message: Fail) -> None:
        job_id, attempt, now = message.job_id, message.attempt, self._now()
        job = await self._catalogue.commit(
            lambda catalogue: catalogue.fail(job_id, attempt, message.code, message.error, now)
        )
        self._ended(job)

    def _ended(self, job: Job) -> None:
        """Tell all who wait, and the world."""
        self._waiting.settle(job)
        metrics.JOBS.labels(job.status).inc()
        log.info(
            "job_ended",
            job_id=job.id,
            status=job.status,
            error_code=job.error_code,
            attempts=job.attempts,
            seconds=round((job.updated_at - job.created_at).total_seconds(), 3),
        )


def _suffix(data: bytes) -> str:
    kind = sniff(data)
    return SUFFIXES[kind] if kind else ".bin"
