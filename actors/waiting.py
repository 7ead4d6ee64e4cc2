"""The asks that wait for a job to end."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from actors.mailbox import Envelope
    from actors.storage.batches import Batch
    from actors.storage.ports import Job

Waited: TypeAlias = tuple[str, str]  # a tenant, and the id of a job or a batch

FEW = 64


class Waiting:
    """Envelopes by the job or batch they wait for, and the tenant they are of.

    Who names that of another tenant waits for none that will ever end. Leaving its `with` releases
    all of them.

    Askers that have stopped waiting leave their envelopes behind without a word, so now and then
    the dead ones are swept: whenever there are twice as many as were alive at the last sweep.
    """

    def __init__(self) -> None:
        self._envelopes: defaultdict[Waited, list[Envelope]] = defaultdict(list)
        self._size = 0
        self._sweep_at = FEW

    def __len__(self) -> int:
        return self._size

    def add(self, awaited_id: str, envelope: Envelope, tenant: str = "") -> None:
        """Keep `envelope` until the job or batch of this id has ended."""
        if self._size >= self._sweep_at:
            self._sweep()
        self._envelopes[tenant, awaited_id].append(envelope)
        self._size += 1

    def settle(self, awaited: Job | Batch) -> None:
        """Answer all who wait for this job or batch, if it has ended."""
        if awaited.has_ended:
            for envelope in self._take((awaited.tenant, awaited.id)):
                with envelope:
                    envelope.answer(awaited)

    def fail(self, awaited_id: str, error: Exception, tenant: str = "") -> None:
        """Tell all who wait for this of this tenant's that it will not end."""
        for envelope in self._take((tenant, awaited_id)):
            with envelope:
                envelope.fail(error)

    def fail_all(self, error: type[Exception]) -> None:
        """Tell everybody that it is not worth waiting."""
        for tenant, awaited_id in list(self._envelopes):
            self.fail(awaited_id, error(), tenant)

    def _take(self, waited: Waited) -> list[Envelope]:
        taken = self._envelopes.pop(waited, [])
        self._size -= len(taken)
        return taken

    def _sweep(self) -> None:
        for waited in list(self._envelopes):
            kept = [each for each in self._take(waited) if not each.abandoned]
            if kept:
                self._envelopes[waited] = kept
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
        for waited in list(self._envelopes):
            for envelope in self._take(waited):
                with envelope:
                    pass
