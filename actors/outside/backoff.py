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

        Anything from zero up ("full jitter"), so that those who failed together come back apart.

        Args:
          made: how many attempts have failed, at least 1.
          random: a number from 0 to 1, as `random.random` gives it.
          at_least: what the other side has asked for; it is heard up to `longest`.
        """
        if made >= self.attempts:
            return None
        jittered = random() * doubled(self.first, made - 1, self.longest)
        return max(jittered, min(at_least, self.longest))


# For webhooks: eighteen attempts over a day, since half of each of these delays passes on average.
DELIVERIES: Final = Backoff(first=30.0, longest=6 * 3600.0, attempts=18)
