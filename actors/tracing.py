"""Traces: what a request, and the job that comes of it, waited for and did.

Off, as it is unless the edge switches it on with `traced_by`, everything here does nothing, and
makes no object.

A span is one thing that took time. A request, an attempt at a job and an attempt to deliver a
webhook begin a trace or go on with one; any other span is made only within such a one. So what the
service does of its own accord, such as a sweep, is in no trace.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from actors.storage.outbox import Delivery
    from actors.storage.ports import Job


class Span(Protocol):
    """One thing that takes time: the block in which it is entered. It must not be entered twice.

    `recorded` is whether anybody will see it.
    """

    recorded: bool

    def name(self, name: str) -> None:
        """Call it so from now on."""

    def note(self, name: str, value: str | float) -> None:
        """Say something more of it. No secrets, no addresses that clients have named."""

    def fail(self, kind: str) -> None:
        """Say that it went wrong, and in what way; an exception that leaves the block does so."""

    def __enter__(self) -> Self:
        """Begin: spans that are made from here on are within this one."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End."""


class Place(Protocol):
    """Where in a trace somebody was, so that somebody else can go on there in another task."""

    def enter(self) -> Callable[[], None]:
        """Be there, until what is returned is called in the same task."""


class Tracer(Protocol):
    """What makes spans; see the functions of the same names."""

    def span(self, name: str) -> Span:
        """See `span`."""

    def ask(self, actor: str, message: object) -> Span:
        """See `ask`."""

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> Span:
        """See `request`."""

    def submission(self) -> Span:
        """See `submission`."""

    def attempt(self, job: Job) -> Span:
        """See `attempt`."""

    def delivery(self, delivery: Delivery) -> Span:
        """See `delivery`."""

    def failed(self, kind: str) -> None:
        """See `failed`."""

    def place(self) -> Place | None:
        """See `place`."""

    def carried(self) -> str | None:
        """See `carried`."""

    def ids(self) -> Mapping[str, str]:
        """See `ids`."""


class _NoSpan:
    """A span that nobody will see."""

    recorded = False

    def name(self, name: str) -> None:
        pass

    def note(self, name: str, value: str | float) -> None:
        pass

    def fail(self, kind: str) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


NO_SPAN = _NoSpan()
_NO_IDS: Mapping[str, str] = {}


_tracer: Tracer | None = None


@contextmanager
def traced_by(tracer: Tracer) -> Iterator[None]:
    """Have `tracer` make the spans of this process for the time of the block."""
    global _tracer  # noqa: PLW0603  (as there is one log and one set of metrics in a process)
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before


def span(name: str) -> Span:
    """Return a span of this name within the present one; if there is none, nobody sees it."""
    return _tracer.span(name) if _tracer else NO_SPAN


def ask(actor: str, message: object) -> Span:
    """Return the span of an ask: from before there is room for `message` until its answer."""
    return _tracer.ask(actor, message) if _tracer else NO_SPAN


def request(headers: Iterable[tuple[bytes, bytes]]) -> Span:
    """Return the span of a request that came with these headers, in the trace that they name."""
    return _tracer.request(headers) if _tracer else NO_SPAN


def submission() -> Span:
    """Return the span of putting a job into the queue; `carried` within it is for its record."""
    return _tracer.submission() if _tracer else NO_SPAN


def attempt(job: Job) -> Span:
    """Return the span of an attempt at `job`, in the trace in which it was submitted.

    The first one makes a span of the wait in the queue as well.
    """
    return _tracer.attempt(job) if _tracer else NO_SPAN


def delivery(delivery: Delivery) -> Span:
    """Return the span of an attempt to send this, in the trace in which its job was submitted.

    It stands beside those of the attempts at the job, and may be much later.
    """
    return _tracer.delivery(delivery) if _tracer else NO_SPAN


def failed(kind: str) -> None:
    """Say of the present span that it went wrong, and in what way."""
    if _tracer:
        _tracer.failed(kind)


def place() -> Place | None:
    """Return where we are; None if that is in no trace."""
    return _tracer.place() if _tracer else None


def carried() -> str | None:
    """Return where we are as text that outlives the process; None if that is in no trace."""
    return _tracer.carried() if _tracer else None


def ids() -> Mapping[str, str]:
    """Return what a line in the log says of where we are."""
    return _tracer.ids() if _tracer else _NO_IDS
