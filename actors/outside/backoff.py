"""How long to wait before the next attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable


def doubled(first: float, times: int, longest: float) -> float:
    """Return `first`, doubled so many `times`, but at most `longest`."""
    # No float bears more doublings than this, and none needs them.
    return min(longest, first * 2.0 ** min(times, 64))


def full_jitter(
    first: float,
    made: int,
    longest: float,
    random: Callable[[], float],
    *,
    at_least: float = 0.0,
) -> float:
    """Return the seconds to wait after so many attempts were `made`, at least 1.

    Anything from zero up to `first`, doubled with each attempt up to `longest` ("full jitter"), so
    that those who failed together come back apart.

    Args:
      random: a number from 0 to 1, as `random.random` gives it.
      at_least: what the other side has asked for; it is heard up to `longest`.
    """
    return max(random() * doubled(first, made - 1, longest), min(at_least, longest))


@dataclass(frozen=True, slots=True)
class Backoff:
    """At most so many `attempts`; between them up to `first` seconds, doubled up to `longest`."""

    first: float
    longest: float
    attempts: int

    def delay(
        self, made: int, random: Callable[[], float], *, at_least: float = 0.0
    ) -> float | None:
        """Return the seconds to wait after so many attempts were `made`; None to give up.

        See `full_jitter`.
        """
        if made >= self.attempts:
            return None
        return full_jitter(self.first, made, self.longest, random, at_least=at_least)


# For webhooks: eighteen attempts over a day, since half of each of these delays passes on average.
DELIVERIES: Final = Backoff(first=30.0, longest=6 * 3600.0, attempts=18)
