"""Requests that carry an image: sent in pieces as it is read, and again if need be."""

from __future__ import annotations

import os
import secrets
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeAlias

import msgspec

from web.results import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Hears how many bytes of how many have been sent.
Progress: TypeAlias = "Callable[[int, int], None]"
# What to make of an image, as the JSON of the API has it, with whatever else goes with a job.
Recipe: TypeAlias = "Mapping[str, object]"

PIECE: Final = 256 * 1024
NOT_SENT: Final = (
    "The images of a batch are not sent with it: upload() each, and give what that returns; "
    "or an ImageId or an ImageUrl."
)


class ImageUrl(msgspec.Struct, frozen=True):
    """Where the service finds an image on the network."""

    url: str


class ImageId(msgspec.Struct, frozen=True):
    """An image that was uploaded before."""

    id: str


Source: TypeAlias = bytes | Path | BinaryIO
Named: TypeAlias = ImageUrl | ImageId | Image
Subject: TypeAlias = Source | Named


class Content:
    """The body of a request: `source`, with `head` before it and `tail` behind it.

    It can be opened again for every attempt, also if it is a file object: such a one is read from
    where it stands now. One that cannot seek, such as a pipe, is sent once, as `was_read` tells.
    """

    def __init__(
        self,
        content_type: str,
        source: Source,
        *,
        head: bytes = b"",
        tail: bytes = b"",
        on_progress: Progress | None = None,
    ) -> None:
        self.content_type = content_type
        self.on_progress = on_progress
        self.was_read = False
        self._source = source
        self._head = head
        self._tail = tail
        self._start = 0
        self._seeks = True
        if not isinstance(source, (bytes, Path)):
            self._seeks = source.seekable()
            self._start = source.tell() if self._seeks else 0

    @property
    def is_in_memory(self) -> bool:
        """Whether reading never waits."""
        return isinstance(self._source, bytes)

    @property
    def can_be_sent(self) -> bool:
        """Whether it can be opened now, and be whole."""
        return self._seeks or not self.was_read

    def open(self) -> Upload:
        """Return it, to be read once from its beginning.

        Raises:
          OSError: if the file cannot be opened.
        """
        if isinstance(self._source, bytes):
            file: BinaryIO = BytesIO(self._source)
            return self._upload(file, len(self._source), closes=True)
        if isinstance(self._source, Path):
            file = self._source.open("rb")
            return self._upload(file, os.fstat(file.fileno()).st_size, closes=True)
        if not self._seeks:
            return self._upload(self._source, None, closes=False)
        size = self._source.seek(0, os.SEEK_END) - self._start
        self._source.seek(self._start)
        return self._upload(self._source, size, closes=False)

    def _upload(self, file: BinaryIO, size: int | None, *, closes: bool) -> Upload:
        ends = [(BytesIO(each), len(each)) for each in (self._head, self._tail)]
        return Upload(self, [ends[0], (file, size), ends[1]], file if closes else None)


class Upload:
    """The bytes of a `Content` on their way. `size` is None where that cannot be known."""

    def __init__(
        self, content: Content, parts: list[tuple[BinaryIO, int | None]], mine: BinaryIO | None
    ) -> None:
        sizes = [size for _, size in parts if size is not None]
        self.size = sum(sizes) if len(sizes) == len(parts) else None
        self.is_in_memory = content.is_in_memory
        self._content = content
        self._parts = parts
        self._mine = mine
        self._sent = 0

    @property
    def length(self) -> dict[str, str]:
        """The header that says how long it is."""
        if self.size is None:
            return {"Transfer-Encoding": "chunked"}
        return {"Content-Length": str(self.size)}

    def read(self) -> bytes:
        """Return the next piece, which is empty at the end.

        Raises:
          OSError: if the file cannot be read.
        """
        while self._parts:
            file, left = self._parts[0]
            self._content.was_read = True
            # No more than was announced, should the file have grown.
            piece = file.read(PIECE if left is None else min(PIECE, left))
            if piece:
                self._parts[0] = file, None if left is None else left - len(piece)
                self._sent += len(piece)
                return piece
            del self._parts[0]
        return b""

    def tell(self) -> None:
        """Say how far it has come, to whoever wants to hear."""
        if self._content.on_progress is not None and self.size is not None:
            self._content.on_progress(self._sent, self.size)

    def close(self) -> None:
        """Close the file, if it was opened here."""
        if self._mine is not None:
            self._mine.close()


def named(subject: Named, recipe: Recipe) -> dict[str, object]:
    """Return the JSON of a job that says this of an image which is not sent.

    Raises:
      TypeError: of one that would have to be.
    """
    wanted = {name: value for name, value in recipe.items() if value is not None}
    match subject:
        case ImageUrl():
            return {"image_url": subject.url, **wanted}
        case ImageId() | Image():
            return {"image_id": subject.id, **wanted}
        case _:
            raise TypeError(NOT_SENT)


def said(
    subject: Subject, recipe: Recipe, on_progress: Progress | None = None
) -> tuple[dict[str, str | int | float | bool], Content]:
    """Return the query and the content of a request that says this.

    What is flat goes where everything is text, so that a number may be said as text: into the query
    beside the bare image, which costs the service least, or into the fields of a form. An address
    is never in the query, since it may be a secret, and proxies keep queries.
    """
    wanted = {name: value for name, value in recipe.items() if value is not None}
    flat = {name: each for name, each in wanted.items() if isinstance(each, (str, int, float))}
    is_flat = len(flat) == len(wanted)
    match subject:
        case ImageUrl():
            return {}, _named({"image_url": subject.url}, wanted, on_progress, is_flat=is_flat)
        case ImageId() | Image():
            return {}, _named({"image_id": subject.id}, wanted, on_progress, is_flat=is_flat)
    if is_flat:
        return flat, Content("application/octet-stream", subject, on_progress=on_progress)
    return {}, _form({"request": msgspec.json.encode(wanted)}, subject, on_progress)


def _named(
    subject: dict[str, str],
    wanted: dict[str, object],
    on_progress: Progress | None,
    *,
    is_flat: bool,
) -> Content:
    members = subject | wanted
    # In a form, `image` is the image to work on, and not a mark to be laid over it.
    if is_flat and "image" not in members and all(name.isidentifier() for name in members):
        return _form({name: _text(each) for name, each in members.items()}, None, on_progress)
    return Content("application/json", msgspec.json.encode(members), on_progress=on_progress)


def _text(value: object) -> bytes:
    return (str(value).lower() if isinstance(value, bool) else str(value)).encode()


def _form(
    fields: Mapping[str, bytes], image: Source | None, on_progress: Progress | None
) -> Content:
    boundary = secrets.token_hex(16)
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="'
    head = b"".join(
        f'{part}{name}"\r\n\r\n'.encode() + value + b"\r\n" for name, value in fields.items()
    )
    tail = f"--{boundary}--\r\n".encode()
    if image is not None:
        head += f'{part}image"; filename="image"\r\n\r\n'.encode()
        tail = b"\r\n" + tail
    return Content(
        f"multipart/form-data; boundary={boundary}",
        b"" if image is None else image,
        head=head,
        tail=tail,
        on_progress=on_progress,
    )
