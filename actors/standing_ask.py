"""A standing ask: answered when there is something, which may be after many transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.mailbox import Envelope


class StandingAsk:
    """Holds at most one ask; the end of each transaction may have something for it."""

    def __init__(self) -> None:
        self._ask: Envelope | None = None
        # The ask that the transaction under way serves; another may stand by its end.
        self._served: Envelope | None = None

    def fail(self, error: Exception) -> None:
        """Tell the asker that the transaction was lost, and with it what it would have got."""
        if self._ask:
            with self._ask as ask:
                self._ask = None
                ask.fail(error)

    def release(self) -> None:
        """Hold no ask; its asker hears that nobody answers."""
        if self._ask:
            with self._ask:
                self._ask = None

    def _hold(self, ask: Envelope) -> None:
        """Hold this ask from now on; the one before is released."""
        self.release()
        self._ask = ask

    def _serve(self) -> bool:
        """Let the next transaction be for the ask that stands; return whether somebody waits."""
        self._served = self._ask
        return self._ask is not None and not self._ask.abandoned

    def _hand_over(self, got: tuple[object, ...]) -> bool:
        """Answer the ask that was served; return whether it was heard, and still stood."""
        if not self._served or self._served is not self._ask:
            return False
        with self._served as ask:
            self._ask = None
            return ask.answer(got)
