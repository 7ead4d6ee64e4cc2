"""The Courier: brings what is due in the outbox to the addresses that clients have named."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import structlog
import trio

from actors import metrics, tracing
from actors.errors import AskFailed
from actors.messages import Collect, Delivered, PutBack, Recall, Undelivered
from actors.outside.allowance import Allowance
from actors.outside.backoff import DELIVERIES, Backoff
from actors.outside.breaker import Breakers, HostBusy, HostResting, Rules
from actors.outside.client import Outside, Patience
from actors.outside.errors import SourceForbidden, SourceUnreachable
from actors.outside.signing import Secret, signature_headers
from actors.outside.targets import parse_target
from actors.storage.outbox import NO_ROOM, Room, Share
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Address, Mailbox, Request
    from actors.messages import Parcel
    from actors.orders import Orders
    from actors.storage.outbox import Delivery
    from actors.supervision import Activity

log = structlog.get_logger("calotype.courier")

GONE: Final = 410  # the receiver wants nothing more, and is not asked again
PAUSE: Final = 1.0  # seconds before the Store is asked again that could not answer
TENANT_SHARE: Final = 2  # a tenant has one part in so many of all places, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """To whom deliveries go, and how many at once.

    `timeout`: seconds for one attempt. `places`: attempts at the same moment; `rules` bound them
    for each host, and no tenant has more than half of them.
    """

    timeout: float = 15.0
    places: int = 128
    backoff: Backoff = DELIVERIES
    allowance: Allowance = field(default_factory=Allowance)
    rules: Rules = field(default_factory=Rules)

    @property
    def tenant_places(self) -> int:
        """The most attempts for one tenant at the same moment."""
        return max(1, self.places // TENANT_SHARE)


def utc_now() -> datetime:
    """Return the time that a signature says it was made at."""
    return datetime.now(UTC)


class Courier:
    """Owns all connections that deliver, and what is known of the hosts of these.

    It has a standing ask with the Store for what is due, and answers nobody: its mailbox is there
    for its end. What it has in hand when it crashes, or when the process does, is due again, so a
    receiver may hear of the same thing twice, and knows that by its id.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        store: Address,
        posting: Posting,
        orders: Orders,
        activity: Activity,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._mailbox = mailbox
        self._store = store
        self._posting = posting
        self._orders = orders
        self._activity = activity
        self._now = clock
        self._breakers = Breakers(posting.rules)
        # By attempt, since the next may be begun before the last is put away.
        self._held: dict[tuple[str, int], Delivery] = {}
        # Whether deliveries may be marked as being sent that nobody has in hand.
        self._strays = True
        self._room = NO_ROOM
        self._collecting = trio.CancelScope()
        patience = Patience()
        self._outside = Outside(
            posting.allowance,
            Patience(
                connect=min(patience.connect, posting.timeout),
                silence=posting.timeout,
                total=posting.timeout,
            ),
        )

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Deliver until the service is draining, then finish what is in hand.

        If it is cancelled before, that is due again at the next start.
        """
        with self._store:
            async with trio.open_nursery() as work:
                async with trio.open_nursery() as background:
                    background.start_soon(self._leave_at_the_end, background.cancel_scope)
                    background.start_soon(self._collect_for_ever, work)
                    task_status.started()
                    self._activity.doing = "serving"
                self._activity.doing = "finishing"

    async def _leave_at_the_end(self, scope: trio.CancelScope) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_mail_ends, nursery.cancel_scope)
            await self._orders.draining.wait()
            nursery.cancel_scope.cancel()
        scope.cancel()

    async def _until_mail_ends(self, scope: trio.CancelScope) -> None:
        async for envelope in self._mailbox:
            with envelope:
                raise TypeError(envelope.message)
        scope.cancel()

    async def _collect_for_ever(self, work: trio.Nursery) -> None:
        while True:
            try:
                if self._strays:
                    await self._recall()
                for parcel in await self._collect():
                    self._activity.handled += 1
                    self._held[_attempt_of(parcel.delivery)] = parcel.delivery
                    self._begin(parcel, work)
            except (AskFailed, StorageError) as error:
                # Whether anything was begun for us is unknown now.
                self._strays = True
                log.warning("store_failed", why=repr(error))
                await trio.sleep(PAUSE)

    async def _recall(self) -> None:
        held = frozenset(delivery.id for delivery in self._held.values())
        await self._store.ask(Recall(held))
        self._strays = False

    async def _collect(self) -> tuple[Parcel, ...]:
        """Return what is due, when there is something and room for it; nothing if that changes."""
        self._room = self._present_room()
        with trio.CancelScope() as self._collecting:
            return await self._store.ask(Collect(self._room))
        return ()

    def _present_room(self) -> Room:
        tenants = Counter(delivery.tenant for delivery in self._held.values())
        return Room(
            self._posting.places - len(self._held),
            Share(self._posting.rules.calls, self._breakers.taken()),
            Share(self._posting.tenant_places, tenants),
        )

    def _begin(self, parcel: Parcel, work: trio.Nursery) -> None:
        """Have a parcel delivered, or put back.

        The call is begun before anything else is asked for, since that is what the room depends on.
        """
        delivery = parcel.delivery
        with ExitStack() as call:
            try:
                call.enter_context(self._breakers.call(delivery.host))
            except HostBusy:
                back = PutBack(delivery.id, delivery.attempts, delivery.host)
            except HostResting as error:
                back = PutBack(delivery.id, delivery.attempts, delivery.host, error.seconds)
            else:
                work.start_soon(self._deliver, parcel, call.pop_all())
                return
        work.start_soon(self._put_away, delivery, back)

    async def _deliver(self, parcel: Parcel, call: ExitStack) -> None:
        await self._put_away(parcel.delivery, await self._attempt(parcel, call))

    async def _put_away(self, delivery: Delivery, said: Request[None]) -> None:
        """Have it noted what came of a delivery, and hold it no more."""
        try:
            await self._tell_store(said)
        finally:
            del self._held[_attempt_of(delivery)]
            if self._room.is_full(delivery):
                # What stands now asks for less than there is room for.
                self._collecting.cancel()

    async def _tell_store(self, said: Request[None]) -> None:
        """Tell what came of an attempt, until it is on the disk."""
        for asked in itertools.count(1):
            try:
                await self._store.ask(said)
            except (AskFailed, StorageError) as error:
                if asked == 1:
                    log.warning("store_failed", why=repr(error))
                await trio.sleep(PAUSE)
            else:
                return

    async def _attempt(self, parcel: Parcel, call: ExitStack) -> Request[None]:
        """Make an attempt, which ends this call, and return what came of it."""
        delivery = parcel.delivery
        begun = trio.current_time()
        try:
            with call, tracing.delivery(delivery) as span:
                status = await self._post(parcel)
                span.note("http.response.status_code", status)
        except (SourceUnreachable, SourceForbidden) as error:
            said = self._failure(delivery, error)
            self._count("dead" if said.delay is None else "failed", begun)
            log.info(
                "delivery_failed",
                **_told(delivery),
                why=str(error),
                next_in=None if said.delay is None else round(said.delay),
            )
            return said
        self._count("delivered", begun)
        log.info("delivered", **_told(delivery))
        return Delivered(delivery.id, delivery.attempts, status)

    async def _post(self, parcel: Parcel) -> int:
        delivery = parcel.delivery
        target = parse_target(delivery.url, self._posting.allowance)
        body = delivery.payload.encode()
        secrets = [Secret(text) for text in parcel.secrets]
        headers = signature_headers(secrets, delivery.id, self._now(), body)
        return await self._outside.post(
            target, {"Content-Type": "application/json", **headers}, body
        )

    def _failure(
        self, delivery: Delivery, error: SourceUnreachable | SourceForbidden
    ) -> Undelivered:
        delay, status = None, None
        if isinstance(error, SourceUnreachable):
            status = error.status
            if status != GONE:
                delay = self._posting.backoff.delay(
                    delivery.tries + 1, random.random, at_least=error.retry_after or 0.0
                )
        return Undelivered(delivery.id, delivery.attempts, status, str(error), delay)

    @staticmethod
    def _count(outcome: str, begun: float) -> None:
        metrics.DELIVERIES.labels(outcome).inc()
        metrics.DELIVERY.observe(trio.current_time() - begun)


def _attempt_of(delivery: Delivery) -> tuple[str, int]:
    return delivery.id, delivery.attempts


def _told(delivery: Delivery) -> dict[str, object]:
    """Return what the log may have of a delivery; its address may be a secret."""
    return {
        "delivery_id": delivery.id,
        "subject": delivery.subject,
        "attempt": delivery.attempts,
    }
