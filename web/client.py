"""The HTTP API in Python: submit a picture, wait for its job, fetch the result.

Deadlines belong to the caller: put a call into `trio.fail_after`.
Each single operation on the network has a bound of its own, so that a dead connection is noticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Self, TypeAlias, TypeVar
from urllib.parse import quote

import httpx2
import msgspec
import trio

from web.pieces import Progress, open_upload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

T = TypeVar("T")
Parameters: TypeAlias = "Mapping[str, str | int | float | bool]"

# How often a request is tried in all, and the seconds between: doubled each time when there is no
# connection, and what the service asks for when it is busy, unless that is longer than anybody
# should sleep without being asked.
ATTEMPTS: Final = 5
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0

# Seconds that one request lets the service wait for the end of a job, and between two of those.
WAIT: Final = 30
POLL_PAUSE: Final = 0.2

# Seconds that a connection may take to come about, and to be silent once it is there.
CONNECT: Final = 5
SILENCE: Final = 30


class RequestFailed(Exception):
    """There is no result; the subclasses say why."""


class ProblemError(RequestFailed):
    """The service said no. `code` is for programs, `detail` for people."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail


class JobFailed(RequestFailed):
    """The job ended as `failed` or `cancelled`."""

    def __init__(self, job: Job) -> None:
        reason = job.error or f"The job was {job.status}."
        super().__init__(f"{reason} ({job.error_code or f'job_{job.status}'})")
        self.job = job


class Unreachable(RequestFailed):
    """No connection could be made, so nothing has happened."""


class NoAnswer(RequestFailed):
    """The connection broke or fell silent. Whether the service has acted is unknown."""


@dataclass(frozen=True, slots=True)
class Output:
    """One of the results of a job."""

    # It becomes a part of file names.
    name: Annotated[str, msgspec.Meta(pattern=r"^[\w-]+$")]


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the service reports it. `error` and `error_code` say why one has failed.

    `outputs` are there when it is completed.
    """

    id: str
    status: str
    error: str | None = None
    error_code: str | None = None
    outputs: tuple[Output, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in {"completed", "failed", "cancelled"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A result: the bytes of an image file, or of facts in JSON, and their media type.

    `name` is that of the output, if the job has several.
    """

    data: bytes
    content_type: str
    name: str = ""

    @property
    def suffix(self) -> str:
        """What the name of such a file ends with, such as `.jpg`."""
        kind = self.content_type.rpartition("/")[2]
        return ".jpg" if kind == "jpeg" else f".{kind}"


