"""What can be seen of the service at one moment: the body of /stats, and the gauges of /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import trio

from actors.messages import Count, LookAtPool, Pool
from actors.storage.outbox import Fate
from actors.storage.ports import PRIORITIES, STATUSES
from web import metrics
from web.queue import age_in_seconds

if TYPE_CHECKING:
    from actors.rendering.memory import Memory
    from actors.system import System
    from web.connections import Server
    from web.uploads import Uploads


class Actor(msgspec.Struct):
    """An actor and its mailbox: messages `waiting` of `capacity`, and askers `blocked` outside."""

    name: str
    doing: str
    handled: int
    crashed: int
    waiting: int
    capacity: int
    blocked: int


class Limiter(msgspec.Struct):
    """How many there are at once, of so many that there may be; and how many wait."""

    used: int
    total: int
    waiting: int


class Bodies(msgspec.Struct):
    """Bytes of request bodies; `memory` is the most there may be in it."""

    in_memory: int
    on_disk: int
    memory: int


class Connections(msgspec.Struct):
    """How many are open, of so many that may be."""

    open: int
    limit: int


class Stats(msgspec.Struct):
    """The service at one moment. `queue` counts by status and priority; ages are in seconds.

    Of those pending, so many are `waiting` for their time. `paused`: nothing is begun.
    """

    pool: Pool
    queue: dict[str, dict[str, int]]
    waiting: dict[str, int]
    paused: bool
    oldest_pending_seconds: float | None
    stored_bytes: int
    deliveries: dict[Fate, int]
    actors: list[Actor]
    limiters: dict[str, Limiter]
    bodies: Bodies
    connections: Connections


@dataclass(frozen=True, slots=True)
class Watch:
    """Looks at the parts of the running service; `patience` is for the actors' answers."""

    system: System
    server: Server
    uploads: Uploads
    patience: float

    async def look(self) -> Stats:
        """Return the service as it is now."""
        with trio.fail_after(self.patience):
            pool = await self.system.front_door.ask(LookAtPool())
            tally = await self.system.front_door.ask(Count())
        return Stats(
            pool=pool,
            queue={
                status: {each: tally.counts.get((status, each), 0) for each in PRIORITIES}
                for status in STATUSES
            },
            waiting={each: tally.waiting.get(each, 0) for each in PRIORITIES},
            paused=tally.paused,
            oldest_pending_seconds=age_in_seconds(tally),
            stored_bytes=tally.stored_bytes,
            deliveries=dict(tally.deliveries),
            actors=self._actors(),
            limiters={
                "cpu": _limiter(self.system.renderer.places),
                "memory": _lent(self.system.renderer.memory),
                "storage": _limiter(self.system.storage),
                "fetches": _limiter(self.system.fetches),
            },
            bodies=Bodies(self.uploads.in_memory, self.uploads.on_disk, self.uploads.limits.memory),
            connections=Connections(len(self.server.open), self.server.limits.connections),
        )

    def _actors(self) -> list[Actor]:
        return [
            Actor(
                each.name,
                each.doing,
                each.handled,
                each.crashed,
                each.mailbox.waiting,
                each.mailbox.capacity,
                each.mailbox.blocked,
            )
            for each in self.system.statistics()
        ]


def set_gauges(stats: Stats) -> None:
    """Have Prometheus see these `stats`."""
    for status, counts in stats.queue.items():
        for priority, count in counts.items():
            metrics.PRESENT.labels(status, priority).set(count)
    for priority, count in stats.waiting.items():
        metrics.WAITING.labels(priority).set(count)
    metrics.PAUSED.set(stats.paused)
    metrics.OLDEST.set(stats.oldest_pending_seconds or 0)
    metrics.STORED.set(stats.stored_bytes)
    for fate, count in stats.deliveries.items():
        metrics.DELIVERIES_PRESENT.labels(fate).set(count)
    for name, limiter in stats.limiters.items():
        metrics.LIMITER_USED.labels(name).set(limiter.used)
        metrics.LIMITER_TOTAL.labels(name).set(limiter.total)
    metrics.WORKERS.labels("busy").set(stats.pool.busy)
    metrics.WORKERS.labels("idle").set(stats.pool.present - stats.pool.busy)
    metrics.MAIL.clear()
    for actor in stats.actors:
        metrics.MAIL.labels(actor.name).set(actor.waiting)
    metrics.BODIES.labels("memory").set(stats.bodies.in_memory)
    metrics.BODIES.labels("disk").set(stats.bodies.on_disk)
    metrics.CONNECTIONS.set(stats.connections.open)
    metrics.TASKS.set(trio.lowlevel.current_statistics().tasks_living)


def _lent(memory: Memory) -> Limiter:
    return Limiter(memory.lent, memory.total, memory.waiting)


def _limiter(limiter: trio.CapacityLimiter) -> Limiter:
    now = limiter.statistics()
    return Limiter(now.borrowed_tokens, int(now.total_tokens), now.tasks_waiting)
