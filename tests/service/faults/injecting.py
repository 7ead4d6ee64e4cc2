"""A service under which the system fails: calls to the C library fail as a test wants it.

What fails is the real call of the real process, whether Python makes it or SQLite.
"""

import ctypes
import mmap
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.web.running import Server

SOURCE = Path(__file__).with_name("injector.c")
COMPILE = ("gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror")


class Place(ctypes.Structure):
    """A kind of call, and the error with which it fails for files whose path has `path` in it."""

    _fields_ = (
        ("error", ctypes.c_int32),
        ("failed", ctypes.c_int32),
        ("path", ctypes.c_char * 504),
    )
    error: int
    failed: int
    path: bytes

    @contextmanager
    def failing(self, error: int, path: str = "") -> Iterator["Place"]:
        """Have such calls fail for the time of the block; `failed` counts how many did."""
        self.path, self.failed, self.error = path.encode(), 0, error
        try:
            yield self
        finally:
            self.error = 0


class Faults(ctypes.Structure):
    """What is wrong with the system. `injector.c` knows the same layout.

    `ahead`: the seconds by which its clock is. `thread`: a thread is started. `write`: a file is
    written, or a name made or removed. `sync`: a file or directory is flushed.
    """

    _fields_ = (
        ("ahead", ctypes.c_int64),
        ("thread", Place),
        ("write", Place),
        ("sync", Place),
    )
    ahead: int
    thread: Place
    write: Place
    sync: Place


def compile_injector(directory: Path) -> Path:
    """Return the library that is put between a process and its C library."""
    library = directory / "injector.so"
    subprocess.run([*COMPILE, "-o", library, SOURCE, "-ldl"], check=True)
    return library


class FaultyServer(Server):
    """A service whose system has `faults`."""

    def __init__(self, injector: Path, directory: Path, **settings: object) -> None:
        super().__init__(directory, **settings)
        file = os.open(directory / "faults", os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, ctypes.sizeof(Faults))
        # A buffer that is shared with the process, as it ever was and is to be.
        self.faults = Faults.from_buffer(mmap.mmap(file, 0))
        os.close(file)
        self.environment |= {
            "LD_PRELOAD": str(injector),
            "CALOTYPE_FAULTS": str(directory / "faults"),
        }

    def start_anew(self) -> None:
        """Start it as a process of its own, which is not forked: it must be under the injector."""
        with self.log.open("ab") as log:
            self.start(stdout=log)
