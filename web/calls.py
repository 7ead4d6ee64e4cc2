"""What a client can ask of the service, each thing once, for clients that wait and that block."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar
from urllib.parse import quote

import msgspec

from web.failures import BatchNotEnded, JobFailed, NotEnded, ProblemError
from web.line import Call, Line
from web.receiving import Sink, check_digest, file_name, media_type, written_beside
from web.results import (
    Accepted,
    Batch,
    BatchAccepted,
    DeadJob,
    DeadPage,
    Deliveries,
    Delivery,
    Health,
    Image,
    Job,
    Link,
    Page,
    Picture,
    Plan,
    Queue,
    Retried,
    Saved,
)
from web.sending import Content, ImageId, Named, Progress, Recipe, Source, Subject, named, said

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime, timedelta

    import httpx2

T = TypeVar("T")
Awaited = TypeVar("Awaited", Job, Batch)

# Seconds that one request lets the service wait for the end of a job, and between two of those.
WAIT: Final = 30
POLL_PAUSE: Final = 0.2
# How often a wait goes on after a connection that broke: a restart of the service fits in.
RECONNECTS: Final = 10
# Jobs that are fetched at once by whoever wants all: as many as the service gives.
PAGE: Final = 100


class Calls:
    """The service, by way of `line`.

    Every call is tried again while that can help: when there is no connection, when it breaks or
    falls silent, and when the service is busy and says for how long; see `web/line.py` for the
    bounds. None is done twice by that.

    Raises:
      ProblemError: from every call, for an answer that is no success; many codes have a class.
      Unreachable, NoAnswer: from every call, when there is no answer.
      OSError: from a call that has to do with a file, if that cannot be read or written.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    def __repr__(self) -> str:
        # Neither the key nor a password in the address.
        url = self._line.driver.http.base_url
        return f"{type(self).__name__}({str(url.copy_with(userinfo=b''))!r})"

    async def submit(
        self, subject: Subject, recipe: Recipe, on_progress: Progress | None = None
    ) -> Accepted:
        """Submit an image and return its job at once; its `id` is what to ask for later.

        A client that is interrupted cuts the upload; if the service had it all, the job goes on.

        Args:
          subject: the bytes; a file, by path or open, which is read as it is sent; or where the
            service finds the image.
          recipe: what to make of it, as the JSON of the API has it, such as `operation`, `width`
            and `height`; or `operations` and `output`; or `outputs`; or a `preset`.
          on_progress: hears how many bytes of how many are sent; starts anew with each attempt.
        """
        return _decode(await self._submit("/jobs", subject, recipe, on_progress), Accepted)

    async def submit_and_wait(
        self, subject: Subject, recipe: Recipe, on_progress: Progress | None = None
    ) -> Picture:
        """Submit as `submit` does, and return the result: in one request, if it does not take long.

        Of several results it is the first. A client that is interrupted leaves the job to itself,
        if it has been accepted.

        Raises:
          JobFailed: if the job ends without a result.
        """
        ended = await self._submit_and_wait(subject, recipe, on_progress)
        return ended if isinstance(ended, Picture) else await self.download(ended.id)

    async def submit_and_wait_for_all(
        self, subject: Subject, recipe: Recipe, on_progress: Progress | None = None
    ) -> list[Picture]:
        """Do the same as `submit_and_wait`, and return all results."""
        ended = await self._submit_and_wait(subject, recipe, on_progress)
        if isinstance(ended, Picture):
            return [ended]
        if len(ended.outputs) > 1:
            return [await self.download(ended.id, output.name) for output in ended.outputs]
        # Also if the files have gone meanwhile, which is then said.
        return [await self.download(ended.id)]

    async def plan(self, subject: Source | ImageId | Image, recipe: Recipe) -> Plan:
        """Return what a job would make of the image, and what it would take; nothing is made."""
        return _decode(await self._submit("/plan", subject, recipe), Plan)

    async def job(self, job_id: str) -> Job:
        """Return the job as it stands."""
        call = Call(method="GET", path=_job_path(job_id))
        return _decode(await self._line.ask(call), Job)

    async def wait(self, job_id: str, timeout: float | None = None) -> Job:  # noqa: ASYNC109
        """Return the job when it has ended, however it has; by default however long that takes.

        It goes on over a restart of the service. Interrupted, it leaves the job as it is.

        Raises:
          NotEnded: if `timeout` seconds have passed before.
        """
        job = await self._wait(_job_path(job_id), Job, timeout)
        if not job.ended:
            raise NotEnded(job)
        return job

    async def page(
        self,
        *,
        status: str | None = None,
        operation: str | None = None,
        preset: str | None = None,
        batch: str | None = None,
        created_after: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Page:
        """Return the newest of the jobs that fit what is said.

        Args:
          limit: how many at most.
          cursor: the `next` of the page before.
        """
        said_of_it: dict[str, str | int | None] = {
            "status": status,
            "operation": operation,
            "preset": preset,
            "batch": batch,
            "created_after": None if created_after is None else created_after.isoformat(),
            "limit": limit,
            "cursor": cursor,
        }
        params = {name: value for name, value in said_of_it.items() if value is not None}
        return _decode(await self._line.ask(Call(method="GET", path="/jobs", params=params)), Page)

    async def jobs(
        self,
        *,
        status: str | None = None,
        operation: str | None = None,
        preset: str | None = None,
        batch: str | None = None,
        created_after: datetime | None = None,
    ) -> AsyncIterator[Job]:
        """Yield all jobs that fit what is said, newest first; pages are fetched when needed."""
        cursor = None
        while True:
            page = await self.page(
                status=status,
                operation=operation,
                preset=preset,
                batch=batch,
                created_after=created_after,
                limit=PAGE,
                cursor=cursor,
            )
            for job in page.jobs:
                yield job
            cursor = page.next
            if cursor is None:
                return

    async def cancel(self, job_id: str) -> Job:
        """Cancel the job and return it; one that has ended otherwise is a `Conflict`."""
        return _decode(await self._line.ask(_post(_job_path(job_id, "/cancel"))), Job)

    async def retry(self, job_id: str) -> Job:
        """Make a job pending again that failed or was cancelled; any other is a `Conflict`."""
        return _decode(await self._line.ask(_post(_job_path(job_id, "/retry"))), Job)

    async def delete(self, job_id: str) -> None:
        """Cancel the job if need be, and forget it with its files."""
        await self._line.ask(Call(method="DELETE", path=_job_path(job_id)))

    async def submit_batch(
        self,
        jobs: Iterable[tuple[Named, Recipe]],
        *,
        defaults: Recipe | None = None,
        callback_url: str | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> BatchAccepted:
        """Submit many jobs at once, all or none, and return their batch.

        Args:
          jobs: of each where the service finds its image, and what to make of it, as `submit` has
            it; at most 1,000, unless the service says otherwise.
          defaults: what each job is to have that does not say it itself.
          callback_url: who is told when all have ended.
          metadata: what the batch is to give back.

        Raises:
          TypeError: if an image is bytes or a file: upload it before.
        """
        members = {
            "jobs": [named(subject, recipe) for subject, recipe in jobs],
            "defaults": defaults,
            "callback_url": callback_url,
            "metadata": metadata,
        }
        content = Content("application/json", msgspec.json.encode(members))
        return _decode(await self._line.ask(_post("/batches", content)), BatchAccepted)

    async def batch(self, batch_id: str) -> Batch:
        """Return the batch as it stands. Its jobs are told by `jobs(batch=…)`."""
        call = Call(method="GET", path=_batch_path(batch_id))
        return _decode(await self._line.ask(call), Batch)

    async def wait_for_batch(self, batch_id: str, timeout: float | None = None) -> Batch:  # noqa: ASYNC109
        """Return the batch when all of its jobs have ended, by default however long that takes.

        It goes on over a restart of the service. Interrupted, it leaves the batch as it is.

        Raises:
          BatchNotEnded: if `timeout` seconds have passed before.
        """
        batch = await self._wait(_batch_path(batch_id), Batch, timeout)
        if not batch.ended:
            raise BatchNotEnded(batch)
        return batch

    async def cancel_batch(self, batch_id: str) -> Batch:
        """Cancel all jobs of the batch that have not ended, and return it."""
        return _decode(await self._line.ask(_post(_batch_path(batch_id, "/cancel"))), Batch)

    async def delete_batch(self, batch_id: str) -> None:
        """Cancel the batch if need be, and forget it with its jobs and their files."""
        await self._line.ask(Call(method="DELETE", path=_batch_path(batch_id)))

    async def download(self, job_id: str, output: str = "") -> Picture:
        """Return a result of a completed job; of any other it is a `ProblemError`.

        Args:
          output: which one; by default the first.

        Raises:
          Damaged: if what arrives has not the digest that the service tells.
        """
        file = BytesIO()
        saved = await self._fetch(job_id, file, output)
        return Picture(file.getvalue(), saved.content_type, output, saved.file_name)

    async def save(self, job_id: str, target: Path | BinaryIO, output: str = "") -> Saved:
        """Write a result of a completed job to a file, as it comes in.

        Args:
          target: a path, where there is nothing or what was there before until all is written; or
            an open file, which is left with a part of it if something goes wrong.
          output: which one; by default the first.

        Raises:
          Damaged: if what arrives has not the digest that the service tells.
        """
        if not isinstance(target, Path):
            return await self._fetch(job_id, target, output)
        with written_beside(target) as file:
            return await self._fetch(job_id, file, output)

    async def link(self, job_id: str, expires_in: int, output: str = "") -> Link:
        """Return a link to a result, for whoever has it, for so many seconds.

        Args:
          expires_in: at most a week.
          output: which one; by default the first.
        """
        words: dict[str, object] = {"expires_in": expires_in}
        if output:
            words["output"] = output
        content = Content("application/json", msgspec.json.encode(words))
        link = _decode(await self._line.ask(_post(_job_path(job_id, "/links"), content)), Link)
        # The service does not know what stands before its paths.
        base = str(self._line.driver.http.base_url.copy_with(userinfo=b"")).rstrip("/")
        return Link(f"{base}{link.url}", link.expires_at)

    async def deliveries(self, job_id: str) -> tuple[Delivery, ...]:
        """Return what was or is to be sent to a job's `callback_url`, the newest first."""
        call = Call(method="GET", path=_job_path(job_id, "/deliveries"))
        return _decode(await self._line.ask(call), Deliveries).deliveries

    async def redeliver(self, job_id: str) -> Delivery:
        """Have the newest webhook about a job sent again, whatever became of it."""
        return _decode(await self._line.ask(_post(_job_path(job_id, "/redeliver"))), Delivery)

    async def batch_deliveries(self, batch_id: str) -> tuple[Delivery, ...]:
        """Return what was or is to be sent to a batch's own `callback_url`, the newest first."""
        call = Call(method="GET", path=_batch_path(batch_id, "/deliveries"))
        return _decode(await self._line.ask(call), Deliveries).deliveries

    async def redeliver_batch(self, batch_id: str) -> Delivery:
        """Have the newest webhook about a batch sent again, whatever became of it."""
        return _decode(await self._line.ask(_post(_batch_path(batch_id, "/redeliver"))), Delivery)

    async def upload(self, image: Source, on_progress: Progress | None = None) -> Image:
        """Upload an image that several jobs are to use, and return what was seen in it."""
        content = Content("application/octet-stream", image, on_progress=on_progress)
        return _decode(await self._line.ask(_post("/images", content)), Image)

    async def image(self, image_id: str) -> Image:
        """Return what is known of an image that was uploaded."""
        call = Call(method="GET", path=f"/images/{quote(image_id, safe='')}")
        return _decode(await self._line.ask(call), Image)

    async def delete_image(self, image_id: str) -> None:
        """Forget an image. Jobs that use it already go on."""
        await self._line.ask(Call(method="DELETE", path=f"/images/{quote(image_id, safe='')}"))

    async def queue(self) -> Queue:
        """Return how it stands with the queue. This and what follows is for an operator's key."""
        return _decode(await self._line.ask(Call(method="GET", path="/queue")), Queue)

    async def pause_queue(self) -> Queue:
        """Have no further job begun, also after a restart; jobs are accepted as ever."""
        return _decode(await self._line.ask(_post("/queue/pause")), Queue)

    async def resume_queue(self) -> Queue:
        """Have jobs begun again."""
        return _decode(await self._line.ask(_post("/queue/resume")), Queue)

    async def dead_jobs(
        self, *, code: str | None = None, older_than: timedelta | None = None
    ) -> AsyncIterator[DeadJob]:
        """Yield the jobs that have failed, oldest first; pages are fetched when needed.

        Args:
          code: only those with this `error_code`.
          older_than: only those that failed so long ago.
        """
        params = {**_which_dead(code, older_than), "limit": PAGE}
        while True:
            call = Call(method="GET", path="/queue/dead", params=params)
            page = _decode(await self._line.ask(call), DeadPage)
            for job in page.jobs:
                yield job
            if page.next is None:
                return
            params["cursor"] = page.next

    async def retry_dead_jobs(
        self, *, code: str | None = None, older_than: timedelta | None = None
    ) -> int:
        """Have failed jobs tried again, all or those that fit, and return how many they were.

        They are asked for in parts. Interrupted, it leaves those as they are that it has not
        come to.

        Args:
          code: only those with this `error_code`.
          older_than: only those that failed so long ago.
        """
        begun, total = self._line.driver.now(), 0
        while True:
            # One that fails again meanwhile is not tried once more.
            since = self._line.driver.now() - begun
            words = msgspec.json.encode(_which_dead(code, older_than, since))
            content = Content("application/json", words)
            answer = await self._line.ask(_post("/queue/retry", content))
            retried = _decode(answer, Retried).retried
            if not retried:
                return total
            total += retried

    async def health(self) -> Health:
        """Return that the service is there; that is all it says."""
        return _decode(await self._line.ask(Call(method="GET", path="/health")), Health)

    async def _submit(
        self,
        path: str,
        subject: Subject,
        recipe: Recipe,
        on_progress: Progress | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx2.Response:
        params, content = said(subject, recipe, on_progress)
        return await self._line.ask(
            Call(
                method="POST",
                path=path,
                params=params,
                headers=headers or {},
                content=content,
                wait=WAIT if headers else 0,
            )
        )

    async def _submit_and_wait(
        self, subject: Subject, recipe: Recipe, on_progress: Progress | None
    ) -> Picture | Job:
        """Return the job when it is completed; or its result, if that came by itself."""
        headers = {"Prefer": f"wait={WAIT}", "Accept": "image/*, application/json;q=0.5"}
        response = await self._submit("/jobs", subject, recipe, on_progress, headers)
        if media_type(response).startswith("image/"):
            check_digest(response.headers.get("ETag", ""), sha256(response.content).hexdigest())
            return Picture(response.content, media_type(response), file_name=file_name(response))
        if response.status_code == 202:
            job = await self.wait(_decode(response, Accepted).id)
        else:
            job = _decode(response, Job)
        if job.status != "completed":
            raise JobFailed(job)
        return job

    async def _wait(
        self,
        path: str,
        kind: type[Awaited],
        timeout: float | None,  # noqa: ASYNC109
    ) -> Awaited:
        """Return what is at `path` when it has ended, or as it stands when the time is over."""
        until = None if timeout is None else self._line.driver.now() + timeout
        while True:
            left = WAIT if until is None else max(until - self._line.driver.now(), 0)
            wait = min(WAIT, int(left))
            call = Call(
                method="GET",
                path=path,
                params={"wait": wait} if wait else {},
                wait=wait,
                attempts=RECONNECTS,
                until=until,
            )
            found = _decode(await self._line.ask(call), kind)
            if found.ended or left == 0:
                return found
            await self._line.driver.sleep(min(POLL_PAUSE, left))

    async def _fetch(self, job_id: str, file: BinaryIO, output: str) -> Saved:
        sink = Sink(file)
        params = {"output": output} if output else {}
        call = Call(method="GET", path=_job_path(job_id, "/download"), params=params)
        await self._line.ask(call, sink)
        return sink.saved()


def _job_path(job_id: str, below: str = "") -> str:
    return f"/jobs/{quote(job_id, safe='')}{below}"


def _batch_path(batch_id: str, below: str = "") -> str:
    return f"/batches/{quote(batch_id, safe='')}{below}"


def _which_dead(
    code: str | None, older_than: timedelta | None, since: float = 0.0
) -> dict[str, str | float]:
    """Return how failed jobs are chosen that had failed `since` seconds ago already."""
    age = since + (older_than.total_seconds() if older_than else 0.0)
    said: dict[str, str | float | None] = {"code": code, "older_than": age or None}
    return {name: value for name, value in said.items() if value is not None}


def _post(path: str, content: Content | None = None) -> Call:
    return Call(method="POST", path=path, content=content)


def _decode(response: httpx2.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = "This is not how Calotype answers."
        raise ProblemError(response.status_code, "not_understood", reason) from error
