"""Sending an image in pieces, so that one can see how far it has come."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import httpx2
import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

# Hears how many bytes of how many have been sent.
Progress: TypeAlias = "Callable[[int, int], None]"

PIECE: Final = 256 * 1024


class Upload(httpx2.AsyncByteStream):
    """The body of a request.

    Its own iterator, not a generator: nothing is left open when the request is cancelled.
    """

    def __init__(
        self, read: Callable[[int], Awaitable[bytes]], size: int, on_progress: Progress | None
    ) -> None:
        self.size = size
        self._read = read
        self._on_progress = on_progress
        self._sent = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._on_progress is not None:
            self._on_progress(self._sent, self.size)
        # No more than was announced, should the file have grown.
        piece = await self._read(min(PIECE, self.size - self._sent))
        if not piece:
            raise StopAsyncIteration
        self._sent += len(piece)
        return piece


@asynccontextmanager
async def open_upload(image: bytes | Path, on_progress: Progress | None) -> AsyncIterator[Upload]:
    """Yield `image` as a body; a file stays open as long.

    Raises:
      OSError: if the file cannot be opened; later, from the sending, if it cannot be read.
    """
    if isinstance(image, Path):
        async with await trio.open_file(image, "rb") as file:
            size = await file.seek(0, 2)
            await file.seek(0)
            yield Upload(file.read, size, on_progress)
    else:
        pieces = iter([image[at : at + PIECE] for at in range(0, len(image), PIECE)])

        async def read(_: int) -> bytes:
            await trio.lowlevel.checkpoint()
            return next(pieces, b"")

        yield Upload(read, len(image), on_progress)
