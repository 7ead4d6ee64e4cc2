"""Rings when something is due by the Store's clock."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

LOOK_AGAIN = 60.0  # seconds; by then it notices that its clock was set


class Alarm:
    """Holds the time at which the next job is due, and sleeps until then.

    `now` is a clock that may be set forwards or back at any moment, unlike the one trio sleeps by.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._due: datetime | None = None
        self._rang = False
        self._changed = trio.Event()

    def set(self, due: datetime | None) -> None:
        """Ring at `due`, at once if that has passed; never for None."""
        if due != self._due or self._rang:
            self._due, self._rang = due, False
            self._changed.set()
            self._changed = trio.Event()

    async def run(self, ring: Callable[[], None]) -> None:
        """Call `ring` when it is time; now and then again, until another time is set."""
        while True:
            changed, left = self._changed, math.inf
            if self._due:
                left = min((self._due - self._now()).total_seconds(), LOOK_AGAIN)
            if left <= 0:
                self._rang, left = True, LOOK_AGAIN
                ring()
            with trio.move_on_after(left):
                await changed.wait()
