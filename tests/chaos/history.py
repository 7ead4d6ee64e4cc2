"""What happened in a campaign, as it is seen from outside. Times are Unix times in seconds."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tests.chaos.plan import WorkKind

ENDED = frozenset({"completed", "failed", "cancelled"})


@dataclass(slots=True)
class Submission:
    """A job that a client has asked for, as often as it did.

    `mark` is found again in the job. `job_ids` are those that it was told, in each answer; of
    `unknown` requests nobody knows whether they were done.
    """

    mark: str
    kind: WorkKind
    sizes: dict[str, tuple[int, int]]
    key: str | None
    callback: bool
    batch: str | None = None
    job_ids: list[str] = field(default_factory=list)
    unknown: int = 0


@dataclass(slots=True)
class BatchSubmission:
    """A batch that a client has asked for, with the marks of its jobs."""

    mark: str
    key: str | None
    callback: bool
    marks: tuple[str, ...]
    batch_ids: list[str] = field(default_factory=list)
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A request; without a `status` there was no answer. `code` is that of a problem."""

    asked_at: float
    answered_at: float
    method: str
    path: str
    status: int | None
    code: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sight:
    """What a client was told of a job; those of one job come in their order."""

    at: float
    job_id: str
    status: str
    attempts: int


Wish: TypeAlias = Literal["cancel", "retry", "delete"]


@dataclass(frozen=True, slots=True)
class Order:
    """What a client wanted to become of a job or batch. `done`: it was answered that it is so."""

    at: float
    wish: Wish
    subject: str
    done: bool


@dataclass(frozen=True, slots=True)
class Event:
    """What a stream of events has told."""

    number: int
    status: str
    job_id: str
    attempt: int
    reason: str | None
    error_code: str | None
    time: float


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that has come in. `taken`: it was answered with a 2xx."""

    at: float
    id: str
    subject: str
    type: str
    status: str
    is_genuine: bool
    taken: bool
    jobs: int | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was injected; `until` is when it was over."""

    at: float
    until: float
    kind: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Death:
    """An end of the service that had `begun` then: `why` is nothing if nobody has ended it."""

    begun: float
    at: float
    code: int
    why: str
    was_ready: bool


@dataclass(frozen=True, slots=True)
class Picture:
    """What a download has brought. `size` is None if it is no picture."""

    sha256: str
    size: tuple[int, int] | None


@dataclass(slots=True)
class Remains:
    """What is there in the end, when all has come to rest.

    `jobs` are all that are listed, `results` the downloads of each by the names of outputs.
    `replay` are all events, asked for at the end. `orphans` are files that no record names,
    `missing` those that a record names and that are not there.
    """

    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    results: dict[str, dict[str, Picture]] = field(default_factory=dict)
    batches: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    replay: list[Event] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    strays: list[int] = field(default_factory=list)
    integrity: str = "ok"
    has_rested: bool = True
    unheard: int = 0


@dataclass(slots=True)
class History:
    """All of it. `heard` are the events as they came, over all connections, in their order."""

    submissions: dict[str, Submission] = field(default_factory=dict)
    batches: dict[str, BatchSubmission] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    sights: list[Sight] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    heard: list[Event] = field(default_factory=list)
    hooks: list[Hook] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    deaths: list[Death] = field(default_factory=list)
    recoveries: list[float] = field(default_factory=list)
    remains: Remains = field(default_factory=Remains)

    def of(self, job_id: str) -> Iterator[object]:
        """Yield all that is known of a job or batch."""
        yield from (each for each in self.submissions.values() if job_id in each.job_ids)
        yield from (each for each in self.batches.values() if job_id in each.batch_ids)
        found = [
            *((each.asked_at, each) for each in self.requests if job_id in each.path),
            *((each.at, each) for each in self.sights if each.job_id == job_id),
            *((each.at, each) for each in self.orders if each.subject == job_id),
            *((each.time, each) for each in self.remains.replay if each.job_id == job_id),
            *((each.at, each) for each in self.hooks if each.subject == job_id),
        ]
        if found:
            begin, end = min(at for at, _ in found), max(at for at, _ in found)
            found += [
                *((each.at, each) for each in self.faults if begin - 1 <= each.at <= end + 1),
                *((each.at, each) for each in self.deaths if begin - 1 <= each.at <= end + 1),
            ]
        yield from (each for _, each in sorted(found, key=lambda pair: pair[0]))
        if job_id in self.remains.jobs:
            yield self.remains.jobs[job_id]
