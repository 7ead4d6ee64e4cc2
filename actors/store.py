"""The Store: the only code that touches what outlives a request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog
import trio

from actors import metrics
from actors.alarm import Alarm
from actors.backlog import Backlog
from actors.errors import BacklogFull, Draining, OutputNotFound
from actors.following import Following
from actors.group_commit import GroupCommit
from actors.handlers.batches import BatchHandlers, announce_ended
from actors.handlers.events import read_events
from actors.handlers.images import ImageHandlers
from actors.handlers.jobs import JobHandlers
from actors.handlers.keys import KeyHandlers
from actors.handlers.outbox import OutboxHandlers
from actors.handlers.queue import QueueHandlers
from actors.handlers.stock import Stock
from actors.handlers.work import WorkHandlers
from actors.messages import (
    Await,
    AwaitBatch,
    Claim,
    Collect,
    Drain,
    ReadEvents,
    Told,
)
from actors.retention import Retention
from actors.shelf import Shelf
from actors.standing_claim import StandingClaim
from actors.standing_collect import StandingCollect
from actors.storage.audit import AUDIT
from actors.storage.outbox import OutboxRules
from actors.storage.ports import StorageError
from actors.storage.repeats import REPEATS
from actors.storage.retention import Rules
from actors.storage.usage import QuotaExceeded
from actors.threads import in_thread
from actors.waiting import Waiting

if TYPE_CHECKING:
    from actors.handlers.stock import Handlers
    from actors.mailbox import Envelope, Mailbox
    from actors.messages import Parcel
    from actors.orders import Orders
    from actors.patient_clock import PatientClock
    from actors.storage.batches import Batch
    from actors.storage.events import Event
    from actors.storage.keeping import Keeping
    from actors.storage.ports import Catalogue, Job, Storage, Woken
    from actors.supervision import Activity

OpenStorage = Callable[[], AbstractContextManager["Storage"]]

log = structlog.get_logger("calotype.store")

WOKEN_AT_ONCE = 256  # jobs that become due in one transaction; the others in those that follow
TRIM_STEP = 1_000  # events in one transaction, and how many more there may be than are kept
TRIM_EVERY = 60.0  # seconds until those are given up that have become too old


def utc_now() -> datetime:
    """Return the time; the Store's clock is the one that counts."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """The bounds of the Store.

    `backlog`: pending jobs; beyond it a submit is refused.
    `asks`: messages being worked on at once; the rest wait in the mailbox.
    `attempts`: how often a job may be begun before it is final that it comes to nothing.
    `retry_delay`: seconds until it is begun for the second time, at most; each time twice as long.
    `repeats`: how many answers a tenant may ask for again. `audit`: how much of it is kept.
    `retention`: how long things are kept; it is looked to every `sweep_period` seconds, and files
    that nobody can ask for any more are deleted `grace` later.
    `outbox`: how long what is sent to clients is kept.
    `events`: how many of the newest are kept, and `events_age`: for how many seconds at most.
    """

    backlog: int
    asks: int
    attempts: int
    retention: Rules = field(default_factory=Rules)
    sweep_period: float = 60.0
    grace: timedelta = timedelta(minutes=5)
    retry_delay: float = 2.0
    events: int = 100_000
    events_age: float = 86_400.0
    repeats: Keeping = REPEATS
    audit: Keeping = AUDIT
    outbox: OutboxRules = field(default_factory=OutboxRules)


class _Last(NamedTuple):
    """What the end of each transaction brings: `next_due` is when a delivery may be."""

    woken: Woken
    claimed: list[Job]
    pending: int
    news: list[Event]
    ended: list[Batch]
    parcels: tuple[Parcel, ...]
    next_due: datetime | None


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
        age_clock: PatientClock,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._mailbox = mailbox
        self._open_storage = open_storage
        self._limits = limits
        self._threads = threads
        self._orders = orders
        self._activity = activity
        self._now = clock
        self._age_now = age_clock
        self._asks = trio.Semaphore(limits.asks)
        self._catalogue = GroupCommit(max_batch=limits.asks)
        self._claim = StandingClaim(limits.attempts)
        self._collect = StandingCollect()
        self._post_alarm = Alarm(clock)
        self._waiting = Waiting()
        self._following = Following()
        self._backlog = Backlog(limits.backlog)
        self._alarm = Alarm(clock)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends, then finish what is in hand and close the storage."""
        with ExitStack() as stack:
            storage = await in_thread(
                partial(stack.enter_context, self._open_storage()), self._threads
            )
            inputs = Shelf(storage.inputs, self._threads)
            outputs = Shelf(storage.outputs, self._threads)
            stock = Stock(
                self._catalogue,
                inputs,
                outputs,
                self._waiting,
                self._now,
                self._age_now,
                self._threads,
                self._limits.repeats,
                self._limits.audit,
            )
            self._backlog.pending = await in_thread(storage.catalogue.pending, self._threads)
            bounds = await in_thread(storage.catalogue.events.bounds, self._threads)
            self._following.last = bounds.last
            stack.enter_context(self._waiting.asks)
            stack.enter_context(self._following.asks)
            stack.callback(self._claim.release)
            stack.callback(self._collect.release)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    self._catalogue.run,
                    storage.catalogue,
                    self._last_call,
                    self._committed,
                    self._lost,
                )
                with self._catalogue:
                    async with trio.open_nursery() as background:
                        background.start_soon(self._sweep, stock)
                        background.start_soon(self._trim)
                        background.start_soon(self._alarm.run, self._catalogue.nudge)
                        background.start_soon(self._post_alarm.run, self._catalogue.nudge)
                        background.start_soon(self._retention(stock).run)
                        task_status.started()
                        await self._receive(self._handlers(stock))
                        background.cancel_scope.cancel()

    def _retention(self, stock: Stock) -> Retention:
        limits = self._limits
        return Retention(
            *(stock, limits.retention, limits.outbox),
            *(limits.sweep_period, limits.grace),
        )

    def _handlers(self, stock: Stock) -> Handlers:
        groups = (
            JobHandlers(stock, self._backlog, self._limits.attempts),
            BatchHandlers(stock, self._backlog, self._limits.attempts),
            QueueHandlers(stock, self._backlog, self._limits.attempts),
            WorkHandlers(stock, self._limits.retry_delay, self._limits.attempts),
            ImageHandlers(stock),
            KeyHandlers(stock),
            OutboxHandlers(stock),
        )
        handlers = {kind: each for group in groups for kind, each in group.by_message.items()}
        return {**handlers, Drain: self._drain}

    async def _receive(self, handlers: Handlers) -> None:
        self._activity.doing = "serving"
        async with trio.open_nursery() as work:
            async for envelope in self._mailbox:
                self._activity.handled += 1
                match envelope.message:
                    case Claim(limit, fetching):
                        self._claim.stand(envelope, limit, fetching)
                        self._catalogue.nudge()
                    case Collect(room):
                        self._collect.stand(envelope, room)
                        self._catalogue.nudge()
                    case Await() | AwaitBatch() as message:
                        work.start_soon(self._await, message, envelope)
                    case ReadEvents() as message:
                        work.start_soon(self._follow, message, envelope)
                    case _:
                        # Safe in this loop: those who hold a place wait for threads only.
                        await envelope.take_place(self._asks)
                        work.start_soon(self._handle, envelope, handlers)
            self._activity.doing = "finishing"
        # The last jobs may have been claimed for somebody who has left: have them undone.
        self._catalogue.nudge()

    async def _handle(self, envelope: Envelope, handlers: Handlers) -> None:
        try:
            with envelope:
                message = envelope.message
                if envelope.abandoned:
                    return
                try:
                    envelope.answer(await handlers[type(message)](message))
                except (StorageError, BacklogFull, OutputNotFound) as error:
                    if isinstance(error, QuotaExceeded):
                        metrics.REFUSALS.labels(error.quota).inc()
                    envelope.fail(error)
        finally:
            self._asks.release()

    def _last_call(self) -> Callable[[Catalogue], _Last]:
        now = self._now()
        claim, news, collect = (
            self._claim.call(now),
            self._following.call(),
            self._collect.call(now),
        )
        return lambda catalogue: _Last(
            catalogue.wake(now, WOKEN_AT_ONCE),
            claim(catalogue),
            catalogue.pending(),
            news(catalogue),
            announce_ended(catalogue, now),
            *collect(catalogue),
        )

    def _committed(self, last: _Last) -> None:
        self._backlog.pending = last.pending
        self._alarm.set(last.woken.next)
        all_told = self._following.tell(last.news)
        for batch in last.ended:
            self._waiting.settle(batch)
            log.info("batch_ended", batch_id=batch.id, counts=dict(batch.counts))
        self._post_alarm.set(last.next_due)
        heard = self._claim.answer(last.claimed), self._collect.answer(last.parcels)
        if not all_told or not all(heard):
            self._catalogue.nudge()

    def _lost(self, error: StorageError) -> None:
        self._claim.fail(error)
        self._collect.fail(error)

    async def _sweep(self, stock: Stock) -> None:
        try:
            await stock.inputs.sweep(self._catalogue)
            await stock.outputs.sweep(self._catalogue)
        except StorageError as error:
            log.warning("sweep_ended_early", error=str(error))

    async def _await(self, message: Await | AwaitBatch, envelope: Envelope) -> None:
        tenant = message.tenant

        def find(catalogue: Catalogue) -> Job | Batch:
            if isinstance(message, Await):
                return catalogue.find_own(message.job_id, tenant)
            return catalogue.batches.find(message.batch_id, tenant)

        awaited_id = message.job_id if isinstance(message, Await) else message.batch_id
        # Before looking, so that no end can slip through between the two.
        self._waiting.add(awaited_id, envelope, tenant)
        try:
            self._waiting.settle(await self._catalogue.commit(find))
        except StorageError as error:
            self._waiting.fail(awaited_id, error, tenant)
        else:
            if self._orders.draining.is_set():
                self._waiting.fail(awaited_id, Draining(), tenant)

    async def _follow(self, message: ReadEvents, envelope: Envelope) -> None:
        with ExitStack() as held:
            held.enter_context(envelope)
            if envelope.abandoned:
                return  # What is kept has been looked for.
            try:
                told = await self._look_for_events(message)
            except StorageError as error:
                envelope.fail(error)
                return
            if self._orders.draining.is_set():
                envelope.fail(Draining())
            elif told:
                envelope.answer(told)
            else:
                self._following.add(message, envelope)
                held.pop_all()

    async def _look_for_events(self, message: ReadEvents) -> Told | None:
        """Return what there is to tell; None if the asker knows all there is at this moment."""
        last = self._following.last
        if self._following.knows(message):
            # Without a look at what has become of all others since.
            return None if message.after == last else Told((), last)
        if message.job_id is None and message.after == last:
            return None
        while True:
            told = await self._catalogue.commit(lambda records: read_events(records, message))
            is_news = told.events or told.missed or told.over or told.until != message.after
            if is_news or told.until == self._following.last:
                return told if is_news else None
            # Another transaction has ended since.

    async def _trim(self) -> None:
        """Give up the events that are too many or too old, a few at a time."""
        kept, age = self._limits.events, timedelta(seconds=self._limits.events_age)
        while True:
            with trio.move_on_after(TRIM_EVERY):
                await self._following.wait_for(TRIM_STEP)
            trim = partial(_trim, kept, self._age_now() - age)
            try:
                while await self._catalogue.commit(trim):
                    pass
            except StorageError as error:
                log.warning("events_not_trimmed", error=str(error))

    async def _drain(self, _: Drain) -> None:
        self._waiting.asks.fail_all(Draining)
        self._following.asks.fail_all(Draining)


def _trim(kept: int, since: datetime, catalogue: Catalogue) -> bool:
    return catalogue.events.trim(kept, since, TRIM_STEP)
