"""The time by which it is judged what is so old that it may go."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger("calotype.store")

LEAP = timedelta(minutes=1)  # further than any clock drifts from one look to the next
BELIEVED_AFTER = 3600.0  # seconds


class PatientClock:
    """A clock that does not believe at once that much time has passed, for what it loses is lost.

    `now` may be set forwards or back at any moment. If it is set forwards, this one goes on as if
    nothing had happened until that has stood for an hour; then it follows. If it is set forwards
    again meanwhile, the hour begins anew. It follows back at once, which only keeps things for
    longer. What is ahead when this begins is not noticed.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._believed, self._at = now(), trio.current_time()
        self._leapt_at: float | None = None
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        """Return the time; to be called in trio."""
        told, at = self._now(), trio.current_time()
        expected = self._believed + timedelta(seconds=at - self._at)
        ahead = told - expected
        if ahead > LEAP:
            if self._leapt_at is None or ahead - self._ahead > LEAP:
                self._leapt_at, self._ahead = at, ahead
                log.warning("clock_leapt", seconds=round(ahead.total_seconds()))
            self._ahead = min(self._ahead, ahead)
            if at - self._leapt_at < BELIEVED_AFTER:
                return expected
        self._believed, self._at, self._leapt_at = told, at, None
        return told
