"""The asks that wait for the next event, and how far the sequence has come."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, cast

import trio

from actors.messages import EVENTS_AT_ONCE, Told, tells_the_end
from actors.parking import Parking

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from actors.mailbox import Envelope
    from actors.messages import ReadEvents
    from actors.storage.events import Event
    from actors.storage.ports import Catalogue

NO_END = 2**63 - 1
# More than a transaction can make. What is beyond would be told of after the next.
MOST_NEWS = 10_000


class Following:
    """Envelopes of `ReadEvents` by tenant and job, where None stands for all jobs of a tenant.

    So a commit wakes those whom it concerns, however many others wait. Leaving its `with` releases
    all of them.

    `last` is the number of the newest event that is durable.
    """

    def __init__(self) -> None:
        self.last = 0
        self._asks = Parking[tuple[str, str | None]]()
        self._mark = NO_END
        self._marked = trio.Event()

    def __len__(self) -> int:
        return len(self._asks)

    def add(self, message: ReadEvents, envelope: Envelope) -> None:
        """Keep the envelope of a `message` that knows all events up to `last`."""
        self._asks.add((message.tenant, message.job_id), envelope)

    def call(self) -> Callable[[Catalogue], list[Event]]:
        """Return what finds the news of a transaction at its end; `tell` wants the result."""
        last = self.last
        return lambda catalogue: catalogue.events.read(last, NO_END, None, MOST_NEWS)

    def tell(self, news: list[Event]) -> None:
        """Answer those whom these events concern; they are durable now."""
        concerned: defaultdict[tuple[str, str | None], list[Event]] = defaultdict(list)
        for event in news:
            self.last = event.number
            concerned[event.tenant, None].append(event)
            concerned[event.tenant, event.job_id].append(event)
        for key, events in concerned.items():
            for envelope in self._asks.take(key):
                self._answer(cast("ReadEvents", envelope.message), envelope, events)
        if self.last >= self._mark:
            self._marked.set()

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

    def fail_all(self, error: type[Exception]) -> None:
        """Tell everybody that it is not worth waiting."""
        self._asks.fail_all(error)

    def __enter__(self) -> Self:
        self._asks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._asks.__exit__(kind, error, traceback)
