"""Errors as a client sees them: one table from code to status, one from error type to code.

The form is RFC 9457, with the members that the HTTP contract adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import trio
from msgspec import Meta

from actors.errors import (
    ActorStopped,
    BacklogFull,
    Draining,
    HandlerCrashed,
    MailboxFull,
    NoRenderProcess,
    OutputNotFound,
)
from actors.imaging.errors import (
    ImageError,
    ImageTooLarge,
    ImagingCrashed,
    ImpossibleRecipe,
    TimedOut,
)
from actors.storage.batches import BatchNotFound
from actors.storage.outbox import DeliveryNotFound
from actors.storage.ports import (
    BlobDamaged,
    BlobNotFound,
    ImageNotFound,
    JobNotFound,
    StorageFull,
    StorageInDoubt,
    StorageUnavailable,
    WrongStatus,
)
from actors.storage.repeats import AnswerForgotten, OtherRequest
from actors.storage.usage import QuotaExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RETRY_AFTER = 1  # seconds
MAX_FAULTS = 100


class Kind(NamedTuple):
    """What is always the same about a problem."""

    status: int
    title: str
    retry: bool = False


KINDS: Mapping[str, Kind] = {
    "malformed": Kind(400, "Malformed request"),
    "unauthenticated": Kind(401, "Unauthenticated"),
    "forbidden": Kind(403, "Forbidden"),
    "not_found": Kind(404, "Not found"),
    "method_not_allowed": Kind(405, "Method not allowed"),
    "not_acceptable": Kind(406, "Not acceptable"),
    "too_slow": Kind(408, "Request too slow"),
    "not_ready": Kind(409, "Image not ready", retry=True),
    "job_failed": Kind(409, "Job failed"),
    "job_cancelled": Kind(409, "Job cancelled"),
    "conflict": Kind(409, "Conflict"),
    "gone": Kind(410, "Image gone"),
    "too_large": Kind(413, "Request too large"),
    "unsupported_media_type": Kind(415, "Unsupported media type"),
    "range_not_satisfiable": Kind(416, "Range not satisfiable"),
    "invalid": Kind(422, "Invalid request"),
    "idempotency_mismatch": Kind(422, "Idempotency-Key used before"),
    "rate_limited": Kind(429, "Too many requests", retry=True),
    "quota_exceeded": Kind(429, "Quota exceeded", retry=True),
    "internal": Kind(500, "Internal error"),
    "overloaded": Kind(503, "Overloaded", retry=True),
    "draining": Kind(503, "Shutting down", retry=True),
    "storage_unavailable": Kind(503, "Storage unavailable", retry=True),
    "storage_full": Kind(507, "Storage full"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with the request, and where: a JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """The body of every answer of 400 and above (RFC 9457)."""

    type: Annotated[str, Meta(extra_json_schema={"format": "uri-reference"})]
    title: str
    status: int
    detail: Annotated[str, Meta(description="for people; it may change")]
    code: Annotated[str, Meta(description="for programs; it never changes")]
    error: Annotated[str, Meta(description="the title again, for older clients")]
    errors: Annotated[tuple[Fault, ...], Meta(description="of 422 alone: every fault")] = ()


class Problem(Exception):
    """An answer of 400 or above. Without `retry` it asks nobody to try again, whatever its kind."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        faults: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
        retry: bool = True,
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.kind = KINDS[code]
        self.detail = detail
        self.faults = faults
        self.headers: dict[str, str] = {"Content-Type": "application/problem+json"}
        if retry and self.kind.retry:
            self.headers["Retry-After"] = str(RETRY_AFTER)
        self.headers.update(headers or {})

    def body(self) -> bytes:
        """Return the problem as JSON."""
        return msgspec.json.encode(
            ProblemDetails(
                type=f"/problems/{self.code}",
                title=self.kind.title,
                status=self.kind.status,
                detail=self.detail,
                code=self.code,
                error=self.kind.title,
                errors=tuple(self.faults),
            )
        )


