"""What the operator asks of the queue as a whole: to pause it, and to try dead jobs again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from actors.messages import Hold, ListDead, Redrive
from actors.storage.audit import Act

if TYPE_CHECKING:
    from actors.backlog import Backlog
    from actors.handlers.stock import Handlers, Stock
    from actors.storage.audit import Action
    from actors.storage.ports import Catalogue, Job

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

    async def _hold(self, message: Hold) -> bool:
        paused, key_id, now = message.paused, message.key_id, self._stock.now()
        action: Action = "queue_paused" if paused else "queue_resumed"
        act = Act(action=action, subject="", tenant=message.tenant, key_id=key_id)

        def hold(catalogue: Catalogue) -> bool:
            catalogue.pause(paused=paused)
            catalogue.audit.note(act, now, self._stock.audit)
            return paused

        await self._stock.commit_once(message, bool, hold)
        log.info("queue_switched", paused=paused, key_id=key_id)
        return paused

    async def _list_dead(self, message: ListDead) -> tuple[tuple[int, Job], ...]:
        return tuple(await self._stock.commit(lambda catalogue: catalogue.dead(message.which)))

    async def _redrive(self, message: Redrive) -> int:
        now = self._stock.now()
        jobs: list[Job] = []
        with self._backlog.room(message.which.limit) as room:
            which = replace(message.which, limit=room)

            def redrive(catalogue: Catalogue) -> int:
                jobs.clear()  # It may be done again, when the first time has come to nothing.
                for _, job in catalogue.dead(which):
                    attempts = min(job.max_attempts, self._attempts)
                    jobs.append(catalogue.retry(job.id, attempts, now))
                return len(jobs)

            count = await self._stock.commit_once(message, int, redrive)
        for job in jobs:
            log.info("job_redriven", job_id=job.id, tenant=job.tenant)
        return count
