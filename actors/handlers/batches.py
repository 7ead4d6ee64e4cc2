"""What clients ask of their batches."""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import structlog

from actors.handlers.jobs import new_job
from actors.messages import Batched, CancelBatch, DeleteBatch, FindBatch, SubmitBatch
from actors.storage.audit import Act
from actors.storage.batches import Batch, BatchNotFound, ImagesNotFound, NewBatch
from actors.storage.outbox import NewDelivery
from actors.storage.ports import ImageNotFound
from actors.threads import in_thread

if TYPE_CHECKING:
    from datetime import datetime

    from actors.backlog import Backlog
    from actors.handlers.stock import Handlers, Stock
    from actors.messages import Submit
    from actors.storage.batches import Deleted
    from actors.storage.ports import Catalogue, Elsewhere, ImageRecord, Job, NewJob, Removed

log = structlog.get_logger("calotype.store")

COMPLETED = "batch.completed"
STEP = 100  # jobs that are cancelled or deleted in one transaction


class BatchHandlers:
    """Submit, look, cancel, delete. A job is begun at most `attempts` times."""

    def __init__(self, stock: Stock, backlog: Backlog, attempts: int) -> None:
        self._stock = stock
        self._backlog = backlog
        self._attempts = attempts
        self.by_message: Handlers = {
            SubmitBatch: self._submit,
            FindBatch: self._find,
            CancelBatch: self._cancel,
            DeleteBatch: self._delete,
        }

    async def _submit(self, message: SubmitBatch) -> Batched:
        now, bill, tenant = self._stock.now(), message.bill, message.tenant
        batch_id = str(uuid.uuid4())
        new = NewBatch(
            id=batch_id,
            tenant=tenant,
            callback_url=message.callback_url,
            metadata=message.metadata,
        )

        def submit(jobs: list[NewJob], catalogue: Catalogue) -> Batched:
            ids = tuple(job.id for job in jobs)
            images = _find_images(catalogue, jobs, tenant)
            catalogue.batches.add(new, now)
            catalogue.add_all(jobs, now)
            if bill:
                own = (images[job.input] for job in jobs if isinstance(job.input, str))
                pixels = sum(image.width * image.height * image.frames for image in own)
                catalogue.usage.admit(ids, bill, pixels, now)
            return Batched(catalogue.batches.find(batch_id, tenant), ids)

        size = len(message.jobs)
        with self._backlog.room(size, least=size):
            # Of a thousand jobs, the recipes alone can take a quarter of a second to write out.
            jobs = await in_thread(partial(self._jobs, message, batch_id, now), self._stock.threads)
            batched = await self._stock.commit_once(message, Batched, partial(submit, jobs))
        log.info("batch_accepted", batch_id=batch_id, jobs=size)
        return batched

    def _jobs(self, message: SubmitBatch, batch_id: str, now: datetime) -> list[NewJob]:
        return [
            replace(
                new_job(each, str(uuid.uuid4()), _image(each), self._attempts, now),
                tenant=message.tenant,
                batch_id=batch_id,
            )
            for each in message.jobs
        ]

    async def _find(self, message: FindBatch) -> Batch:
        batch_id, tenant = message.batch_id, message.tenant
        return await self._stock.commit(lambda records: records.batches.find(batch_id, tenant))

    async def _cancel(self, message: CancelBatch) -> Batch:
        batch_id, tenant, now = message.batch_id, message.tenant, self._stock.now()
        cancelled: list[Job] = []

        def cancel(catalogue: Catalogue) -> Batch:
            cancelled.extend(catalogue.batches.cancel(batch_id, tenant, now, STEP))
            return catalogue.batches.find(batch_id, tenant)

        batch = await self._stock.commit_once(
            message, Batch, cancel, is_last=lambda batch: batch.has_ended
        )
        for job in cancelled:
            self._stock.ended(job)
        return batch

    async def _delete(self, message: DeleteBatch) -> bool:
        batch_id, tenant, key_id = message.batch_id, message.tenant, message.key_id
        act = Act(action="batch_deleted", subject=batch_id, tenant=tenant, key_id=key_id)
        now = self._stock.now()

        def delete(catalogue: Catalogue) -> tuple[Deleted, list[Removed]]:
            deleted = catalogue.batches.delete(batch_id, tenant)
            if deleted.is_new:
                catalogue.audit.note(act, now, self._stock.audit)
                catalogue.repeats.forget(batch_id)
            return deleted, catalogue.batches.clear(now, STEP, batch_id)

        deleted, removed = await self._stock.commit(delete)
        if deleted.is_new:
            self._stock.waiting.fail(batch_id, BatchNotFound(batch_id), tenant)
            log.info("batch_deleted", batch_id=batch_id, tenant=tenant, key_id=key_id)
        for each in removed:
            await self._stock.forget(each)
        return len(removed) == deleted.jobs


def announce_ended(catalogue: Catalogue, now: datetime) -> list[Batch]:
    """Return the batches that a transaction has ended, at its end; who wants to be told will be."""
    ended = catalogue.batches.ended()
    for batch in ended:
        if batch.callback_url is not None:
            catalogue.outbox.add(_news_of(batch, batch.callback_url, now), now)
    return ended


def _news_of(batch: Batch, url: str, now: datetime) -> NewDelivery:
    told = {
        "type": COMPLETED,
        "timestamp": now,
        "data": {
            "id": batch.id,
            "status": "ended",
            "jobs": batch.size,
            "counts": batch.counts,
            "metadata": msgspec.Raw(batch.metadata.encode()) if batch.metadata else None,
        },
    }
    return NewDelivery(
        id=f"msg_{uuid.uuid4().hex}",
        subject=batch.id,
        tenant=batch.tenant,
        url=url,
        type=COMPLETED,
        payload=msgspec.json.encode(told).decode(),
    )


def _image(message: Submit) -> Elsewhere | str:
    if isinstance(message.image, bytes):
        raise TypeError("an image in a batch is named, and not sent")
    return message.image


def _find_images(catalogue: Catalogue, jobs: list[NewJob], tenant: str) -> dict[str, ImageRecord]:
    """Return all images that are needed, by id. Raises: ImagesNotFound, with all that are not."""
    found: dict[str, ImageRecord] = {}
    wanted = {image_id for job in jobs for image_id in job.images}
    for image_id in wanted:
        with suppress(ImageNotFound):
            found[image_id] = catalogue.find_image(image_id, tenant)
    if missing := wanted - found.keys():
        raise ImagesNotFound(frozenset(missing))
    return found
