"""The whole mechanism of the actors: a request, its envelope, an address and a mailbox.

An actor is a task that iterates over its `Mailbox`.
Whoever holds an `Address` of that mailbox can `ask` it, and waits for the answer; or `forward`
an envelope it has received itself, and with it the duty to answer.

Every ask ends: with an answer, with an error the asker can name, or with the asker's own deadline.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

import outcome
import trio

from actors import tracing
from actors.errors import ActorStopped, HandlerCrashed, MailboxFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

R = TypeVar("R")


def _nothing() -> None:
    pass


class Request(Generic[R]):
    """A message that wants an answer of type R: `await address.ask(request)` is an R."""

    __slots__ = ()


class Envelope:
    """A request on its way, and the right to answer it once.

    Whoever holds the envelope owes the answer.
    Held in a `with`, it cannot be forgotten: leaving by an exception answers `HandlerCrashed`,
    leaving without an answer reads as `ActorStopped` to the asker, unless it was forwarded.
    What is done in that `with` is done in the trace of the asker.
    """

    __slots__ = ("_answered", "_concluded", "_leave", "_place", "_reply", "_scopes", "message")

    def __init__(
        self,
        message: Request[Any],
        reply: trio.MemorySendChannel[Any],
        concluded: Callable[[], None],
        scopes: set[trio.CancelScope],
        place: tracing.Place | None,
        answered: Callable[[], None] = _nothing,
    ) -> None:
        self.message = message
        self._reply = reply
        self._concluded = concluded
        self._scopes = scopes
        self._place = place
        self._answered = answered
        self._leave = _nothing

    @property
    def abandoned(self) -> bool:
        """Whether the asker has stopped waiting. Safe to read from any thread."""
        return self._reply.statistics().open_receive_channels == 0

    @contextmanager
    def while_wanted(self) -> Iterator[None]:
        """Cancel the block as soon as the asker has stopped waiting, or has been answered."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if self.abandoned:
                    scope.cancel()
                yield
            finally:
                self._scopes.remove(scope)

    async def take_place(self, places: trio.Semaphore) -> None:
        """Wait for one of `places`; who is cancelled meanwhile leaves no asker waiting."""
        with ExitStack() as held:
            held.push(self)
            await places.acquire()
            held.pop_all()

    def answer(self, value: object) -> bool:
        """Answer with `value`; never waits. Return False if nobody heard it."""
        self._answered()
        return self._conclude(outcome.Value(value))

    def fail(self, error: Exception) -> bool:
        """Answer by raising `error` in the asker; never waits. Return as `answer` does."""
        return self._conclude(outcome.Error(error))

    def _conclude(self, result: outcome.Outcome[Any]) -> bool:
        try:
            self._reply.send_nowait(result)
        except (trio.BrokenResourceError, trio.WouldBlock):
            return False
        finally:
            self._close()
        return True

    def _close(self) -> None:
        were_open = self._reply.statistics().open_send_channels
        self._reply.close()
        if were_open and not self._reply.statistics().open_send_channels:
            self._concluded()

    def _pass_on(self, answered: Callable[[], None]) -> Envelope:
        return Envelope(
            *(self.message, self._reply.clone(), self._concluded, self._scopes, self._place),
            answered=answered,
        )

    def __enter__(self) -> Self:
        if self._place is not None:
            self._leave = self._place.enter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        leave, self._leave = self._leave, _nothing
        leave()
        if isinstance(error, Exception):
            # Closed already if it was answered before the bug struck.
            with suppress(trio.ClosedResourceError):
                self.fail(HandlerCrashed(type(self.message).__name__))
        self._close()


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """How full a mailbox is: `waiting` of `capacity` messages, and `blocked` askers outside."""

    waiting: int
    capacity: int
    blocked: int


