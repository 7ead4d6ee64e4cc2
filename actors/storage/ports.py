"""The two ports of storage, the records that pass through them, and what can go wrong.

A `Catalogue` keeps the records of jobs and is the queue; `Blobs` keeps bytes.
Both block, and neither is called by two threads at the same moment unless it says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
Priority = Literal["high", "normal", "low"]

STATUSES: tuple[Status, ...] = ("pending", "processing", "completed", "failed", "cancelled")
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
ENDED: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})


class StorageError(Exception):
    """The base of everything below."""


class StorageUnavailable(StorageError):
    """The storage did not do it, and may do it later."""


class StorageFull(StorageError):
    """There is no room left; nothing was changed."""


class JobNotFound(StorageError):
    """There is no job of that id."""


class BlobNotFound(StorageError):
    """There are no bytes under that key."""


class StaleClaim(StorageError):
    """The attempt that this is a result of is not the job's present one; nothing was changed."""


class WrongStatus(StorageError):
    """The job's status does not allow this; nothing was changed.

    Attributes:
      status: the status it has.
    """

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status: Status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is known of a job when it is accepted.

    `recipe` is JSON, and opaque here. `operation` is its short name, to list by.
    `max_attempts` is how often it may be begun before a crash is final.
    """

    id: str
    priority: Priority
    operation: str
    recipe: str
    input_key: str
    input_size: int
    max_attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One finished picture: where its bytes are, and what a client is told of them."""

    key: str
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of a job.

    `attempts` counts how often it was begun. It is also the fencing token: a claim hands it out,
    and a result that names an older attempt is refused (Kleppmann, "How to do distributed
    locking", 2016). So it only grows, also over a retry; `attempts_allowed` says where it ends.
    `spared` counts the attempts, since it was submitted or retried, that were made good for.
    """

    id: str
    status: Status
    priority: Priority
    operation: str
    recipe: str
    input_key: str
    input_size: int
    output: Output | None
    error_code: str | None
    error: str | None
    attempts: int
    attempts_allowed: int
    spared: int
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs to list: those that fit every filter that is given, newest first.

    `cursor` is the `next` of the page before.
    """

    limit: int
    status: Status | None = None
    operation: str | None = None
    created_after: datetime | None = None
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, and the cursor of those that follow; None after the last."""

    jobs: tuple[Job, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs there are of each status and priority, and since when the oldest one waits."""

    counts: Mapping[tuple[Status, Priority], int]
    oldest_pending: datetime | None

    def count(self, status: Status) -> int:
        """Return the number of jobs of `status` in all priorities."""
        return sum(n for (each, _), n in self.counts.items() if each == status)


class Catalogue(Protocol):
    """The records of jobs, and the queue of those that are pending.

    Within a priority, pending jobs come out in the order they went in.
    Each method that changes something is one atomic change; `batch` makes many durable at once.
    Times are the caller's, so that one clock rules.
    """

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """Run `calls` in order and make what they did durable together.

        Returns a list with each call's value, or the `StorageError` that it raised: such a call
        has no effect, and spoils no other.

        Raises:
          StorageFull, StorageUnavailable: nothing of the whole batch was kept.
        """

    def add(self, new: NewJob, now: datetime) -> Job:
        """Accept a job as pending, last in its priority."""

    def find(self, job_id: str) -> Job:
        """Return a job. Raises: JobNotFound."""

    def claim(self, turns: Iterable[Sequence[Priority]], now: datetime) -> list[Job]:
        """Begin the next attempt of at most one pending job for each turn.

        A turn names priorities, and takes the first job of the first one that has any.
        """

    def unclaim(self, job_id: str, attempt: int, now: datetime) -> None:
        """Undo a claim that nobody heard of: the job is back in its place, the attempt not made.

        Does nothing if the claim is stale.
        """

    def release(
        self, job_id: str, attempt: int, error: str, now: datetime, *, spare: bool = False
    ) -> Job:
        """End an attempt that came to nothing; with `spare`, one more is allowed in its stead.

        The job is pending in its old place; or, if that was the last attempt it is allowed, it has
        failed with the code `crashed` and `error`.

        Raises: JobNotFound, StaleClaim.
        """

    def complete(self, job_id: str, attempt: int, output: Output, now: datetime) -> Job:
        """End a job well. Raises: JobNotFound, StaleClaim."""

    def fail(self, job_id: str, attempt: int, code: str, error: str, now: datetime) -> Job:
        """End a job badly. Raises: JobNotFound, StaleClaim."""

    def cancel(self, job_id: str, now: datetime) -> Job:
        """End a job that has not ended; of a cancelled one, return it as it is.

        Raises: JobNotFound, WrongStatus.
        """

    def retry(self, job_id: str, max_attempts: int, now: datetime) -> Job:
        """Make a failed or cancelled job pending again, last in its priority.

        Raises: JobNotFound, WrongStatus.
        """

    def delete(self, job_id: str) -> Job:
        """Forget a job, and return it as it was. Raises: JobNotFound."""

    def processing(self) -> list[Job]:
        """Return every job that is being processed."""

    def page(self, query: Query) -> Page:
        """Return the jobs that `query` asks for."""

    def pending(self) -> int:
        """Return the number of pending jobs; it costs the same however many there are."""

    def tally(self) -> Tally:
        """Return the counts; they cost the same however many jobs there are."""

    def keys(self, job_ids: Collection[str]) -> set[str]:
        """Return the keys of the inputs and outputs of these jobs (at most 1,000)."""

    def close(self) -> None:
        """Close what is open."""


class Blobs(Protocol):
    """Bytes under keys. Every method may be called by several threads at once.

    A key is made by us: two hexadecimal digits, a slash, and a name (`3f/3f2a….jpg`).
    The digits fan the names out over 256 shards.
    """

    def put(self, key: str, data: bytes) -> str:
        """Keep `data`: on return it is durable, and at no time is a part of it visible.

        Returns the SHA-256 of `data` in hexadecimal.

        Raises: StorageFull, StorageUnavailable.
        """

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes (all by default) from `offset` on; fewer at the end.

        Raises: BlobNotFound, StorageUnavailable.
        """

    def delete(self, key: str) -> None:
        """Forget the bytes; of an unknown key there is nothing to do.

        Raises: StorageUnavailable.
        """

    def locate(self, key: str) -> str:
        """Return where the bytes are, as a person would look for them. Does not block."""

    def shards(self) -> Iterator[list[str]]:
        """Yield the keys that are there, one shard at a time; others may come meanwhile.

        There may be names that are no keys: somebody else's files.
        """


@dataclass(frozen=True, slots=True)
class Storage:
    """An open storage: the catalogue, what clients sent and what we made of it."""

    catalogue: Catalogue
    inputs: Blobs
    outputs: Blobs
