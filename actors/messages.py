"""The whole vocabulary of the actors, grouped under the one that receives it.

A message is a frozen value that says nothing of this process, so that it could cross a wire.
Its docstring says what the answer means, and which errors the asker must expect besides those of
`Address.ask`. Every message of the Store may also fail with `StorageUnavailable`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from io import FileIO
from typing import TypeVar

from actors.imaging.facts import Facts
from actors.imaging.made import Made
from actors.imaging.plan import Plan
from actors.imaging.recipe import Recipe
from actors.mailbox import Request
from actors.storage.batches import Batch
from actors.storage.credentials import Key
from actors.storage.events import Change, Event, Interest
from actors.storage.outbox import Delivery, Room
from actors.storage.ports import (
    ENDED,
    Dead,
    Elsewhere,
    ImageRecord,
    Job,
    Output,
    Page,
    Priority,
    Query,
    Seal,
    Tally,
)
from actors.storage.repeats import Once
from actors.storage.usage import Bill

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class OfTenant(Request[R]):
    """What a client asks of its own jobs and images: those of others are not there for it.

    The tenant is nothing for whoever has no key, and `key_id` is the key. With `once` it is done
    once for all messages that have the same.

    Errors besides those of each, of what changes something and comes with `once`: `DoneBefore`,
    `OtherRequest`, `AnswerForgotten`.
    """

    tenant: str = field(default="", kw_only=True)
    key_id: str | None = field(default=None, kw_only=True)
    once: Once | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True)
class OnAccount(OfTenant[R]):
    """What makes a job pending, and so is counted for somebody; without a bill for nobody.

    Errors besides those of each: `QuotaExceeded`.
    """

    bill: Bill | None = field(default=None, kw_only=True)


# --- The Dispatcher -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pool:
    """The Workers: how many there should be, how many there are, how many have a job in hand."""

    wanted: int
    present: int
    busy: int


@dataclass(frozen=True, slots=True)
class Resize(Request[Pool]):
    """Have `workers` Workers from now on. A Worker that must go finishes its job first.

    The answer is the pool as it stands; it may still be changing.
    """

    workers: int


@dataclass(frozen=True, slots=True)
class LookAtPool(Request[Pool]):
    """The answer is the pool as it stands."""


@dataclass(frozen=True, slots=True)
class Drain(Request[None]):
    """Begin no further job, accept none, and let nobody wait; answered as soon as this holds.

    The Dispatcher passes it on to the Store.
    """


# --- The Store, by way of the Dispatcher ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submit(OnAccount[Job]):
    """Accept a job. Once answered, it is on the disk, and will end.

    `image` is the bytes, where to fetch them, or the id of an image. `operation` is the name of the
    recipe's only operation, or nothing; `preset` that of the preset which it is. `retain` is for
    how many seconds its files are to be kept when it has ended.
    `pixels` are those of an image that is bytes, where they are to be counted.
    It is not begun before `start`: a time, or so long after it was accepted. `max_attempts` counts
    if it is less than what the operator allows.
    `callback_url` is who is told of its end; `metadata` is JSON of the client's own.
    Errors: `Draining` (from the Dispatcher), `BacklogFull`, `StorageFull`, `ImageNotFound`.
    """

    image: bytes | Elsewhere | str
    operation: str
    recipe: Recipe
    priority: Priority
    preset: str | None = None
    retain: int | None = None
    start: datetime | timedelta | None = None
    max_attempts: int | None = None
    pixels: int = 0
    callback_url: str | None = field(default=None, repr=False)
    metadata: str | None = None


@dataclass(frozen=True, slots=True)
class Batched:
    """A batch that was accepted, and the ids of its jobs in their order."""

    batch: Batch
    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubmitBatch(OnAccount[Batched]):
    """Accept all of `jobs`, or none. Once answered, they are on the disk, and will end.

    Their images are named, and not sent. Whose they are, and whom they are counted for, this
    message says and not each of them. `callback_url` is who is told when all have ended, and
    `metadata` the client's own, as JSON.
    Errors: `Draining` (from the Dispatcher), `BacklogFull`, `StorageFull`, `ImagesNotFound`.
    """

    jobs: tuple[Submit, ...]
    callback_url: str | None = field(default=None, repr=False)
    metadata: str | None = None


@dataclass(frozen=True, slots=True)
class FindBatch(OfTenant[Batch]):
    """The answer is the batch. Errors: `BatchNotFound`."""

    batch_id: str


@dataclass(frozen=True, slots=True)
class AwaitBatch(OfTenant[Batch]):
    """The answer is the batch, as soon as all of its jobs have ended.

    Errors: `BatchNotFound`, also later; `Draining`, if the service stops before.
    """

    batch_id: str


@dataclass(frozen=True, slots=True)
class CancelBatch(OfTenant[Batch]):
    """End all jobs of a batch that have not ended, also if the asker stops waiting.

    The answer is the batch. The Store ends some of them for each that it gets, and the Dispatcher
    asks it until it has ended. Errors: `BatchNotFound`; `MailboxFull`, if too many are under way.
    """

    batch_id: str


@dataclass(frozen=True, slots=True)
class DeleteBatch(OfTenant[bool]):
    """Forget a batch, at once; and some of its jobs, with their files.

    The answer is whether none is left. The rest goes by and by, or sooner if this is asked again.
    Errors: `BatchNotFound`.
    """

    batch_id: str


@dataclass(frozen=True, slots=True)
class Find(OfTenant[Job]):
    """The answer is the job. Errors: `JobNotFound`."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Await(OfTenant[Job]):
    """The answer is the job, as soon as it has ended.

    Errors: `JobNotFound`, also later; `Draining`, if the service stops before.
    """

    job_id: str


