"""Tries a parser on one input after the other, within bounds on time and memory."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.chance import mutations
from tests.fuzz.targets import Target

CORPUS = Path(__file__).with_name("corpus")
MOST_SECONDS = 2.0  # of the processor, for one input; none should take a hundredth of it
MOST_MEMORY = 256 * 2**20  # bytes more than there are in the beginning


class TookTooLong(BaseException):
    """Not an Exception, so that no parser takes it for one of its own."""


class Finding(NamedTuple):
    """What was raised, and by which input."""

    target: str
    data: bytes
    error: BaseException

    def keep(self, corpus: Path = CORPUS) -> Path:
        """Keep the input, so that it is tried in every run of the tests from now on."""
        path = corpus / self.target / sha256(self.data).hexdigest()[:16]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.data)
        return path


def inputs(target: Target, seed: int) -> Iterator[bytes]:
    """Yield what chance makes of the good input, a bit of each in turn, for ever."""
    streams = [mutations(each, seed + n, target.words) for n, each in enumerate(target.seeds)]
    for stream in cycle(streams):
        yield next(stream)


def attempt(name: str, target: Target, data: bytes) -> Finding | bool:
    """Try one input; return what was found, or else whether the input was taken."""
    try:
        with _bounded_time():
            return target.read(data)
    # Whatever a target lets through is what we look for.
    except (Exception, TookTooLong) as error:  # noqa: BLE001
        return Finding(name, data, error)


def bound_memory() -> None:
    """Have more memory than a parser can need refused to this process, for good."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


@contextmanager
def _bounded_time() -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise TookTooLong(f"It takes more than {MOST_SECONDS} s.")

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
