"""The asks that wait for the next event, and how far the sequence has come."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, cast

import trio

from actors.messages import EVENTS_AT_ONCE, Told, tells_the_end
from actors.parking import Parking

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Envelope
    from actors.messages import ReadEvents
    from actors.storage.events import Event
    from actors.storage.ports import Catalogue

NO_END = 2**63 - 1
MOST_NEWS = 10_000  # that are told of after one transaction; the rest after the next


class Following:
    """Envelopes of `ReadEvents` by tenant and job, where None stands for all jobs of a tenant.

    So a commit wakes those whom it concerns, however many others wait.

    `last` is the number of the newest event that those who wait know of. It is durable.
    """

    def __init__(self) -> None:
        self.last = 0
        self.asks = Parking[tuple[str, str | None]]()
        self._mark = NO_END
        self._marked = trio.Event()

    def add(self, message: ReadEvents, envelope: Envelope) -> None:
        """Keep the envelope of a `message` that knows all events up to `last`."""
        self.asks.add((message.tenant, message.job_id), envelope)

    def knows(self, message: ReadEvents) -> bool:
        """Whether there is nothing to tell up to `last`, since the same ask is kept.

        Its asker may have stopped waiting just now, to ask again.
        """
        kept = self.asks.of((message.tenant, message.job_id))
        return any(envelope.message == message for envelope in kept)

    def call(self) -> Callable[[Catalogue], list[Event]]:
        """Return what finds the news of a transaction at its end; `tell` wants the result."""
        last = self.last
        return lambda catalogue: catalogue.events.read(last, NO_END, None, MOST_NEWS)

    def tell(self, news: list[Event]) -> bool:
        """Answer those whom these events concern; they are durable now.

        Returns False if there may be more to tell, after a transaction that there should be soon.
        """
        concerned: defaultdict[tuple[str, str | None], list[Event]] = defaultdict(list)
        for event in news:
            self.last = event.number
            concerned[event.tenant, None].append(event)
            concerned[event.tenant, event.job_id].append(event)
        for key, events in concerned.items():
            for envelope in self.asks.take(key):
                self._answer(cast("ReadEvents", envelope.message), envelope, events)
        if self.last >= self._mark:
            self._marked.set()
        return len(news) < MOST_NEWS

    def _answer(self, message: ReadEvents, envelope: Envelope, events: list[Event]) -> None:
        wanted = [event for event in events if message.interest.wants(event)]
        if not wanted:
            # It still knows all that it wants to know.
            self.add(message, envelope)
            return
        shown = tuple(wanted[:EVENTS_AT_ONCE])
        until = self.last if len(shown) == len(wanted) else shown[-1].number
        with envelope:
            envelope.answer(Told(shown, until, over=tells_the_end(message, shown)))

    async def wait_for(self, count: int) -> None:
        """Return when there are `count` events more than now. One task waits at a time."""
        self._mark, self._marked = self.last + count, trio.Event()
        await self._marked.wait()
