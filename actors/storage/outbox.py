"""The outbox: messages on their way to addresses that clients have named. The records, the port.

A message is put in by the very transaction that makes it true, and what it says never changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args
from urllib.parse import urlsplit

from actors.storage.keeping import Keeping
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Fate = Literal["pending", "sending", "delivered", "dead"]

TOO_LATE = "It could not be sent in time."
KEPT: Final = Keeping(most=100_000, age=timedelta(days=7))
FATES: tuple[Fate, ...] = get_args(Fate)


class DeliveryNotFound(StorageError):
    """Nothing was ever to be sent about that, or it is no longer kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """What is to be sent, once, however many attempts it takes.

    `id` stays the same over all attempts. `subject` is the id of what it is about: a job, or else.
    `url`, which may be a secret, is written as `outside.Target` writes it. `payload` is JSON.
    `trace` says where it goes on in a trace, as `Job.trace` does.
    """

    id: str
    subject: str
    tenant: str
    url: str = field(repr=False)
    type: str
    payload: str = field(repr=False)
    trace: str | None = None

    @property
    def host(self) -> str:
        """Who receives it: the host of `url`, with its port if that is an unusual one."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(NewDelivery):
    """The record of a delivery.

    `attempts` counts how often it was begun, and is its fencing token, as that of a job. `undone`
    counts those of them that were put back, since nothing was sent.
    `tries` counts the attempts that failed `since` it was put in, or sent again by hand.
    `due_at` is when it is to be begun next, if it is pending. `last_status` and `last_error` say
    how the last attempt ended that did; of one that was answered well there is no error.
    """

    fate: Fate
    attempts: int
    tries: int
    created_at: datetime
    since: datetime
    due_at: datetime | None
    begun_at: datetime | None = None
    ended_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None
    undone: int = 0

    @property
    def attempts_made(self) -> int:
        """How often it was tried to send it."""
        return self.attempts - self.undone


@dataclass(frozen=True, slots=True)
class Share:
    """How many places each may `have`, and how many some of them `hold` already."""

    have: int
    hold: Mapping[str, int] = field(default_factory=dict)

    @property
    def full(self) -> list[str]:
        """Those who hold as many as they may have."""
        return [each for each, held in self.hold.items() if held >= self.have]

    def left(self, name: str) -> int:
        """Return how many more this one may have, if there are places."""
        return self.have - self.hold.get(name, 0)


@dataclass(frozen=True, slots=True)
class Room:
    """How much more can be sent at the same moment: in all, to each host, and for each tenant."""

    places: int
    hosts: Share
    tenants: Share

    def is_full(self, delivery: Delivery) -> bool:
        """Whether there is none for such a delivery."""
        return (
            not self.places
            or self.hosts.left(delivery.host) <= 0
            or self.tenants.left(delivery.tenant) <= 0
        )


NO_ROOM = Room(places=0, hosts=Share(0), tenants=Share(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRules:
    """How long deliveries are kept.

    `lifetime`: one that is pending, until it is dead. `kept`: those that have ended.
    """

    lifetime: timedelta = timedelta(days=3)
    kept: Keeping = KEPT


class OutboxRegister(Protocol):
    """Deliveries, until some time after they have ended: a part of a `Catalogue`.

    It shares the catalogue's transactions. Each job that has a `callback_url` has a delivery put in
    whenever it ends, in whatever way; and with the job all its deliveries go.
    Tenants and their hosts are looked at one by one, so none waits for what is due to another,
    however much that is; and it costs the same to spare a host, however much is due to it.
    """

    def add(self, new: NewDelivery, now: datetime) -> Delivery:
        """Put a delivery in, due at once."""

    def of(self, subject: str, limit: int) -> list[Delivery]:
        """Return the deliveries about this, the newest first."""

    def claim(self, room: Room, now: datetime) -> list[Delivery]:
        """Begin the next attempt of deliveries that are due, as many as there is room for."""

    def next_due(self, room: Room) -> datetime | None:
        """Return when there may be something to claim, if nothing else changes; None for never."""

    def deliver(self, delivery_id: str, attempt: int, status: int, now: datetime) -> None:
        """End a delivery well. Does nothing if the attempt is not the present one."""

    def fail(
        self,
        delivery_id: str,
        attempt: int,
        status: int | None,
        error: str,
        due_at: datetime | None,
        now: datetime,
    ) -> None:
        """End an attempt badly: it is due again then, or dead if that is None.

        Does nothing if the attempt is not the present one.
        """

    def put_back(self, delivery_id: str, attempt: int, now: datetime) -> None:
        """Undo an attempt that was not made, so that it does not count: it is due at once.

        Does nothing if the attempt is not the present one.
        """

    def spare(self, host: str, until: datetime) -> None:
        """Claim nothing for this host until then."""

    def recall(self, held: Collection[str], now: datetime) -> int:
        """Have all be due that is being sent but not in `held`; return how many those are.

        Their attempts count, since they may have been made.
        """

    def redeliver(self, subject: str, now: datetime) -> Delivery:
        """Have the newest delivery about this sent again, at once and with all its tries.

        One that is being sent at this moment is left alone. Raises: DeliveryNotFound.
        """

    def give_up(self, before: datetime, now: datetime, limit: int) -> int:
        """Have those be dead that have been pending since before that: their hosts always rest.

        Returns how many those are, at most `limit`.
        """

    def counts(self) -> dict[Fate, int]:
        """Return how many there are of each fate; it costs the same however many there are."""

    def trim(self, kept: int, before: datetime, limit: int) -> int:
        """Forget deliveries that ended before that, or are not among the `kept` that ended last.

        Returns how many went, at most `limit`.
        """
