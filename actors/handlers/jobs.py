"""What clients ask of their jobs."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from actors import metrics, tracing
from actors.errors import OutputNotFound
from actors.handlers.stock import suffix_of
from actors.imaging.receipt import made_with
from actors.imaging.recipe import encode_recipe
from actors.messages import (
    Cancel,
    Count,
    Delete,
    Fetch,
    Fetched,
    Find,
    FindTenant,
    ListJobs,
    ReadOutput,
    Retry,
    Settle,
    Submit,
)
from actors.storage.audit import Act
from actors.storage.keys import key_of
from actors.storage.ports import (
    BlobNotFound,
    Elsewhere,
    Job,
    NewInput,
    NewJob,
    Page,
    Removed,
    Tally,
)

if TYPE_CHECKING:
    from datetime import datetime

    from actors.backlog import Backlog
    from actors.handlers.stock import Handlers, Stock
    from actors.storage.ports import Catalogue

log = structlog.get_logger("calotype.store")


class JobHandlers:
    """Submit, look, cancel, retry, delete, download. A job is begun at most `attempts` times."""

    def __init__(self, stock: Stock, backlog: Backlog, attempts: int) -> None:
        self._stock = stock
        self._backlog = backlog
        self._attempts = attempts
        self.by_message: Handlers = {
            Submit: self._submit,
            Find: self._find,
            FindTenant: self._find_tenant,
            ListJobs: self._list,
            Count: self._count,
            Cancel: self._cancel,
            Retry: self._retry,
            Settle: self._settle,
            Delete: self._delete,
            Fetch: self._fetch,
            ReadOutput: self._read_output,
        }

    async def _submit(self, message: Submit) -> Job:
        job_id = str(uuid.uuid4())
        with tracing.submission() as span, self._backlog.room():
            span.note("messaging.message.id", job_id)
            if isinstance(message.image, str | Elsewhere):
                job = await self._add(job_id, message, message.image)
            else:
                key = key_of(job_id, suffix_of(message.image))
                async with self._stock.inputs.kept(key, message.image) as sha256:
                    sent = NewInput(key=key, size_bytes=len(message.image), sha256=sha256)
                    job = await self._add(job_id, message, sent)
                metrics.INPUT_SIZE.observe(sent.size_bytes)
        log.info("job_accepted", job_id=job.id, operation=job.operation, size=job.input_size)
        return job

    async def _add(self, job_id: str, message: Submit, image: NewInput | Elsewhere | str) -> Job:
        now = self._stock.now()
        new = new_job(message, job_id, image, self._attempts, now)
        # Taken out, because what is committed must not hold the picture.
        bill, pixels = message.bill, message.pixels

        def add(catalogue: Catalogue) -> Job:
            job = catalogue.add(new, now)
            if bill:
                pixels_now = pixels or _pixels(catalogue, job)
                catalogue.usage.admit((job.id,), bill, pixels_now, now)
            return job

        return await self._stock.commit_once(message, Job, add)

    async def _find(self, message: Find) -> Job:
        job_id, tenant = message.job_id, message.tenant
        return await self._stock.commit(lambda records: records.find_own(job_id, tenant))

    async def _find_tenant(self, message: FindTenant) -> str:
        job = await self._stock.commit(lambda records: records.find(message.job_id))
        return job.tenant

    async def _list(self, message: ListJobs) -> Page:
        query = replace(message.query, tenant=message.tenant)
        return await self._stock.commit(lambda catalogue: catalogue.page(query))

    async def _count(self, _: Count) -> Tally:
        return await self._stock.commit(lambda catalogue: catalogue.tally())

    async def _cancel(self, message: Cancel) -> Job:
        now = self._stock.now()

        def cancel(catalogue: Catalogue) -> Job:
            catalogue.find_own(message.job_id, message.tenant)
            return catalogue.cancel(message.job_id, now)

        job = await self._stock.commit_once(message, Job, cancel)
        if job.updated_at == now:
            self._stock.ended(job)
        return job

    async def _retry(self, message: Retry) -> Job:
        now = self._stock.now()

        def retry(catalogue: Catalogue) -> Job:
            found = catalogue.find_own(message.job_id, message.tenant)
            job = catalogue.retry(found.id, min(found.max_attempts, self._attempts), now)
            if message.bill:
                # What was counted of its pixels stays so, and is not counted again.
                catalogue.usage.admit((job.id,), message.bill, 0, now)
            return job

        with self._backlog.room():
            return await self._stock.commit_once(message, Job, retry)

    async def _settle(self, message: Settle) -> str:
        return await self._stock.commit_once(message, str, lambda _: message.text)

    async def _delete(self, message: Delete) -> None:
        job_id, tenant, key_id = message.job_id, message.tenant, message.key_id
        act = Act(action="job_deleted", subject=job_id, tenant=tenant, key_id=key_id)
        now = self._stock.now()

        def delete(catalogue: Catalogue) -> Removed:
            catalogue.find_own(job_id, tenant)
            catalogue.audit.note(act, now, self._stock.audit)
            return catalogue.delete(job_id, now)

        removed = await self._stock.commit(delete)
        log.info("job_deleted", job_id=job_id, tenant=tenant, key_id=key_id)
        await self._stock.forget(removed)

    async def _fetch(self, message: Fetch) -> Fetched:
        job = await self._find(Find(message.job_id, tenant=message.tenant))
        if job.status != "completed":
            return Fetched(job, None, b"")
        if job.gone_at is not None:
            raise BlobNotFound(job.id)
        output = next((each for each in job.outputs if message.name in {None, each.name}), None)
        if output is None:
            raise OutputNotFound(message.name)
        first = ReadOutput(output.key, 0, message.length, output.seal)
        return Fetched(job, output, await self._read_output(first))

    async def _read_output(self, message: ReadOutput) -> bytes:
        return await self._stock.read(self._stock.outputs, message)


def new_job(
    message: Submit,
    job_id: str,
    image: NewInput | Elsewhere | str,
    attempts: int,
    now: datetime,
) -> NewJob:
    """Return the job that `message` asks for. It may be begun `attempts` times, or less often."""
    start = message.start
    return NewJob(
        id=job_id,
        priority=message.priority,
        operation=message.operation,
        preset=message.preset,
        recipe=encode_recipe(message.recipe),
        input=image,
        other_images=message.recipe.needs,
        max_attempts=min(message.max_attempts or attempts, attempts),
        run_at=now + start if isinstance(start, timedelta) else start,
        tenant=message.tenant,
        retain=message.retain,
        callback_url=message.callback_url,
        metadata=message.metadata,
        made_with=made_with(),
        trace=tracing.carried(),
    )


def _pixels(catalogue: Catalogue, job: Job) -> int:
    """Return the pixels of the image that a job was made of, if it is one that is kept."""
    if job.image_id is None:
        return 0
    image = catalogue.find_image(job.image_id, job.tenant)
    return image.width * image.height * image.frames
