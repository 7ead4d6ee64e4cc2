"""A client of the service that knows nothing of our code but the HTTP contract."""

import base64
import fcntl
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import httpx2
import trio

from tests.web.running import Forked, Server

T = TypeVar("T")
Form: TypeAlias = Literal["json", "multipart", "bare"]
Parsed: TypeAlias = dict[str, Any]

FORMS: tuple[Form, ...] = ("json", "multipart", "bare")
# So long that a test which waits for it has found a fault, not a slow machine.
PATIENCE = 60
ENDED = {"completed", "failed", "cancelled"}


async def until(condition: Callable[[], Awaitable[T | None]]) -> T:
    """Return the first value of `condition` that counts as true."""
    with trio.fail_after(PATIENCE):
        while not (value := await condition()):  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.01)
    return value


async def until_true(condition: Callable[[], bool]) -> None:
    """Wait until `condition` is true."""
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it happens in another process
            await trio.sleep(0.01)


def files_in(*directories: Path) -> list[Path]:
    """All files below these directories, but the mark that the service leaves for itself."""
    paths = (path for directory in directories for path in directory.rglob("*"))
    return [path for path in paths if not path.is_dir() and path.name != ".calotype"]


async def end_of(process: subprocess.Popen[bytes] | Forked) -> int:
    """Return the exit code of `process`, as soon as it has ended."""
    return await trio.to_thread.run_sync(process.wait, PATIENCE)


class _Body(httpx2.AsyncByteStream):
    """A body in one piece. httpx2's own leave a generator behind when the connection breaks."""

    def __init__(self, data: bytes) -> None:
        self._pieces = [data]

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


