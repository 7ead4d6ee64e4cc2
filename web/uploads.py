"""Request bodies: taken in under a memory budget, a size limit and a floor for their speed.

A body is kept in memory as long as the budget allows; what does not fit waits in a file that has
no name. So clients that hold their uploads back cost disk, and stop nobody else.
"""

from __future__ import annotations

import errno
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, cast

import trio
from quart import request

from actors.storage.ports import StorageError, StorageFull, StorageUnavailable
from actors.threads import in_thread
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypercorn.typing import ASGIReceiveCallable

# Each piece costs some 40 microseconds, so a body must not come in nothing but crumbs.
MANY_PIECES = 4096
LEAST_PIECE = 64  # bytes of a piece on average, once there are many
SMALL = 4096  # bytes; smaller pieces are put together, since each costs some 40 more than it has
WRITERS = 4  # threads, so that a flood of bodies does not take the threads of others


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """The bounds of a body, and of all bodies together.

    `max_size`: bytes of one body. `memory`: bytes of all bodies in memory.
    `spilled`: bodies that are taken back from the disk at once. `spool`: where they wait till then.
    `min_rate`: bytes a second that a body must bring, measured over `period` seconds.
    `patience`: seconds that a spilled body waits for its turn.
    """

    max_size: int
    memory: int
    spilled: int
    spool: Path
    min_rate: int
    period: float
    patience: float


class Payer(Protocol):
    """Whom the bytes of bodies are counted for."""

    def count_bytes(self, size: int) -> None:
        """Count bytes before they are taken in. Raises: Problem, if there may not be so many."""

    def give_bytes_back(self, size: int) -> None:
        """Undo the counting of bytes that did not come."""


def upload() -> Upload:
    """Return the body of the request that is being answered."""
    return cast("Upload", request.body)


class Uploads:
    """All bodies of this moment, and what they may use together."""

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        self.in_memory = 0
        self.on_disk = 0
        self.turns = trio.Semaphore(limits.spilled)
        self.writers = trio.CapacityLimiter(WRITERS)

    def take(self, size: int) -> bool:
        """Take `size` bytes from the budget, if it has them."""
        if self.in_memory + size > self.limits.memory:
            return False
        self.in_memory += size
        return True

    def give(self, size: int) -> None:
        """Give `size` bytes back."""
        self.in_memory -= size

    def open(self, declared: int | None, _: int | None = None) -> Upload:
        """Return a body to be received, of which the client has declared the size."""
        return Upload(self, declared)


