"""What a client is told of jobs and images, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from actors.imaging.facts import Facts
from actors.imaging.receipt import as_made, as_said
from actors.imaging.recipe import decode_recipe
from actors.storage.ports import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.imaging.plan import Plan
    from actors.imaging.recipe import Output as Wanted
    from actors.imaging.recipe import Recipe
    from actors.storage.ports import ImageRecord, Job, Output, Page

SUBMITTED = "Image processing job submitted"


class _Details(msgspec.Struct):
    """How an output came about, as the catalogue keeps it."""

    frames: int = 1
    quality: int | None = None
    ssim: float | None = None
    operations: msgspec.Raw = msgspec.Raw(b"[]")


class _Output(msgspec.Struct, omit_defaults=True):
    name: str
    path: str
    media_type: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: str
    operations: msgspec.Raw
    quality: int | None = None
    ssim: float | None = None


class _Receipt(msgspec.Struct):
    """What the outputs were made of, and with."""

    input_sha256: str | None
    images: dict[str, str]
    recipe: dict[str, object] | None
    versions: dict[str, str]


class _MadeWith(msgspec.Struct):
    """A receipt, as the catalogue keeps it."""

    versions: dict[str, str]
    images: dict[str, str] = {}


class _Job(msgspec.Struct, omit_defaults=True):
    id: str
    status: str
    input_path: str | None
    output_path: str | None
    priority: str
    attempts: int
    max_attempts: int
    created_at: str
    updated_at: str
    operation: str | None = None
    width: int | None = None
    height: int | None = None
    preset: str | None = None
    image_id: str | None = None
    image_url: str | None = None
    run_at: str | None = None
    started_at: str | None = None
    retain: int | None = None
    expires_at: str | None = None
    gone: bool = False
    error: str | None = None
    error_code: str | None = None
    last_error: str | None = None
    last_error_code: str | None = None
    outputs: list[_Output] | None = None
    receipt: _Receipt | None = None


class _Foreseen(msgspec.Struct):
    name: str
    format: str
    width: int | None
    height: int | None
    frames: int
    operations: list[dict[str, object]]


class _Predicted(msgspec.Struct):
    memory_bytes: int
    cpu_seconds: float


class _Plan(msgspec.Struct):
    facts: Facts
    predicted: _Predicted
    outputs: list[_Foreseen]


class _Image(msgspec.Struct):
    """An image that was uploaded; its `facts` are spread beside the rest."""

    image_id: str
    format: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Puts jobs and images into words.

    `locate_input` and `locate_output` say where the bytes of a key are. `kept` is for how long the
    files of a job are, if its client has not said.
    """

    locate_input: Callable[[str], str]
    locate_output: Callable[[str], str]
    kept: timedelta | None = None

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

    def image(self, image: ImageRecord) -> bytes:
        """Return an image: what the catalogue knows of it, and what was seen in it."""
        known = _Image(
            image_id=image.id,
            format=image.format,
            width=image.width,
            height=image.height,
            frames=image.frames,
            size_bytes=image.size_bytes,
            sha256=image.sha256,
            created_at=rfc3339(image.created_at),
        )
        seen: dict[str, msgspec.Raw] = msgspec.json.decode(image.facts, type=dict[str, msgspec.Raw])
        told = msgspec.structs.asdict(known)
        return msgspec.json.encode(told | seen | told)

    def plan(self, plan: Plan) -> bytes:
        """Return what would be made of an image."""
        outputs = [
            _Foreseen(
                name=each.name,
                format=each.format,
                width=each.width,
                height=each.height,
                frames=each.frames,
                operations=[as_said(step) for step in each.operations],
            )
            for each in plan.outputs
        ]
        predicted = _Predicted(plan.cost.memory, round(plan.cost.seconds, 3))
        return msgspec.json.encode(_Plan(plan.facts, predicted, outputs))

    def _job(self, job: Job) -> _Job:
        width, height = _asked_size(job)
        is_gone = job.gone_at is not None
        input_key = None if is_gone else job.input_key
        outputs = [] if is_gone else [self._output(output) for output in job.outputs]
        return _Job(
            id=job.id,
            status=job.status,
            input_path=self.locate_input(input_key) if input_key else None,
            output_path=outputs[0].path if outputs else None,
            priority=job.priority,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            created_at=rfc3339(job.created_at),
            updated_at=rfc3339(job.updated_at),
            operation=job.operation or None,
            width=width,
            height=height,
            preset=job.preset,
            image_id=job.image_id,
            image_url=job.image_url,
            started_at=rfc3339(job.started_at) if job.started_at else None,
            run_at=rfc3339(job.run_at) if job.run_at else None,
            retain=job.retain,
            expires_at=self._expires_at(job),
            gone=is_gone,
            error=job.error if job.status == "failed" else None,
            error_code=job.error_code if job.status == "failed" else None,
            last_error=job.error if job.status != "failed" else None,
            last_error_code=job.error_code if job.status != "failed" else None,
            outputs=outputs or None,
            receipt=_receipt(job),
        )

    def _expires_at(self, job: Job) -> str | None:
        kept = self.kept if job.retain is None else timedelta(seconds=job.retain)
        if kept is None or job.status not in ENDED or job.gone_at is not None:
            return None
        return rfc3339(job.updated_at + kept)

    def _output(self, output: Output) -> _Output:
        details = msgspec.json.decode(output.details, type=_Details)
        return _Output(
            name=output.name,
            path=self.locate_output(output.key),
            media_type=output.media_type,
            width=output.width,
            height=output.height,
            frames=details.frames,
            size_bytes=output.size_bytes,
            sha256=output.sha256,
            operations=details.operations,
            quality=details.quality,
            ssim=details.ssim,
        )


def _asked_size(job: Job) -> tuple[int | None, int | None]:
    """Return the width and the height that were asked for, if it was one operation in pixels."""
    recipe = _recipe(job)
    if not job.operation or recipe is None:
        return None, None
    step = recipe.outputs[0].operations[0]
    width, height = getattr(step, "width", None), getattr(step, "height", None)
    return width if isinstance(width, int) else None, height if isinstance(height, int) else None


def _receipt(job: Job) -> _Receipt | None:
    if job.receipt is None:
        return None
    made = msgspec.json.decode(job.receipt, type=_MadeWith)
    return _Receipt(job.input_sha256, made.images, _resolved(job), made.versions)


def _recipe(job: Job) -> Recipe | None:
    """Return what was to be made; None if it was accepted by a version that allowed more."""
    try:
        return decode_recipe(job.recipe)
    except msgspec.DecodeError:
        return None


def _resolved(job: Job) -> dict[str, object] | None:
    """Return the recipe as a client would send it, with all that was left to the picture."""
    recipe = _recipe(job)
    if recipe is None:
        return None
    outputs = [
        _as_made(wanted, output) for wanted, output in zip(recipe.outputs, job.outputs, strict=True)
    ]
    return {"outputs": outputs} if recipe.autorotate else {"outputs": outputs, "autorotate": False}


def _as_made(wanted: Wanted, output: Output) -> dict[str, object]:
    details = msgspec.json.decode(output.details, type=_Details)
    return {
        "name": output.name,
        "operations": details.operations,
        **as_made(wanted, output.media_type, details.quality),
    }


def time_text(seconds: float) -> str:
    """Return this Unix time as RFC 3339."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def rfc3339(moment: datetime) -> str:
    """Return RFC 3339 in UTC, always with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
