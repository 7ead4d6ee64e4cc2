"""Group commit: one transaction and one fsync for all the changes that have gathered.

While a batch is being made durable, the next one gathers; so under load one fsync pays for many
changes, and with one change waiting it is as quick as without (DeWitt et al., SIGMOD 1984).
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import structlog
import trio

from actors import tracing
from actors.storage.ports import StorageError
from actors.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from actors.storage.ports import Catalogue

T = TypeVar("T")

log = structlog.get_logger("calotype.store")


class _Change:
    """One call to the catalogue, and what came of it."""

    __slots__ = ("call", "done", "result")

    def __init__(self, call: Callable[[Catalogue], object]) -> None:
        self.call = call
        self.done = trio.Event()
        self.result: object = None


class GroupCommit:
    """The only way to the catalogue. `run` owns it; `commit` hands it a call.

    At most `max_batch` calls go into one transaction, and as many wait for the next.
    """

    def __init__(self, max_batch: int) -> None:
        self._max_batch = max_batch
        self._send, self._receive = trio.open_memory_channel[_Change](max_batch)
        self._thread = trio.CapacityLimiter(1)
        self._failure: str | None = None

    async def commit(self, call: Callable[[Catalogue], T]) -> T:
        """Run `call` in the next transaction, and return its value once that is durable.

        If it is cancelled, whether the call has run is unknown.

        Raises:
          StorageError: what `call` raised, or why the whole transaction was lost.
        """
        change = _Change(call)
        with tracing.span("catalogue commit"):
            await self._send.send(change)
            await change.done.wait()
        if isinstance(change.result, StorageError):
            # One of our own: that one holds the frames of its thread, which hold it, and it would
            # hold ours, and with them all that the asker has.
            raise type(change.result)(*change.result.args)
        return cast("T", change.result)

    def nudge(self) -> None:
        """Have a transaction soon even if nothing changes, for the sake of `last_call`."""
        # When it is full one is coming anyway, and when it is closed none will come any more.
        with suppress(trio.WouldBlock, trio.ClosedResourceError):
            self._send.send_nowait(_Change(_nothing))

    async def run(
        self,
        catalogue: Catalogue,
        last_call: Callable[[], Callable[[Catalogue], T]],
        committed: Callable[[T], None],
        lost: Callable[[StorageError], None],
    ) -> None:
        """Commit what gathers, until `close` and nothing is left.

        Each transaction ends with the call that `last_call` makes for it. Once it is durable,
        `committed` gets that call's value, before anybody else gets theirs; if the transaction is
        lost, `lost` hears why.
        """
        async for first in self._receive:
            batch = self._gather(first)
            del first
            calls = [*(change.call for change in batch), last_call()]
            try:
                *results, last = await in_thread(partial(catalogue.batch, calls), self._thread)
            except StorageError as error:
                results = [error for _ in batch]
                self._note(str(error))
                lost(error)
            else:
                self._note(None)
                committed(cast("T", last))
            self._conclude(batch, results)
            # The next may be long in coming, and calls and errors hold what their askers have.
            del batch, calls, results

    def _note(self, failure: str | None) -> None:
        """Tell the operator when transactions begin to fail, why, and when they end to."""
        if failure == self._failure:
            return
        if failure:
            log.error("catalogue_failing", why=failure)
        else:
            log.warning("catalogue_recovered", from_what=self._failure)
        self._failure = failure

    @staticmethod
    def _conclude(batch: list[_Change], results: list[object]) -> None:
        for change, result in zip(batch, results, strict=True):
            change.result = result
            change.done.set()

    def _gather(self, first: _Change) -> list[_Change]:
        batch = [first]
        while len(batch) < self._max_batch:
            try:
                batch.append(self._receive.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        return batch

    def close(self) -> None:
        """Accept nothing more; `run` returns when all is committed."""
        self._send.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _nothing(_: Catalogue) -> None:
    pass
