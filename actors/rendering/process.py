"""A render process as the service sees it: begun, given orders, ended."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
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
    MAX_TEXT,
    MAX_WHY,
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
    contents,
    in_memory,
    receive,
    send,
)
from actors.threads import NO_THREAD, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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


class _Named(msgspec.Struct):
    """What a recipe says of an output, as far as it can be checked of what was made."""

    name: str = "output"
    format: str | None = None


class _Wanted(msgspec.Struct):
    outputs: tuple[_Named, ...]


WANTED = msgspec.json.Decoder(_Wanted)


class RenderDied(Exception):
    """The process has ended in the middle of a render.

    `code` is what it ended with, less than 0 for a signal; `why` is for the log.
    """

    def __init__(self, code: int | None, why: str) -> None:
        super().__init__(f"{why} ({code})")
        self.code = code


class Finished(NamedTuple):
    """What was made, and the SHA-256 of the image and of each of the others that it was made of."""

    made: tuple[Made, ...]
    image: str
    others: Mapping[str, str]


class RenderProcess:
    """One process, which belongs to whoever has begun it, and does one render at a time.

    It lives no longer than the other end of its lifeline is open, which is `held` here.
    """

    def __init__(self, process: trio.Process, line: socket.socket, held: socket.socket) -> None:
        self._process = process
        self._line = line
        self._held = held
        self._is_at_work = False
        self._has_ended = False
        self.renders = 0

    @property
    def is_free(self) -> bool:
        """Whether it could take an order, as far as one can know."""
        return not (self._has_ended or self._is_at_work or self._process.returncode is not None)

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
                if not isinstance(answer, Ready):
                    raise await self._death(f"It said {answer}")
        except trio.Cancelled:
            with trio.move_on_after(LAST, shield=True):
                await self.end()
            raise
        except (RenderDied, trio.TooSlowError) as error:
            with trio.move_on_after(LAST, shield=True):
                await self.end()
            raise NoRenderProcess(f"The process did not begin: {error}") from error
        log.info("render_process_started", pid=self.pid, confined_by=answer.means)

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
          NoRenderProcess, StorageUnavailable: if nothing can be handed to it, or taken from it.
        """
        files = await held(recipe.encode()), image, *others.values()
        self.renders += 1
        self._is_at_work = True
        with memory.advance(ADVANCE) as loan:
            try:
                with trio.move_on_after(seconds) as time:
                    await self._say(Order(tuple(others), loan.amount), files)
                    return await self._outcome(recipe, memory, loan, time)
                await self.end()
            except trio.Cancelled:
                with trio.move_on_after(PATIENCE + LAST, shield=True):
                    await self._stop()
                raise
            except RenderDied as died:
                if died.code != -signal.SIGXCPU:
                    raise
        return TimedOut(f"It took longer than {seconds:g} seconds.")

    async def _outcome(
        self, recipe: str, memory: Memory, loan: Loan, time: trio.CancelScope
    ) -> Finished | ImageError:
        while True:
            answer, files = await self._heard()
            with _closed(files):
                if isinstance(answer, Needs):
                    if not await self._lent(answer.memory, memory, loan, time):
                        await self._stop()
                        return _too_much(answer.memory, memory.total)
                    await self._say(Granted())
                else:
                    return await self._end_of_it(answer, files, recipe)

    async def _lent(self, needed: int, memory: Memory, loan: Loan, time: trio.CancelScope) -> bool:
        """Whether so much has been lent; the wait for it does not count as time of the render."""
        left = time.deadline - trio.current_time()
        time.deadline = math.inf
        try:
            await memory.extend(loan, needed)
        except TooMuch:
            return False
        time.deadline = trio.current_time() + left
        return True

    async def _end_of_it(
        self, answer: Answered, files: Sequence[FileIO], recipe: str
    ) -> Finished | ImageError:
        try:
            match answer, files:
                case Rendered(seconds, image, others), (told, *outputs):
                    metrics.RENDER.observe(seconds)
                    made = await _made(told, outputs)
                    _check_made(made, WANTED.decode(recipe).outputs)
                    return Finished(made, image, others)
                case Failed(code), (why, bug) if code in ERRORS:
                    error = ERRORS[code](contents(why, MAX_WHY).decode())
                    error.add_note(contents(bug, MAX_TEXT).decode())
                    return error
        # The process may have had anything done to it.
        except (OSError, ValueError, RecursionError) as error:
            raise await self._death(f"It gave what it cannot: {error}") from error
        raise await self._death(f"It said {answer} with {len(files)} files")

    async def _say(self, message: Said, files: Sequence[FileIO] = ()) -> None:
        try:
            send(self._line, message, files)
        except ConnectionError:
            pass  # Nobody listens: whoever listens next hears of it.
        except OSError as error:
            raise await self._death(f"It does not listen: {error}") from error

    async def _heard(self) -> tuple[Answered, list[FileIO]]:
        await trio.lowlevel.wait_readable(self._line)
        text, files = b"", list[FileIO]()
        try:
            text, files = receive(self._line)
        except ConnectionError:
            pass  # It has closed the line.
        except OSError as error:
            raise await self._death(f"It gave what it cannot: {error}") from error
        if not text:
            # It is on its way out, and what it ends with tells why.
            with trio.move_on_after(LAST, shield=True):
                await self._process.wait()
            raise await self._death("It has gone")
        try:
            answer = ANSWERED.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            with _closed(files):
                raise await self._death(f"It said what it cannot: {error}") from error
        self._is_at_work = isinstance(answer, Needs)
        return answer, files

    async def _stop(self) -> None:
        """Have the render given up; end the process if it does not listen."""
        with trio.move_on_after(PATIENCE, shield=True), suppress(RenderDied):
            if self._is_at_work:
                await self._say(Stop())
            while self._is_at_work:
                _, files = await self._heard()
                with _closed(files):
                    pass
            return
        await self.end()

    async def _death(self, why: str) -> RenderDied:
        await self.end()
        return RenderDied(self._process.returncode, why)

    async def end(self) -> None:
        """End the process, whatever it does. Not even a cancellation leaves it behind."""
        self.kill()
        with trio.move_on_after(LAST, shield=True):
            await self._process.wait()

    def kill(self) -> None:
        """Have the process ended."""
        self._has_ended = True
        self._line.close()
        self._held.close()
        self._process.kill()


