"""What the Courier says of deliveries, and what clients ask of theirs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from actors.messages import (
    Delivered,
    ListDeliveries,
    OfBatch,
    OfJob,
    PutBack,
    Recall,
    Redeliver,
    Undelivered,
)
from actors.storage.outbox import Delivery

if TYPE_CHECKING:
    from actors.handlers.stock import Handlers, Stock
    from actors.storage.ports import Catalogue

log = structlog.get_logger("calotype.store")

MOST_LISTED = 100  # deliveries of one job or batch, the newest


class OutboxHandlers:
    """End, put back, list, send again. The collect stands in `StandingCollect`."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self.by_message: Handlers = {
            Recall: self._recall,
            Delivered: self._delivered,
            Undelivered: self._undelivered,
            PutBack: self._put_back,
            ListDeliveries: self._list,
            Redeliver: self._redeliver,
        }

    async def _recall(self, message: Recall) -> None:
        now = self._stock.now()
        recalled = await self._stock.commit(
            lambda records: records.outbox.recall(message.held, now)
        )
        if recalled:
            log.warning("deliveries_recalled", count=recalled)

    async def _delivered(self, message: Delivered) -> None:
        now = self._stock.now()
        await self._stock.commit(
            lambda records: records.outbox.deliver(
                message.delivery_id, message.attempt, message.status, now
            )
        )

    async def _undelivered(self, message: Undelivered) -> None:
        now, delay = self._stock.now(), message.delay
        due_at = None if delay is None else now + timedelta(seconds=delay)
        await self._stock.commit(
            lambda records: records.outbox.fail(
                *(message.delivery_id, message.attempt, message.status, message.error),
                *(due_at, now),
            )
        )

    async def _put_back(self, message: PutBack) -> None:
        now, host = self._stock.now(), message.host

        def put_back(catalogue: Catalogue) -> None:
            catalogue.outbox.put_back(message.delivery_id, message.attempt, now)
            if message.rest:
                catalogue.outbox.spare(host, now + timedelta(seconds=message.rest))

        await self._stock.commit(put_back)

    async def _list(self, message: ListDeliveries) -> tuple[Delivery, ...]:
        def list_them(catalogue: Catalogue) -> tuple[Delivery, ...]:
            _check_own(catalogue, message.subject, message.tenant)
            return tuple(catalogue.outbox.of(message.subject.id, MOST_LISTED))

        return await self._stock.commit(list_them)

    async def _redeliver(self, message: Redeliver) -> Delivery:
        now = self._stock.now()

        def redeliver(catalogue: Catalogue) -> Delivery:
            _check_own(catalogue, message.subject, message.tenant)
            return catalogue.outbox.redeliver(message.subject.id, now)

        delivery = await self._stock.commit_once(message, Delivery, redeliver)
        which = "job_id" if isinstance(message.subject, OfJob) else "batch_id"
        log.info("redelivery_asked_for", delivery_id=delivery.id, **{which: delivery.subject})
        return delivery


def _check_own(catalogue: Catalogue, subject: OfJob | OfBatch, tenant: str) -> None:
    """Make sure that there is such a thing. Raises: JobNotFound, BatchNotFound."""
    if isinstance(subject, OfJob):
        catalogue.find_own(subject.id, tenant)
    else:
        catalogue.batches.find(subject.id, tenant)
