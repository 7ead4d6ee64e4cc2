"""What the service tells a client, typed. Members that are not named here are ignored."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec


class Output(msgspec.Struct, frozen=True):
    """One of the results of a job. `operations` are a recipe: what was done, in whole pixels."""

    # It becomes a part of file names.
    name: Annotated[str, msgspec.Meta(pattern=r"^[\w-]+$")]
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str
    path: str = ""
    frames: int = 1
    quality: int | None = None
    ssim: float | None = None
    operations: tuple[dict[str, object], ...] = ()


class Receipt(msgspec.Struct, frozen=True):
    """What a job was made of and with; with the same, the same bytes come out."""

    input_sha256: str | None = None
    images: dict[str, str] = {}
    recipe: dict[str, object] | None = None
    versions: dict[str, str] = {}


class Job(msgspec.Struct, frozen=True):
    """A job as it stands. `error` and `error_code` say why one has failed.

    `outputs` and `receipt` are there when it is completed; `outputs` only until its files are
    `gone`, at `expires_at` if that is known.
    """

    id: str
    status: str
    created_at: datetime
    updated_at: datetime
    priority: str = "normal"
    attempts: int = 0
    started_at: datetime | None = None
    operation: str | None = None
    width: int | None = None
    height: int | None = None
    preset: str | None = None
    image_id: str | None = None
    image_url: str | None = None
    batch_id: str | None = None
    input_path: str | None = None
    output_path: str | None = None
    error: str | None = None
    error_code: str | None = None
    callback_url: str | None = None
    metadata: dict[str, str | int | float | bool | None] | None = None
    retain: int | None = None
    expires_at: datetime | None = None
    gone: bool = False
    outputs: tuple[Output, ...] = ()
    receipt: Receipt | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self.status in {"completed", "failed", "cancelled"}


class Delivery(msgspec.Struct, frozen=True):
    """A webhook about a job or a batch, and how it stands with it.

    Its `status` is pending, sending, delivered or dead; `last_error` says why the last attempt
    failed, if it did.
    """

    id: str
    type: str
    status: str
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None = None
    last_attempt_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


class Deliveries(msgspec.Struct, frozen=True):
    """The webhooks about a job or a batch, the newest first."""

    deliveries: tuple[Delivery, ...]


class Accepted(msgspec.Struct, frozen=True, rename={"id": "job_id"}):
    """A job that was accepted: it will end, whatever happens to the service."""

    id: str
    status: str


class BatchAccepted(msgspec.Struct, frozen=True, rename={"id": "batch_id"}):
    """A batch that was accepted, with the ids of its jobs in their order: all of them will end."""

    id: str
    status: str
    job_ids: tuple[str, ...]


class Batch(msgspec.Struct, frozen=True):
    """A batch as it stands: `jobs` is how many there are, and `counts` how many of each status."""

    id: str
    status: str
    jobs: int
    counts: dict[str, int]
    created_at: datetime
    callback_url: str | None = None
    metadata: dict[str, object] | None = None

    @property
    def ended(self) -> bool:
        """Whether all of its jobs have."""
        return self.status == "ended"


class Queue(msgspec.Struct, frozen=True):
    """The queue at one moment: its jobs by status. Of those `pending`, some are `waiting`.

    That is, for a time that has not come. When the queue is paused, no further job is begun.
    """

    paused: bool
    pending: int
    waiting: int
    processing: int
    failed: int
    oldest_pending_seconds: float | None = None


class DeadJob(msgspec.Struct, frozen=True):
    """A job that has failed, as an operator sees it, whosever it is."""

    id: str
    tenant: str
    operation: str
    attempts: int
    created_at: datetime
    updated_at: datetime
    error_code: str | None = None


class DeadPage(msgspec.Struct, frozen=True):
    """Some of the jobs that have failed, in the order in which they were accepted; see `Page`."""

    jobs: tuple[DeadJob, ...]
    next: str | None = None


class Retried(msgspec.Struct, frozen=True):
    """How many jobs are tried again."""

    retried: int


class Page(msgspec.Struct, frozen=True):
    """Some jobs, newest first. `next` is the cursor of the page that follows, if one does."""

    jobs: tuple[Job, ...]
    next: str | None = None


class Share(msgspec.Struct, frozen=True):
    """A colour, and how much of an image it covers: 1 is all of it."""

    color: str
    share: float


class Image(msgspec.Struct, frozen=True, rename={"id": "image_id"}):
    """An image that was uploaded, and what was seen in it."""

    id: str
    format: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: str
    created_at: datetime
    mode: str | None = None
    depth: int | None = None
    exif: dict[str, object] = {}
    icc_profile: str | None = None
    opaque: bool | None = None
    dominant_color: str | None = None
    mean_color: str | None = None
    palette: tuple[Share, ...] = ()
    blurhash: str | None = None
    thumbhash: str | None = None
    dhash: str | None = None


class Facts(msgspec.Struct, frozen=True):
    """What the header of an image says; `width` and `height` as they are stored."""

    format: str
    width: int
    height: int
    frames: int = 1
    orientation: int = 1
    scans: int = 1
    depth: int = 8
    loops: int = 1


class Predicted(msgspec.Struct, frozen=True):
    """What a job would take: bytes of memory at most, and about so many seconds of a core."""

    memory_bytes: int
    cpu_seconds: float


class Foreseen(msgspec.Struct, frozen=True):
    """An output that a job would make; a length that cannot be known beforehand is None."""

    name: str
    format: str
    width: int | None
    height: int | None
    frames: int = 1
    operations: tuple[dict[str, object], ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """What would be made of an image."""

    facts: Facts
    predicted: Predicted
    outputs: tuple[Foreseen, ...]


class Link(msgspec.Struct, frozen=True):
    """The address of one result, for whoever has it, until `expires_at`.

    It is a secret: `repr` leaves out what it is signed with.
    """

    url: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Link({self.url.partition('?')[0]!r}, expires_at={self.expires_at.isoformat()!r})"


class Health(msgspec.Struct, frozen=True):
    """That the service is there; `timestamp` is its Unix time."""

    status: str
    timestamp: int


class Picture(msgspec.Struct, frozen=True):
    """A result: the bytes of an image file, or of facts in JSON, and their media type.

    `name` is that of the output, if it was asked for by that or the job has several. `file_name` is
    how the service calls the file, with its ending, and safe to write it under.
    """

    data: bytes
    content_type: str
    name: str = ""
    file_name: str = ""

    def __repr__(self) -> str:
        return f"Picture({len(self.data)} bytes, {self.content_type!r}, {self.name!r})"

    @property
    def suffix(self) -> str:
        """What the name of such a file ends with, such as `.jpg`."""
        kind = self.content_type.rpartition("/")[2]
        return ".jpg" if kind == "jpeg" else f".{kind}"


class Saved(msgspec.Struct, frozen=True):
    """A result that was written to a file: what it is, and the digest of what was written.

    `file_name` is how the service calls it.
    """

    content_type: str
    size_bytes: int
    sha256: str
    file_name: str = ""
