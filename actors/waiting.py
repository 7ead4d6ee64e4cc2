"""The asks that wait for a job to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.parking import Parking

if TYPE_CHECKING:
    from actors.mailbox import Envelope
    from actors.storage.batches import Batch
    from actors.storage.ports import Job


class Waiting:
    """Envelopes by the job or batch they wait for, and the tenant they are of.

    Who names that of another tenant waits for none that will ever end.
    """

    def __init__(self) -> None:
        self.asks = Parking[tuple[str, str]]()

    def add(self, awaited_id: str, envelope: Envelope, tenant: str = "") -> None:
        """Keep `envelope` until the job or batch of this id has ended."""
        self.asks.add((tenant, awaited_id), envelope)

    def settle(self, awaited: Job | Batch) -> None:
        """Answer all who wait for this job or batch, if it has ended."""
        if awaited.has_ended:
            for envelope in self.asks.take((awaited.tenant, awaited.id)):
                with envelope:
                    envelope.answer(awaited)

    def fail(self, awaited_id: str, error: Exception, tenant: str = "") -> None:
        """Tell all who wait for this of this tenant's that it will not end."""
        self.asks.fail((tenant, awaited_id), error)
