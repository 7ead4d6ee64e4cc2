"""What a look into the register of events tells who follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.messages import EVENTS_AT_ONCE, Told, tells_the_end
from actors.storage.events import Event
from actors.storage.ports import ENDED

if TYPE_CHECKING:
    from actors.messages import ReadEvents
    from actors.storage.ports import Catalogue, Job

# Events that are looked at in one transaction, so that who is far behind holds up nobody.
SPAN = 4096


def read_events(catalogue: Catalogue, message: ReadEvents) -> Told:
    """Return what there is to tell. Raises: JobNotFound, if a job is named that is not there."""
    after, bounds = message.after, catalogue.events.bounds()
    if after is None:
        return _as_it_stands(catalogue, message, bounds.last)
    if after > bounds.last:
        # Of another sequence: the catalogue is older than the asker.
        return _as_it_stands(catalogue, message, bounds.last, missed=(1, bounds.last))
    if after < bounds.gone:
        missed = (after + 1, bounds.gone)
        if message.job_id is None:
            return Told((), bounds.gone, missed=missed)
        return _as_it_stands(catalogue, message, bounds.last, missed=missed)
    until = min(after + SPAN, bounds.last)
    events = catalogue.events.read(after, until, message.interest, EVENTS_AT_ONCE)
    if len(events) == EVENTS_AT_ONCE:
        until = events[-1].number
    over = tells_the_end(message, events)
    if message.job_id is not None and not events and until == bounds.last:
        over = catalogue.find_own(message.job_id, message.tenant).status in ENDED
    return Told(tuple(events), until, over=over)


def _as_it_stands(
    catalogue: Catalogue, message: ReadEvents, last: int, missed: tuple[int, int] | None = None
) -> Told:
    """Tell of the job as it is now; of all jobs, only from where on there will be events."""
    if message.job_id is None:
        return Told((), last, missed=missed)
    job = catalogue.find_own(message.job_id, message.tenant)
    return Told((_present(job, last),), last, missed=missed, over=job.status in ENDED)


def _present(job: Job, number: int) -> Event:
    return Event(
        number=number,
        tenant=job.tenant,
        job_id=job.id,
        status=job.status,
        attempt=job.attempts,
        reason="present",
        error_code=job.error_code,
        time=job.updated_at,
    )
