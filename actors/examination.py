"""Whether the records and the files of a storage agree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, cast

from actors.storage.findings import Fault, Finding
from actors.storage.keys import owner_of
from actors.storage.ports import BlobNotFound, StorageError, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from actors.mending import Mending, Tidying
    from actors.storage.ports import Blobs, Catalogue, ImageRecord, Job, Seal, Storage

T = TypeVar("T")
Part: TypeAlias = Literal["input", "output"]
# A file as a record names it: what it is for it, its key, and what it is known to be.
Named: TypeAlias = "tuple[Part, str, Seal]"

PAGE = 500  # records, or names of files, that are in memory at a time


@dataclass
class Counts:
    """What was looked at."""

    jobs: int = 0
    images: int = 0
    files: int = 0


class Examination:
    """Looks at the records and files of a storage, beside the service if that is running.

    Things may come and go meanwhile, so nothing is told before a second look. A file is there from
    before its record names it until after no record does, and its name is never used again: what
    a record names before and after the file was looked for was to be there.

    With `digests` all bytes are read. `is_served` tells whether a service is running just now, and
    `is_old` whether a file has been there for so long that its record can be no longer in coming.
    With `mending` something is done about what is found.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        digests: bool,
        is_served: Callable[[], bool],
        is_old: Callable[[datetime], bool],
        mending: Mending | Tidying | None = None,
    ) -> None:
        self._storage = storage
        self._digests = digests
        self._is_served = is_served
        self._is_old = is_old
        self._mending = mending
        self.counts = Counts()

    def run(self) -> Iterator[Finding]:
        """Yield what is wrong, one after the other.

        Raises:
          StorageUnavailable: if it cannot be looked at any further.
        """
        yield from self._images()
        yield from self._stranded()
        yield from self._jobs()
        yield from self._orphans(self._storage.inputs)
        yield from self._orphans(self._storage.outputs)

    def _images(self) -> Iterator[Finding]:
        images = self._images_after("")
        while images:
            for image in images:
                faults = self._confirmed(self._faults([("input", image.key, image.seal)]))
                mended = self._mending.image(image, faults) if faults and self._mending else None
                yield from _told(f"image {image.id}", faults, mended)
            self.counts.images += len(images)
            images = self._images_after(images[-1].id)

    def _images_after(self, image_id: str) -> list[ImageRecord]:
        return self._ask(lambda records: records.upkeep.images(image_id, PAGE))

    def _stranded(self) -> Iterator[Finding]:
        if self._is_served():
            return
        for job in self._ask(lambda records: records.processing()):
            # One that was begun since belongs to a service that is running now.
            if self._is_served():
                return
            text = "it was begun, and nobody works on it; the next start begins it again"
            finding = Finding("job_stranded", f"job {job.id}", text)
            yield replace(finding, mended=self._mending.stranded(job) if self._mending else None)

    def _jobs(self) -> Iterator[Finding]:
        jobs = self._jobs_after(0)
        while jobs:
            for _, job in jobs:
                # The files of what is gone may be missing: nobody can ask for them.
                if job.gone_at is None:
                    yield from self._job(job)
            self.counts.jobs += len(jobs)
            jobs = self._jobs_after(jobs[-1][0])

    def _jobs_after(self, number: int) -> list[tuple[int, Job]]:
        return self._ask(lambda records: records.upkeep.jobs(number, PAGE))

    def _job(self, job: Job) -> Iterator[Finding]:
        named: list[Named] = []
        if job.own_input is not None:
            named.append(("input", *job.own_input))
        named += [("output", each.key, each.seal) for each in job.outputs]
        faults = self._confirmed(self._faults(named))
        if job.status == "pending":
            faults += self._lost_images(job)
        mended = self._mending.job(job, faults) if faults and self._mending else None
        yield from _told(f"job {job.id}", faults, mended)

    def _faults(self, named: Sequence[Named]) -> list[Fault]:
        self.counts.files += len(named)
        found = (self._fault(*each) for each in named)
        return [fault for fault in found if fault is not None]

    def _fault(self, role: Part, key: str, seal: Seal) -> Fault | None:
        blobs = self._storage.outputs if role == "output" else self._storage.inputs
        path = blobs.locate(key)
        try:
            size = blobs.size(key)
            if size != seal.size_bytes:
                text = f"{path} has {size} bytes, and not {seal.size_bytes}"
                return Fault(role, key, "file_damaged", text)
            if self._digests and seal.sha256 not in {None, blobs.sha256(key)}:
                return Fault(role, key, "file_damaged", f"{path} has other bytes")
        except BlobNotFound:
            return Fault(role, key, "file_missing", f"{path} is not there")
        except StorageUnavailable as error:
            return Fault(role, key, "file_unreadable", f"{path}: {error}")
        return None

    def _confirmed(self, faults: list[Fault]) -> list[Fault]:
        """Return those of files that are still named."""
        if not faults:
            return faults
        named = self._named({fault.key for fault in faults})
        return [fault for fault in faults if fault.key in named]

    def _lost_images(self, job: Job) -> list[Fault]:
        """Return which images are not there that a pending job needs, and that are not its own."""
        own = {job.own_input[0]} if job.own_input else set[str]()
        needed = {key for key in (job.input_key, *job.others.values()) if key} - own
        lost = [key for key in sorted(needed) if self._is_missing(key)]
        if not lost or self._ask(lambda records: _status(records, job.id)) != "pending":
            return []
        inputs = self._storage.inputs
        return [
            Fault("image", key, "file_missing", f"{inputs.locate(key)}, which it needs, is missing")
            for key in lost
        ]

    def _is_missing(self, key: str) -> bool:
        try:
            self._storage.inputs.size(key)
        except BlobNotFound:
            return True
        except StorageUnavailable:
            return False
        return False

    def _orphans(self, blobs: Blobs) -> Iterator[Finding]:
        for shard in blobs.shards():
            for start in range(0, len(shard), PAGE):
                keys = set(shard[start : start + PAGE])
                ours = {key for key in keys if owner_of(key)}
                for key in sorted(keys - ours):
                    yield Finding("stranger", blobs.locate(key), "its name is none of ours")
                for key in sorted(ours - self._named(ours)):
                    if self._is_orphan(blobs, key):
                        finding = Finding("orphan", blobs.locate(key), "no record names it")
                        done = self._mending.orphan(blobs, key) if self._mending else None
                        yield replace(finding, mended=done)

    def _is_orphan(self, blobs: Blobs, key: str) -> bool:
        try:
            is_old = self._is_old(blobs.kept_since(key))
        except BlobNotFound:
            return False
        if not is_old and self._is_served():
            return False
        return not self._named({key})

    def _named(self, keys: set[str]) -> set[str]:
        return self._ask(lambda records: records.known(keys))

    def _ask(self, call: Callable[[Catalogue], T]) -> T:
        (told,) = self._storage.catalogue.batch([call])
        if isinstance(told, StorageError):
            raise told
        return cast("T", told)


def _told(subject: str, faults: Sequence[Fault], mended: str | None) -> Iterator[Finding]:
    for fault in faults:
        yield Finding(fault.kind, subject, fault.text, mended)


def _status(records: Catalogue, job_id: str) -> str | None:
    try:
        return records.find(job_id).status
    except StorageError:
        return None
