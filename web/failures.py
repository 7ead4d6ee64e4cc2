"""What a client of the service can see go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import msgspec

if TYPE_CHECKING:
    from web.results import Batch, Job


class RequestFailed(Exception):
    """There is no result; the subclasses say why."""


class Unreachable(RequestFailed):
    """No connection could be made, so nothing has happened."""


class NoAnswer(RequestFailed):
    """The connection broke or fell silent. Whether the service has acted is unknown."""


class Damaged(RequestFailed):
    """What has arrived is not what the service keeps: its digest or its length is another."""


class JobFailed(RequestFailed):
    """The job ended as `failed` or `cancelled`."""

    def __init__(self, job: Job) -> None:
        reason = job.error or f"The job was {job.status}."
        super().__init__(f"{reason} ({job.error_code or f'job_{job.status}'})")
        self.job = job


class BatchNotEnded(RequestFailed, TimeoutError):
    """The batch had not ended when the time to wait for it was over; `batch` is how it stood."""

    def __init__(self, batch: Batch) -> None:
        counts = ", ".join(f"{count} {status}" for status, count in batch.counts.items() if count)
        super().__init__(f"Batch {batch.id} has not ended: {counts}.")
        self.batch = batch


class NotEnded(RequestFailed, TimeoutError):
    """The job had not ended when the time to wait for it was over; `job` is how it stood."""

    def __init__(self, job: Job) -> None:
        super().__init__(f"Job {job.id} is still {job.status}.")
        self.job = job


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request, and where: `pointer` is that of RFC 6901."""

    pointer: str
    detail: str


class ProblemError(RequestFailed):
    """The service said no. `code` is for programs, `detail` for people.

    `faults` are those of a request that is `invalid`. A `code` that has a class of its own below is
    raised as that; every other, also one that a later version of the service brings, as this.
    An answer that Calotype did not write has the code `http_` and its status, such as `http_502`;
    a success that cannot be read, `not_understood`.
    """

    kinds: ClassVar[dict[str, type[ProblemError]]] = {}

    def __init__(self, status: int, code: str, detail: str, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = faults

    def __init_subclass__(cls, *, code: str) -> None:
        ProblemError.kinds[code] = cls


class Unauthenticated(ProblemError, code="unauthenticated"):
    """There is no key, or none that is good."""


class Forbidden(ProblemError, code="forbidden"):
    """The key may not do this."""


class NotFound(ProblemError, code="not_found"):
    """There is no such job, image or output; or it is another tenant's."""


class NotReady(ProblemError, code="not_ready"):
    """The job has not ended yet."""


class Conflict(ProblemError, code="conflict"):
    """The status of the job does not allow it."""


class Gone(ProblemError, code="gone"):
    """The bytes are no longer kept."""


class TooLarge(ProblemError, code="too_large"):
    """The image is larger than the service takes."""


class Invalid(ProblemError, code="invalid"):
    """The request has the right shape and the wrong values; `faults` say which."""


class RateLimited(ProblemError, code="rate_limited"):
    """Too many requests in too short a time."""


class Overloaded(ProblemError, code="overloaded"):
    """The service has too much to do, and had it still when we gave up."""


class _Said(msgspec.Struct):
    title: str
    code: str
    detail: str = ""
    errors: tuple[Fault, ...] = ()


def problem(status: int, body: bytes) -> ProblemError:
    """Return what an answer that is no success says, also one that Calotype did not write."""
    try:
        said = msgspec.json.decode(body, type=_Said)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ProblemError(status, f"http_{status}", f"The answer was a bare {status}.")
    kind = ProblemError.kinds.get(said.code, ProblemError)
    return kind(status, said.code, said.detail or said.title, said.errors)
