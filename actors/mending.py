"""What is done about files that are lost, and about those that nobody needs.

A job that was accepted is to end, and a result that was made is to be there. So what can be made
again is, and of the rest nobody is left in the belief that it is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from actors.storage.audit import Act
from actors.storage.ports import ImageRecord, Job, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from actors.storage.audit import Action
    from actors.storage.findings import Fault
    from actors.storage.keeping import Keeping
    from actors.storage.ports import Blobs, Catalogue, Storage

T = TypeVar("T")

LOST = "The image was lost or damaged where it was kept. It has to be sent again."
RECLAIMED = "It was begun {} times and never ended: the process crashed."


class Mending:
    """Changes records and files of `storage`, which no service has open.

    What was changed in the records is in the audit, by the `user`. Each method returns what was
    done, for people, or None if nothing was.
    """

    def __init__(
        self, storage: Storage, now: Callable[[], datetime], user: str, audit: Keeping
    ) -> None:
        self._storage = storage
        self._now = now
        self._user = user
        self._audit = audit

    def job(self, job: Job, faults: Sequence[Fault]) -> str | None:
        """Mend a job that has these faults."""
        if any(fault.kind == "file_unreadable" for fault in faults):
            return None  # It may be there, for somebody with other rights or at another time.
        match job.status:
            case "pending":
                return self._refuse(job)
            case "completed":
                return self._completed(job, faults)
            case "failed" | "cancelled":
                self._change(job, "gone", lambda it, now: it.upkeep.lose(job.id, now))
                return "it counts as gone, and cannot be retried"
            case "processing":
                return None

    def stranded(self, job: Job) -> str:
        """Give back a job that was begun and that nobody works on, as the next start would."""
        error = RECLAIMED.format(job.attempts)
        ended = self._change(
            *(job, "given back"), lambda it, now: it.release(job.id, job.attempts, error, now)
        )
        return f"it is {ended.status}"

    def image(self, image: ImageRecord, faults: Sequence[Fault]) -> str | None:
        """Mend an image whose file is lost: whoever names it is told that there is none."""
        if any(fault.kind == "file_unreadable" for fault in faults):
            return None
        key = self._change(image, "forgotten", lambda it, _: it.upkeep.lose_image(image.id))
        self._storage.inputs.delete(key)
        return "it is forgotten"

    def orphan(self, blobs: Blobs, key: str) -> str:
        """Delete a file that no record names."""
        return delete_orphan(blobs, key)

    def _refuse(self, job: Job) -> str:
        def refuse(catalogue: Catalogue, now: datetime) -> None:
            catalogue.upkeep.refuse(job.id, LOST, now)
            catalogue.upkeep.lose(job.id, now)

        self._change(job, "refused", refuse)
        return "it has failed as crashed"

    def _completed(self, job: Job, faults: Sequence[Fault]) -> str | None:
        lost = {fault.key for fault in faults}
        outputs = [output.key for output in job.outputs]
        if lost.isdisjoint(outputs):
            self._change(job, "input lost", lambda it, now: it.upkeep.lose_input(job.id, now))
            return "its results are there, and it has no input any more"
        if self._can_be_made(job):
            self._change(job, "made again", lambda it, now: it.upkeep.remake(job.id, now))
            for key in outputs:
                self._storage.outputs.delete(key)
            return "it is pending, and made again by the next start"
        if lost.issuperset(outputs):
            self._change(job, "gone", lambda it, now: it.upkeep.lose(job.id, now))
            return "it counts as gone"
        return None  # Its other results are sound.

    def _can_be_made(self, job: Job) -> bool:
        """Whether all that it was made of is there, and as it was."""
        inputs = self._storage.inputs
        if job.input_key is None:
            return False
        try:
            sha256 = inputs.sha256(job.input_key)
            sizes = [inputs.size(key) for key in (job.input_key, *job.others.values())]
        except StorageError:
            return False
        return sizes[0] == job.input_size and job.input_sha256 in {None, sha256}

    def _change(
        self, record: Job | ImageRecord, how: str, call: Callable[[Catalogue, datetime], T]
    ) -> T:
        now = self._now()
        action: Action = "job_mended" if isinstance(record, Job) else "image_mended"
        act = Act(
            action=action,
            subject=record.id,
            tenant=record.tenant,
            user=self._user,
            details={"how": how},
        )

        def change(catalogue: Catalogue) -> T:
            done = call(catalogue, now)
            catalogue.audit.note(act, now, self._audit)
            return done

        (done,) = self._storage.catalogue.batch([change])
        if isinstance(done, StorageError):
            raise done
        return cast("T", done)


class Tidying:
    """The part of `Mending` that is safe while the service runs: it changes no record."""

    def job(self, _job: Job, _faults: Sequence[Fault]) -> None:
        """Leave it as it is."""

    def stranded(self, _job: Job) -> None:
        """Leave it as it is."""

    def image(self, _image: ImageRecord, _faults: Sequence[Fault]) -> None:
        """Leave it as it is."""

    def orphan(self, blobs: Blobs, key: str) -> str:
        """Delete a file that no record names."""
        return delete_orphan(blobs, key)


def delete_orphan(blobs: Blobs, key: str) -> str:
    """Delete a file that no record names, and say so."""
    blobs.delete(key)
    return "it is deleted"
