"""What the operator wants of the actors; it outlives a crash of the one that was told."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio


@dataclass(slots=True)
class Orders:
    """Written by the Dispatcher alone.

    `workers`: how many Workers there should be.
    `draining`: set for good when nothing more is to be begun, accepted or waited for.
    """

    workers: int
    draining: trio.Event = field(default_factory=trio.Event)

    def fetching(self, wanted: int | None) -> int:
        """Return how many Workers may have a job to fetch for: as many as wanted, or else half."""
        return wanted or max(1, self.workers // 2)
