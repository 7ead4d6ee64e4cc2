"""What the Dispatcher and the Workers ask: a job's way from its claim to its end."""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING

import structlog

from actors import metrics
from actors.handlers.stock import suffix_of
from actors.imaging.receipt import details, is_current, made_with, media_type, receipt, suffix
from actors.messages import Complete, Crash, Fail, KeepInput, Open, Reclaim, Reuse, TryLater
from actors.outside.backoff import full_jitter
from actors.storage.keys import key_of
from actors.storage.ports import BlobNotFound, NewInput, Output
from actors.storage.quarantine import SUSPECTS, Quarantined

if TYPE_CHECKING:
    from datetime import datetime
    from io import FileIO

    from actors.handlers.stock import Handlers, Stock
    from actors.imaging.made import Made
    from actors.storage.ports import Catalogue, Job

log = structlog.get_logger("calotype.store")

GIVEN_UP = (
    "It was begun {} times and never ended: the process or a Worker crashed, or the storage failed."
)

# Attempts that failed through no fault of the job do not count, but this many are enough.
MOST_SPARED = 20
# Seconds until such a job is due again, at most: after the first time, and after any.
FIRST_REST = 0.5
LONGEST_REST = 30.0
# The same of a job that failed for a reason which can pass; what a source asks for is heard so far.
LONGEST_RETRY = 600.0
DIED = "The process that rendered it has ended."


