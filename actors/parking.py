"""Asks that wait for their answer, by what they wait for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from types import TracebackType
    from typing import Self

    from actors.mailbox import Envelope

K = TypeVar("K", bound="Hashable")

FEW = 64


class Parking(Generic[K]):
    """Envelopes by a key. Leaving its `with` releases all of them.

    Askers that have stopped waiting leave their envelopes behind without a word, so now and then
    the dead ones are swept: whenever there are twice as many as were alive at the last sweep.
    """

    def __init__(self) -> None:
        self._envelopes: defaultdict[K, list[Envelope]] = defaultdict(list)
        self._size = 0
        self._sweep_at = FEW

    def __len__(self) -> int:
        return self._size

    def add(self, key: K, envelope: Envelope) -> None:
        """Keep `envelope`, and with it the duty to answer."""
        if self._size >= self._sweep_at:
            self._sweep()
        self._envelopes[key].append(envelope)
        self._size += 1

    def take(self, key: K) -> list[Envelope]:
        """Return those that wait for `key`; they are yours now."""
        taken = self._envelopes.pop(key, [])
        self._size -= len(taken)
        return taken

    def of(self, key: K) -> Sequence[Envelope]:
        """Return those that wait for `key`, and stay here."""
        return self._envelopes.get(key, ())

    def fail(self, key: K, error: Exception) -> None:
        """Tell all who wait for `key` that it will not come."""
        for envelope in self.take(key):
            with envelope:
                envelope.fail(error)

    def fail_all(self, error: type[Exception]) -> None:
        """Tell everybody that it is not worth waiting."""
        for key in list(self._envelopes):
            self.fail(key, error())

    def _sweep(self) -> None:
        for key in list(self._envelopes):
            kept = [each for each in self.take(key) if not each.abandoned]
            if kept:
                self._envelopes[key] = kept
                self._size += len(kept)
        self._sweep_at = max(FEW, 2 * self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for key in list(self._envelopes):
            for envelope in self.take(key):
                with envelope:
                    pass