async def start_process(duty: Duty, environment: Mapping[str, str]) -> RenderProcess:
    """Begin a process, and wait until it is ready.

    Args:
      environment: what it is to know besides where its modules are.

    Raises:
      NoRenderProcess: if there is none to be had.
    """
    with ExitStack() as undo:
        try:
            line, its_line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            undo.enter_context(line)
            with its_line:
                # One for each: processes that shared an end would share who is told of its close.
                ours, lifeline = socket.socketpair()
                undo.enter_context(ours)
                with lifeline:
                    numbers = its_line.fileno(), lifeline.fileno()
                    process = await trio.lowlevel.open_process(
                        [*COMMAND, *map(str, numbers), msgspec.json.encode(duty).decode()],
                        pass_fds=numbers,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
                    )
        except OSError as error:
            raise NoRenderProcess(str(error)) from error
        except RuntimeError as error:
            if str(error) != NO_THREAD:
                raise
            raise NoRenderProcess(str(error)) from error
        undo.pop_all()
    line.setblocking(False)
    begun = RenderProcess(process, line, ours)
    await begun.be_ready()
    return begun


async def held(data: bytes) -> FileIO:
    """Return a file in memory that holds `data`, to be rendered.

    Raises:
      NoRenderProcess, StorageUnavailable: if there is none to be had, or no thread to fill it.
    """
    try:
        if len(data) <= MUCH:
            return in_memory(data)
        return await in_thread(partial(in_memory, data), _usual())
    except OSError as error:
        raise NoRenderProcess(str(error)) from error


@contextmanager
def _closed(files: Sequence[FileIO]) -> Iterator[None]:
    """Have the files closed at the end of the block."""
    with ExitStack() as opened:
        for file in files:
            opened.enter_context(file)
        yield


async def _made(told: FileIO, outputs: Sequence[FileIO]) -> tuple[Made, ...]:
    sizes = [os.fstat(file.fileno()).st_size for file in outputs]
    if sum(sizes) > MAX_OUTPUT:
        raise ValueError("too much")
    each = TOLD.decode(contents(told, MAX_TEXT))
    if len(each) != len(outputs):
        raise ValueError("not as many outputs as it says")
    data = [await _read(file, size) for file, size in zip(outputs, sizes, strict=True)]
    pairs = zip(each, data, strict=True)
    return tuple(Made(data=data, **msgspec.structs.asdict(one)) for one, data in pairs)


def _check_made(made: Sequence[Made], wanted: Sequence[_Named]) -> None:
    """Raise ValueError if it is not what was asked for, whatever is in the pictures."""
    for each, said in zip(made, wanted, strict=True):
        free = said.format in {None, "auto"} and each.format != "json"
        if each.name != said.name or not (free or each.format == said.format):
            raise ValueError("an output that nobody has asked for")
        if each.format == "json":
            msgspec.json.decode(each.data, type=dict)


async def _read(file: FileIO, size: int) -> bytes:
    if size <= MUCH:
        return contents(file, size)
    return await in_thread(partial(contents, file, size), _usual())


def _usual() -> trio.CapacityLimiter:
    return trio.to_thread.current_default_thread_limiter()


def _too_much(needed: int, allowed: int) -> ImageTooLarge:
    return ImageTooLarge(
        f"It would take about {needed / 1e6:,.0f} MB of memory; "
        f"at most {allowed / 1e6:,.0f} MB are allowed."
    )
