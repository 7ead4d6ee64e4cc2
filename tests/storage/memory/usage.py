"""The register of usage in memory: a part of the fake catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from actors.storage.usage import check_jobs, check_pixels, day_of

if TYPE_CHECKING:
    from datetime import datetime

    from actors.storage.usage import Bill


class _Place(NamedTuple):
    account: str
    pixels: int | None
    since: datetime


class MemoryUsage:
    """See `UsageRegister`. Its catalogue says when a job has ended or is gone."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._pixels: dict[tuple[str, str], int] = {}

    def copy(self) -> MemoryUsage:
        """Return a register with the same in it, which changes on its own."""
        twin = MemoryUsage()
        twin._places, twin._pixels = dict(self._places), dict(self._pixels)
        return twin

    def admit(self, job_ids: tuple[str, ...], bill: Bill, pixels: int, now: datetime) -> None:
        """See `UsageRegister.admit`."""
        held = [place.since for place in self._places.values() if place.account == bill.account]
        if bill.jobs is not None:
            check_jobs(bill.jobs, len(held), len(job_ids), min(held, default=None), now)
        self._count(bill.account, bill.pixels, pixels, now)
        for job_id in job_ids:
            self._places[job_id] = _Place(bill.account, bill.pixels, now)

    def charge(self, job_id: str, pixels: int, now: datetime) -> None:
        """See `UsageRegister.charge`."""
        place = self._places.get(job_id)
        if place:
            self._count(place.account, place.pixels, pixels, now)

    def leave(self, job_id: str) -> None:
        """Give up the place of a job, if it has one."""
        self._places.pop(job_id, None)

    def _count(self, account: str, bound: int | None, pixels: int, now: datetime) -> None:
        if bound is None or not pixels:
            return
        row = account, day_of(now)
        used = self._pixels.get(row, 0)
        check_pixels(bound, used, pixels, now)
        self._pixels[row] = used + pixels