class Api:
    """The HTTP API of one server."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def send(
        self,
        picture: bytes,
        *,
        form: Form = "bare",
        headers: dict[str, str] | None = None,
        media_type: str = "application/octet-stream",
        **recipe: object,
    ) -> httpx2.Response:
        """Submit `picture`, by default for a small thumbnail, and return the answer."""
        if not recipe.keys() & {"operations", "outputs", "preset"}:
            recipe = {"operation": "thumbnail", "width": 64, "height": 64} | recipe
        words = {name: str(value) for name, value in recipe.items()}
        match form:
            case "json":
                json = {"image_data": base64.b64encode(picture).decode(), **recipe}
                request = self.http.build_request("POST", "/jobs", json=json)
            case "multipart":
                files = {"image": ("picture", picture, media_type)}
                request = self.http.build_request("POST", "/jobs", data=words, files=files)
            case _:
                told = {"Content-Type": media_type}
                request = self.http.build_request(
                    "POST", "/jobs", params=words, content=picture, headers=told
                )
        request.headers.update(headers or {})
        request.stream = _Body(await request.aread())
        return await self.http.send(request)

    async def submit(self, picture: bytes, **how: Any) -> str:
        """Submit a job as `send` does, and return its id."""
        response = await self.send(picture, **how)
        assert response.status_code == 202, response.text
        return str(response.json()["job_id"])

    async def job(self, job_id: str, wait: float = 0) -> Parsed:
        """Return the job."""
        response = await self.http.get(f"/jobs/{job_id}", params={"wait": wait} if wait else None)
        assert response.status_code == 200, response.text
        job: Parsed = response.json()
        return job

    async def ended(self, job_id: str) -> Parsed:
        """Return the job when it has ended."""

        async def ended() -> Parsed | None:
            job = await self.job(job_id, wait=10)
            return job if job["status"] in ENDED else None

        return await until(ended)

    async def all_ended(self, job_ids: list[str]) -> list[Parsed]:
        """Return the jobs when all have ended."""
        return [await self.ended(job_id) for job_id in job_ids]

    async def until_status(self, job_id: str, status: str) -> None:
        """Wait until the job has this status."""

        async def has_it() -> bool:
            job = await self.job(job_id)
            return bool(job["status"] == status)

        await until(has_it)

    async def download(self, job_id: str, output: str | None = None) -> httpx2.Response:
        """Return the answer with the result, or with the one of this name."""
        query = {"output": output} if output else None
        return await self.http.get(f"/jobs/{job_id}/download", params=query)

    async def upload(self, picture: bytes) -> str:
        """Upload an image, and return its id."""
        told = {"Content-Type": "application/octet-stream"}
        response = await self.http.post("/images", content=picture, headers=told)
        assert response.status_code == 201, response.text
        return str(response.json()["image_id"])

    async def submit_json(self, **said: object) -> str:
        """Submit a job that is said in JSON, and return its id."""
        response = await self.http.post("/jobs", json=said)
        assert response.status_code == 202, response.text
        return str(response.json()["job_id"])

    async def post(self, path: str) -> httpx2.Response:
        """Return the answer to a POST of nothing."""
        return await self.http.post(path)

    async def stats(self) -> "Stats":
        """Return what the service says of itself."""
        response = await self.http.get("/stats")
        assert response.status_code == 200, response.text
        return Stats(response.json())

    async def until_stats(self, condition: "Callable[[Stats], bool]") -> "Stats":
        """Return the first stats for which `condition` is true."""

        async def fitting() -> Stats | None:
            stats = await self.stats()
            return stats if condition(stats) else None

        return await until(fitting)

    async def jobs(self) -> list[Parsed]:
        """Return all jobs there are, newest first."""
        jobs: list[Parsed] = []
        cursor = None
        while True:
            query = {"limit": "100"} | ({"cursor": cursor} if cursor else {})
            page = (await self.http.get("/jobs", params=query)).json()
            jobs += page["jobs"]
            cursor = page["next"]
            if cursor is None:
                return jobs


class Stats:
    """The answer of /stats."""

    def __init__(self, said: Parsed) -> None:
        self.pool: dict[str, int] = said["pool"]
        self.bodies: dict[str, int] = said["bodies"]
        self.connections: int = said["connections"]["open"]
        self.cpu: dict[str, int] = said["limiters"]["cpu"]
        self.queue = {status: sum(counts.values()) for status, counts in said["queue"].items()}
        self.handled: dict[str, int] = {each["name"]: each["handled"] for each in said["actors"]}


@asynccontextmanager
async def open_api(server: Server, key: str | None = None) -> AsyncIterator[Api]:
    """Open a client of `server` that may have many connections."""
    async with httpx2.AsyncClient(
        base_url=server.url,
        headers={"Authorization": f"Bearer {key}"} if key else None,
        timeout=PATIENCE,
        limits=httpx2.Limits(max_connections=None),
        trust_env=False,
    ) as http:
        yield Api(http)


class Gate:
    """A job that stays `processing` for as long as the gate is closed, through deaths and starts.

    This process has a lease on the picture, and a Worker that opens it waits until that is given
    back: so the bytes are those that were sent, and the end is the one they have. The system
    takes it back by itself after /proc/sys/fs/lease-break-time, of 45 seconds.
    """

    def __init__(self, job_id: str, descriptor: int) -> None:
        self.job_id = job_id
        self._descriptor = descriptor

    def open(self) -> None:
        """Let the job go on. There is no gate any more."""
        # A process that was forked meanwhile may have the file too, and closing would not do.
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(self._descriptor)


async def close_gate(api: Api, picture: bytes | None = None) -> Gate:
    """Keep one Worker busy until the gate is opened.

    It is at the first attempt of a job with `picture`, for which the queue is paused for a
    moment. Without one it is at the second of a job that fails.
    """
    # Nothing else will ever be a twin of it, and wait for it.
    unique = uuid.uuid4().bytes
    if picture is None:
        job_id = await api.submit(b"no picture, but " + unique)
        await api.ended(job_id)
        begin = f"/jobs/{job_id}/retry"
    else:
        assert (await api.post("/queue/pause")).status_code == 200
        job_id = await api.submit(picture + unique)
        begin = "/queue/resume"
    descriptor = await _lease((await api.job(job_id))["input_path"])
    assert (await api.post(begin)).is_success
    await api.until_status(job_id, "processing")
    return Gate(job_id, descriptor)


async def _lease(path: str) -> int:
    """Let nobody else open the file at `path`, and return ours."""
    descriptor = os.open(path, os.O_RDWR)
    # What tells us that somebody waits for it would end us by default. This does nothing.
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)

    def leased() -> bool:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:  # Somebody has not closed it yet.
            return False
        return True

    await until_true(leased)
    return descriptor


def put(data: bytes, path: str) -> None:
    """Let the file at `path` hold `data`."""
    Path(path).write_bytes(data)
