"""The asks that wait for a job to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.parking import Parking

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from actors.mailbox import Envelope
    from actors.storage.batches import Batch
    from actors.storage.ports import Job


class Waiting:
    """Envelopes by the job or batch they wait for, and the tenant they are of.

    Who names that of another tenant waits for none that will ever end. Leaving its `with` releases
    all of them.
    """

    def __init__(self) -> None:
        self._asks = Parking[tuple[str, str]]()

    def __len__(self) -> int:
        return len(self._asks)

    def add(self, awaited_id: str, envelope: Envelope, tenant: str = "") -> None:
        """Keep `envelope` until the job or batch of this id has ended."""
        self._asks.add((tenant, awaited_id), envelope)

    def settle(self, awaited: Job | Batch) -> None:
        """Answer all who wait for this job or batch, if it has ended."""
        if awaited.has_ended:
            for envelope in self._asks.take((awaited.tenant, awaited.id)):
                with envelope:
                    envelope.answer(awaited)

    def fail(self, awaited_id: str, error: Exception, tenant: str = "") -> None:
        """Tell all who wait for this of this tenant's that it will not end."""
        self._asks.fail((tenant, awaited_id), error)

    def fail_all(self, error: type[Exception]) -> None:
        """Tell everybody that it is not worth waiting."""
        self._asks.fail_all(error)

    def __enter__(self) -> Self:
        self._asks.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._asks.__exit__(kind, error, traceback)
