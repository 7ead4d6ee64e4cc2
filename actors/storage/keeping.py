"""How much is kept of what only grows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

TRIMMED = 8  # old records that go with each new one; so they go faster than they came


@dataclass(frozen=True, slots=True)
class Keeping:
    """At most `most` records are kept, the newest, and none for longer than `age`."""

    most: int
    age: timedelta

    def since(self, now: datetime) -> datetime:
        """Return the time before which what was kept counts no more."""
        return now - self.age
