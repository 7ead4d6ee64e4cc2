"""Routes under /jobs."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

import msgspec
import structlog
import trio
from msgspec import Meta
from quart import Blueprint, request
from quart_trio.wrappers import TrioResponse as Response

from actors.errors import ActorStopped, AskFailed
from actors.imaging.recipe import Name
from actors.messages import Await, Cancel, Delete, Find, ListJobs, Retry
from actors.storage.ports import (
    ENDED,
    ImageNotFound,
    Query,
    Status,
    StorageInDoubt,
    StorageUnavailable,
)
from web.members import Members, meaning
from web.problems import Fault, Problem, invalid
from web.repeats import is_repeatable
from web.replies import json_reply, no_content
from web.uploads import upload

if TYPE_CHECKING:
    from actors.storage.ports import Job
    from web.answers import Answers
    from web.downloads import Downloads
    from web.envoy import Envoy
    from web.kitchen import Kitchen

MAX_PAGE = 100
FATE_UNKNOWN = "Whether the job was accepted is unknown: look at GET /jobs before sending it again."
FATE_UNKNOWN_BUT_NAMED = "Whether the job was accepted is unknown: send it again just as it is."
# Why nobody may know how a job goes. If it was accepted, that is told all the same.
NO_ANSWER = (AskFailed, StorageUnavailable, trio.TooSlowError)
PREFERENCE = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,18})\"?\s*(;.*)?", re.IGNORECASE)


class ListWords(msgspec.Struct):
    """The query of a list."""

    status: Annotated[Status, meaning("Only jobs of this status.")] | None = None
    operation: Annotated[str, meaning("Only jobs that are this one operation.")] | None = None
    preset: Annotated[str, meaning("Only jobs of this preset.")] | None = None
    batch: Annotated[str, meaning("Only jobs of this batch.")] | None = None
    created_after: (
        Annotated[datetime, Meta(tz=True), meaning("Only jobs that are younger; RFC 3339.")] | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE), meaning("How many at most.")] = 20
    cursor: (
        Annotated[int, Meta(ge=1, le=2**63 - 1), meaning("The `next` of the page before.")] | None
    ) = None


class DownloadWords(msgspec.Struct):
    """The query of a download; the last two are those of a link, which the gate has looked at."""

    output: Annotated[Name, meaning("The name of an output; by default the first.")] | None = None
    expires: Annotated[str, meaning("Of a link: until when, in Unix time.")] | None = None
    signature: Annotated[str, meaning("Of a link.")] | None = None


class WaitWords(msgspec.Struct):
    """The query of a job."""

    wait: Annotated[
        float, Meta(ge=0), meaning("Seconds to wait for its end, up to `MAX_WAIT`.")
    ] = 0


def jobs_blueprint(  # noqa: C901, PLR0915  (a list of routes)
    envoy: Envoy,
    answers: Answers,
    downloads: Downloads,
    kitchen: Kitchen,
    max_wait: float,
) -> Blueprint:
    """Routes under /jobs: submit, look, wait, download, cancel, retry, delete, list.

    `max_wait` is the most seconds that `wait` may be.
    """
    jobs = Blueprint("jobs", __name__, url_prefix="/jobs")

    async def look_after(seconds: float, job_id: str) -> Job:
        """Return the job as it is when it ends, or after so many seconds, or when we must stop."""
        return await envoy.watch(Await(job_id), Find(job_id), min(seconds, max_wait))

    @jobs.post("")
    async def submit() -> Response:
        order = await kitchen.order()
        try:
            job = await envoy.ask(await kitchen.counted(order.job), upload().hand_over())
        except ImageNotFound as error:
            raise order.without(str(error)) from error
        except (trio.TooSlowError, ActorStopped, StorageInDoubt) as error:
            told = FATE_UNKNOWN_BUT_NAMED if is_repeatable() else FATE_UNKNOWN
            raise Problem("storage_unavailable", told, retry=is_repeatable()) from error
        # Who waits for the end does so without the picture in memory.
        del order
        structlog.contextvars.bind_contextvars(job_id=job.id)
        wait = min(_preferred_wait(request.headers.getlist("Prefer")), int(max_wait))
        if wait:
            with suppress(*NO_ANSWER):
                job = await look_after(wait, job.id)
        if job.status not in ENDED:
            return json_reply(answers.accepted(job), 202, {"Location": f"/jobs/{job.id}"})
        applied = {"Preference-Applied": f"wait={wait}"}
        if len(job.outputs) == 1 and _prefers_image(job.outputs[0].media_type):
            applied["Content-Location"] = f"/jobs/{job.id}/download"
            with suppress(*NO_ANSWER):
                return await downloads.whole(job, job.outputs[0], applied)
        applied["Content-Location"] = f"/jobs/{job.id}"
        return json_reply(answers.job(job), 200, applied)

    @jobs.get("/<job_id>")
    async def look(job_id: str) -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(WaitWords)
        structlog.contextvars.bind_contextvars(job_id=job_id)
        return json_reply(answers.job(await look_after(words.wait, job_id)))

    @jobs.get("/<job_id>/download")
    async def download(job_id: str) -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(DownloadWords)
        structlog.contextvars.bind_contextvars(job_id=job_id)
        response = await downloads.output(job_id, words.output)
        if words.signature is not None:
            # Whoever has a link may show the picture in a page of their own.
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        return response

    @jobs.post("/<job_id>/cancel")
    async def cancel(job_id: str) -> Response:
        return json_reply(answers.job(await envoy.ask(Cancel(job_id))))

    @jobs.post("/<job_id>/retry")
    async def retry(job_id: str) -> Response:
        job = await envoy.ask(Retry(job_id))
        return json_reply(answers.job(job), 202, {"Location": f"/jobs/{job.id}"})

    @jobs.delete("/<job_id>")
    async def delete(job_id: str) -> Response:
        await envoy.ask(Delete(job_id))
        return no_content()

    @jobs.get("")
    async def list_jobs() -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(ListWords)
        page = await envoy.ask(
            ListJobs(
                Query(
                    limit=words.limit,
                    status=words.status,
                    operation=words.operation,
                    preset=words.preset,
                    batch_id=words.batch,
                    created_after=_in_utc(words.created_after),
                    cursor=words.cursor,
                )
            )
        )
        link = {}
        if page.next is not None:
            following = {**request.args.to_dict(), "cursor": page.next}
            link["Link"] = f'</jobs?{urlencode(following)}>; rel="next"'
        return json_reply(answers.page(page), 200, link)

    return jobs


def _in_utc(moment: datetime | None) -> datetime | None:
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError as error:
        raise invalid([Fault("/created_after", "is beyond the calendar")]) from error


def _preferred_wait(preferences: list[str]) -> int:
    """Return the seconds of `Prefer: wait=N`, or 0 (RFC 7240)."""
    for preference in ",".join(preferences).split(","):
        if found := PREFERENCE.fullmatch(preference):
            return int(found[1])
    return 0


def _prefers_image(media_type: str) -> bool:
    accepted = request.accept_mimetypes
    return accepted.quality(media_type) > accepted.quality("application/json")
