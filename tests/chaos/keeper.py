"""A process manager: starts the service again whenever it has ended."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import trio

from tests.chaos.history import Death, History
from tests.web.running import Forked, Server, Service, Template

LAUNCHER = (
    sys.executable,
    "-c",
    "import sys; sys.modules['numpy'] = None; from tests.chaos.launcher import main; main()",
)
LOOK_EVERY = 0.02
# After an end before it was ready, as process managers do.
PAUSE = 0.2


class Keeper:
    """Keeps a service running until it is told to stop.

    `is_up` is set while the service is ready. Who ends it says so first, with `expect`.
    """

    def __init__(self, server: Server, log: Path, history: History) -> None:
        self.server = server
        self.is_up = trio.Event()
        self.has_begun = trio.Event()
        self.children: dict[int, psutil.Process] = {}
        self._history = history
        self._template = Template(LAUNCHER)
        # A pipe, since it must not fail where files cannot grow.
        self._pipe, self._log = log.with_suffix(".pipe"), log
        self._service = Service(server.dir, server.environment, self._pipe)
        self._process: Forked | None = None
        self._why = ""
        self._ended_at: float | None = None
        self._keeps = True

    @property
    def pid(self) -> int:
        """The process of this moment."""
        assert self._process
        return self._process.pid

    async def run(self) -> None:
        """Start it, and start it again after each end."""
        async with httpx2.AsyncClient(
            base_url=self.server.url, timeout=5, trust_env=False
        ) as client:
            while self._keeps:
                begun = time.time()
                self._process = Forked(self._service, self._template)
                self.has_begun.set()
                was_ready = await self._until_ready(client, self._process)
                await self._until_ended(self._process)
                self.has_begun = trio.Event()
                if self.is_up.is_set():  # Else somebody may be waiting for it.
                    self.is_up = trio.Event()
                code = self._process.poll()
                assert code is not None
                now = time.time()
                self._history.deaths.append(Death(begun, now, code, self._why, was_ready))
                self._ended_at = self._ended_at or now
                self._why = ""
                if not was_ready:
                    await trio.sleep(PAUSE)

    async def write_log(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Write down what the service says, of all its lives."""
        os.mkfifo(self._pipe)
        # Open for writing as well, so that no death of the service is its end.
        descriptor = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        with self._log.open("ab", buffering=0) as log:
            async with trio.lowlevel.FdStream(descriptor) as pipe:
                task_status.started()
                async for said in pipe:
                    log.write(said)

    async def _until_ready(self, client: httpx2.AsyncClient, process: Forked) -> bool:
        while process.poll() is None:
            try:
                answer = await client.get("/health/ready")
            except httpx2.TransportError:
                await trio.sleep(LOOK_EVERY)
                continue
            if answer.status_code == 200:
                if self._ended_at is not None:
                    self._history.recoveries.append(time.time() - self._ended_at)
                    self._ended_at = None
                self.is_up.set()
                return True
        return False

    async def _until_ended(self, process: Forked) -> None:
        while process.poll() is None:
            self.look_for_children()
            await trio.sleep(LOOK_EVERY)

    def look_for_children(self) -> list[psutil.Process]:
        """Return the processes that the service has started, and remember them."""
        try:
            found = psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.children |= {each.pid: each for each in found}
        return found

    def send(self, number: int, why: str = "") -> None:
        """Send a signal to the service; `why` if it is one to end it."""
        assert self._process
        if why:
            self._why = why
            self._ended_at = time.time() if number == signal.SIGKILL else None
        self._process.send_signal(number)

    async def end(self, number: int, why: str) -> None:
        """End it by this signal, and wait until it has ended and that is noted."""
        deaths = len(self._history.deaths)
        self.send(number, why)
        while len(self._history.deaths) == deaths:  # noqa: ASYNC110 - it is another process
            await trio.sleep(LOOK_EVERY / 2)

    async def stop(self) -> None:
        """End it well, and keep it no more."""
        self._keeps = False
        await self.end(signal.SIGTERM, "the end")

    def strays(self) -> Iterator[int]:
        """Yield the processes that the service once started and that are still there."""
        for each in self.children.values():
            try:
                if each.is_running() and each.status() != psutil.STATUS_ZOMBIE:
                    yield each.pid
            except psutil.NoSuchProcess:
                continue

    def kill(self) -> None:
        """End all that is left."""
        self._keeps = False
        if self._process and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
