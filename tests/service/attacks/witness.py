"""Who looks on while the service is attacked: another client, who reads its figures as well."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from tests.web.raw import Answer, ask
from tests.web.running import Server

MIB = 1024 * 1024
PERIOD = 0.05  # seconds between two looks
SMALL_JOB = "POST /jobs?operation=thumbnail&width=%d&height=16"
# So long that what takes longer has been starved, and is not merely on a slow machine.
HEALTH_WITHIN = 5.0  # seconds
JOB_WITHIN = 15.0


def memory_of(process: psutil.Process) -> int:
    """Return the bytes that `process` and all that it has started have in memory."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def seconds_of(process: psutil.Process) -> float:
    """Return the seconds of a core that `process` and all that it has started have used."""
    total = 0.0
    for each in (process, *process.children(recursive=True)):
        try:
            spent = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    spent = process.cpu_times()
    return total + spent.children_user + spent.children_system


class Witness:
    """Another client, and what it has seen. It asks from a thread, for as long as an attack lasts.

    `jobs` are the seconds that each of its jobs took, and `health` those of each GET /health.
    """

    def __init__(self, server: Server, photo: bytes, key: str | None = None) -> None:
        self._server = server
        self._photo = photo
        self._own = (f"Authorization: Bearer {key}",) if key else ()
        self._width = 16
        self._process = psutil.Process(server.process.pid)
        self._over = threading.Event()
        self._faults: list[BaseException] = []
        self.health: list[float] = []
        self.jobs: list[float] = []
        self.before = self.peak = memory_of(self._process)
        self._spent = seconds_of(self._process)

    @property
    def spent(self) -> float:
        """The seconds of a core that the service has used since the attack began."""
        return seconds_of(self._process) - self._spent

    def look(self) -> None:
        """Look at the memory, ask how it is, and after some time have a small job done."""
        try:
            due = 0.0
            while not self._over.wait(PERIOD):
                self._measure()
                self.health.append(self._timed(self._ask_health))
                if time.monotonic() >= due:
                    self.jobs.append(self._timed(self._have_a_job_done))
                    due = time.monotonic() + 1
        except BaseException as fault:  # noqa: BLE001  (told below, in the test's own thread)
            self._faults.append(fault)

    def _measure(self) -> None:
        self.peak = max(self.peak, memory_of(self._process))

    def _timed(self, act) -> float:
        begun = time.monotonic()
        act()
        return time.monotonic() - begun

    def _ask_health(self) -> None:
        assert ask(self._server.port, "GET /health").status == 200

    def _have_a_job_done(self) -> None:
        self._width += 1  # or it would be a twin of one that is done
        line = SMALL_JOB % self._width
        answer: Answer = ask(
            self._server.port,
            line,
            "Content-Type: image/jpeg",
            "Prefer: wait=20",
            *self._own,
            body=self._photo,
        )
        assert answer.status == 200, answer
        assert json.loads(answer.body)["status"] == "completed"

    def finish(self, name: str, growth: int) -> None:
        """Say what was seen, and hold it against what is promised."""
        self._over.set()
        if self._faults:
            raise AssertionError(f"another client was not served: {self._faults[0]!r}")
        self._measure()
        self._ask_health()
        self.jobs.append(self._timed(self._have_a_job_done))
        worst, often = max(self.health), sorted(self.health)[int(len(self.health) * 0.99)]
        print(  # noqa: T201  (with -s, for whoever writes the figures down)
            f"{name}: RSS {self.before // MIB} MiB, peak +{(self.peak - self.before) // MIB}, "
            f"CPU {self.spent:.1f} s, {len(self.health)} health p99 {often * 1000:.0f} ms, "
            f"worst {worst * 1000:.0f} ms, {len(self.jobs)} jobs, worst {max(self.jobs):.2f} s"
        )
        assert self._process.is_running()
        assert self._server.process.poll() is None
        assert self.peak - self.before <= growth
        assert worst <= HEALTH_WITHIN
        assert max(self.jobs) <= JOB_WITHIN


@contextmanager
def another_client(
    server: Server, photo: bytes, name: str, *, growth: int = 64 * MIB, key: str | None = None
) -> Iterator[Witness]:
    """Have another client served during the block, and check that nobody else noticed anything.

    The process must be the same at its end, have grown by `growth` bytes at most at any time, with
    all that it has started, and have written of no crash.
    """
    pid, written = server.process.pid, server.log.stat().st_size
    # What is loaded with the first job counts for nobody.
    Witness(server, photo, key)._have_a_job_done()
    witness = Witness(server, photo, key)
    thread = threading.Thread(target=witness.look)
    thread.start()
    try:
        yield witness
        while not (witness.jobs and witness.health) and thread.is_alive():
            time.sleep(PERIOD)
    finally:
        witness._over.set()
        thread.join()
    witness.finish(name, growth)
    assert server.process.pid == pid
    with server.log.open("rb") as log:
        log.seek(written)
        assert b"Traceback" not in log.read()
