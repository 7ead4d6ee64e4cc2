"""The Dispatcher: the front door, and the hand-out of work."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from actors.errors import ActorStopped, AskFailed, Draining, JobInterrupted, MailboxFull
from actors.messages import (
    Cancel,
    CancelBatch,
    Claim,
    Delete,
    DeleteBatch,
    Drain,
    Foresee,
    Keep,
    LookAtPool,
    Pool,
    Reclaim,
    Resize,
    Run,
    Submit,
    SubmitBatch,
)
from actors.outside.backoff import doubled
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from actors.mailbox import Address, Envelope, Mailbox
    from actors.orders import Orders
    from actors.storage.batches import Batch
    from actors.storage.ports import Job
    from actors.supervision import Activity

log = structlog.get_logger("calotype.dispatcher")

PAUSE = 0.5  # seconds before the Store is asked again after it has failed
LONGEST_PAUSE = 30.0  # seconds before jobs are begun again while the storage interrupts each
CANCELLING = 16  # batches that are being cancelled at the same moment


def _nothing() -> None:
    pass


class _Hand:
    """A Worker as the Dispatcher sees it, and the job in its hand."""

    __slots__ = ("address", "job", "scope")

    def __init__(self, address: Address) -> None:
        self.address = address
        self.job: Job | None = None
        self.scope = trio.CancelScope()


class Dispatcher:
    """Admits or refuses; claims no more than the idle Workers can take; resizes the pool.

    Owns the Workers: it has them hired, and closing their addresses sends them home.
    No more than `fetching` of them, by default half of the pool, have a job in hand whose input has
    still to be fetched: so hosts that hang leave the others to those whose input is here.
    Its receive loop never waits; one child task holds the standing claim, one for each job that
    was handed out waits for its end, and one for each batch that is cancelled sees to all of it.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        store: Address,
        surveyor: Address,
        hire: Callable[[], Awaitable[Address]],
        orders: Orders,
        activity: Activity,
        fetching: int | None = None,
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._surveyor = surveyor
        self._hire = hire
        self._orders = orders
        self._activity = activity
        self._fetching = fetching
        self._hands: list[_Hand] = []
        self._spared: set[str] = set()
        self._cancelling = 0
        # How many jobs the storage has interrupted since it let one end.
        self._interruptions = 0
        self._no_claim_until = -math.inf
        # Whether jobs may be marked as processing that no Worker has in hand.
        self._strays = True
        self._changed = trio.Event()
        self._claiming = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends; then wait for the Workers to finish what they have."""
        try:
            async with trio.open_nursery() as nursery:
                await self._fit_pool()
                nursery.start_soon(self._hand_out, nursery)
                task_status.started()
                self._activity.doing = "serving"
                async for envelope in self._mailbox:
                    self._activity.handled += 1
                    if isinstance(envelope.message, CancelBatch):
                        nursery.start_soon(self._cancel_batch, envelope.message, envelope)
                        continue
                    with envelope:
                        self._receive(envelope)
                self._activity.doing = "waiting for the Workers"
                self._drain()
        finally:
            for hand in self._hands:
                hand.address.close()
            self._surveyor.close()
            self._store.close()

    def _receive(self, envelope: Envelope) -> None:
        match envelope.message:
            case Submit() | SubmitBatch() | Keep() if self._orders.draining.is_set():
                envelope.fail(Draining())
            case Resize(workers):
                self._orders.workers = workers
                # What stands now may claim more than a smaller pool can take.
                self._claiming.cancel()
                self._notice()
                envelope.answer(self._pool())
            case LookAtPool():
                envelope.answer(self._pool())
            case Drain():
                self._drain()
                self._forward(envelope, self._store)
            case Keep() | Foresee():
                self._forward(envelope, self._surveyor)
            case Cancel(job_id, tenant=tenant) | Delete(job_id, tenant=tenant):
                stop = partial(self._abandon, tenant, job_id=job_id)
                self._forward(envelope, self._store, stop)
            case DeleteBatch(batch_id, tenant=tenant):
                stop = partial(self._abandon, tenant, batch_id=batch_id)
                self._forward(envelope, self._store, stop)
            case _:
                self._forward(envelope, self._store)

    def _forward(
        self, envelope: Envelope, address: Address, answered: Callable[[], None] = _nothing
    ) -> None:
        try:
            address.forward(envelope, answered)
        except (MailboxFull, ActorStopped) as error:
            envelope.fail(error)

    async def _cancel_batch(self, message: CancelBatch, envelope: Envelope) -> None:
        """Cancel a batch step by step to its end, also if its asker goes in the middle."""
        with envelope:
            if self._cancelling == CANCELLING:
                envelope.fail(MailboxFull("batches to cancel"))
                return
            self._cancelling += 1
            try:
                envelope.answer(await self._cancel_all_of(message))
            except (AskFailed, StorageError) as error:
                envelope.fail(error)
            finally:
                self._cancelling -= 1

    async def _cancel_all_of(self, message: CancelBatch) -> Batch:
        # Each step is a transaction in which others have their turn, and stops what was begun
        # since the one before.
        while True:
            batch = await self._store.ask(message)
            self._abandon(message.tenant, batch_id=message.batch_id)
            if batch.has_ended:
                return batch

    def _abandon(self, tenant: str, *, job_id: str = "", batch_id: str = "") -> None:
        """Stop the renders of this job of the tenant's, or of all jobs of this batch.

        Not before the Store has answered: what it does not do, or has done before, stops nobody.
        """
        for hand in self._hands:
            job = hand.job
            if job and job.tenant == tenant and (job.id == job_id or job.batch_id == batch_id):
                hand.scope.cancel()

    def _drain(self) -> None:
        self._orders.draining.set()
        self._claiming.cancel()
        self._notice()

    def _notice(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _idle(self) -> list[_Hand]:
        return [hand for hand in self._hands if hand.job is None]

    def _pool(self) -> Pool:
        idle = len(self._idle())
        return Pool(self._orders.workers, len(self._hands), len(self._hands) - idle)

    async def _hand_out(self, nursery: trio.Nursery) -> None:
        """Claim for the idle Workers and hand out, until draining and nobody is at work."""
        while not self._finished():
            changed = self._changed
            await self._fit_pool()
            idle = self._idle()
            try:
                if self._strays:
                    await self._reclaim()
                elif idle and not self._orders.draining.is_set():
                    for job in await self._claim(len(idle)):
                        # Who has been idle longest: one that has given up a render may still be
                        # on its way back.
                        hand = idle.pop(0)
                        hand.job = job
                        nursery.start_soon(self._attend, hand, job)
                else:
                    await changed.wait()
            except (AskFailed, StorageError) as error:
                # Whether jobs were claimed for us is unknown now.
                self._look_for_strays()
                log.warning("store_failed", why=repr(error))
                if self._orders.draining.is_set():
                    return  # The next start will look for strays.
                await trio.sleep(PAUSE)

    def _finished(self) -> bool:
        at_work = any(hand.job for hand in self._hands)
        return self._orders.draining.is_set() and not self._strays and not at_work

    async def _fit_pool(self) -> None:
        while len(self._hands) < self._orders.workers:
            self._hands.append(_Hand(await self._hire()))
        for hand in self._idle()[: max(0, len(self._hands) - self._orders.workers)]:
            hand.address.close()
            self._hands.remove(hand)

    async def _reclaim(self) -> None:
        self._strays = False
        held = frozenset(hand.job.id for hand in self._hands if hand.job)
        spared = frozenset(self._spared)
        await self._store.ask(Reclaim(held, spared))
        self._spared -= spared

    async def _claim(self, limit: int) -> tuple[Job, ...]:
        with trio.CancelScope() as self._claiming:
            await trio.sleep_until(self._no_claim_until)
            return await self._store.ask(Claim(limit, self._orders.fetching(self._fetching)))
        return ()

    async def _attend(self, hand: _Hand, job: Job) -> None:
        """Have the Worker run `job`, and wait for the end."""
        with trio.CancelScope() as hand.scope:
            try:
                await hand.address.ask(Run(job))
                self._interruptions = 0
            except JobInterrupted:
                self._spared.add(job.id)
                self._look_for_strays()
                self._rest()
            except AskFailed:
                self._look_for_strays()
        if hand.scope.cancelled_caught:
            self._spared.add(job.id)
            self._look_for_strays()
        self._free(hand)

    def _rest(self) -> None:
        """Begin nothing for a while: as long as the storage fails, it would be interrupted too."""
        if trio.current_time() >= self._no_claim_until:
            pause = doubled(PAUSE, self._interruptions, LONGEST_PAUSE)
            self._no_claim_until = trio.current_time() + pause
            self._interruptions += 1

    def _free(self, hand: _Hand) -> None:
        hand.job = None
        self._hands.remove(hand)
        self._hands.append(hand)
        self._notice()

    def _look_for_strays(self) -> None:
        self._strays = True
        self._claiming.cancel()
