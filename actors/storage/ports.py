"""The two ports of storage, the records that pass through them, and what can go wrong.

A `Catalogue` keeps the records of jobs and images, and is the queue; `Blobs` keeps bytes.
Both block, and neither is called by two threads at the same moment unless it says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import FileIO
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from actors.storage.audit import AuditRegister
    from actors.storage.batches import BatchRegister
    from actors.storage.credentials import KeyRegister
    from actors.storage.events import EventRegister
    from actors.storage.outbox import Fate, OutboxRegister
    from actors.storage.quarantine import QuarantineRegister
    from actors.storage.repeats import RepeatRegister
    from actors.storage.retention import RetentionRegister
    from actors.storage.signing import SigningRegister
    from actors.storage.upkeep import UpkeepRegister
    from actors.storage.usage import UsageRegister

Status = Literal["pending", "processing", "completed", "failed", "cancelled"]
Priority = Literal["high", "normal", "low"]

STATUSES: tuple[Status, ...] = ("pending", "processing", "completed", "failed", "cancelled")
PRIORITIES: tuple[Priority, ...] = ("high", "normal", "low")
ENDED: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})


class StorageError(Exception):
    """The base of everything below."""


class StorageUnavailable(StorageError):
    """The storage did not do it, and may do it later."""


class StorageInDoubt(StorageUnavailable):
    """Whether it was done will be known at the next start. Until then it was not."""


class StorageFull(StorageError):
    """There is no room left; nothing was changed."""


class JobNotFound(StorageError):
    """There is no job of that id that the asker may know of."""


class ImageNotFound(StorageError):
    """There is no image of that id that the asker may know of, or no more; nothing was changed."""


class BlobNotFound(StorageError):
    """There are no bytes under that key."""


class BlobDamaged(BlobNotFound):
    """There are bytes under that key, but not those that were kept under it.

    Attributes:
      how: whether there are fewer or more of them (`size`), or others (`digest`).
    """

    def __init__(self, key: str, how: Literal["size", "digest"]) -> None:
        super().__init__(key)
        self.how: Final = how


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


@dataclass(frozen=True, slots=True)
class Seal:
    """What the bytes of a file are known to be: how many, and their SHA-256.

    Of the inputs of older versions that is None.
    """

    size_bytes: int
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImage:
    """What is known of an image that was uploaded to be used in many jobs.

    `key` is made of `id` (`keys.key_of`). `facts` is JSON, and opaque here.
    `tenant` is whose it is; nothing if it came from whoever has no key.
    """

    id: str
    key: str
    format: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: str
    facts: str
    tenant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord(NewImage):
    """The record of an image."""

    created_at: datetime

    @property
    def seal(self) -> Seal:
        """What its bytes are known to be."""
        return Seal(self.size_bytes, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewInput:
    """The file that was sent with a job or fetched for it, and is its alone.

    `key` is made of the job's id.
    """

    key: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An image that is to be fetched from `url`, which may be a secret, when its job is begun."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What is known of a job when it is accepted.

    `input` is the file that was sent with it, where to fetch one, or the id of an image.
    `other_images` are the ids of what its recipe needs besides, such as a watermark.
    `recipe` is JSON, and opaque here. `operation` is its short name and `preset` the name it was
    asked for by, to list by.
    `max_attempts` is how often it may be begun before it is final that it comes to nothing.
    `run_at` is when it may be begun for the first time; a time that has passed is as none.
    `tenant` is whose it is, and whose its images must be; nothing for whoever has no key.
    `retain` is for how many seconds its client wants its files kept when it has ended.
    `made_with` says what it would be made with (opaque): without it, it is a twin of nobody.
    `callback_url`, which may be a secret, is who is told of its end; `metadata` is JSON of the
    client's own, and opaque here.
    `batch_id` is the batch that it was accepted with, if any.
    `trace` is the place in a trace where it was submitted; JSON, and opaque here.
    """

    id: str
    priority: Priority
    operation: str
    preset: str | None = None
    recipe: str
    input: NewInput | Elsewhere | str
    other_images: tuple[str, ...] = ()
    max_attempts: int
    run_at: datetime | None = None
    tenant: str = ""
    retain: int | None = None
    made_with: str | None = None
    trace: str | None = None
    callback_url: str | None = field(default=None, repr=False)
    metadata: str | None = None
    batch_id: str | None = None

    @property
    def images(self) -> tuple[str, ...]:
        """The ids of all images that it needs, each once."""
        own = (self.input,) if isinstance(self.input, str) else ()
        return tuple(dict.fromkeys((*own, *self.other_images)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One finished picture: where its bytes are, and what a client is told of them.

    `key` is made of the job's id. `details` is JSON, and opaque here: what was done for it.
    """

    name: str
    key: str
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    details: str = "{}"

    @property
    def seal(self) -> Seal:
        """What its bytes are known to be."""
        return Seal(self.size_bytes, self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The record of a job.

    `image_id` is the image that it was made of; None if its input is its own.
    `image_url` is where its input is fetched from; until that is done the three of `input` are
    None, and from then on it is as if it had been sent.
    `others` are the keys of the other images that its recipe needs, by their ids.
    `outputs` and `receipt` are there when it is completed; the receipt is JSON, and opaque here:
    what the outputs were made with. Jobs of older versions have neither receipt nor `input_sha256`.

    `attempts` counts how often it was begun. It is also the fencing token: a claim hands it out,
    and a result that names an older attempt is refused (Kleppmann, "How to do distributed
    locking", 2016). So it only grows, also over a retry; `attempts_allowed` says where it ends.
    `spared` counts the attempts, since it was submitted or retried, that were made good for.
    `run_at` is the time before which it is not begun, or was not: None if it never had to wait.
    `error` and `error_code` say why it has failed, or why its last attempt came to nothing.

    `retain` is for how many seconds its client wants its files kept when it has ended; they went
    at `gone_at`.
    `callback_url`, which may be a secret, is who is told of its end; `metadata` is JSON of the
    client's own, and opaque here.
    `batch_id` is the batch that it was accepted with, if any. `trace` is as in `NewJob`.

    `twin` is the same for all jobs of which the same would be made (`twins`); None for those that
    have none, and until the input is there.
    `quarantined` is told of a job that is claimed: it is not to be rendered.
    """

    id: str
    status: Status
    priority: Priority
    operation: str
    preset: str | None
    recipe: str
    input_key: str | None
    input_size: int | None
    input_sha256: str | None
    image_id: str | None
    others: Mapping[str, str]
    outputs: tuple[Output, ...]
    receipt: str | None
    error_code: str | None
    error: str | None
    attempts: int
    attempts_allowed: int
    max_attempts: int
    spared: int
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    run_at: datetime | None = None
    tenant: str = ""
    image_url: str | None = field(default=None, repr=False)
    retain: int | None = None
    gone_at: datetime | None = None
    twin: str | None = None
    trace: str | None = None
    callback_url: str | None = field(default=None, repr=False)
    metadata: str | None = None
    batch_id: str | None = None
    quarantined: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status in ENDED

    @property
    def attempts_made(self) -> int:
        """How often it was begun since it was submitted or retried."""
        return self.attempts - (self.attempts_allowed - self.spared - self.max_attempts)

    @property
    def due_since(self) -> datetime:
        """Since when it may be begun, or when it may be."""
        return self.run_at or self.created_at

    @property
    def own_input(self) -> tuple[str, Seal] | None:
        """The key and the seal of the file that was sent with it or fetched for it, if any was."""
        if self.image_id is not None or self.input_key is None or self.input_size is None:
            return None
        return self.input_key, Seal(self.input_size, self.input_sha256)

    @property
    def images(self) -> tuple[str, ...]:
        """The ids of all images that it needs, each once."""
        own = () if self.image_id is None else (self.image_id,)
        return tuple(dict.fromkeys((*own, *self.others)))


@dataclass(frozen=True, slots=True)
class Removed:
    """A job that was deleted, and the keys of the files that nobody needs any more."""

    job: Job
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs to list: those of the tenant that fit every filter that is given, newest first.

    `cursor` is the `next` of the page before.
    """

    limit: int
    tenant: str = ""
    status: Status | None = None
    operation: str | None = None
    preset: str | None = None
    batch_id: str | None = None
    created_after: datetime | None = None
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, and the cursor of those that follow; None after the last."""

    jobs: tuple[Job, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs there are of each status and priority, and how it stands with the queue.

    `waiting` counts, by priority, those of the pending ones that are not due yet. `oldest_pending`
    is since when the oldest one that is due may be begun. `paused`: nothing is begun at all.
    `stored_bytes` are those of all files that are kept. `deliveries` are those of the outbox.
    """

    counts: Mapping[tuple[Status, Priority], int]
    waiting: Mapping[Priority, int]
    oldest_pending: datetime | None
    paused: bool
    stored_bytes: int = 0
    deliveries: Mapping[Fate, int] = field(default_factory=dict)

    def count(self, status: Status) -> int:
        """Return the number of jobs of `status` in all priorities."""
        return sum(n for (each, _), n in self.counts.items() if each == status)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """Which failed jobs are meant, of all tenants: those that fit every filter, oldest first.

    Those whose files have gone are not among them. `after` is the number of the last one seen.
    """

    limit: int
    code: str | None = None
    failed_before: datetime | None = None
    after: int = 0


@dataclass(frozen=True, slots=True)
class Woken:
    """What became due: how many jobs, and when the next one will be; None if none waits."""

    jobs: int
    next: datetime | None


class Catalogue(Protocol):
    """The records of jobs and images, and the queue of the jobs that are pending.

    Within a priority, the tenants that have pending jobs take turns, and those of one tenant come
    out in the order they went in: each job has a place, and the first one is begun first. That is
    start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) with jobs of equal cost: a place
    is one behind the tenant's last one, or behind the one that was begun last if that is further.
    A job that is not due has no place yet, and `wake` gives it one.
    A job that has a twin before it is held back in its place until that one has ended (`twins`).

    Each method that changes something is one atomic change; `batch` makes many durable at once.
    Times are the caller's, so that one clock rules.

    A job keeps the images that it needs: if a client deletes one, it is gone for all clients, and
    cannot be used in other jobs; but its file is needed until the last of its jobs is deleted.

    Other kinds of records have registers of their own, which share its transactions.
    """

    @property
    def keys(self) -> KeyRegister:
        """The register of keys."""

    @property
    def repeats(self) -> RepeatRegister:
        """The register of requests that may be sent again."""

    @property
    def audit(self) -> AuditRegister:
        """The audit."""

    @property
    def quarantine(self) -> QuarantineRegister:
        """The images that have ended render processes."""

    @property
    def events(self) -> EventRegister:
        """The register of events: what became of jobs."""

    @property
    def usage(self) -> UsageRegister:
        """The register of usage."""

    @property
    def batches(self) -> BatchRegister:
        """The register of batches."""

    @property
    def outbox(self) -> OutboxRegister:
        """The register of what is to be sent."""

    @property
    def signing(self) -> SigningRegister:
        """The register of the secrets that it is signed with."""

    @property
    def retention(self) -> RetentionRegister:
        """The register of what may go."""

    @property
    def upkeep(self) -> UpkeepRegister:
        """The register of upkeep."""

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """Run `calls` in order and make what they did durable together.

        Returns a list with each call's value, or the `StorageError` that it raised: such a call
        has no effect, and spoils no other.

        Raises:
          StorageFull, StorageUnavailable: nothing of the whole batch was kept.
          StorageInDoubt: nothing of it was kept, unless the next start finds that it was.

        A call may be run again, if what it did the first time has come to nothing.
        """

    def add(self, new: NewJob, now: datetime) -> Job:
        """Accept a job as pending, last of its tenant in its priority. Raises: ImageNotFound."""

    def add_all(self, new: Sequence[NewJob], now: datetime) -> None:
        """Accept jobs in their order, each as `add` does, or none. Raises: ImageNotFound."""

    def find(self, job_id: str) -> Job:
        """Return a job, whoever asks. Raises: JobNotFound."""

    def find_own(self, job_id: str, tenant: str) -> Job:
        """Return a job of this tenant. Raises: JobNotFound, also for another's."""

    def claim(
        self, turns: Iterable[Sequence[Priority]], now: datetime, *, fetching: int | None = None
    ) -> list[Job]:
        """Begin the next attempt of at most one job that is due for each turn.

        A turn names priorities, and takes the first job of the first one that has any.
        Jobs whose input has to be fetched are passed over while `fetching` of them are processing,
        if that is said. Of a paused queue nothing is begun.
        """

    def wake(self, now: datetime, limit: int) -> Woken:
        """Give a place in the queue to the first `limit` jobs that have become due."""

    def pause(self, *, paused: bool) -> None:
        """Have nothing begun from now on, or something again."""

    def unclaim(self, job_id: str, attempt: int, now: datetime) -> None:
        """Undo a claim that nobody heard of: the job is back in its place, the attempt not made.

        Does nothing if the claim is stale.
        """

    def release(
        self,
        job_id: str,
        attempt: int,
        error: str,
        now: datetime,
        *,
        spare: bool = False,
        run_at: datetime | None = None,
    ) -> Job:
        """End an attempt that came to nothing; with `spare`, one more is allowed in its stead.

        The job is pending in its old place, but not due before `run_at`; or, if that was the last
        attempt it is allowed, it has failed with the code `crashed` and `error`.

        Raises: JobNotFound, StaleClaim.
        """

    def postpone(
        self,
        job_id: str,
        attempt: int,
        code: str,
        error: str,
        now: datetime,
        *,
        run_at: datetime,
        spare: bool = False,
    ) -> Job:
        """End an attempt that came to nothing for a reason that can pass.

        The job is pending in its old place, but not due before `run_at`, and tells why; or, if that
        was the last attempt it is allowed, it has failed for that reason. With `spare`, one more is
        allowed in its stead.

        Raises: JobNotFound, StaleClaim.
        """

    def supply(
        self,
        job_id: str,
        attempt: int,
        file: NewInput,
        now: datetime,
        *,
        made_with: str | None = None,
    ) -> Job:
        """Give a job the file that was fetched for it. Of `made_with` see `NewJob`.

        Raises: JobNotFound, StaleClaim; the latter also if it has a file.
        """

    def complete(
        self, job_id: str, attempt: int, outputs: Sequence[Output], receipt: str, now: datetime
    ) -> Job:
        """End a job well. Raises: JobNotFound, StaleClaim."""

    def finished_twin(self, job_id: str) -> Job | None:
        """Return the newest completed twin of a job whose files are kept. Raises: JobNotFound."""

    def fail(self, job_id: str, attempt: int, code: str, error: str, now: datetime) -> Job:
        """End a job badly. Raises: JobNotFound, StaleClaim."""

    def cancel(self, job_id: str, now: datetime) -> Job:
        """End a job that has not ended; of a cancelled one, return it as it is.

        Raises: JobNotFound, WrongStatus.
        """

    def retry(self, job_id: str, max_attempts: int, now: datetime) -> Job:
        """Make a failed or cancelled job pending again and due, last of its tenant's.

        Raises: JobNotFound, WrongStatus; BlobNotFound if its image is gone.
        """

    def dead(self, which: Dead) -> list[tuple[int, Job]]:
        """Return failed jobs, each with its number."""

    def delete(self, job_id: str, now: datetime) -> Removed:
        """Forget a job; the files that nobody needs any more are the caller's to delete.

        Raises: JobNotFound.
        """

    def processing(self) -> list[Job]:
        """Return every job that is being processed."""

    def page(self, query: Query) -> Page:
        """Return the jobs that `query` asks for."""

    def pending(self) -> int:
        """Return the number of pending jobs; it costs the same however many there are."""

    def tally(self) -> Tally:
        """Return the counts; they cost the same however many jobs there are."""

    def add_image(self, new: NewImage, now: datetime) -> ImageRecord:
        """Accept an image."""

    def find_image(self, image_id: str, tenant: str = "") -> ImageRecord:
        """Return an image of this tenant. Raises: ImageNotFound."""

    def delete_image(self, image_id: str, tenant: str = "") -> tuple[str, ...]:
        """Forget an image of this tenant, as far as clients can see.

        Returns the keys of the files that nobody needs any more, which are the caller's to delete:
        none while a job needs it, and then it is the deletion of the last one that returns them.

        Raises: ImageNotFound.
        """

    def known(self, keys: Collection[str]) -> set[str]:
        """Return which of these keys (at most 1,000) are of files that a job or an image needs."""

    def close(self) -> None:
        """Close what is open."""


class BlobFile(FileIO):
    """The bytes of a blob as an open file.

    It can be an answer that nobody hears any more: who drops it closes it.
    """

    def __del__(self) -> None:
        """Close the file, which is nobody's fault."""
        self.close()


class Blobs(Protocol):
    """Bytes under keys. Every method may be called by several threads at once.

    A key is made by us (`keys.key_of`): two hexadecimal digits, a slash, and a name
    (`3f/3f2a….jpg`). The digits fan the names out over 256 shards.
    """

    def put(self, key: str, data: bytes) -> str:
        """Keep `data`: on return it is durable, and at no time is a part of it visible.

        Returns the SHA-256 of `data` in hexadecimal.

        Raises: StorageFull, StorageUnavailable.
        """

    def copy(self, key: str, to: str) -> int:
        """Keep what is under `key` under `to` as well, as `put` would. Neither needs the other.

        Returns the number of bytes.

        Raises: BlobNotFound, StorageFull, StorageUnavailable.
        """

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Return `length` bytes (all by default) from `offset` on; fewer at the end.

        Raises: BlobNotFound, StorageUnavailable.
        """

    def open(self, key: str) -> BlobFile:
        """Return the bytes as an open file, whose `fileno` a process can be given.

        Raises: BlobNotFound, StorageUnavailable.
        """

    def size(self, key: str) -> int:
        """Return the number of bytes. Raises: BlobNotFound, StorageUnavailable."""

    def sha256(self, key: str) -> str:
        """Return the SHA-256 of the bytes in hexadecimal, having read them piece by piece.

        Raises: BlobNotFound, StorageUnavailable.
        """

    def kept_since(self, key: str) -> datetime:
        """Return since when they are under that key, or a later time.

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
