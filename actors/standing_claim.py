"""The standing claim: the Dispatcher's ask for work, answered when there is some."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


class StandingClaim:
    """Holds at most one claim, and tries it at the end of each transaction.

    So a job is claimed in the very transaction that accepts it, if a Worker is idle.
    """

    def __init__(self) -> None:
        self._claim: Envelope | None = None
        self._limit = self._fetching = 0
        # The claim for which the transaction under way claims; another may stand by its end.
        self._served: Envelope | None = None
        self._handed_out = 0
        self._unheard: list[Job] = []

    def stand(self, claim: Envelope, limit: int, fetching: int) -> None:
        """Hold this claim from now on; the one before is released."""
        self.release()
        self._claim, self._limit, self._fetching = claim, limit, fetching

    def fail(self, error: Exception) -> None:
        """Tell the asker that the transaction was lost, and with it what it would have claimed."""
        if self._claim:
            with self._claim as claim:
                self._claim = None
                claim.fail(error)

    def release(self) -> None:
        """Hold no claim; its asker hears that nobody answers."""
        if self._claim:
            with self._claim:
                self._claim = None

    def call(self, now: datetime) -> Callable[[Catalogue], list[Job]]:
        """Return what the claim does in a transaction; `answer` wants the result."""
        self._served = self._claim
        limit = self._limit if self._claim and not self._claim.abandoned else 0
        fetching = self._fetching
        turns = [TURNS[(self._handed_out + n) % len(TURNS)] for n in range(limit)]
        # Kept until `answer`: the transaction may be lost, and then the next one undoes them.
        unheard = self._unheard

        def claim(catalogue: Catalogue) -> list[Job]:
            for job in unheard:
                catalogue.unclaim(job.id, job.attempts, now)
            return catalogue.claim(turns, now, fetching=fetching)

        return claim

    def answer(self, jobs: list[Job]) -> bool:
        """Hand out what a transaction has claimed; it is durable now.

        Returns False if the asker has gone, or has another claim standing by now: then the next
        transaction undoes the claim, and there should be one soon.
        """
        self._unheard = []
        if not jobs:
            return True
        heard = False
        if self._served and self._served is self._claim:
            with self._served as claim:
                self._claim = None
                heard = claim.answer(tuple(jobs))
        if heard:
            self._handed_out += len(jobs)
        else:
            self._unheard = jobs
        return heard
