"""Files of jobs, as the Store sees them: named by us, kept in threads, and swept of leftovers."""

from __future__ import annotations

import uuid
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog
import trio

from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from actors.group_commit import GroupCommit
    from actors.storage.ports import Blobs

log = structlog.get_logger("calotype.store")

UUID_LENGTH = 36
SWEEP_CHUNK = 1_000


def key_of(job_id: str, suffix: str, attempt: int | None = None) -> str:
    """Return the key of a file of this job, fanned out by the first digits of its id.

    An output has a name that is never used again, so that a result which comes late or twice cannot
    take the place of the one that counts, nor take it along when it is refused.
    """
    name = job_id if attempt is None else f"{job_id}-{attempt}-{uuid.uuid4().hex[:8]}"
    return f"{job_id[:2]}/{name}{suffix}"


def job_of(key: str) -> str:
    """Return the id of the job that a file of this key would belong to."""
    return key.rpartition("/")[2][:UUID_LENGTH]


class Shelf:
    """Blobs behind threads."""

    def __init__(self, blobs: Blobs, threads: trio.CapacityLimiter) -> None:
        self._blobs = blobs
        self._threads = threads

    async def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Blobs.get`."""
        return await trio.to_thread.run_sync(
            self._blobs.get, key, offset, length, limiter=self._threads
        )

    @asynccontextmanager
    async def kept(self, key: str, data: bytes) -> AsyncIterator[str]:
        """Keep `data` for the time of the block, and for good if the block ends well.

        Yields its SHA-256. If the block is cancelled, what to do with the file is left to `sweep`.

        Raises:
          StorageFull, StorageUnavailable: before the block, if `data` cannot be kept.
        """
        try:
            sha256 = await trio.to_thread.run_sync(
                self._blobs.put, key, data, limiter=self._threads
            )
        except StorageError as error:
            # Its frames hold `data`, in a cycle that only the garbage collector would find.
            raise error.with_traceback(None) from error.__cause__
        failure: StorageError | None = None
        try:
            yield sha256
        except StorageError as error:
            failure = error
        # Not in the `except`, where a cancellation would take the place of the failure.
        if failure:
            await self.forget(key)
            raise failure

    async def forget(self, key: str) -> None:
        """Delete a file that no job refers to; or, if that fails, leave it to `sweep`."""
        try:
            await trio.to_thread.run_sync(self._blobs.delete, key, limiter=self._threads)
        except StorageError as error:
            log.warning("file_left_behind", file=self._blobs.locate(key), error=str(error))

    async def sweep(self, catalogue: GroupCommit) -> None:
        """Delete what a crash left between a file and its row, of what was here at the opening."""
        shards = self._blobs.shards()
        while True:
            keys = await trio.to_thread.run_sync(next, shards, None, limiter=self._threads)
            if keys is None:
                return
            for start in range(0, len(keys), SWEEP_CHUNK):
                await self._sweep(set(keys[start : start + SWEEP_CHUNK]), catalogue)

    async def _sweep(self, keys: set[str], catalogue: GroupCommit) -> None:
        jobs = {job_of(key) for key in keys}
        for key in keys - await catalogue.commit(lambda records: records.keys(jobs)):
            log.info("orphan_swept", file=self._blobs.locate(key))
            await self.forget(key)
