"""The standing collect: the Courier's ask for what is due, answered when there is something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.messages import Parcel
from actors.outside.signing import new_secret
from actors.standing_ask import StandingAsk
from actors.storage.outbox import NO_ROOM

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.mailbox import Envelope
    from actors.storage.outbox import Delivery, Room
    from actors.storage.ports import Catalogue


class StandingCollect(StandingAsk):
    """Holds at most one collect, and tries it at the end of each transaction.

    So a delivery is begun in the very transaction that ends its job, if there is room.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room = NO_ROOM
        self._unheard: tuple[Delivery, ...] = ()

    def stand(self, collect: Envelope, room: Room) -> None:
        """Hold this collect from now on; the one before is released."""
        self._hold(collect)
        self._room = room

    def call(
        self, now: datetime
    ) -> Callable[[Catalogue], tuple[tuple[Parcel, ...], datetime | None]]:
        """Return what the collect does in a transaction; `answer` wants the first of the result.

        The second is when to try again, if nothing else changes.
        """
        room = self._room if self._serve() else NO_ROOM
        # Kept until `answer`: the transaction may be lost, and then the next one undoes them.
        unheard = self._unheard

        def collect(catalogue: Catalogue) -> tuple[tuple[Parcel, ...], datetime | None]:
            for each in unheard:
                catalogue.outbox.put_back(each.id, each.attempts, now)
            if not room.places:
                return (), None
            due_at = catalogue.outbox.next_due(room)
            if due_at is None or due_at > now:
                return (), due_at
            parcels = tuple(
                Parcel(each, tuple(catalogue.signing.secrets(each.tenant, new_secret(), now)))
                for each in catalogue.outbox.claim(room, now)
            )
            return parcels, None if parcels else catalogue.outbox.next_due(room)

        return collect

    def answer(self, parcels: tuple[Parcel, ...]) -> bool:
        """Hand out what a transaction has collected; it is durable now.

        Returns False if the asker has gone, or has another collect standing by now: then the next
        transaction undoes it, and there should be one soon.
        """
        self._unheard = ()
        if not parcels:
            return True
        heard = self._hand_over(parcels)
        if not heard:
            self._unheard = tuple(parcel.delivery for parcel in parcels)
        return heard
