"""The render processes of this one, to stop, to kill and to count."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import trio
import trio.testing

from actors.rendering.renderer import Renderer
from tests.conftest import PATIENCE


def children(parent: int | None = None) -> set[int]:
    """Return the render processes that `parent`, by default this process, has begun."""
    tasks = Path(f"/proc/{parent or os.getpid()}/task")
    found = set()
    for each in tasks.glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in each.read_text().split()}
    return {pid for pid in found if is_child(pid)}


def is_child(pid: int) -> bool:
    """Whether there is a render process of this number; one that has ended is none."""
    try:
        return b"actors.rendering.child" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def state(pid: int) -> str:
    """Return the letter for what a process does: Z is a zombie, and "" none at all."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return ""


def send_all(number: int) -> set[int]:
    """Send a signal to all render processes of this one; return which they were."""
    found = children()
    for pid in found:
        os.kill(pid, number)
    return found


@contextmanager
def paused() -> Iterator[set[int]]:
    """Have all render processes stand still, so that a render can neither go on nor listen."""
    found = send_all(signal.SIGSTOP)
    try:
        yield found
    finally:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def until_at_work(renderer: Renderer) -> None:
    """Wait until a render is in the hands of a process, which has some memory lent to it then."""
    with trio.fail_after(PATIENCE):
        while not renderer.memory.lent:
            await trio.testing.wait_all_tasks_blocked()
    await trio.testing.wait_all_tasks_blocked(0.01)
