"""Downloads as they come in: gone on with where the connection broke, and checked at the end."""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, Final

from web.failures import Damaged
from web.results import Saved

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx2

_FILE_NAME: Final = re.compile(r'filename="([A-Za-z0-9_-]{1,128}\.[a-z0-9]{1,8})"')
_DIGEST: Final = re.compile('"([0-9a-f]{64})"')


class Sink:
    """Where a download goes. After a broken connection it takes the rest from a second answer."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._digest = sha256()
        self._size = 0
        self._etag = ""
        self._content_type = ""
        self._file_name = ""

    @property
    def is_in_memory(self) -> bool:
        """Whether writing never waits."""
        return isinstance(self._file, BytesIO)

    @property
    def headers(self) -> dict[str, str]:
        """What to ask for: all of it, or the rest."""
        # What is packed on the way has neither the length nor the digest that is told.
        plain = {"Accept-Encoding": "identity"}
        if not self._size or not self._etag:
            return plain
        return plain | {"Range": f"bytes={self._size}-", "If-Range": self._etag}

    def begin(self, response: httpx2.Response) -> None:
        """Hear of an answer what its body will be.

        Raises:
          Damaged: if that is not the rest of what has come before.
        """
        headers = response.headers
        if not self._size:
            self._etag = headers.get("ETag", "")
            self._content_type = media_type(response)
            self._file_name = file_name(response)
            return
        rest = headers.get("Content-Range", "").startswith(f"bytes {self._size}-")
        if response.status_code != 206 or not rest or headers.get("ETag", "") != self._etag:
            raise Damaged("The connection broke, and the rest cannot be had by itself.")

    def write(self, piece: bytes) -> None:
        """Take the next piece.

        Raises:
          OSError: if the file cannot be written.
        """
        self._file.write(piece)
        self._digest.update(piece)
        self._size += len(piece)

    def saved(self) -> Saved:
        """Return what has come, which must be all.

        Raises:
          Damaged: if its digest is not the one that was told.
        """
        digest = self._digest.hexdigest()
        check_digest(self._etag, digest)
        return Saved(self._content_type, self._size, digest, self._file_name)


def check_digest(etag: str, digest: str) -> None:
    """Make sure that `digest` is what `etag` says, if that is a digest of the service's own.

    Raises:
      Damaged: if it is not.
    """
    told = _DIGEST.fullmatch(etag)
    if told is not None and told[1] != digest:
        raise Damaged("What has arrived has another digest than the service tells.")


def media_type(response: httpx2.Response) -> str:
    """Return the type of what `response` brings."""
    told: str = response.headers.get("Content-Type", "")
    return told.partition(";")[0]


def file_name(response: httpx2.Response) -> str:
    """Return how the service calls the file that it sends; nothing if it does not.

    It is safe as the name of a file, whatever the service says.
    """
    found = _FILE_NAME.search(response.headers.get("Content-Disposition", ""))
    return found[1] if found else ""


@contextmanager
def written_beside(target: Path) -> Iterator[BinaryIO]:
    """Yield a file that becomes `target` at the end; what raises leaves `target` as it was.

    So under its name there is never half a picture.

    Raises:
      OSError: if it cannot be written there.
    """
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("xb") as file:
            yield file
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
