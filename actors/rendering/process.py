"""A render process as the service sees it: begun, given orders, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from io import FileIO
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import structlog
import trio

from actors import metrics
from actors.errors import NoRenderProcess
from actors.imaging.errors import (
    ImageError,
    ImageTooLarge,
    ImagingCrashed,
    ImpossibleRecipe,
    NoRoom,
    NotAnImage,
    TimedOut,
    UnsupportedFormat,
)
from actors.imaging.made import Made
from actors.rendering.memory import TooMuch
from actors.rendering.protocol import (
    ANSWERED,
    MAX_OUTPUT,
    TOLD,
    Answered,
    Failed,
    Granted,
    Needs,
    Order,
    Ready,
    Rendered,
    Said,
    Stop,
    Stopped,
    contents,
    in_memory,
    receive,
    send,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from actors.rendering.memory import Loan, Memory
    from actors.rendering.protocol import Duty

log = structlog.get_logger("calotype.rendering")

# It finds its modules where we have found ours, and not in the directory where it starts.
COMMAND = (sys.executable, "-s", "-P", "-m", "actors.rendering.child")
# In bytes: what most renders need, and are given unasked.
ADVANCE = 64 * 1024 * 1024
# In bytes: what is copied in a thread, so that nobody else has to wait for it.
MUCH = 1024 * 1024
START = 30.0  # seconds until a new process is given up
PATIENCE = 0.5  # seconds that a render which nobody wants may take to notice
LAST = 1.0  # seconds until the kernel has ended a process that it was told to

ERRORS: Mapping[str, Callable[[str], ImageError]] = {
    kind.code: kind
    for kind in (
        *(NotAnImage, UnsupportedFormat, ImageTooLarge, ImpossibleRecipe),
        *(NoRoom, ImagingCrashed),
    )
}


class RenderDied(Exception):
    """The process has ended in the middle of a render.

    `code` is what it ended with, less than 0 for a signal; `why` is for the log.
    """

    def __init__(self, code: int | None, why: str) -> None:
        super().__init__(f"{why} ({code})")
        self.code = code


class Finished(NamedTuple):
    """What was made, and the SHA-256 of each of the other images that it was made of."""

    made: tuple[Made, ...]
    others: Mapping[str, str]


class RenderProcess:
    """One process, which belongs to whoever has begun it, and does one render at a time."""

    def __init__(self, process: trio.Process, line: socket.socket) -> None:
        self._process = process
        self._line = line
        self.renders = 0
        self.has_ended = False

    @property
    def is_there(self) -> bool:
        """Whether it has not ended by itself."""
        return self._process.returncode is None

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    async def be_ready(self) -> None:
        """Wait until it takes orders.

        Raises:
          NoRenderProcess: if it does not come to that.
        """
        try:
            with trio.fail_after(START):
                answer, _ = await self._heard()
        except trio.Cancelled:
            await self.end()
            raise
        except (RenderDied, trio.TooSlowError) as error:
            await self.end()
            raise NoRenderProcess(f"The process did not begin: {error}") from error
        means = answer.means if isinstance(answer, Ready) else ()
        log.info("render_process_started", pid=self.pid, confined_by=means)

    async def render(
        self,
        image: FileIO,
        recipe: str,
        others: Mapping[str, FileIO],
        memory: Memory,
        seconds: float,
    ) -> Finished | ImageError:
        """Render, with the `memory` and in the time that there is; see `Renderer.render`.

        Cancelling it stops the render: between two of its steps or, after `PATIENCE`, by ending the
        process.

        Raises:
          RenderDied: if it ends in the middle of it.
        """
        self.renders += 1
        files = in_memory(recipe.encode()), image, *others.values()
        with memory.advance(ADVANCE) as loan:
            try:
                self._say(Order(tuple(others), loan.amount), files)
                with trio.move_on_after(seconds) as time:
                    return await self._outcome(memory, loan, time)
                await self.end()
            except trio.Cancelled:
                await self._stop()
                raise
            except RenderDied as died:
                if died.code != -signal.SIGXCPU:
                    raise
        return TimedOut(f"It took longer than {seconds:g} seconds.")

    async def _outcome(
        self, memory: Memory, loan: Loan, time: trio.CancelScope
    ) -> Finished | ImageError:
        while True:
            match await self._heard():
                case Needs(needed), _:
                    left = time.deadline - trio.current_time()
                    time.deadline = float("inf")
                    try:
                        await memory.extend(loan, needed)
                    except TooMuch:
                        await self._stop()
                        return _too_much(needed, memory.total)
                    time.deadline = trio.current_time() + left
                    self._say(Granted())
                case Rendered(seconds, others), files:
                    metrics.RENDER.observe(seconds)
                    return Finished(await self._made(files), others)
                case Failed(code), (why, bug):
                    error = ERRORS[code](contents(why).decode())
                    error.add_note(contents(bug).decode())
                    return error
                case answer, _:
                    raise await self._death(f"It said {answer}")

    async def _made(self, files: Sequence[FileIO]) -> tuple[Made, ...]:
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        if any(size > MAX_OUTPUT for size in sizes):
            raise await self._death("It has made too much")
        told, *outputs = [await _read(file, size) for file, size in zip(files, sizes, strict=True)]
        try:
            pairs = zip(TOLD.decode(told), outputs, strict=True)
            return tuple(Made(data=data, **msgspec.structs.asdict(each)) for each, data in pairs)
        except ValueError as error:
            raise await self._death(f"It said what it cannot: {error}") from error

    def _say(self, message: Said, files: Sequence[FileIO] = ()) -> None:
        # If nobody listens, whoever listens next hears of it.
        with suppress(ConnectionError):
            send(self._line, message, files)

    async def _heard(self) -> tuple[Answered, list[FileIO]]:
        await trio.lowlevel.wait_readable(self._line)
        text, files = b"", list[FileIO]()
        with suppress(ConnectionError):
            text, files = receive(self._line)
        if not text:
            # It is on its way out, and what it ends with tells why.
            with trio.move_on_after(LAST, shield=True):
                await self._process.wait()
            raise await self._death("It has gone")
        try:
            return ANSWERED.decode(text), files
        except msgspec.DecodeError as error:
            raise await self._death(f"It said what it cannot: {error}") from error

    async def _stop(self) -> None:
        """Have the render given up; end the process if it does not listen."""
        with trio.move_on_after(PATIENCE, shield=True), suppress(RenderDied):
            self._say(Stop())
            answer: Answered | None = None
            while not isinstance(answer, Rendered | Failed | Stopped):
                answer, _ = await self._heard()
            return
        await self.end()

    async def _death(self, why: str) -> RenderDied:
        await self.end()
        return RenderDied(self._process.returncode, why)

    async def end(self) -> None:
        """End the process, whatever it does. Not even a cancellation leaves it behind."""
        self.has_ended = True
        self._line.close()
        self._process.kill()
        with trio.move_on_after(LAST, shield=True):
            await self._process.wait()


async def start_process(duty: Duty, lifeline: int, environment: Mapping[str, str]) -> RenderProcess:
    """Begin a process, and wait until it is ready.

    Args:
      lifeline: the reading end of a pipe; the process ends when the other end is closed.
      environment: what it is to know besides where its modules are.

    Raises:
      NoRenderProcess: if there is none to be had.
    """
    with ExitStack() as undo:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.enter_context(ours)
            with theirs:
                numbers = theirs.fileno(), lifeline
                process = await trio.lowlevel.open_process(
                    [*COMMAND, *map(str, numbers), msgspec.json.encode(duty).decode()],
                    pass_fds=numbers,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
        except OSError as error:
            raise NoRenderProcess(str(error)) from error
        undo.pop_all()
    ours.setblocking(False)
    begun = RenderProcess(process, ours)
    await begun.be_ready()
    return begun


async def _read(file: FileIO, size: int) -> bytes:
    if size <= MUCH:
        return contents(file)
    return await trio.to_thread.run_sync(contents, file)


def _too_much(needed: int, allowed: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"It would take about {needed / 1e6:,.0f} MB of memory; "
        f"at most {allowed / 1e6:,.0f} MB are allowed."
    )
