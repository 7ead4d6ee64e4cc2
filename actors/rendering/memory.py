"""Memory that renders share: nobody begins who would not fit beside those that have begun."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator


class TooMuch(Exception):
    """It would not fit if it were alone."""


@dataclass(eq=False, slots=True)
class Loan:
    """So many bytes that one render has, or waits for."""

    amount: int
    has_come: trio.Event = field(default_factory=trio.Event)


class Memory:
    """So many bytes, lent in turn: who asks for much is not passed by those who ask for little."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.lent = 0
        self._queue: deque[Loan] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for theirs."""
        return len(self._queue)

    @contextmanager
    def advance(self, amount: int) -> Iterator[Loan]:
        """Lend `amount` bytes, or none if there are too few or somebody waits.

        What the loan has come to by the end of the block is given back.
        """
        fits = not self._queue and self.lent + amount <= self.total
        loan = Loan(amount if fits else 0)
        self.lent += loan.amount
        try:
            yield loan
        finally:
            self._give_back(loan)

    async def extend(self, loan: Loan, amount: int) -> None:
        """Wait for `amount` bytes in place of the `loan`; it is given back meanwhile.

        Who waited with something in hand could be waiting for one who waits for that.

        Raises:
          TooMuch: if there never are so many.
        """
        if amount > self.total:
            raise TooMuch
        self._give_back(loan)
        wanted = Loan(amount)
        self._queue.append(wanted)
        self._serve()
        try:
            await wanted.has_come.wait()
        except trio.Cancelled:
            if wanted in self._queue:
                self._queue.remove(wanted)
                self._serve()
            else:
                self._give_back(wanted)
            raise
        loan.amount = amount

    def _give_back(self, loan: Loan) -> None:
        self.lent -= loan.amount
        loan.amount = 0
        self._serve()

    def _serve(self) -> None:
        while self._queue and self.lent + self._queue[0].amount <= self.total:
            loan = self._queue.popleft()
            self.lent += loan.amount
            loan.has_come.set()
