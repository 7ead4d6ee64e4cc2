"""What the service and a render process say to each other.

Between them is a socket that keeps messages apart (`SOCK_SEQPACKET`). A message is a short JSON
text, and with it come open files: whatever can be long travels in these, so that no picture goes
through a pipe. Nothing is unpickled: the process has had strangers' bytes in its hands.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from msgspec import Meta, Struct, json

from actors.imaging.facts import Limits, Written
from actors.imaging.recipe import MAX_OTHERS, MAX_OUTPUTS, Name, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO

# In bytes; and open files: a recipe, an image and the others, or the list of the outputs and them.
MAX_MESSAGE = 4096
MAX_FILES = 1 + max(1 + MAX_OTHERS, MAX_OUTPUTS)
# In bytes: of one file, and of what is said in one.
MAX_OUTPUT = 1024 * 1024 * 1024
MAX_TEXT = 4 * 1024 * 1024
# Of these, why there is no picture, which clients are told.
MAX_WHY = 16 * 1024

Count: TypeAlias = Annotated[int, Meta(ge=0)]


class Duty(Struct, frozen=True):
    """What a process is started with: what it may read, and how long a render may calculate.

    So many `seconds` of a core, after which the kernel ends the process.
    """

    limits: Limits
    seconds: int


class Order(Struct, frozen=True, tag=True):
    """Render. The files are the recipe as JSON, the image, and the `others` by these names.

    What needs no more memory than `granted` bytes is begun at once.
    """

    others: tuple[str, ...]
    granted: int


class Granted(Struct, frozen=True, tag=True):
    """The memory that was asked for is there: begin."""


class Stop(Struct, frozen=True, tag=True):
    """Nobody wants it any more."""


class Ready(Struct, frozen=True, tag=True):
    """The process waits for an order, and has confined itself by these means."""

    means: tuple[str, ...]


class Needs(Struct, frozen=True, tag=True):
    """The render takes so many bytes of memory: say `Granted` or `Stop`."""

    memory: Count


class Rendered(Struct, frozen=True, tag=True):
    """It is done, and took so many seconds. The files: a list of `Told`, and each output.

    `image` is the SHA-256 of what it was made of, and `others` that of each of the other images.
    """

    seconds: float
    image: str
    others: dict[str, str]


class Failed(Struct, frozen=True, tag=True):
    """There is no picture to give: an `ImageError` of this code. The files: why, and what to log.

    The latter is empty unless there is a bug.
    """

    code: str


class Stopped(Struct, frozen=True, tag=True):
    """It was given up, as it was told."""


class Told(Struct, frozen=True):
    """An output as `Made` has it, without its bytes."""

    name: Name
    format: Written | Literal["json"]
    width: Count
    height: Count
    frames: Count
    quality: int | None
    ssim: float | None
    operations: tuple[Operation, ...]


Said: TypeAlias = Order | Granted | Stop
Answered: TypeAlias = Ready | Needs | Rendered | Failed | Stopped

DUTY = json.Decoder(Duty)
SAID: json.Decoder[Said] = json.Decoder(Said)
ANSWERED: json.Decoder[Answered] = json.Decoder(Answered)
TOLD = json.Decoder(tuple[Told, ...])


def send(line: socket.socket, message: Said | Answered, files: Sequence[FileIO] = ()) -> None:
    """Send a message, and with it `files`, which are closed here."""
    try:
        socket.send_fds(line, [json.encode(message)], [file.fileno() for file in files])
    finally:
        for file in files:
            file.close()


def receive(line: socket.socket) -> tuple[bytes, list[FileIO]]:
    """Return the next message, and what came with it; no message at all at the end.

    Raises:
      OSError: if something came that is no file.
    """
    text, numbers, _, _ = socket.recv_fds(line, MAX_MESSAGE, MAX_FILES)
    with ExitStack() as undo:
        for number in numbers:
            undo.callback(os.close, number)
        for number in numbers:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise OSError(errno.EINVAL, "It is no file")
        undo.pop_all()
    return text, [os.fdopen(number, "rb", buffering=0) for number in numbers]


def in_memory(data: bytes) -> FileIO:
    """Return a new file in memory that holds `data`.

    Raises:
      OSError: if there is no room, or no descriptor to be had.
    """
    with ExitStack() as undo:
        file = undo.enter_context(os.fdopen(os.memfd_create("render"), "r+b", buffering=0))
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) :]
        undo.pop_all()
    return file


def contents(file: FileIO, most: int = MAX_OUTPUT) -> bytes:
    """Return all of a file, and close it.

    Raises:
      OSError: if it cannot be read.
      ValueError: if it has more than `most` bytes.
    """
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise ValueError(f"more than {most:,} bytes")
        return os.pread(file.fileno(), size, 0)
