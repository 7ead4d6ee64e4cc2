"""Blobs in memory: the fake that the contract suite verifies beside the real ones."""

from __future__ import annotations

import hashlib
import itertools
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from actors.storage.ports import BlobFile, BlobNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator


class MemoryBlobs:
    """Blobs as long as the process lives."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> str:
        """See `Blobs.put`."""
        self._blobs[key] = data
        return hashlib.sha256(data).hexdigest()

    def copy(self, key: str, to: str) -> int:
        """See `Blobs.copy`."""
        self._blobs[to] = data = self.get(key)
        return len(data)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Blobs.get`."""
        try:
            data = self._blobs[key]
        except KeyError:
            raise BlobNotFound(key) from None
        return data[offset:] if length is None else data[offset : offset + length]

    def open(self, key: str) -> BlobFile:
        """See `Blobs.open`."""
        data = self.get(key)
        file = BlobFile(os.memfd_create("blob"), "r+b")
        file.write(data)
        return file

    def size(self, key: str) -> int:
        """See `Blobs.size`."""
        return len(self.get(key))

    def kept_since(self, key: str) -> datetime:
        """See `Blobs.kept_since`."""
        self.get(key)
        return datetime.now(UTC)

    def sha256(self, key: str) -> str:
        """See `Blobs.sha256`."""
        return hashlib.sha256(self.get(key)).hexdigest()

    def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        self._blobs.pop(key, None)

    def locate(self, key: str) -> str:
        """See `Blobs.locate`."""
        return f"memory:{key}"

    def shards(self) -> Iterator[list[str]]:
        """See `Blobs.shards`."""
        for _, keys in itertools.groupby(sorted(self._blobs), lambda key: key[:2]):
            yield list(keys)
