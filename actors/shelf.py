"""Files of jobs and images, as the Store sees them: kept in threads, and swept of leftovers."""

from __future__ import annotations

import hashlib
import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import structlog

from actors import metrics, tracing
from actors.storage.keys import owner_of
from actors.storage.ports import BlobDamaged, StorageError, StorageInDoubt
from actors.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from io import FileIO

    import trio

    from actors.group_commit import GroupCommit
    from actors.storage.ports import Blobs, Seal

T = TypeVar("T")

log = structlog.get_logger("calotype.store")

SWEEP_CHUNK = 1_000


class Shelf:
    """Blobs behind threads."""

    def __init__(self, blobs: Blobs, threads: trio.CapacityLimiter) -> None:
        self._blobs = blobs
        self._threads = threads
        self._arriving: set[str] = set()

    async def get(
        self,
        key: str,
        offset: int = 0,
        length: int | None = None,
        seal: Seal | None = None,
        *,
        whole: bool = False,
    ) -> bytes:
        """Return bytes as `Blobs.get` does, of a file that has this seal.

        Its size is looked at each time, and its digest if it is read in one piece; with `whole` in
        any case, which takes a reading of all of it.

        Raises:
          BlobNotFound, StorageUnavailable: as `Blobs.get` does.
          BlobDamaged: if it is not as it was sealed; then that is logged and counted.
        """
        with tracing.span("blob get") as span:
            read = partial(_read, self._blobs, key, offset, length, seal, whole=whole)
            data = await self._told(read)
            span.note("calotype.bytes", len(data))
        return data

    async def open(self, key: str, seal: Seal | None = None) -> FileIO:
        """See `Blobs.open`. With a `seal`, its size is checked; its bytes are whoever reads them's.

        Raises:
          BlobNotFound: if it is not there, or as `BlobDamaged`, if it is not as it was kept.
        """
        with tracing.span("blob open"):
            return await self._told(partial(self._opened, key, seal))

    def _opened(self, key: str, seal: Seal | None) -> FileIO:
        file = self._blobs.open(key)
        if seal and os.fstat(file.fileno()).st_size != seal.size_bytes:
            file.close()
            raise BlobDamaged(key, "size")
        return file

    def note_damage(self, key: str, how: str) -> None:
        """Let the operator know that a file is not as it was kept."""
        metrics.BLOBS_DAMAGED.labels(how).inc()
        log.error("blob_damaged", file=self._blobs.locate(key), how=how)

    async def _told(self, call: Callable[[], T]) -> T:
        """Do `call` in a thread; if that finds damage, tell."""
        try:
            return await in_thread(call, self._threads)
        except BlobDamaged as error:
            self.note_damage(str(error), error.how)
            raise

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
    async def copied(self, key: str, to: str, seal: Seal) -> AsyncIterator[None]:
        """Keep what is under `key` under `to` as well, on the same terms as `kept`.

        Raises:
          BlobNotFound, StorageFull, StorageUnavailable: before the block, if there is no copy.
          BlobDamaged: likewise, if what is there has not this seal; that is logged and counted.
        """
        await self._told(partial(_check, self._blobs, key, seal))
        async with self._arrival(to, partial(self._blobs.copy, key, to), 0):
            yield

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


def _read(
    blobs: Blobs, key: str, offset: int, length: int | None, seal: Seal | None, *, whole: bool
) -> bytes:
    data = blobs.get(key, offset, length)
    if seal is not None:
        if blobs.size(key) != seal.size_bytes:
            raise BlobDamaged(key, "size")
        if len(data) == seal.size_bytes:
            _compare(key, hashlib.sha256(data).hexdigest(), seal)
        elif whole:
            _compare(key, blobs.sha256(key), seal)
    return data


def _check(blobs: Blobs, key: str, seal: Seal) -> None:
    if blobs.size(key) != seal.size_bytes:
        raise BlobDamaged(key, "size")
    _compare(key, blobs.sha256(key), seal)


def _compare(key: str, sha256: str, seal: Seal) -> None:
    if seal.sha256 not in {None, sha256}:
        raise BlobDamaged(key, "digest")
