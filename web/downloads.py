"""The answer that is a file: whole or in part, and conditional (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from quart import request
from quart_trio.wrappers import TrioResponse as Response

from actors.imaging.inspect import MEDIA_TYPES
from actors.messages import Fetch, FindImage, ReadImage, ReadOutput
from actors.storage.ports import Seal
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from actors.imaging.facts import Format
    from actors.storage.ports import ImageRecord, Job, Output
    from web.envoy import Envoy

PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(?=-?[0-9])([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What is served: where its bytes are, and what a client is told of them."""

    read: type[ReadOutput | ReadImage]
    key: str
    media_type: str
    size: int
    sha256: str
    name: str

    @property
    def seal(self) -> Seal:
        """What its bytes are known to be."""
        return Seal(self.size, self.sha256)

    @property
    def headers(self) -> dict[str, str]:
        """The headers that are the same for the whole of it and for a part."""
        return {
            "Content-Type": self.media_type,
            "ETag": f'"{self.sha256}"',
            "Cache-Control": "private, max-age=31536000, immutable",
            "Accept-Ranges": "bytes",
            # The name is of our making: nothing that a client says gets into a header.
            "Content-Disposition": f'inline; filename="{self.name}"',
        }


@dataclass(frozen=True, slots=True)
class Downloads:
    """Fetches files piece by piece, so that a slow client costs one piece of memory."""

    envoy: Envoy

    async def output(self, job_id: str, name: str | None) -> Response:
        """Answer GET or HEAD for an output of a job; without a name, for the first.

        Raises:
          Problem: `not_ready`, `job_failed`, `job_cancelled`, `range_not_satisfiable`.
          JobNotFound, OutputNotFound, BlobNotFound: as the Store says.
        """
        fetched = await self.envoy.ask(Fetch(job_id, _wanted(), name))
        if fetched.output is None:
            raise not_there(fetched.job)
        return await self._answer(_file_of(fetched.job, fetched.output), fetched.data)

    async def image(self, image_id: str) -> Response:
        """Answer GET or HEAD for the bytes of an image.

        Raises:
          Problem: `range_not_satisfiable`.
          ImageNotFound, BlobNotFound: as the Store says.
        """
        image = await self.envoy.ask(FindImage(image_id))
        file = _file_of_image(image)
        data = await self.envoy.ask(ReadImage(file.key, 0, _wanted(), file.seal))
        return await self._answer(file, data)

    async def whole(self, job: Job, output: Output, headers: Mapping[str, str]) -> Response:
        """Answer with the whole output of a completed job, and some `headers` more."""
        file = _file_of(job, output)
        data = await self.envoy.ask(ReadOutput(file.key, 0, PIECE, file.seal))
        return await self._sent(data, file, 0, file.size, 200, file.headers | dict(headers))

    async def _answer(self, file: File, data: bytes) -> Response:
        """Answer for `file`, of which `data` are the first bytes."""
        headers = file.headers
        if request.if_none_match.contains_weak(file.sha256):
            return _not_modified(headers)
        part = _part(file)
        if part is None:
            return await self._sent(data, file, 0, file.size, 200, headers)
        start, stop = part
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{file.size}"
        return await self._sent(data, file, start, stop, 206, headers)

    async def _sent(
        self,
        data: bytes,
        file: File,
        start: int,
        stop: int,
        status: int,
        headers: dict[str, str],
    ) -> Response:
        headers["Content-Length"] = str(stop - start)
        have = data[start:stop]
        if len(have) == stop - start or request.method == "HEAD":
            response = Response(have, status)
        else:
            first = [have]
            if stop - start == file.size:
                # All of it is looked at before any of it is sent.
                first.append(await self._read(file, len(have), stop, whole=True))
            response = Response(self._pieces(first, file, start, stop), status)
        # Last, since the response has set a length of its own, which HEAD must not tell.
        response.headers.update(headers)
        response.timeout = None  # A slow client is given up by the connection, if it makes no way.
        return response

    async def _pieces(
        self, first: Sequence[bytes], file: File, start: int, stop: int
    ) -> AsyncIterator[bytes]:
        """Yield `first` and what follows. If the file goes or changes meanwhile, it breaks off."""
        for piece in first:
            yield piece
            start += len(piece)
        while start < stop:
            piece = await self._read(file, start, stop)
            yield piece
            start += len(piece)

    async def _read(self, file: File, start: int, stop: int, *, whole: bool = False) -> bytes:
        length = min(PIECE, stop - start)
        return await self.envoy.ask(file.read(file.key, start, length, file.seal, whole))


def _wanted() -> int:
    # One byte tells whether the file is there.
    return 1 if request.method == "HEAD" else PIECE


def _file_of(job: Job, output: Output) -> File:
    named = job.id if len(job.outputs) == 1 else f"{job.id}-{output.name}"
    return File(
        read=ReadOutput,
        key=output.key,
        media_type=output.media_type,
        size=output.size_bytes,
        sha256=output.sha256,
        name=f"{named}.{output.key.rpartition('.')[2]}",
    )


def _file_of_image(image: ImageRecord) -> File:
    return File(
        read=ReadImage,
        key=image.key,
        media_type=MEDIA_TYPES[cast("Format", image.format)],
        size=image.size_bytes,
        sha256=image.sha256,
        name=f"{image.id}.{image.key.rpartition('.')[2]}",
    )


def not_there(job: Job) -> Problem:
    """Return why a job that is not completed has no result."""
    match job.status:
        case "failed":
            return Problem("job_failed", f"The job failed ({job.error_code}): {job.error}")
        case "cancelled":
            return Problem("job_cancelled", "The job was cancelled.")
        case status:
            return Problem("not_ready", f"Job {job.id} is {status}.")


def _not_modified(headers: Mapping[str, str]) -> Response:
    response = Response(None, 304)
    # These would be of the empty body, and not of the picture (RFC 9110, 8.6).
    del response.headers["Content-Type"], response.headers["Content-Length"]
    for name in ("ETag", "Cache-Control"):
        response.headers[name] = headers[name]
    return response


def _part(file: File) -> tuple[int, int] | None:
    """Return the range that is asked for, as start and stop; None for the whole, and for HEAD.

    Raises:
      Problem: `range_not_satisfiable`.
    """
    if request.method == "HEAD":
        return None
    part = read_range(request.headers.get("Range", ""), file.size)
    if (
        part is None
        or request.headers.get("If-Range", file.headers["ETag"]) != file.headers["ETag"]
    ):
        return None
    if part[0] >= file.size:
        raise Problem(
            "range_not_satisfiable",
            f"The image has {file.size} bytes.",
            headers={"Content-Range": f"bytes */{file.size}"},
        )
    return part


def read_range(text: str, size: int) -> tuple[int, int] | None:
    """Return which of `size` bytes a field Range names, as start and stop.

    None stands for all: what is no single range of bytes is ignored, as RFC 9110, 14.2 allows. The
    start may be beyond the end.
    """
    asked = _RANGE.fullmatch(text)
    if asked is None:
        return None
    first, last = (int(number) if number else None for number in asked.groups())
    if first is None:
        # So many from the end (RFC 9110, 14.1.2).
        return size - min(last or 0, size), size
    if last is not None and last < first:
        return None
    return first, size if last is None else min(last + 1, size)
