"""Request bodies: taken in under a memory budget, a size limit and a floor for their speed.

A body is kept in memory as long as the budget allows; what does not fit waits in a file that has
no name. So clients that hold their uploads back cost disk, and stop nobody else.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

import trio
from quart import request

from actors.storage.ports import StorageFull
from web.problems import Problem

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable


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
    """One body. One task fills it from the connection, another reads it; both once."""

    def __init__(self, uploads: Uploads, declared: int | None) -> None:
        self._uploads = uploads
        self._declared = declared
        self._pieces: list[bytes] = []
        self._file: IO[bytes] | None = None
        self._size = 0
        self._taken = 0
        self._has_turn = False
        self._done = trio.Event()
        self._problem: Exception | None = None

    async def fill(self, receive: ASGIReceiveCallable) -> bool:
        """Take the body in from `receive`; return False if the client has gone before its end.

        A body that is too large or too slow is not taken in to its end: `read` says so.
        """
        try:
            return await self._fill(receive)
        except (Problem, StorageFull) as problem:
            self._problem = problem
            self._done.set()
            return True

    async def _fill(self, receive: ASGIReceiveCallable) -> bool:
        limits = self._uploads.limits
        self._check_size(self._declared or 0)
        begun, so_far = trio.current_time(), 0
        while True:
            with trio.move_on_at(begun + limits.period) as waiting:
                event = await receive()
                if event["type"] != "http.request":
                    return False
                piece = event.get("body", b"")
                so_far += len(piece)
                if not event.get("more_body", False):
                    await self._keep(piece)
                    self._done.set()
                    return True
            if waiting.cancelled_caught or trio.current_time() >= begun + limits.period:
                if so_far < limits.min_rate * limits.period:
                    raise Problem(
                        "too_slow",
                        f"The body must bring at least {limits.min_rate} bytes a second.",
                        headers={"Connection": "close"},
                    )
                begun, so_far = trio.current_time(), 0
            if not waiting.cancelled_caught:
                await self._keep(piece)

    def _check_size(self, size: int) -> None:
        if size > self._uploads.limits.max_size:
            raise Problem(
                "too_large",
                f"The body has more than {self._uploads.limits.max_size} bytes.",
                headers={"Connection": "close"},
            )

    async def _keep(self, piece: bytes) -> None:
        if not piece:
            return
        self._size += len(piece)
        self._check_size(self._size)
        if self._file is None and self._uploads.take(len(piece)):
            self._taken += len(piece)
            self._pieces.append(piece)
            return
        pieces, self._pieces = [*self._pieces, piece], []
        try:
            await trio.to_thread.run_sync(self._spill, pieces)
        except OSError as error:
            raise StorageFull("no room for the upload") from error
        self._uploads.on_disk += sum(map(len, pieces))
        self._give_back()

    def _spill(self, pieces: list[bytes]) -> None:
        if self._file is None:
            # Closed by `close`, at the end of the request.
            self._file = tempfile.TemporaryFile(dir=self._uploads.limits.spool)  # noqa: SIM115
        self._file.writelines(pieces)

    def _give_back(self) -> None:
        self._uploads.give(self._taken)
        self._taken = 0

    async def read(self) -> bytes:
        """Return the whole body, once it is there.

        Raises:
          Problem: `too_large`, `too_slow`, or `overloaded` if too many wait to be read.
          StorageFull: if it did not fit into memory, and not on the disk either.
        """
        await self._done.wait()
        if self._problem:
            raise self._problem
        if self._file is None:
            pieces, self._pieces = self._pieces, []
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        with trio.fail_after(self._uploads.limits.patience):
            await self._uploads.turns.acquire()
        self._has_turn = True
        return await trio.to_thread.run_sync(_take_back, self._file)

    def close(self) -> None:
        """Give back what the body holds. The request has ended."""
        self._give_back()
        if self._has_turn:
            self._has_turn = False
            self._uploads.turns.release()
        if self._file:
            self._file.close()
            self._uploads.on_disk -= self._size


def _take_back(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()