class Address:
    """A sending end of a mailbox. When the last one closes, the mailbox ends."""

    __slots__ = ("_send", "name")

    def __init__(self, name: str, send: trio.MemorySendChannel[Envelope]) -> None:
        self.name = name
        self._send = send

    async def ask(self, request: Request[R], concluded: Callable[[], None] = _nothing) -> R:
        """Send `request` and return the answer, waiting for room and then for the answer.

        Cancelling it abandons the envelope: an actor that has not begun the work skips it, but
        whether it had begun is unknown. So `concluded` is called, once and before the return if
        there is an answer, as soon as nobody has the request in hand any more: it must not wait.

        Raises:
          ActorStopped, HandlerCrashed: as `actors.errors` says.
          Exception: whatever the message's contract names.
        """
        with tracing.ask(self.name, request):
            return await self._ask(request, concluded)

    async def _ask(self, request: Request[R], concluded: Callable[[], None]) -> R:
        reply, answer = trio.open_memory_channel[outcome.Outcome[R]](1)
        with answer, _cancelled_at_the_end() as scopes:
            envelope = Envelope(request, reply, concluded, scopes, tracing.place())
            try:
                await self._send.send(envelope)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                envelope._close()
                raise ActorStopped(self.name) from None
            except trio.Cancelled:
                envelope._close()
                raise
            try:
                result = await answer.receive()
            except trio.EndOfChannel:
                raise ActorStopped(self.name) from None
            except trio.Cancelled:  # noqa: ASYNC103 (the ask has ended, as any that came too late)
                # An answer that came in this very moment was reported as heard, so hear it:
                # it may be a claimed job.
                if not answer.statistics().current_buffer_used:
                    raise
                result = answer.receive_nowait()
        try:
            return result.unwrap()
        finally:
            # An error holds this frame, which would hold it, and with it the request.
            del result

    def forward(self, envelope: Envelope, answered: Callable[[], None] = _nothing) -> None:
        """Pass `envelope` on, and with it the duty to answer. Never waits.

        `answered` is called when the actor answers it, and not when it fails it, whether or not
        the asker still waits: it must not wait.

        Raises:
          MailboxFull: if there is no room; the envelope is still yours.
          ActorStopped: if the actor is gone; the envelope is still yours.
        """
        passed_on = envelope._pass_on(answered)
        try:
            self._send.send_nowait(passed_on)
        except trio.WouldBlock:
            passed_on._close()
            raise MailboxFull(self.name) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            passed_on._close()
            raise ActorStopped(self.name) from None

    def clone(self) -> Address:
        """Return another sending end, to be closed on its own."""
        return Address(self.name, self._send.clone())

    def close(self) -> None:
        """Close this sending end; closing twice is once."""
        self._send.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Mailbox:
    """The receiving end. It outlives its actor: a restarted one goes on with the next message."""

    __slots__ = ("_receive",)

    def __init__(self, receive: trio.MemoryReceiveChannel[Envelope]) -> None:
        self._receive = receive

    def __aiter__(self) -> Self:
        """Yield envelopes as they come, until every address is closed and all mail is read."""
        # No generator: a crash would leave it half read to the garbage collector.
        return self

    async def __anext__(self) -> Envelope:
        return await self._receive.__anext__()

    def statistics(self) -> MailboxStatistics:
        """Return how full the mailbox is now."""
        now = self._receive.statistics()
        return MailboxStatistics(
            now.current_buffer_used, int(now.max_buffer_size), now.tasks_waiting_send
        )

    def close(self) -> None:
        """Close the mailbox, and release every asker still queued with `ActorStopped`."""
        # Trio drops what is buffered when the last receiver closes, and a dropped envelope
        # would leave its asker waiting for ever. So empty it first.
        while True:
            try:
                envelope = self._receive.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel, trio.ClosedResourceError):
                break
            with envelope:
                pass
        self._receive.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _cancelled_at_the_end() -> Iterator[set[trio.CancelScope]]:
    """Yield an empty set; cancel what is in it when the block ends."""
    scopes: set[trio.CancelScope] = set()
    try:
        yield scopes
    finally:
        for scope in scopes:
            scope.cancel()


def open_mailbox(name: str, capacity: int) -> tuple[Address, Mailbox]:
    """Return both ends of a new mailbox that holds at most `capacity` messages."""
    send, receive = trio.open_memory_channel[Envelope](capacity)
    return Address(name, send), Mailbox(receive)
