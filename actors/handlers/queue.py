"""What the operator asks of the queue as a whole: to pause it, and to try dead jobs again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from actors.messages import Hold, ListDead, Redrive

if TYPE_CHECKING:
    from actors.backlog import Backlog
    from actors.handlers.stock import Handlers, Stock
    from actors.storage.ports import Catalogue, Job, Tally

log = structlog.get_logger("calotype.store")


class QueueHandlers:
    """Pause and resume; list what has failed, and have it begun again up to `attempts` times."""

    def __init__(self, stock: Stock, backlog: Backlog, attempts: int) -> None:
        self._stock = stock
        self._backlog = backlog
        self._attempts = attempts
        self.by_message: Handlers = {
            Hold: self._hold,
            ListDead: self._list_dead,
            Redrive: self._redrive,
        }

    async def _hold(self, message: Hold) -> Tally:
        def hold(catalogue: Catalogue) -> Tally:
            catalogue.pause(paused=message.paused)
            return catalogue.tally()

        tally = await self._stock.commit(hold)
        log.info("queue_switched", paused=tally.paused)
        return tally

    async def _list_dead(self, message: ListDead) -> tuple[tuple[int, Job], ...]:
        return tuple(await self._stock.commit(lambda catalogue: catalogue.dead(message.which)))

    async def _redrive(self, message: Redrive) -> int:
        now = self._stock.now()
        with self._backlog.room(message.which.limit) as room:
            which = replace(message.which, limit=room)

            def redrive(catalogue: Catalogue) -> list[Job]:
                return [
                    catalogue.retry(job.id, min(job.max_attempts, self._attempts), now)
                    for _, job in catalogue.dead(which)
                ]

            jobs = await self._stock.commit(redrive)
        for job in jobs:
            log.info("job_redriven", job_id=job.id, tenant=job.tenant)
        return len(jobs)