def invalid(faults: Sequence[Fault]) -> Problem:
    """Return the problem of a request that has the right shape and the wrong values.

    Of very many faults, the first `MAX_FAULTS` are told.
    """
    told = faults[:MAX_FAULTS]
    detail = "; ".join(f"{fault.pointer or 'The request'}: {fault.detail}" for fault in told)
    return Problem("invalid", detail, faults=told)


# What a client is told of each expected error; the first that fits counts.
TOLD: tuple[tuple[type[Exception], str, str], ...] = (
    (JobNotFound, "not_found", "There is no such job."),
    (ImageNotFound, "not_found", "There is no such image."),
    (BatchNotFound, "not_found", "There is no such batch."),
    (DeliveryNotFound, "conflict", "Nothing was to be sent about it, or it was long ago."),
    (OutputNotFound, "not_found", "The job has no output of that name."),
    (BlobDamaged, "gone", "The image was damaged where it was kept, and is not handed out."),
    (BlobNotFound, "gone", "The image is no longer kept."),
    (BacklogFull, "overloaded", "Too many jobs are pending. Try again later."),
    (MailboxFull, "overloaded", "The service is busy. Try again later."),
    (trio.TooSlowError, "overloaded", "The service is busy. Try again later."),
    (NoRenderProcess, "overloaded", "There is nothing to render in now. Try again later."),
    (Draining, "draining", "The service is shutting down. Try again later."),
    (OtherRequest, "idempotency_mismatch", "This Idempotency-Key was sent with another request."),
    (AnswerForgotten, "gone", "This was done before, and what it made has been deleted since."),
    (ActorStopped, "storage_unavailable", "The storage does not answer. Try again later."),
    (StorageInDoubt, "storage_unavailable", "Whether it was done is unknown: the disk failed."),
    (StorageUnavailable, "storage_unavailable", "The storage does not answer. Try again later."),
    (StorageFull, "storage_full", "There is no room left on the disk of the service."),
    (HandlerCrashed, "internal", "Something went wrong here. It was logged."),
    (ImagingCrashed, "internal", "Something went wrong here. It was logged."),
)
# What is wrong with an image or its recipe says so itself.
OF_IMAGES: tuple[tuple[type[ImageError], str], ...] = (
    (ImpossibleRecipe, "invalid"),
    (ImageTooLarge, "too_large"),
    (TimedOut, "too_large"),
    (ImageError, "unsupported_media_type"),
)


def problem_of(error: Exception) -> Problem | None:
    """Return what a client is told of `error`; None if that is a bug and not an expected one."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, WrongStatus):
        return Problem("conflict", f"The job is {error.status}.")
    if isinstance(error, QuotaExceeded):
        return _quota_exceeded(error)
    for kind, code, detail in TOLD:
        if isinstance(error, kind):
            return Problem(code, detail, retry=kind is not StorageInDoubt)
    for image_kind, code in OF_IMAGES:
        if isinstance(error, image_kind):
            faults = [Fault("", str(error))] if code == "invalid" else []
            return Problem(code, str(error), faults=faults)
    return None


def _quota_exceeded(error: QuotaExceeded) -> Problem:
    standing = f'"{error.quota}";r={error.left}'
    if error.wait is None:
        detail = (
            f"The images alone have more than the {error.bound} pixels of a whole day."
            if error.quota == "pixels"
            else f"There may be no more than {error.bound} jobs at a time that have not ended."
        )
        return Problem("quota_exceeded", detail, headers={"RateLimit": standing}, retry=False)
    if error.quota == "jobs":
        detail = f"There may be {error.bound} jobs at a time that have not ended."
    else:
        detail = f"There may be {error.bound} pixels a day (UTC), and {error.left} are left."
    seconds = str(ceil(error.wait))
    headers = {"RateLimit": f"{standing};t={seconds}", "Retry-After": seconds}
    return Problem("quota_exceeded", detail, headers=headers)