class Client:
    """The service at `url`. It owns its connections, for as long as its `async with` lasts.

    Any number of tasks may use it at once. A service that has keys wants one of them as `key`.

    Every call is tried again, up to `ATTEMPTS` times in all, while no connection can be made, and
    when the service answers 503 with a `Retry-After` of at most `LONGEST_PAUSE` seconds: in both
    cases nothing has happened yet. What only reads is also tried again after a broken connection.

    Raises:
      ProblemError: from every call, for an answer that is no success.
      Unreachable, NoAnswer: from every call, when there is no answer.
      httpx2.InvalidURL: from the constructor.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        # Proxies in the environment are left alone: only web/settings.py reads the environment.
        self._http = httpx2.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key else None,
            timeout=_patient(0),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100),
            trust_env=False,
            transport=transport,
        )

    async def submit(
        self, image: bytes | Path, parameters: Parameters, on_progress: Progress | None = None
    ) -> Job:
        """Submit `image` and return its job at once; `Job.id` is what to ask for later.

        Cancelling it cuts the upload; if the service had it all, the job goes on without us.

        Args:
          image: the bytes, or a file, which is read as it is sent.
          parameters: what to make of it, such as `operation`, `width` and `height`.
          on_progress: hears how many bytes of how many are sent; starts anew with each attempt.

        Raises:
          OSError: if the file cannot be read.
        """
        response = await self._submit(image, parameters, on_progress, {})
        return _accepted(response)

    async def submit_and_wait(
        self, image: bytes | Path, parameters: Parameters, on_progress: Progress | None = None
    ) -> Picture:
        """Submit as `submit` does, and return the result: in one request, if it does not take long.

        Of several results it is the first. Cancelling it leaves the job to itself, if it has been
        accepted.

        Raises:
          JobFailed: if the job ends without a result.
          OSError: if the file cannot be read.
        """
        ended = await self._submit_and_wait(image, parameters, on_progress)
        return ended if isinstance(ended, Picture) else await self.download(ended.id)

    async def submit_and_wait_for_all(
        self, image: bytes | Path, parameters: Parameters, on_progress: Progress | None = None
    ) -> list[Picture]:
        """Do the same as `submit_and_wait`, and return all results."""
        ended = await self._submit_and_wait(image, parameters, on_progress)
        if isinstance(ended, Picture):
            return [ended]
        if len(ended.outputs) == 1:
            return [await self.download(ended.id)]
        return [await self.download(ended.id, output.name) for output in ended.outputs]

    async def _submit_and_wait(
        self, image: bytes | Path, parameters: Parameters, on_progress: Progress | None
    ) -> Picture | Job:
        """Return the job when it is completed; or its result, if that came by itself."""
        headers = {"Prefer": f"wait={WAIT}", "Accept": "image/*, application/json;q=0.5"}
        response = await self._submit(image, parameters, on_progress, headers)
        if response.headers.get("Content-Type", "").startswith("image/"):
            return _picture(response)
        job = _accepted(response) if response.status_code == 202 else _decode(response, Job)
        if not job.ended:
            job = await self.wait_ended(job.id)
        if job.status != "completed":
            raise JobFailed(job)
        return job

    async def get_job(self, job_id: str, *, wait: int = 0) -> Job:
        """Return the job: when it has ended, or after `wait` seconds as it stands."""
        response = await self._get(f"/jobs/{quote(job_id, safe='')}", wait=wait)
        return _decode(response, Job)

    async def wait_ended(self, job_id: str) -> Job:
        """Return the job when it has ended, however long that takes."""
        job = await self.get_job(job_id, wait=WAIT)
        while not job.ended:
            await trio.sleep(POLL_PAUSE)
            job = await self.get_job(job_id, wait=WAIT)
        return job

    async def download(self, job_id: str, output: str = "") -> Picture:
        """Return a result of a completed job; for any other that is a `ProblemError`.

        Args:
          output: which one; by default the first.
        """
        response = await self._get(f"/jobs/{quote(job_id, safe='')}/download", output=output)
        return _picture(response, output)

    async def _get(self, path: str, *, wait: int = 0, output: str = "") -> httpx2.Response:
        said: dict[str, str | int] = {"wait": wait, "output": output}
        params = {name: value for name, value in said.items() if value}

        async def attempt() -> httpx2.Response:
            return await self._http.get(path, params=params, timeout=_patient(wait))

        return await _persist(attempt, httpx2.NetworkError, httpx2.RemoteProtocolError)

    async def _submit(
        self,
        image: bytes | Path,
        parameters: Parameters,
        on_progress: Progress | None,
        headers: dict[str, str],
    ) -> httpx2.Response:
        async def attempt() -> httpx2.Response:
            async with open_upload(image, on_progress) as upload:
                length = {"Content-Length": str(upload.size)}
                request = self._http.build_request(
                    "POST",
                    "/jobs",
                    params=dict(parameters),
                    headers={"Content-Type": "application/octet-stream", **length, **headers},
                    timeout=_patient(WAIT),
                )
                request.stream = upload
                return await self._http.send(request)

        return await _persist(attempt)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()


async def _persist(
    attempt: Callable[[], Awaitable[httpx2.Response]], *harmless: type[httpx2.TransportError]
) -> httpx2.Response:
    """Try until there is a success, or no point in going on."""
    pause = FIRST_PAUSE
    for left in reversed(range(ATTEMPTS)):
        try:
            response = await attempt()
        except httpx2.TransportError as error:
            if not left or not isinstance(error, (httpx2.ConnectError, *harmless)):
                raise _failure(error) from error
            await trio.sleep(pause)
            pause *= 2
        else:
            if response.is_success:
                return response
            asked = _asked_pause(response)
            if not left or asked is None:
                raise problem(response.status_code, response.content)
            await trio.sleep(asked)
    raise AssertionError("the last attempt returns or raises")


def _failure(error: httpx2.TransportError) -> RequestFailed:
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)):
        return Unreachable(str(error) or "The connection timed out.")
    if isinstance(error, httpx2.TimeoutException):
        return NoAnswer("The service has fallen silent.")
    return NoAnswer(str(error) or "The connection broke.")


def _asked_pause(response: httpx2.Response) -> float | None:
    asked = response.headers.get("Retry-After", "")
    if response.status_code != 503 or not (asked.isascii() and asked.isdigit()):
        return None
    return float(asked) if float(asked) <= LONGEST_PAUSE else None


@dataclass(frozen=True, slots=True)
class _Accepted:
    job_id: str
    status: str


@dataclass(frozen=True, slots=True)
class _Problem:
    title: str
    code: str
    detail: str = ""


def problem(status: int, body: bytes) -> ProblemError:
    """Return what an answer of 400 and above says, also one that this service did not write."""
    try:
        said = msgspec.json.decode(body, type=_Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ProblemError(status, f"http_{status}", f"The answer was a bare {status}.")
    return ProblemError(status, said.code, said.detail or said.title)


def _decode(response: httpx2.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        reason = "This is not how Calotype answers."
        raise ProblemError(response.status_code, "not_understood", reason) from error


def _accepted(response: httpx2.Response) -> Job:
    accepted = _decode(response, _Accepted)
    return Job(accepted.job_id, accepted.status)


def _picture(response: httpx2.Response, name: str = "") -> Picture:
    content_type = response.headers.get("Content-Type", "").partition(";")[0]
    return Picture(response.content, content_type, name)


def _patient(wait: int) -> httpx2.Timeout:
    """Return timeouts under which the service may think for `wait` seconds."""
    return httpx2.Timeout(connect=CONNECT, read=SILENCE + wait, write=SILENCE, pool=None)