EVENTS_AT_ONCE = 100  # in one answer


@dataclass(frozen=True, slots=True)
class Told:
    """Some events in order, and the number `until` which all are known now that were asked for.

    `missed`: the first and the last number of events that are no longer kept and may have been
    among them. `over`: the job that was named has ended, and nothing more is known of it.
    """

    events: tuple[Event, ...]
    until: int
    missed: tuple[int, int] | None = None
    over: bool = False


@dataclass(frozen=True, slots=True)
class ReadEvents(OfTenant[Told]):
    """Be told of the events with a number above `after`, as soon as there are some.

    The answer may also be that there are none up to another number; then it is worth asking from
    there on, at once. With None it comes at once: how the job is that is named, and from where
    on there will be events. `statuses` are those of interest, all if there are none.
    Errors: `JobNotFound`; `Draining`, if the service stops before.
    """

    after: int | None
    job_id: str | None = None
    statuses: frozenset[Change] = frozenset()

    @property
    def interest(self) -> Interest:
        """The events of interest."""
        return Interest(self.tenant, self.job_id, self.statuses)


def tells_the_end(message: ReadEvents, events: Sequence[Event]) -> bool:
    """Whether the last of `events` is the end of the job that `message` names."""
    ends = {*ENDED, "deleted"}
    return message.job_id is not None and bool(events) and events[-1].status in ends


@dataclass(frozen=True, slots=True)
class ListJobs(OfTenant[Page]):
    """The answer is the page that `query` asks for; whose jobs, this message says and not that."""

    query: Query


@dataclass(frozen=True, slots=True)
class Cancel(OfTenant[Job]):
    """End a job that has not ended; its result, if any, will never be seen.

    Errors: `JobNotFound`, `WrongStatus`.
    """

    job_id: str


@dataclass(frozen=True, slots=True)
class Retry(OnAccount[Job]):
    """Make a failed or cancelled job pending again.

    Errors: `JobNotFound`, `WrongStatus`, `BacklogFull`, `BlobNotFound`.
    """

    job_id: str


