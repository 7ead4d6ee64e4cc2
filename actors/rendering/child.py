"""A render process: `python -m actors.rendering.child LINE LIFELINE DUTY`.

It reads orders from the socket LINE, one after the other, and ends when that is closed. LIFELINE is
a socket whose other end only the service has, and says nothing on.
"""

from __future__ import annotations

import fcntl
import math
import os
import resource
import select
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, cast

from msgspec import json

from actors.imaging.errors import ImageError, ImagingCrashed, RenderStopped, contained
from actors.imaging.plan import foresee
from actors.imaging.readiness import prepare
from actors.imaging.recipe import decode_recipe
from actors.imaging.render import keep_memory, render
from actors.priority import give_way
from actors.rendering.protocol import (
    DUTY,
    MAX_OUTPUT,
    MAX_WHY,
    SAID,
    Answered,
    Duty,
    Failed,
    Granted,
    Needs,
    Order,
    Ready,
    Rendered,
    Stop,
    Stopped,
    Told,
    contents,
    in_memory,
    receive,
    send,
)
from actors.rendering.sandbox import confine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from typing import BinaryIO

    from actors.imaging.made import Made
    from actors.imaging.recipe import Operation, Recipe

# Plans are not exact: a render may have this many times what it said, and so much besides.
SURPLUS = 2
SLACK = 256 * 1024 * 1024


def main(line: int, lifeline: int, duty: str) -> None:
    """Do the `duty` until the line is closed."""
    _die_with(lifeline)
    # A terminal, or a process manager, sends them to everybody; but the service ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # When memory runs out, this is who has to go.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    # A file in memory counts as a file.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_OUTPUT, MAX_OUTPUT))
    with socket.socket(fileno=line) as open_line, Path("/proc/self/statm").open("rb") as sizes:
        RenderProcess(open_line, DUTY.decode(duty), sizes).serve()


def _die_with(lifeline: int) -> None:
    """End this process, whatever it does, when the other end of `lifeline` is closed.

    The kernel sends SIGIO then, whose default is to end. It needs no thread, which would need the
    interpreter, and it is not bound to the thread that began this process, as PR_SET_PDEATHSIG is.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    # It may have been closed before.
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit("The service has gone.")


class RenderProcess:
    """One render at a time. `sizes` is what the kernel says of its memory, in pages."""

    def __init__(self, line: socket.socket, duty: Duty, sizes: BinaryIO) -> None:
        self._line = line
        self._duty = duty
        self._sizes = sizes
        self._word = select.poll()
        self._word.register(line, select.POLLIN)

    def serve(self) -> None:
        """Give up all other rights, and fulfil orders until the line is closed."""
        give_way()
        keep_memory(1)
        prepare(self._duty.limits)
        # The service's log, which is no business of what this may become.
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stderr.fileno())
        # The decoder of HEIC is one that cannot do without.
        self._say(Ready(confine(threads="heic" in self._duty.limits.formats)))
        while True:
            text, files = receive(self._line)
            if not text:
                return
            match SAID.decode(text):
                case Order() as order:
                    _bind(resource.RLIMIT_AS, math.inf)  # The last render's.
                    self._say(*self._fulfilled(order, files))
                case Stop():
                    pass  # It came too late.
                case Granted():
                    raise ValueError("granted what was not asked for")

    def _say(self, message: Answered, files: Sequence[FileIO] = ()) -> None:
        send(self._line, message, files)

    def _fulfilled(self, order: Order, files: list[FileIO]) -> tuple[Answered, Sequence[FileIO]]:
        try:
            with contained():
                recipe, image, *others = (contents(file) for file in files)
                return self._rendered(
                    decode_recipe(recipe.decode()),
                    image,
                    dict(zip(order.others, others, strict=True)),
                    order.granted,
                )
        except RenderStopped:
            return Stopped(), ()
        except ImageError as error:
            bug = (
                "".join(traceback.format_exception(error)) if type(error) is ImagingCrashed else ""
            )
            why = str(error).encode()[:MAX_WHY].decode(errors="ignore")
            return Failed(error.code), [in_memory(text.encode()) for text in (why, bug)]

    def _rendered(
        self, recipe: Recipe, image: bytes, others: dict[str, bytes], granted: int
    ) -> tuple[Answered, Sequence[FileIO]]:
        needed = foresee(image, recipe, self._duty.limits).cost.memory
        if needed > granted:
            self._ask_for(needed)
        self._bind(needed)
        begun = time.perf_counter()
        made = render(image, recipe, self._duty.limits, self._is_told, others)
        seconds = time.perf_counter() - begun
        told = in_memory(json.encode([_told(each) for each in made]))
        digests = {name: sha256(data).hexdigest() for name, data in others.items()}
        original = sha256(image).hexdigest()
        return Rendered(seconds, original, digests), [
            told,
            *(in_memory(each.data) for each in made),
        ]

    def _ask_for(self, memory: int) -> None:
        self._say(Needs(memory))
        text, _ = receive(self._line)
        if not text or not isinstance(SAID.decode(text), Granted):
            raise RenderStopped

    def _is_told(self) -> bool:
        """Whether there is word from the service, which can only be to stop."""
        return bool(self._word.poll(0))

    def _bind(self, needed: int) -> None:
        """Have what goes far beyond a plan end here: the memory as such, the time this process."""
        pages = int(os.pread(self._sizes.fileno(), 100, 0).split()[0])
        most = pages * resource.getpagesize() + SURPLUS * needed + SLACK
        _bind(resource.RLIMIT_AS, most)
        _bind(resource.RLIMIT_CPU, math.ceil(time.process_time()) + self._duty.seconds)


def _bind(kind: int, most: float) -> None:
    """Set a bound, if that which the service itself was given is not lower."""
    _, hard = resource.getrlimit(kind)
    least = min(most, math.inf if hard == resource.RLIM_INFINITY else hard)
    resource.setrlimit(kind, (resource.RLIM_INFINITY if least == math.inf else int(least), hard))


def _told(made: Made) -> Told:
    return Told(
        name=made.name,
        format=made.format,
        width=made.width,
        height=made.height,
        frames=made.frames,
        quality=made.quality,
        ssim=made.ssim,
        operations=cast("tuple[Operation, ...]", made.operations),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
