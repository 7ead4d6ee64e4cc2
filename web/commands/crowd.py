"""The clients of a load test: each sends one job after another, and all take down what happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

import msgspec
import trio

from web.calls import WAIT
from web.commands.figures import Figures
from web.commands.lean import BROKEN, Answer, LeanConnection
from web.failures import problem
from web.results import Job

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
Mode: TypeAlias = Literal["poll", "wait", "submit"]

# Seconds: for one request; between two looks at a job that did not end while we waited; after a
# connection that broke, so that a dead server is not hammered; for what is under way at the end.
REQUEST_LIMIT: Final = 30.0
POLL_PAUSE: Final = 0.05
BROKEN_PAUSE: Final = 0.1
GRACE: Final = 10.0

BYTES: Final = (b"content-type", b"application/octet-stream")
WAITING: Final = ((b"prefer", b"wait=%d" % WAIT), (b"accept", b"image/*, application/json;q=0.5"))


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send what. `path` is what comes before `/jobs`, `query` what to make of a photo.

    `key` is the key to the service, if it has keys.
    """

    host: str
    port: int
    tls: bool
    path: str
    query: str
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    """How hard to press, and for how long: until `requests` jobs were tried or `seconds` passed."""

    mode: Mode
    clients: int
    requests: int
    seconds: float


class _Accepted(msgspec.Struct):
    job_id: str


class _Failed(Exception):
    """The job came to nothing; the argument is the code to count it under."""


class _Refused(Exception):
    """The service is busy, and asks to come back after so many seconds."""

    def __init__(self, pause: float) -> None:
        self.pause = pause


class Crowd:
    """The clients. `figures` may be read at any time; they are complete when `run` returns."""

    def __init__(self, target: Target, plan: Plan, photos: Sequence[bytes]) -> None:
        self.figures = Figures()
        self.plan = plan
        self._target = target
        self._photos = cycle(photos)
        self._start = 0.0
        key = target.key
        self._credentials = [(b"authorization", f"Bearer {key}".encode())] if key else []

    async def is_calotype(self) -> bool:
        """Whether the target answers as the service does."""
        connection = self._connection()
        try:
            with trio.move_on_after(REQUEST_LIMIT):
                answer = await connection.request("GET", f"{self._target.path}/health")
                return answer.status == 200 and b'"healthy"' in answer.body
        except BROKEN:
            pass
        finally:
            await connection.aclose()
        return False

    async def run(self) -> None:
        """Press. What is still under way when the time is over has `GRACE` seconds to end.

        If cancelled, the figures hold what there was up to then.
        """
        self._start = trio.current_time()
        try:
            async with trio.open_nursery() as nursery:
                nursery.cancel_scope.deadline = self._start + self.plan.seconds + GRACE
                for _ in range(self.plan.clients):
                    nursery.start_soon(self._send_jobs)
            if nursery.cancel_scope.cancelled_caught:
                self.figures.errors["unfinished"] += self.figures.in_flight
        finally:
            self.figures.seconds = trio.current_time() - self._start

    def tick(self) -> float:
        """Bring the figures' seconds up to date, and return them."""
        self.figures.seconds = trio.current_time() - self._start
        return self.figures.seconds

    def _connection(self) -> LeanConnection:
        return LeanConnection(self._target.host, self._target.port, tls=self._target.tls)

    async def _send_jobs(self) -> None:
        figures, connection = self.figures, self._connection()
        try:
            while figures.begun < self.plan.requests and self._time_left() > 0:
                figures.begun += 1
                await self._send_job(connection)
        finally:
            await connection.aclose()

    def _time_left(self) -> float:
        return self._start + self.plan.seconds - trio.current_time()

    async def _send_job(self, connection: LeanConnection) -> None:
        """See one job to its end, and count it under what it came to."""
        pause = 0.0
        begin = trio.current_time()
        try:
            await self._job(connection)
        except _Refused as refused:
            self.figures.refused += 1
            pause = refused.pause
        except _Failed as failed:
            self.figures.errors[str(failed)] += 1
        except trio.TooSlowError:
            self.figures.errors["no_answer"] += 1
        except BROKEN:
            self.figures.errors["connection_broken"] += 1
            pause = BROKEN_PAUSE
        else:
            self.figures.jobs += 1
            self._note("job", begin)
        if pause and self._time_left() > 0:
            # The server may close what is idle for so long.
            await connection.aclose()
            await trio.sleep(min(pause, self._time_left()))

    async def _job(self, connection: LeanConnection) -> None:
        post = f"{self._target.path}/jobs?{self._target.query}"
        photo = next(self._photos)
        if self.plan.mode == "wait":
            answer = await self._ask(connection, "submit", "POST", post, (BYTES, *WAITING), photo)
            if not answer.header(b"content-type").startswith(b"image/"):
                raise _Failed(_why_no_image(answer))
            return
        answer = await self._ask(connection, "submit", "POST", post, (BYTES,), photo)
        if self.plan.mode == "poll":
            accepted = _decode(answer, _Accepted)
            address = f"{self._target.path}/jobs/{accepted.job_id}"
            job = await self._look(connection, address)
            while not job.ended:
                await trio.sleep(POLL_PAUSE)
                job = await self._look(connection, address)
            if job.status != "completed":
                raise _Failed(job.error_code or f"job_{job.status}")
            await self._ask(connection, "download", "GET", f"{address}/download")

    async def _look(self, connection: LeanConnection, address: str) -> Job:
        return _decode(await self._ask(connection, "wait", "GET", f"{address}?wait={WAIT}"), Job)

    async def _ask(
        self,
        connection: LeanConnection,
        step: str,
        method: str,
        path: str,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes | None = None,
    ) -> Answer:
        figures = self.figures
        begin = trio.current_time()
        with trio.fail_after(REQUEST_LIMIT + WAIT):
            answer = await connection.request(method, path, [*self._credentials, *headers], body)
        figures.requests += 1
        figures.bytes_sent += len(body or b"")
        figures.bytes_received += len(answer.body)
        if answer.status >= 300:
            pause = answer.header(b"retry-after")
            if answer.status == 503 and pause.isdigit():
                raise _Refused(float(pause))
            raise _Failed(problem(answer.status, answer.body).code)
        self._note(step, begin)
        return answer

    def _note(self, step: str, begin: float) -> None:
        now = trio.current_time()
        self.figures.steps[step].add(now - self._start, now - begin)


def _why_no_image(answer: Answer) -> str:
    if answer.status == 202:
        return "not_in_time"
    job = _decode(answer, Job)
    return job.error_code or f"job_{job.status}"


def _decode(answer: Answer, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _Failed("not_understood") from None
