"""Events: what became of jobs, in one sequence for all of them. The record and its port."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from actors.storage.ports import Status

Change: TypeAlias = Status | Literal["deleted"]
# Why a job is pending; `present` is for one that is told of as it stands.
Reason: TypeAlias = Literal["submitted", "given_back", "unclaimed", "retried", "present"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A job has come to be of another status, or was deleted.

    `number` is its place in the sequence, which only grows and is never used twice.
    `attempt` is the job's present one, or its last. `reason` is there where it is pending: it was
    submitted; its attempt came to nothing (`given_back`); its attempt was not made at all, since
    nobody heard of it (`unclaimed`, the number of attempts is one less than before); or `retried`.
    """

    number: int
    tenant: str
    job_id: str
    status: Change
    attempt: int
    reason: Reason | None
    error_code: str | None
    time: datetime


@dataclass(frozen=True, slots=True)
class Interest:
    """Which events somebody wants: those of a tenant, of one job if it is named.

    `statuses`: of these alone; of all, if there are none.
    """

    tenant: str
    job_id: str | None = None
    statuses: frozenset[Change] = field(default=frozenset())

    def wants(self, event: Event) -> bool:
        """Whether `event` is one of those."""
        return (
            event.tenant == self.tenant
            and self.job_id in {None, event.job_id}
            and (not self.statuses or event.status in self.statuses)
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """All events up to number `gone` are no longer kept; `last` is the newest there ever was."""

    gone: int
    last: int


class EventRegister(Protocol):
    """The events that are kept: a part of a `Catalogue`, in whose transactions it writes them.

    No change of a job's status is without one, whichever method of the catalogue has made it.
    The oldest are given up, in the order of their numbers.
    """

    def bounds(self) -> Bounds:
        """Return which events are kept; it costs the same however many there are."""

    def read(self, after: int, up_to: int, interest: Interest | None, limit: int) -> list[Event]:
        """Return the first `limit` events of interest from after one number up to another.

        Without an interest, those of everybody. It looks at every event between the two numbers.
        """

    def trim(self, kept: int, since: datetime, step: int) -> bool:
        """Give up the oldest events, `step` of them at most.

        They are those beyond the newest `kept`, and those from before `since`; but the newest of
        all stays, since the sequence goes on from it.

        Returns whether there may be more to give up.
        """