@dataclass(frozen=True, slots=True)
class Delete(OfTenant[None]):
    """Cancel a job if need be, then forget it and its files. Errors: `JobNotFound`."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """A job and, if it is completed, one of its outputs with the first bytes of that."""

    job: Job
    output: Output | None
    data: bytes


@dataclass(frozen=True, slots=True)
class Fetch(OfTenant[Fetched]):
    """The answer is the job, with at most `length` bytes of the output of this name.

    Without a name it is the first output.
    Errors: `JobNotFound`, `OutputNotFound`, `BlobNotFound`, `BlobDamaged`.
    """

    job_id: str
    length: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ReadOutput(Request[bytes]):
    """The answer is at most `length` bytes of an output from `offset` on.

    With `whole` all of its bytes are looked at first, and else how many there are.
    Errors: `BlobNotFound`; `BlobDamaged`, if they have not this `seal`.
    """

    key: str
    offset: int
    length: int
    seal: Seal
    whole: bool = False


@dataclass(frozen=True, slots=True)
class FindImage(OfTenant[ImageRecord]):
    """The answer is what is known of an image. Errors: `ImageNotFound`."""

    image_id: str


@dataclass(frozen=True, slots=True)
class ReadImage(Request[bytes]):
    """The answer is at most `length` bytes of an image, or of an input, from `offset` on.

    Of `whole`, `seal` and the errors see `ReadOutput`.
    """

    key: str
    offset: int
    length: int
    seal: Seal
    whole: bool = False


@dataclass(frozen=True, slots=True)
class DeleteImage(OfTenant[None]):
    """Forget an image; its file stays for as long as a job needs it. Errors: `ImageNotFound`."""

    image_id: str


@dataclass(frozen=True, slots=True)
class Settle(OfTenant[str]):
    """The answer is `text`: for a request that changes nothing, and is to be answered once too."""

    text: str


@dataclass(frozen=True, slots=True)
class FindTenant(Request[str]):
    """The answer is whose a job is: for who may have it without a key. Errors: `JobNotFound`."""

    job_id: str


@dataclass(frozen=True, slots=True)
class FindKey(Request[Key]):
    """The answer is a key, whether it is good or not. Errors: `KeyNotFound`."""

    key_id: str


@dataclass(frozen=True, slots=True)
class ListKeyIds(Request[frozenset[str]]):
    """The answer is the ids of all keys there ever were."""


@dataclass(frozen=True, slots=True)
class CountKeys(Request[int]):
    """The answer is how many keys there ever were."""


@dataclass(frozen=True, slots=True)
class LearnLinkSecret(Request[str]):
    """The answer is the secret that links are signed with; there is one from then on."""


@dataclass(frozen=True, slots=True)
class Count(Request[Tally]):
    """The answer is how many jobs there are of each kind, and how it stands with the queue."""


@dataclass(frozen=True, slots=True)
class Hold(OfTenant[bool]):
    """Begin no further job while `paused`, also after a restart; what is begun goes on to its end.

    It holds for all tenants. Jobs are accepted as ever. The answer is whether it is paused.
    """

    paused: bool


@dataclass(frozen=True, slots=True)
class ListDead(Request[tuple[tuple[int, Job], ...]]):
    """The answer is failed jobs of all tenants, each with its number: for the operator."""

    which: Dead


@dataclass(frozen=True, slots=True)
class Redrive(OfTenant[int]):
    """Make these failed jobs pending again, whosever they are, as far as there is room.

    The answer is how many they were: fewer than asked for if there are no more, or no room for
    more.
    Errors: `BacklogFull`, if there is no room at all.
    """

    which: Dead


@dataclass(frozen=True, slots=True)
class OfJob:
    """What is sent about this job."""

    id: str


@dataclass(frozen=True, slots=True)
class OfBatch:
    """What is sent about this batch, and not about its jobs."""

    id: str


@dataclass(frozen=True, slots=True)
class ListDeliveries(OfTenant[tuple[Delivery, ...]]):
    """The answer is what was or is to be sent about a job or a batch, the newest first.

    Errors: `JobNotFound`, `BatchNotFound`.
    """

    subject: OfJob | OfBatch


@dataclass(frozen=True, slots=True)
class Redeliver(OfTenant[Delivery]):
    """Send the newest delivery about a job or a batch again, whatever became of it.

    Once answered, it is due. Errors: `JobNotFound`, `BatchNotFound`, `DeliveryNotFound`.
    """

    subject: OfJob | OfBatch


# --- The Store, from the Dispatcher ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim(Request[tuple[Job, ...]]):
    """Have up to `limit` jobs to work on; answered when there is at least one.

    No more than `fetching` jobs may then be in work whose input has still to be fetched.
    There is one standing claim at a time: a new one ends the one before.
    A claim whose asker has gone is undone.
    """

    limit: int
    fetching: int


@dataclass(frozen=True, slots=True)
class Reclaim(Request[None]):
    """Give back every job that is processing but not in `held`: nobody works on it.

    It is pending again, or has failed as `crashed` if it was begun too often. The attempt does not
    count for those in `spared`: they were given up because of the storage, and are due again after
    a while, which is longer each time.
    """

    held: frozenset[str]
    spared: frozenset[str] = frozenset()


# --- The Store, from a Worker ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open(Request[FileIO]):
    """The answer is an image that a client sent, as an open file.

    With a `seal` its size is checked. Whoever reads it has to look at the digest.
    Errors: `BlobNotFound`, and as one of these `BlobDamaged`.
    """

    key: str
    seal: Seal | None = None


@dataclass(frozen=True, slots=True)
class KeepInput(Request[None]):
    """Keep what was fetched for a job in this attempt, as if it had been sent.

    `pixels` are those of the image, 0 if it is none.
    Errors: `StaleClaim`, `JobNotFound`, `StorageFull`, `QuotaExceeded`.
    """

    job_id: str
    attempt: int
    data: bytes
    pixels: int = 0


@dataclass(frozen=True, slots=True)
class Reuse(Request[bool]):
    """End the job with the results of a twin, if there is one, as if it had been rendered.

    The answer is whether that was done. Errors: `StaleClaim`, `JobNotFound`, `StorageFull`.
    """

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Complete(Request[None]):
    """Keep the results of this attempt and end the job. Errors: `StaleClaim`, `StorageFull`.

    `others` is the SHA-256 of each of the other images that they were made of, by its id.
    """

    job_id: str
    attempt: int
    made: tuple[Made, ...]
    others: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fail(Request[None]):
    """End the job as failed. Errors: `StaleClaim`."""

    job_id: str
    attempt: int
    code: str
    error: str


@dataclass(frozen=True, slots=True)
class Crash(Request[None]):
    """The process that rendered this attempt has ended in the middle of it.

    It is counted for the image, and the job is due again after a while, as with `TryLater`.
    Errors: `StaleClaim`, `JobNotFound`.
    """

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class TryLater(Request[None]):
    """Give the job up for now, for a reason that can pass; it has failed if this was its last try.

    It is due again after a while that is longer each time, and not before `at_least` seconds, as
    far as that is borne with. With `spare` this try does not count.
    Errors: `StaleClaim`, `JobNotFound`.
    """

    job_id: str
    attempt: int
    code: str
    error: str
    at_least: float = 0.0
    spare: bool = False


# --- The Store, from the Courier ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery that was begun, and what to sign it with: the newest secret first."""

    delivery: Delivery
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Collect(Request[tuple[Parcel, ...]]):
    """Begin what is due, as far as there is room; answered when there is something.

    There is one standing collect at a time: a new one ends the one before.
    One whose asker has gone is undone.
    """

    room: Room


