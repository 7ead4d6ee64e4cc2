"""The asks that wait for a job to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.parking import Parking
from actors.storage.ports import ENDED

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from actors.mailbox import Envelope
    from actors.storage.ports import Job


class Waiting:
    """Envelopes by the job they wait for, and the tenant they are of.

    Who names another tenant's job waits for none that will ever end. Leaving its `with` releases
    all of them.
    """

    def __init__(self) -> None:
        self._asks = Parking[tuple[str, str]]()

    def __len__(self) -> int:
        return len(self._asks)

    def add(self, job_id: str, envelope: Envelope, tenant: str = "") -> None:
        """Keep `envelope` until the job has ended."""
        self._asks.add((tenant, job_id), envelope)

    def settle(self, job: Job) -> None:
        """Answer all who wait for `job`, if it has ended."""
        if job.status in ENDED:
            for envelope in self._asks.take((job.tenant, job.id)):
                with envelope:
                    envelope.answer(job)

    def fail(self, job_id: str, error: Exception, tenant: str = "") -> None:
        """Tell all who wait for this job of this tenant that it will not end."""
        self._asks.fail((tenant, job_id), error)

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