class WorkHandlers:
    """Open, complete, fail, try later, give back. The claim stands in `StandingClaim`.

    What is tried later waits for `retry_delay` seconds at most, after the first attempt. An image
    that has caused so many `deaths` is not rendered any more.
    """

    def __init__(self, stock: Stock, retry_delay: float, deaths: int) -> None:
        self._stock = stock
        self._retry_delay = retry_delay
        self._deaths = deaths
        self.by_message: Handlers = {
            Reclaim: self._reclaim,
            Open: self._open,
            KeepInput: self._keep_input,
            Reuse: self._reuse,
            Complete: self._complete,
            Fail: self._fail,
            TryLater: self._try_later,
            Crash: self._crash,
        }

    async def _reclaim(self, message: Reclaim) -> None:
        now = self._stock.now()

        def give_back(catalogue: Catalogue, job: Job) -> Job:
            error = GIVEN_UP.format(job.attempts)
            spare, run_at = job.id in message.spared and job.spared < MOST_SPARED, None
            if job.id in message.spared:
                rest = full_jitter(FIRST_REST, job.spared + 1, LONGEST_REST, random.random)
                run_at = now + timedelta(seconds=rest)
            return catalogue.release(job.id, job.attempts, error, now, spare=spare, run_at=run_at)

        def reclaim(catalogue: Catalogue) -> list[Job]:
            processing = catalogue.processing()
            return [give_back(catalogue, job) for job in processing if job.id not in message.held]

        for job in await self._stock.commit(reclaim):
            log.warning("job_reclaimed", job_id=job.id, status=job.status, attempts=job.attempts)
            if job.status == "failed":
                self._stock.ended(job)

    async def _open(self, message: Open) -> FileIO:
        return await self._stock.inputs.open(message.key, message.seal)

    async def _keep_input(self, message: KeepInput) -> None:
        job_id, attempt, size = message.job_id, message.attempt, len(message.data)
        pixels = message.pixels
        # Of each attempt its own, so that one which comes late cannot take the file of another.
        key = key_of(job_id, suffix_of(message.data), attempt)
        async with self._stock.inputs.kept(key, message.data) as sha256:
            file, now = NewInput(key=key, size_bytes=size, sha256=sha256), self._stock.now()

            def supply(catalogue: Catalogue) -> None:
                job = catalogue.supply(job_id, attempt, file, now, made_with=made_with())
                if catalogue.quarantine.deaths(job.tenant, sha256, made_with()) >= self._deaths:
                    raise Quarantined(job_id)
                catalogue.usage.charge(job_id, pixels, now)

            await self._stock.commit(supply)
        metrics.INPUT_SIZE.observe(size)

    async def _reuse(self, message: Reuse) -> bool:
        job_id = message.job_id
        twin = await self._stock.commit(lambda catalogue: catalogue.finished_twin(job_id))
        # One that was accepted before an upgrade may have a twin that was rendered before it, too.
        if twin is None or twin.receipt is None or not is_current(twin.receipt):
            return False
        try:
            async with AsyncExitStack() as kept:
                outputs = [await self._copied(kept, message, each) for each in twin.outputs]
                await self._end_well(message, outputs, twin.receipt)
        except BlobNotFound:
            return False  # Its files have gone since, or were damaged.
        metrics.REUSED.inc()
        return True

    async def _copied(self, kept: AsyncExitStack, message: Reuse, output: Output) -> Output:
        key = key_of(message.job_id, PurePath(output.key).suffix, message.attempt)
        copied = self._stock.outputs.copied(output.key, key, output.seal)
        await kept.enter_async_context(copied)
        return replace(output, key=key)

    async def _complete(self, message: Complete) -> None:
        async with AsyncExitStack() as kept:
            outputs = [await self._kept(kept, message, made) for made in message.made]
            await self._end_well(message, outputs, receipt(message.others))

    async def _end_well(self, message: Complete | Reuse, outputs: list[Output], told: str) -> None:
        job_id, attempt, now = message.job_id, message.attempt, self._stock.now()
        job = await self._stock.commit(
            lambda records: records.complete(job_id, attempt, outputs, told, now)
        )
        for output in outputs:
            metrics.OUTPUT_SIZE.observe(output.size_bytes)
        self._stock.ended(job)

    async def _kept(self, kept: AsyncExitStack, message: Complete, made: Made) -> Output:
        key = key_of(message.job_id, suffix(made), message.attempt)
        sha256 = await kept.enter_async_context(self._stock.outputs.kept(key, made.data))
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
        job_id, attempt, now = message.job_id, message.attempt, self._stock.now()
        job = await self._stock.commit(
            lambda catalogue: catalogue.fail(job_id, attempt, message.code, message.error, now)
        )
        self._stock.ended(job)

    async def _crash(self, message: Crash) -> None:
        metrics.DEATHS.inc()
        job_id, attempt, now = message.job_id, message.attempt, self._stock.now()

        def crash(catalogue: Catalogue) -> tuple[Job, int]:
            job = self._postpone(catalogue, TryLater(job_id, attempt, "crashed", DIED), now)
            if job.input_sha256 is None:  # Jobs of older versions have none.
                return job, 0
            deaths = catalogue.quarantine.note(
                *(job.tenant, job.input_sha256, made_with(), job_id, now), SUSPECTS
            )
            return job, deaths

        job, deaths = await self._stock.commit(crash)
        if deaths >= self._deaths:
            log.error("image_quarantined", job_id=job_id, sha256=job.input_sha256, deaths=deaths)
        self._postponed(job)

    async def _try_later(self, message: TryLater) -> None:
        now = self._stock.now()
        self._postponed(
            await self._stock.commit(lambda catalogue: self._postpone(catalogue, message, now))
        )

    def _postpone(self, catalogue: Catalogue, message: TryLater, now: datetime) -> Job:
        made = catalogue.find(message.job_id).attempts_made
        pause = full_jitter(
            *(self._retry_delay, made, LONGEST_RETRY, random.random),
            at_least=message.at_least,
        )
        return catalogue.postpone(
            *(message.job_id, message.attempt, message.code, message.error, now),
            run_at=now + timedelta(seconds=pause),
            spare=message.spare,
        )

    def _postponed(self, job: Job) -> None:
        if job.status == "failed":
            self._stock.ended(job)
            return
        metrics.RETRIES.labels(job.error_code).inc()
        log.info(
            "job_postponed",
            job_id=job.id,
            error_code=job.error_code,
            attempts=job.attempts,
            run_at=job.run_at,
        )
