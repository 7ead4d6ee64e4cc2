"""The real service, as a process of its own, in a directory of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 30.0  # seconds
STOP = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    url: str
    pid: int
    directory: Path


@contextmanager
def service(directory: Path | None = None, **settings: str) -> Iterator[Service]:
    """Run the service for the time of the block, in `directory` or in a new one."""
    with tempfile.TemporaryDirectory(prefix="calotype-bench-", dir=".") as fresh:
        place = directory or Path(fresh)
        command = Path(sys.executable).with_name("calotype")
        with (place / "log").open("w") as log:
            process = subprocess.Popen(
                [command.absolute(), "serve"],
                cwd=place,
                env={**os.environ, "PORT": "0", **settings},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        try:
            found = process.stdout and re.search(r"http://\S+", process.stdout.readline())
            if not found:
                raise SystemExit((place / "log").read_text())
            yield Service(found[0], process.pid, place)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP)
