"""The real service as a process of its own."""

import atexit
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection, HTTPException
from multiprocessing import Pipe
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).parent.parent.parent
COMMAND = (sys.executable, "-c", "from web.cli import main; main()")
# The service needs no numpy, but sqlite-utils imports it where it is; and it has threads.
TEMPLATE = (
    sys.executable,
    "-c",
    "import sys; sys.modules['numpy'] = None; from tests.web.template import main; main()",
)
PATIENCE = 30


def free_port() -> int:
    """Return a port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**settings: object) -> dict[str, str]:
    """Return an environment with these settings, and none of the developer's own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": str(ROOT)} | {name: str(each) for name, each in settings.items()}


class Service(NamedTuple):
    """A service to be forked: its directory, its environment, and where what it writes goes."""

    directory: Path
    environment: dict[str, str]
    log: Path


class Template:
    """The process of which services are forked, until this one ends. See `tests.web.template`."""

    def __init__(self, command: Sequence[str] = TEMPLATE) -> None:
        self._channel, theirs = Pipe()
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [*command, str(theirs.fileno())],
            env=environment(),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        atexit.register(self._end)

    def ask(self, request: object) -> int | None:
        """Ask what `fork_services` answers."""
        with self._lock:
            self._channel.send(request)
            answer: int | None = self._channel.recv()
            return answer

    def _end(self) -> None:
        self._channel.close()
        self._process.wait(PATIENCE)


@cache
def template() -> Template:
    """The template of this process."""
    return Template()


class Forked:
    """A process that was forked of the template; it is used as one that `subprocess` started."""

    def __init__(self, service: Service, of: Template | None = None) -> None:
        self._template = of or template()
        pid = self._template.ask(service)
        assert pid
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, if it has ended."""
        if self._code is None:
            self._code = self._template.ask(self.pid)
        return self._code

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return its exit code when it has ended. Raises TimeoutExpired if that takes longer."""
        deadline = time.monotonic() + seconds
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("serve", seconds)
            time.sleep(0.005)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.send_signal(signal.SIGKILL)


class Server:
    """A service that keeps all it has in `dir`. It can be started, ended and started again.

    `log` is the file with what it writes, of all its lives.
    """

    process: subprocess.Popen[bytes] | Forked

    def __init__(self, directory: Path, **settings: object) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.dir = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "server.log"
        places = {
            "PORT": self.port,
            "DB_PATH": directory / "data" / "jobs.db",
            "UPLOAD_DIR": directory / "uploads",
            "OUTPUT_DIR": directory / "outputs",
        }
        self.environment = environment(**places, **settings)

    def start(self, stdout: IO[bytes] | None = None) -> None:
        """Start the process, and wait until it is ready.

        With a `stdout` instead of the log it is not forked, but begins from nothing.
        """
        if stdout is None:
            self.process = Forked(Service(self.dir, self.environment, self.log))
        else:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    [*COMMAND, "serve"],
                    cwd=self.dir,
                    env=self.environment,
                    stdout=stdout,
                    stderr=log,
                )
        deadline = time.monotonic() + PATIENCE
        while not self.is_ready():
            assert self.process.poll() is None, f"it did not start:\n{self.log.read_text()}"
            assert time.monotonic() < deadline, f"it is not ready yet:\n{self.log.read_text()}"
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Whether it says so."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """End it as a process manager does, and see that it goes well."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert code == 0, f"it ended with {code}:\n{self.log.read_text()}"

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()


@contextmanager
def start_server(directory: Path, **settings: object) -> Iterator[Server]:
    """Run a service with these settings in its environment, and stop it in the end.

    It must then end well, unless the test has ended it already, or has failed.
    """
    server = Server(directory, **settings)
    try:
        server.start()
        yield server
        if server.process.poll() is None:
            server.stop()
    finally:
        server.kill()
