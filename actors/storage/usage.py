"""Usage: what each account has in flight, and what it has had today. The records and their port.

An account is whoever is counted together: a key, or an address. It is kept under a name that says
nothing of it, and of a day that is over nothing is kept for longer than until the next is counted.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Literal, Protocol

from actors.storage.ports import StorageError

Quota = Literal["jobs", "pixels"]

SHORTEST_WAIT = 1.0  # seconds to wait for a place in flight, which nobody can know, at least
LONGEST_WAIT = 60.0  # and at most


class QuotaExceeded(StorageError):
    """The account has no more of this; nothing was changed.

    Attributes:
      quota: what there is too much of.
      bound: how much of it there may be.
      left: how much of that there may still be.
      wait: seconds until there may be more, as far as anybody knows; None if waiting never helps.
    """

    def __init__(self, quota: Quota, bound: int, left: int, wait: float | None) -> None:
        super().__init__(quota, bound, left, wait)
        self.quota: Quota = quota
        self.bound = bound
        self.left = left
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Bill:
    """Whom a job is counted for, and what that account may have; None is no bound.

    `jobs` are those that have not ended. `pixels` are those of the inputs of one day (UTC).
    """

    account: str
    jobs: int | None = None
    pixels: int | None = None


class UsageRegister(Protocol):
    """The usage of each account: a part of a `Catalogue`, which shares its transactions.

    A job holds its place until it ends or is deleted; pixels stay counted whatever becomes of it.
    """

    def admit(self, job_ids: tuple[str, ...], bill: Bill, pixels: int, now: datetime) -> None:
        """Give jobs that were just made pending their places in flight, and count their pixels.

        Raises: QuotaExceeded, if there is not room for all.
        """

    def charge(self, job_id: str, pixels: int, now: datetime) -> None:
        """Count the pixels of what was fetched for a job, if it has a place.

        Raises: QuotaExceeded.
        """


def disguised(account: str, secret: str) -> str:
    """Return the name that an account is kept under."""
    return hmac.new(secret.encode(), account.encode(), hashlib.sha256).hexdigest()[:32]


def day_of(moment: datetime) -> str:
    """Return the day that `moment` counts for."""
    return moment.astimezone(UTC).date().isoformat()


def check_jobs(bound: int, present: int, more: int, oldest: datetime | None, now: datetime) -> None:
    """Check that there may be `more` jobs in flight beside those that are `present`.

    Raises: QuotaExceeded. Jobs that have not ended for so long will take as long again, for all
      that anybody knows, so whoever waits as it says asks less and less often.
    """
    if present + more > bound:
        age = (now - oldest).total_seconds() if oldest else 0.0
        wait = None if more > max(bound, 1) else min(max(age, SHORTEST_WAIT), LONGEST_WAIT)
        raise QuotaExceeded("jobs", bound, max(0, bound - present), wait)


def check_pixels(bound: int, used: int, more: int, now: datetime) -> None:
    """Check that there may be `more` pixels today. Raises: QuotaExceeded."""
    if used + more > bound:
        today = now.astimezone(UTC).date()
        tomorrow = datetime.combine(today + timedelta(days=1), time(), UTC)
        wait = None if more > bound else (tomorrow - now).total_seconds()
        raise QuotaExceeded("pixels", bound, max(0, bound - used), wait)
