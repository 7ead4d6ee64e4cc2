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
