"""The standing claim: the Dispatcher's ask for work, answered when there is some."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from actors.imaging.receipt import made_with
from actors.standing_ask import StandingAsk

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from actors.mailbox import Envelope
    from actors.storage.ports import Catalogue, Job, Priority

# Of ten hand-outs, eight ask for the high priority first, one for the normal and one for the low.
# So each priority is sure of its share of the Workers, however much of a higher one there is.
_STRICT: tuple[Priority, ...] = ("high", "normal", "low")
TURNS: tuple[tuple[Priority, ...], ...] = (
    *(4 * (_STRICT,)),
    ("normal", "high", "low"),
    *(4 * (_STRICT,)),
    ("low", "normal", "high"),
)


class StandingClaim(StandingAsk):
    """Holds at most one claim, and tries it at the end of each transaction.

    So a job is claimed in the very transaction that accepts it, if a Worker is idle. Its image is
    in quarantine if it has caused so many `deaths`.
    """

    def __init__(self, deaths: int) -> None:
        super().__init__()
        self._deaths = deaths
        self._limit = self._fetching = 0
        self._handed_out = 0
        self._unheard: list[Job] = []

    def stand(self, claim: Envelope, limit: int, fetching: int) -> None:
        """Hold this claim from now on; the one before is released."""
        self._hold(claim)
        self._limit, self._fetching = limit, fetching

    def call(self, now: datetime) -> Callable[[Catalogue], list[Job]]:
        """Return what the claim does in a transaction; `answer` wants the result."""
        limit = self._limit if self._serve() else 0
        fetching = self._fetching
        turns = [TURNS[(self._handed_out + n) % len(TURNS)] for n in range(limit)]
        # Kept until `answer`: the transaction may be lost, and then the next one undoes them.
        unheard = self._unheard

        def claim(catalogue: Catalogue) -> list[Job]:
            for job in unheard:
                catalogue.unclaim(job.id, job.attempts, now)
            jobs = catalogue.claim(turns, now, fetching=fetching)
            return [self._looked_up(catalogue, job) for job in jobs]

        return claim

    def _looked_up(self, catalogue: Catalogue, job: Job) -> Job:
        if job.input_sha256 is None:
            return job
        deaths = catalogue.quarantine.deaths(job.tenant, job.input_sha256, made_with())
        return replace(job, quarantined=deaths >= self._deaths)

    def answer(self, jobs: list[Job]) -> bool:
        """Hand out what a transaction has claimed; it is durable now.

        Returns False if the asker has gone, or has another claim standing by now: then the next
        transaction undoes the claim, and there should be one soon.
        """
        self._unheard = []
        if not jobs:
            return True
        heard = self._hand_over(tuple(jobs))
        if heard:
            self._handed_out += len(jobs)
        else:
            self._unheard = jobs
        return heard