class Upload:
    """One body. One task fills it from the connection, another reads it; both once.

    `admitted` is set when it is wanted, by `admit`: nothing is taken in before.
    """

    def __init__(self, uploads: Uploads, declared: int | None) -> None:
        self._uploads = uploads
        self._declared = declared
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._size = 0
        self._came = 0
        self._taken = 0
        self._spilled = 0
        self._has_turn = False
        self._handed_over = False
        self._payer: Payer | None = None
        self._paid = 0
        self.admitted = trio.Event()
        self._done = trio.Event()
        self._show: Callable[[bytes], None] | None = None
        self._problem: Exception | None = None

    def show_to(self, watcher: Callable[[bytes], None]) -> None:
        """Have `watcher` called with each piece that is taken in, in order."""
        self._show = watcher

    def admit(self, payer: Payer | None = None) -> None:
        """Have the body taken in, and its bytes counted for `payer`.

        Of one that declares its size all are counted now; of another, as they come.

        Raises:
          Problem: if the payer may not send so many. Nothing is taken in.
        """
        self._payer = payer
        # What is too large will not be taken in, and is to be told so.
        if self._declared and self._declared <= self._uploads.limits.max_size:
            self._pay(self._declared)
        self.admitted.set()

    def _pay(self, size: int) -> None:
        if self._payer and size > self._paid:
            self._payer.count_bytes(size - self._paid)
            self._paid = size

    async def fill(self, receive: ASGIReceiveCallable) -> bool:
        """Take the body in from `receive`; return False if the client has gone before its end.

        A body that is too large, too slow or in crumbs is not taken in to its end: `read` says so.
        """
        try:
            return await self._fill(receive)
        except (Problem, StorageError) as problem:
            self._problem = problem
            self._done.set()
            return True

    async def _fill(self, receive: ASGIReceiveCallable) -> bool:
        limits = self._uploads.limits
        self._check_size(self._declared or 0)
        # Only the time in which we wait for the client counts against it.
        left, so_far = limits.period, 0
        while True:
            asked = trio.current_time()
            with trio.move_on_after(left) as waiting:
                event = await receive()
            left -= trio.current_time() - asked
            if not waiting.cancelled_caught:
                if event["type"] != "http.request":
                    return False
                piece = event.get("body", b"")
                so_far += len(piece)
                await self._keep(piece)
                if not event.get("more_body", False):
                    self._done.set()
                    return True
            if left <= 0:
                if so_far < limits.min_rate * limits.period:
                    raise Problem(
                        "too_slow",
                        f"The body must bring at least {limits.min_rate} bytes a second.",
                    )
                left, so_far = limits.period, 0

    def _check_size(self, size: int) -> None:
        if size > self._uploads.limits.max_size:
            bound = self._uploads.limits.max_size
            raise Problem(
                "too_large", f"A body may have {bound} bytes, and an image in it MAX_UPLOAD_SIZE."
            )

    def _check_pieces(self) -> None:
        if self._came > MANY_PIECES and self._size < self._came * LEAST_PIECE:
            raise Problem(
                "malformed", f"The body must come in pieces of {LEAST_PIECE} bytes on average."
            )

    async def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        self._came += 1
        self._check_size(self._size)
        self._check_pieces()
        if self._show:
            self._show(piece)
        self._pay(self._size)
        if self._file is None and self._uploads.take(len(piece)):
            self._taken += len(piece)
            if self._pieces and len(self._pieces[-1]) < SMALL:
                self._pieces[-1] += piece
            else:
                self._pieces.append(piece)
            return
        pieces, self._pieces = [*self._pieces, piece], []
        await in_thread(partial(self._spill, pieces), self._uploads.writers)
        written = sum(map(len, pieces))
        self._spilled += written
        self._uploads.on_disk += written
        self._give_back()

    def _spill(self, pieces: list[bytes]) -> None:
        with _named_errors():
            if self._file is None:
                # Closed by `close`, at the end of the request. Without a buffer of its own, which
                # would be written so late that nobody expects the disk to be full.
                self._file = tempfile.TemporaryFile(  # noqa: SIM115
                    dir=self._uploads.limits.spool, buffering=0
                )
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[self._file.write(rest) :]

    def _give_back(self) -> None:
        self._uploads.give(self._taken)
        self._taken = 0

    async def wait_complete(self) -> None:
        """Wait until the whole body is there.

        Raises:
          Problem: `too_large`, `too_slow`, `malformed`.
          StorageFull: if it did not fit into memory, and not on the disk either.
          StorageUnavailable: if the disk does not take it.
        """
        await self._done.wait()
        if self._problem:
            raise self._problem

    async def read(self) -> bytes:
        """Return the whole body, once it is there.

        Raises as `wait_complete`, and besides:
          Problem: `overloaded`, if too many wait to be read.
          StorageUnavailable: if the disk does not give it back.
        """
        await self.wait_complete()
        if self._file is None:
            pieces, self._pieces = self._pieces, []
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        with trio.fail_after(self._uploads.limits.patience):
            await self._uploads.turns.acquire()
        self._has_turn = True
        # Whoever has a turn needs no limiter of another kind.
        limiter = trio.to_thread.current_default_thread_limiter()
        return await in_thread(partial(_take_back, self._file), limiter)

    def hand_over(self) -> Callable[[], None]:
        """Return what gives back what the body holds; `close` leaves it to that from now on.

        For whoever has the bytes longer than the request lasts, such as an actor that has not got
        round to them when the client goes.
        """
        self._handed_over = True
        return self._let_go

    def close(self) -> None:
        """Give back what the body holds, unless it was handed over. May be called again."""
        if self._payer and self._paid > self._size:
            self._payer.give_bytes_back(self._paid - self._size)
            self._paid = self._size
        if not self._handed_over:
            self._let_go()

    def _let_go(self) -> None:
        self._pieces = []
        self._give_back()
        if self._has_turn:
            self._has_turn = False
            self._uploads.turns.release()
        if self._file:
            self._file.close()
            self._uploads.on_disk -= self._spilled
            self._spilled = 0


def _take_back(file: IO[bytes]) -> bytes:
    with _named_errors():
        file.seek(0)
        return file.read()


@contextmanager
def _named_errors() -> Iterator[None]:
    """Raise what the operating system says under the storage's names."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull("no room for the upload") from error
        raise StorageUnavailable("the upload cannot wait on the disk") from error
