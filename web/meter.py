"""Who has used how much of a rate.

The leaky bucket of ITU-T I.371 (annex A), which is the generic cell rate algorithm in its other
form: what was used drains away evenly, and no more may be added than the bucket holds. Where GCRA
keeps a time, this keeps an amount, so that a rate can be changed and what was used stays so.
"""

from __future__ import annotations

from math import floor
from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from web.bounds import Rate

REMEMBERED = 50_000  # accounts
SHARED = 1024
SWEEP_PAUSE = 1.0  # seconds
# Of a quota: so that whoever has waited as long as was said is not refused for a rounding.
SLACK = 1e-9


class _Bucket(NamedTuple):
    """`used` at the moment `at`; all of it has drained away at `empty_at`."""

    used: float
    at: float
    empty_at: float


class Standing(NamedTuple):
    """What is left of a quota, and the seconds until it is whole, or, if nothing is left, not so.

    Both are rounded so that whoever relies on them is never refused.
    """

    left: int
    seconds: float


class Meter:
    """The buckets of all accounts, in memory; `size` of them at most have one of their own.

    No bucket is forgotten before it is empty. While all are in use, as an attacker with very many
    addresses can bring about, accounts that are new share `SHARED` others: some are refused for
    what others have done, and nobody gets more for it.
    """

    def __init__(
        self, size: int = REMEMBERED, clock: Callable[[], float] = trio.current_time
    ) -> None:
        self._size = size
        self._now = clock
        self._own: dict[str, _Bucket] = {}
        self._shared: dict[int, _Bucket] = {}
        self._swept_at = -SWEEP_PAUSE

    def take(self, account: str, rate: Rate, amount: int) -> float:
        """Count `amount`, if the bucket has room; return 0, or the seconds until it will have.

        What is more than the whole quota takes an empty bucket, which then overflows: it is counted
        in full, and whatever follows waits for it.
        """
        used = self._used(account, rate)
        excess = used + min(amount, rate.quota) - rate.quota
        if excess > rate.quota * SLACK:
            return excess * rate.window / rate.quota
        self._put(account, rate, used + amount)
        return 0.0

    def give_back(self, account: str, rate: Rate, amount: int) -> None:
        """Undo the counting of what was not used."""
        self._put(account, rate, max(0.0, self._used(account, rate) - amount))

    def standing(self, account: str, rate: Rate) -> Standing:
        """Return how the account stands."""
        used, quota = self._used(account, rate), rate.quota
        left = min(quota, max(0, floor(quota - used + quota * SLACK / 2)))
        missing = used if left else used + 1 - quota
        return Standing(left, missing * rate.window / quota)

    def _used(self, account: str, rate: Rate) -> float:
        bucket = self._own.get(account) or self._shared.get(_share_of(account))
        if bucket is None:
            return 0.0
        return max(0.0, bucket.used - (self._now() - bucket.at) * rate.quota / rate.window)

    def _put(self, account: str, rate: Rate, used: float) -> None:
        now = self._now()
        bucket = _Bucket(used, now, now + used * rate.window / rate.quota)
        if account in self._own or self._has_room(now):
            self._own[account] = bucket
        else:
            self._shared[_share_of(account)] = bucket

    def _has_room(self, now: float) -> bool:
        if len(self._own) >= self._size and now - self._swept_at >= SWEEP_PAUSE:
            self._swept_at = now
            kept = {name: each for name, each in self._own.items() if each.empty_at > now}
            self._own = kept
        return len(self._own) < self._size


def _share_of(account: str) -> int:
    # Nobody can choose with whom to share: Python's hash of text has a secret of the process.
    return hash(account) % SHARED
