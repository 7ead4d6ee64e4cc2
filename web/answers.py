"""What a client is told of jobs and images, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, cast

import msgspec
from msgspec import Meta

from actors.imaging.facts import Facts, Format
from actors.imaging.receipt import as_made, as_said
from actors.imaging.recipe import decode_recipe
from actors.storage.outbox import Fate
from actors.storage.ports import ENDED, Priority, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.imaging.plan import Plan as Forecast
    from actors.imaging.recipe import Output as Wanted
    from actors.imaging.recipe import Recipe
    from actors.messages import Batched
    from actors.storage import batches, outbox, ports

SUBMITTED = "Image processing job submitted"


Id: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
Moment: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Sha256: TypeAlias = Annotated[str, Meta(description="in hexadecimal", pattern="^[0-9a-f]{64}$")]
# What was said and done is kept as JSON, and goes out as it is; this is what it holds.
_OPERATIONS: dict[str, object] = {
    "type": "array",
    "items": {"$ref": "#/components/schemas/Operation"},
}

_RECIPE = Meta(
    description="as the body of another job it makes the same",
    extra_json_schema={"allOf": [{"$ref": "#/components/schemas/ManyOutputs"}]},
)
_Metadata: TypeAlias = Annotated[
    msgspec.Raw, Meta(description="the client's own", extra_json_schema={"type": "object"})
]


class _Details(msgspec.Struct):
    """How an output came about, as the catalogue keeps it."""

    frames: int = 1
    quality: int | None = None
    ssim: float | None = None
    operations: msgspec.Raw = msgspec.Raw(b"[]")


class _MadeWith(msgspec.Struct):
    """A receipt, as the catalogue keeps it."""

    versions: dict[str, str]
    images: dict[str, str] = {}


# --- What is written, and from which web/openapi describes it -------------------------------------


class Accepted(msgspec.Struct):
    """A job that was accepted."""

    job_id: Id
    status: Literal["pending"]
    message: str


class Output(msgspec.Struct, omit_defaults=True):
    """One result of a job."""

    name: Annotated[str, Meta(description="that in `outputs`; `output` if there was none")]
    path: Annotated[str, Meta(description="where the file is on the server")]
    media_type: str
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: Sha256
    operations: Annotated[
        msgspec.Raw,
        Meta(description="what was done, in whole pixels", extra_json_schema=_OPERATIONS),
    ]
    quality: Annotated[int, Meta(description="with which it was written")] | None = None
    ssim: Annotated[float, Meta(description="its likeness to what was to be written")] | None = None


class Receipt(msgspec.Struct):
    """What the outputs were made of, and with: with the same, the same bytes come out."""

    input_sha256: Sha256 | None
    images: Annotated[dict[str, str], Meta(description="SHA-256 of the others, by their ids")]
    recipe: Annotated[dict[str, object], _RECIPE] | None
    versions: Annotated[dict[str, str], Meta(description="of Calotype and its libraries")]


class Job(msgspec.Struct, omit_defaults=True):
    """A job. What does not apply is left out, or null where it is always there."""

    id: Id
    status: Status
    input_path: Annotated[
        str | None, Meta(description="where the image is; null until it has been fetched")
    ]
    output_path: Annotated[
        str | None, Meta(description="where the first output is; null until there is one")
    ]
    priority: Priority
    attempts: Annotated[int, Meta(description="how often it was begun")]
    max_attempts: Annotated[int, Meta(description="how often it may be, since its last retry")]
    created_at: Moment
    updated_at: Moment
    operation: Annotated[str, Meta(description="if the recipe is one operation")] | None = None
    width: Annotated[int, Meta(description="what was asked for, in pixels")] | None = None
    height: Annotated[int, Meta(description="what was asked for, in pixels")] | None = None
    preset: str | None = None
    image_id: str | None = None
    image_url: str | None = None
    batch_id: Annotated[Id, Meta(description="if it came with a batch")] | None = None
    run_at: Annotated[Moment, Meta(description="before which it is not begun")] | None = None
    started_at: Annotated[Moment, Meta(description="when it was begun last")] | None = None
    retain: Annotated[int, Meta(description="seconds, as asked for")] | None = None
    expires_at: Annotated[Moment, Meta(description="when its files go")] | None = None
    gone: Annotated[bool, Meta(description="whether its files have gone")] = False
    callback_url: Annotated[str, Meta(description="who is told of its end")] | None = None
    metadata: _Metadata | None = None
    error: Annotated[str, Meta(description="if it failed, for people")] | None = None
    error_code: Annotated[str, Meta(description="if it failed, for programs")] | None = None
    last_error: (
        Annotated[str, Meta(description="why the last attempt came to nothing, for people")] | None
    ) = None
    last_error_code: Annotated[str, Meta(description="the same, for programs")] | None = None
    outputs: Annotated[list[Output], Meta(description="if it is completed")] | None = None
    receipt: Receipt | None = None


class BatchAccepted(msgspec.Struct):
    """A batch that was accepted."""

    batch_id: Id
    status: Literal["running"]
    job_ids: Annotated[list[Id], Meta(description="in the order of `jobs`")]


class Batch(msgspec.Struct, omit_defaults=True):
    """A batch: jobs that were accepted together."""

    id: Id
    status: Annotated[
        Literal["running", "ended"], Meta(description="it has ended when all of its jobs have")
    ]
    jobs: Annotated[int, Meta(description="how many there are")]
    counts: Annotated[dict[Status, int], Meta(description="how many there are of each status")]
    created_at: Moment
    callback_url: Annotated[str, Meta(description="who is told of its end")] | None = None
    metadata: _Metadata | None = None


class Jobs(msgspec.Struct):
    """A page of a list, newest first."""

    jobs: list[Job]
    next: Annotated[str | None, Meta(description="the `cursor` of the next page, if there is one")]


class Delivery(msgspec.Struct, omit_defaults=True):
    """A webhook, and how it stands with it."""

    id: Annotated[str, Meta(description="its `webhook-id`, the same over all attempts")]
    type: Annotated[str, Meta(description="of the event that it tells")]
    status: Fate
    attempts: Annotated[int, Meta(description="how often it was tried to send it")]
    created_at: Moment
    next_attempt_at: Annotated[Moment, Meta(description="if it is pending")] | None = None
    last_attempt_at: Moment | None = None
    last_status: Annotated[int, Meta(description="that of the last answer")] | None = None
    last_error: Annotated[str, Meta(description="why the last attempt failed")] | None = None


class Deliveries(msgspec.Struct):
    """What was or is to be sent about a job, the newest first."""

    deliveries: list[Delivery]


class Foreseen(msgspec.Struct):
    """An output as it would be; lengths are null that only the picture can tell."""

    name: str
    format: str
    width: int | None
    height: int | None
    frames: int
    operations: Annotated[
        list[dict[str, object]],
        Meta(description="in whole pixels", extra_json_schema=_OPERATIONS),
    ]


class Predicted(msgspec.Struct):
    """What a job would take: at most so much memory at a time, about so much of a core."""

    memory_bytes: int
    cpu_seconds: float


class Plan(msgspec.Struct):
    """What would be made of an image."""

    facts: Facts
    predicted: Predicted
    outputs: list[Foreseen]


class Image(msgspec.Struct):
    """An image that was uploaded. What was seen in it is told beside this, in the same object."""

    image_id: Id
    format: Format
    width: int
    height: int
    frames: int
    size_bytes: int
    sha256: Sha256
    created_at: Moment


@dataclass(frozen=True, slots=True)
class Answers:
    """Puts jobs and images into words.

    `locate_input` and `locate_output` say where the bytes of a key are. `kept` is for how long the
    files of a job are, if its client has not said.
    """

    locate_input: Callable[[str], str]
    locate_output: Callable[[str], str]
    kept: timedelta | None = None

    def accepted(self, job: ports.Job) -> bytes:
        """Return the answer to a submission."""
        return msgspec.json.encode(Accepted(job.id, "pending", SUBMITTED))

    def job(self, job: ports.Job) -> bytes:
        """Return a job."""
        return msgspec.json.encode(self._job(job))

    def page(self, page: ports.Page) -> bytes:
        """Return a page of jobs."""
        following = None if page.next is None else str(page.next)
        return msgspec.json.encode(Jobs([self._job(job) for job in page.jobs], following))

    def batch_accepted(self, batched: Batched) -> bytes:
        """Return the answer to the submission of a batch."""
        answer = BatchAccepted(batched.batch.id, "running", list(batched.job_ids))
        return msgspec.json.encode(answer)

    def batch(self, batch: batches.Batch) -> bytes:
        """Return a batch."""
        return msgspec.json.encode(
            Batch(
                id=batch.id,
                status="ended" if batch.has_ended else "running",
                jobs=batch.size,
                counts=dict(batch.counts),
                created_at=text_of(batch.created_at),
                callback_url=batch.callback_url,
                metadata=msgspec.Raw(batch.metadata.encode()) if batch.metadata else None,
            )
        )

    def delivery(self, delivery: outbox.Delivery) -> bytes:
        """Return a delivery."""
        return msgspec.json.encode(_delivery(delivery))

    def deliveries(self, deliveries: Iterable[outbox.Delivery]) -> bytes:
        """Return the deliveries of a job."""
        return msgspec.json.encode(Deliveries([_delivery(each) for each in deliveries]))

    def image(self, image: ports.ImageRecord) -> bytes:
        """Return an image: what the catalogue knows of it, and what was seen in it."""
        known = Image(
            image_id=image.id,
            format=cast("Format", image.format),
            width=image.width,
            height=image.height,
            frames=image.frames,
            size_bytes=image.size_bytes,
            sha256=image.sha256,
            created_at=text_of(image.created_at),
        )
        seen: dict[str, msgspec.Raw] = msgspec.json.decode(image.facts, type=dict[str, msgspec.Raw])
        told = msgspec.structs.asdict(known)
        return msgspec.json.encode(told | seen | told)

    def plan(self, plan: Forecast) -> bytes:
        """Return what would be made of an image."""
        outputs = [
            Foreseen(
                name=each.name,
                format=each.format,
                width=each.width,
                height=each.height,
                frames=each.frames,
                operations=[as_said(step) for step in each.operations],
            )
            for each in plan.outputs
        ]
        predicted = Predicted(plan.cost.memory, round(plan.cost.seconds, 3))
        return msgspec.json.encode(Plan(plan.facts, predicted, outputs))

    def _job(self, job: ports.Job) -> Job:
        width, height = _asked_size(job)
        is_gone = job.gone_at is not None
        input_key = None if is_gone else job.input_key
        outputs = [] if is_gone else [self._output(output) for output in job.outputs]
        return Job(
            id=job.id,
            status=job.status,
            input_path=self.locate_input(input_key) if input_key else None,
            output_path=outputs[0].path if outputs else None,
            priority=job.priority,
            attempts=job.attempts,
            max_attempts=job.max_attempts,
            created_at=text_of(job.created_at),
            updated_at=text_of(job.updated_at),
            operation=job.operation or None,
            width=width,
            height=height,
            preset=job.preset,
            image_id=job.image_id,
            image_url=job.image_url,
            batch_id=job.batch_id,
            started_at=text_of(job.started_at) if job.started_at else None,
            run_at=text_of(job.run_at) if job.run_at else None,
            retain=job.retain,
            expires_at=self._expires_at(job),
            gone=is_gone,
            callback_url=job.callback_url,
            metadata=msgspec.Raw(job.metadata.encode()) if job.metadata else None,
            error=job.error if job.status == "failed" else None,
            error_code=job.error_code if job.status == "failed" else None,
            last_error=job.error if job.status != "failed" else None,
            last_error_code=job.error_code if job.status != "failed" else None,
            outputs=outputs or None,
            receipt=_receipt(job),
        )

    def _expires_at(self, job: ports.Job) -> str | None:
        kept = self.kept if job.retain is None else timedelta(seconds=job.retain)
        if kept is None or job.status not in ENDED or job.gone_at is not None:
            return None
        return text_of(job.updated_at + kept)

    def _output(self, output: ports.Output) -> Output:
        details = msgspec.json.decode(output.details, type=_Details)
        return Output(
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


def _delivery(delivery: outbox.Delivery) -> Delivery:
    return Delivery(
        id=delivery.id,
        type=delivery.type,
        status=delivery.fate,
        attempts=delivery.attempts_made,
        created_at=text_of(delivery.created_at),
        next_attempt_at=text_of(delivery.due_at) if delivery.due_at else None,
        last_attempt_at=text_of(delivery.begun_at) if delivery.begun_at else None,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
    )


def _asked_size(job: ports.Job) -> tuple[int | None, int | None]:
    """Return the width and the height that were asked for, if it was one operation in pixels."""
    recipe = _recipe(job)
    if not job.operation or recipe is None:
        return None, None
    step = recipe.outputs[0].operations[0]
    width, height = getattr(step, "width", None), getattr(step, "height", None)
    return width if isinstance(width, int) else None, height if isinstance(height, int) else None


def _receipt(job: ports.Job) -> Receipt | None:
    if job.receipt is None:
        return None
    made = msgspec.json.decode(job.receipt, type=_MadeWith)
    return Receipt(job.input_sha256, made.images, _resolved(job), made.versions)


def _recipe(job: ports.Job) -> Recipe | None:
    """Return what was to be made; None if it was accepted by a version that allowed more."""
    try:
        return decode_recipe(job.recipe)
    except msgspec.DecodeError:
        return None


def _resolved(job: ports.Job) -> dict[str, object] | None:
    """Return the recipe as a client would send it, with all that was left to the picture."""
    recipe = _recipe(job)
    if recipe is None:
        return None
    outputs = [
        _as_made(wanted, output) for wanted, output in zip(recipe.outputs, job.outputs, strict=True)
    ]
    return {"outputs": outputs} if recipe.autorotate else {"outputs": outputs, "autorotate": False}


def _as_made(wanted: Wanted, output: ports.Output) -> dict[str, object]:
    details = msgspec.json.decode(output.details, type=_Details)
    return {
        "name": output.name,
        "operations": details.operations,
        **as_made(wanted, output.media_type, details.quality),
    }


def time_text(seconds: float) -> str:
    """Return this Unix time as RFC 3339."""
    return text_of(datetime.fromtimestamp(seconds, UTC))


def text_of(moment: datetime) -> str:
    """Return RFC 3339 in UTC, always with microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
