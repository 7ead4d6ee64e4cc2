"""Retention, as the Store does it: a sweep now and then, in small steps."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from actors import metrics
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, timedelta

    from actors.handlers.stock import Stock
    from actors.storage.outbox import OutboxRules
    from actors.storage.ports import Catalogue
    from actors.storage.retention import Rules, Unneeded

log = structlog.get_logger("calotype.store")

STEP = 100  # jobs, images or deliveries in one transaction


class Retention:
    """Keeps to the rules, looking every `period` seconds.

    The files of a job go `grace` after it is gone for those who ask, so that whoever is reading one
    can finish.
    """

    def __init__(
        self, stock: Stock, rules: Rules, outbox: OutboxRules, period: float, grace: timedelta
    ) -> None:
        self._stock = stock
        self._rules = rules
        self._outbox = outbox
        self._period = period
        self._grace = grace

    async def run(self) -> None:
        """Sweep until cancelled. If the storage fails, try again at the next time."""
        while True:
            await trio.sleep(self._period)
            try:
                await self._sweep()
            except StorageError as error:
                log.warning("retention_failed", error=str(error))

    async def _sweep(self) -> None:
        rules, now = self._rules, self._stock.age_now()
        await _until_done(partial(self._clear_batches, now))
        await _until_done(partial(self._expire, now))
        await _until_done(partial(self._purge, now - self._grace))
        if rules.images is not None:
            await _until_done(partial(self._forget_images, now - rules.images))
        if rules.records is not None:
            await _until_done(partial(self._forget_records, now - rules.records, now))
        await _until_done(partial(self._give_up, now))
        await _until_done(partial(self._trim_outbox, self._outbox.kept.since(now)))

    async def _clear_batches(self, now: datetime) -> int:
        """Forget what is left of deleted batches, should their clients or the process have gone."""
        removed = await self._stock.commit(lambda records: records.batches.clear(now, STEP))
        for each in removed:
            await self._stock.forget(each)
        return len(removed)

    async def _give_up(self, now: datetime) -> int:
        before = now - self._outbox.lifetime
        given_up = await self._stock.commit(
            lambda records: records.outbox.give_up(before, now, STEP)
        )
        metrics.DELIVERIES.labels("expired").inc(given_up)
        if given_up:
            log.warning("deliveries_given_up", count=given_up)
        return given_up

    async def _trim_outbox(self, before: datetime) -> int:
        most = self._outbox.kept.most
        return await self._stock.commit(lambda records: records.outbox.trim(most, before, STEP))

    async def _expire(self, now: datetime) -> int:
        def expire(records: Catalogue) -> list[str]:
            return records.retention.expire(self._rules, now, STEP)

        gone = await self._stock.commit(expire)
        metrics.EXPIRED.inc(len(gone))
        for job_id in gone:
            log.info("job_expired", job_id=job_id)
        return len(gone)

    async def _purge(self, before: datetime) -> int:
        return await self._delete(
            await self._stock.commit(lambda records: records.retention.purge(before, STEP))
        )

    async def _forget_images(self, before: datetime) -> int:
        return await self._delete(
            await self._stock.commit(lambda records: records.retention.forget_images(before, STEP))
        )

    async def _forget_records(self, before: datetime, now: datetime) -> int:
        removed = await self._stock.commit(
            lambda records: records.retention.forget_records(before, STEP, now)
        )
        for each in removed:
            # What could not be deleted when it was purged, for example.
            await self._stock.forget(each)
        return len(removed)

    async def _delete(self, unneeded: Unneeded) -> int:
        for key in unneeded.inputs:
            await self._stock.inputs.forget(key)
        for key in unneeded.outputs:
            await self._stock.outputs.forget(key)
        return unneeded.of


async def _until_done(step: Callable[[], Awaitable[int]]) -> None:
    while await step() == STEP:
        pass