@dataclass(frozen=True, slots=True)
class Recall(Request[None]):
    """Have everything due again that is being sent but not in `held`: nobody sends it."""

    held: frozenset[str]


@dataclass(frozen=True, slots=True)
class Delivered(Request[None]):
    """End a delivery well; nothing happens if this is not its present attempt."""

    delivery_id: str
    attempt: int
    status: int


@dataclass(frozen=True, slots=True)
class Undelivered(Request[None]):
    """End an attempt badly; nothing happens if this is not the present one.

    It is due again after `delay` seconds, or dead if that is None. `status` is that of the answer.
    """

    delivery_id: str
    attempt: int
    status: int | None
    error: str
    delay: float | None


@dataclass(frozen=True, slots=True)
class PutBack(Request[None]):
    """Undo an attempt that was not made; nothing happens if this is not the present one.

    For its host nothing is due for `rest` seconds.
    """

    delivery_id: str
    attempt: int
    host: str
    rest: float = 0.0


# --- The Store, from the Surveyor -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeepImage(OfTenant[ImageRecord]):
    """Keep an image for use in many jobs. `described` is JSON. Errors: `StorageFull`."""

    data: bytes
    facts: Facts
    described: str


# --- The Surveyor, by way of the Dispatcher -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keep(OfTenant[ImageRecord]):
    """Look at an image, and keep it for use in many jobs.

    Errors: `Draining` (from the Dispatcher), `ImageError`, `StorageFull`, `StorageUnavailable`.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Foresee(OfTenant[Plan]):
    """The answer is what `recipe` would make of an image: the bytes, or the id of one.

    Errors: `ImageError`, `ImageNotFound`, `BlobNotFound`, `StorageUnavailable`.
    """

    image: bytes | str
    recipe: Recipe


# --- The Fetcher ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Download(Request[bytes]):
    """The answer is what is at `url`. Abandoning it ends the connection at once.

    What can pass is tried again within the Fetcher's own deadline. `job_id` is for the log.
    Errors: `OutsideError`.
    """

    url: str = field(repr=False)
    job_id: str


# --- A Worker -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run(Request[None]):
    """Work on a claimed job until it has ended; answered when it has.

    Abandoning it stops the render, in less than a second.
    Errors: `JobInterrupted`: the job has not ended, and nobody works on it now.
    """

    job: Job
