"""How late the event loop is: whatever is due waits for it that long."""

from __future__ import annotations

import trio

from web import metrics

PERIOD = 0.1  # seconds between two looks


async def take_pulse() -> None:
    """Measure, until cancelled, by how much a sleep is longer than it should be."""
    while True:
        due = trio.current_time() + PERIOD
        await trio.sleep_until(due)
        metrics.LOOP_DELAY.observe(trio.current_time() - due)
