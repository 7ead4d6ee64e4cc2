"""Files of jobs and images, as the Store sees them: kept in threads, and swept of leftovers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from actors import tracing
from actors.storage.keys import owner_of
from actors.storage.ports import StorageError, StorageInDoubt
from actors.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import trio

    from actors.group_commit import GroupCommit
    from actors.storage.ports import Blobs

T = TypeVar("T")

log = structlog.get_logger("calotype.store")

SWEEP_CHUNK = 1_000


class Shelf:
    """Blobs behind threads."""

    def __init__(self, blobs: Blobs, threads: trio.CapacityLimiter) -> None:
        self._blobs = blobs
        self._threads = threads
        self._arriving: set[str] = set()

    async def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Blobs.get`."""
        with tracing.span("blob get") as span:
            data = await in_thread(partial(self._blobs.get, key, offset, length), self._threads)
            span.note("calotype.bytes", len(data))
        return data

    @asynccontextmanager
    async def kept(self, key: str, data: bytes) -> AsyncIterator[str]:
        """Keep `data` for the time of the block, and for good if the block ends well.

        Yields its SHA-256. If the block is cancelled, what to do with the file is left to `sweep`.

        Raises:
          StorageFull, StorageUnavailable: before the block, if `data` cannot be kept.
        """
        async with self._arrival(key, partial(self._blobs.put, key, data), len(data)) as sha256:
            yield sha256

    @asynccontextmanager
    async def copied(self, key: str, to: str) -> AsyncIterator[int]:
        """Keep what is under `key` under `to` as well, on the same terms as `kept`.

        Yields its size in bytes.

        Raises:
          BlobNotFound, StorageFull, StorageUnavailable: before the block, if there is no copy.
        """
        async with self._arrival(to, partial(self._blobs.copy, key, to), 0) as size:
            yield size

    @asynccontextmanager
    async def _arrival(self, key: str, bring: Callable[[], T], size: int) -> AsyncIterator[T]:
        self._arriving.add(key)
        failure: StorageError | None = None
        try:
            brought = await self._bring(bring, size)
            try:
                yield brought
            except StorageError as error:
                failure = error
            # Not in the `except`, where a cancellation would take the place of the failure.
            if failure:
                # If the next start finds that it was done, it needs the file; else it sweeps it.
                if not isinstance(failure, StorageInDoubt):
                    await self.forget(key)
                raise failure
        finally:
            self._arriving.remove(key)
            # It holds this frame, which would hold it, and with it the data.
            del failure

    async def _bring(self, bring: Callable[[], T], size: int) -> T:
        try:
            with tracing.span("blob put") as span:
                span.note("calotype.bytes", size)
                return await in_thread(bring, self._threads)
        except StorageError as error:
            # Trio's frames hold the error that holds them, and with them the data.
            raise error.with_traceback(None) from error.__cause__

    async def forget(self, key: str) -> None:
        """Delete a file that nobody needs; or, if that fails, leave it to `sweep`."""
        try:
            await in_thread(partial(self._blobs.delete, key), self._threads)
        except StorageError as error:
            log.warning("file_left_behind", file=self._blobs.locate(key), error=str(error))

    async def sweep(self, catalogue: GroupCommit) -> None:
        """Delete what a crash left between a file and its row."""
        shards = self._blobs.shards()
        while True:
            keys = await in_thread(partial(next, shards, None), self._threads)
            if keys is None:
                return
            for start in range(0, len(keys), SWEEP_CHUNK):
                await self._sweep(set(keys[start : start + SWEEP_CHUNK]), catalogue)

    async def _sweep(self, keys: set[str], catalogue: GroupCommit) -> None:
        # What is arriving may have its row only after we have looked.
        ours = {key for key in keys - self._arriving if owner_of(key)}
        known = await catalogue.commit(lambda records: records.known(ours))
        for key in ours - known:
            log.info("orphan_swept", file=self._blobs.locate(key))
            await self.forget(key)
