"""Ctrl-C as a wish, not as an accident: commands that run in trio end cleanly on it."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# What a shell expects of a process that SIGINT has ended.
INTERRUPTED: Final = 128 + signal.SIGINT


def run_interruptibly(main: Callable[[], Awaitable[None]]) -> bool:
    """Run `main` in trio. Return whether Ctrl-C cancelled it.

    What `main` raises arrives in an exception group.
    """
    return trio.run(_watched, main)


async def _watched(main: Callable[[], Awaitable[None]]) -> bool:
    interrupted = False

    async def listen() -> None:
        nonlocal interrupted
        async for _ in signals:
            interrupted = True
            nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await main()
            nursery.cancel_scope.cancel()
    return interrupted
