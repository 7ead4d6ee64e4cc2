"""The answer that is a picture: whole or in part, and conditional (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio
from quart import request
from quart_trio.wrappers import TrioResponse as Response

from actors.messages import Fetch, ReadOutput
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from actors.mailbox import Address
    from actors.messages import Fetched
    from actors.storage.ports import Job, Output

PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(?=-?[0-9])([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Downloads:
    """Fetches results piece by piece, so that a slow client costs one piece of memory."""

    dispatcher: Address
    patience: float

    async def answer(self, job_id: str) -> Response:
        """Answer GET or HEAD for the picture of a job.

        Raises:
          Problem: `not_ready`, `job_failed`, `job_cancelled`, `range_not_satisfiable`.
          JobNotFound, BlobNotFound: as the Store says.
        """
        # One byte tells whether the file is there.
        wanted = 1 if request.method == "HEAD" else PIECE
        fetched, output = await self._fetch(job_id, wanted)
        headers = _headers(fetched.job, output)
        if request.if_none_match.contains_weak(output.sha256):
            return _not_modified(headers)
        part = _part(output)
        if part is None:
            return self._picture(fetched.data, output, 0, output.size_bytes, 200, headers)
        start, stop = part
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{output.size_bytes}"
        return self._picture(fetched.data, output, start, stop, 206, headers)

    async def whole(self, job: Job, output: Output, headers: Mapping[str, str]) -> Response:
        """Answer with the whole picture of a completed job, and some `headers` more."""
        with trio.fail_after(self.patience):
            data = await self.dispatcher.ask(ReadOutput(output.key, 0, PIECE))
        told = _headers(job, output) | dict(headers)
        return self._picture(data, output, 0, output.size_bytes, 200, told)

    async def _fetch(self, job_id: str, length: int) -> tuple[Fetched, Output]:
        with trio.fail_after(self.patience):
            fetched = await self.dispatcher.ask(Fetch(job_id, length))
        if fetched.job.output is None:
            raise _not_there(fetched.job)
        return fetched, fetched.job.output

    def _picture(
        self,
        data: bytes,
        output: Output,
        start: int,
        stop: int,
        status: int,
        headers: dict[str, str],
    ) -> Response:
        headers["Content-Length"] = str(stop - start)
        have = data[start:stop]
        whole = len(have) == stop - start or request.method == "HEAD"
        response = Response(have if whole else self._pieces(have, output, start, stop), status)
        # Last, since the response has set a length of its own, which HEAD must not tell.
        response.headers.update(headers)
        response.timeout = None  # A slow client is given up by the connection, if it makes no way.
        return response

    async def _pieces(
        self, have: bytes, output: Output, start: int, stop: int
    ) -> AsyncIterator[bytes]:
        yield have
        start += len(have)
        while start < stop:
            with trio.fail_after(self.patience):
                piece = await self.dispatcher.ask(
                    ReadOutput(output.key, start, min(PIECE, stop - start))
                )
            if not piece:
                raise EOFError(output.key)
            yield piece
            start += len(piece)


def _not_there(job: Job) -> Problem:
    match job.status:
        case "failed":
            return Problem("job_failed", f"The job failed ({job.error_code}): {job.error}")
        case "cancelled":
            return Problem("job_cancelled", "The job was cancelled.")
        case status:
            return Problem("not_ready", f"Job {job.id} is {status}.")


def _headers(job: Job, output: Output) -> dict[str, str]:
    suffix = output.key.rpartition(".")[2]
    return {
        "Content-Type": output.media_type,
        "ETag": f'"{output.sha256}"',
        "Cache-Control": "private, max-age=31536000, immutable",
        "Accept-Ranges": "bytes",
        # The name is of our making: nothing that a client says gets into a header.
        "Content-Disposition": f'inline; filename="{job.id}.{suffix}"',
        "X-Content-Type-Options": "nosniff",
    }


def _not_modified(headers: Mapping[str, str]) -> Response:
    response = Response(None, 304)
    # These would be of the empty body, and not of the picture (RFC 9110, 8.6).
    del response.headers["Content-Type"], response.headers["Content-Length"]
    for name in ("ETag", "Cache-Control"):
        response.headers[name] = headers[name]
    return response


def _part(output: Output) -> tuple[int, int] | None:
    """Return the range that is asked for, as start and stop; None for the whole.

    What is no single range of bytes is ignored, as RFC 9110, 14.2 allows, and asks for with HEAD.
    """
    if request.method == "HEAD":
        return None
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None:
        return None
    if_range = request.headers.get("If-Range")
    if if_range is not None and if_range != f'"{output.sha256}"':
        return None
    size = output.size_bytes
    first, last = (int(number) if number else None for number in asked.groups())
    if first is None:
        # So many from the end (RFC 9110, 14.1.2).
        start, stop = size - min(last or 0, size), size
    else:
        start, stop = first, size if last is None else min(last + 1, size)
        if last is not None and last < first:
            return None
    if start >= size:
        raise Problem(
            "range_not_satisfiable",
            f"The image has {size} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop
