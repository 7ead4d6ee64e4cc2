"""What a client is told of jobs, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from actors.imaging.recipe import decode_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.storage.ports import Job, Output, Page

SUBMITTED = "Image processing job submitted"


class _Picture(msgspec.Struct):
    media_type: str
    width: int
    height: int
    size_bytes: int
    sha256: str


class _Job(msgspec.Struct, omit_defaults=True):
    id: str
    status: str
    input_path: str
    output_path: str | None
    operation: str
    width: int
    height: int
    priority: str
    attempts: int
    created_at: str
    updated_at: str
    started_at: str | None = None
    error: str | None = None
    error_code: str | None = None
    output: _Picture | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """Puts jobs into words. `locate_input` and `locate_output` say where the bytes of a key are."""

    locate_input: Callable[[str], str]
    locate_output: Callable[[str], str]

    def accepted(self, job: Job) -> bytes:
        """Return the answer to a submission."""
        return msgspec.json.encode({"job_id": job.id, "status": "pending", "message": SUBMITTED})

    def job(self, job: Job) -> bytes:
        """Return a job."""
        return msgspec.json.encode(self._job(job))

    def page(self, page: Page) -> bytes:
        """Return a page of jobs."""
        following = None if page.next is None else str(page.next)
        return msgspec.json.encode(
            {"jobs": [self._job(job) for job in page.jobs], "next": following}
        )

    def _job(self, job: Job) -> _Job:
        step = decode_recipe(job.recipe).operations[0]
        return _Job(
            id=job.id,
            status=job.status,
            input_path=self.locate_input(job.input_key),
            output_path=self.locate_output(job.output.key) if job.output else None,
            operation=job.operation,
            width=step.width,
            height=step.height,
            priority=job.priority,
            attempts=job.attempts,
            created_at=_text(job.created_at),
            updated_at=_text(job.updated_at),
            started_at=_text(job.started_at) if job.started_at else None,
            error=job.error,
            error_code=job.error_code,
            output=_picture(job.output) if job.output else None,
        )


def _picture(output: Output) -> _Picture:
    return _Picture(
        output.media_type, output.width, output.height, output.size_bytes, output.sha256
    )


def _text(moment: datetime) -> str:
    """Return RFC 3339 in UTC, always with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
