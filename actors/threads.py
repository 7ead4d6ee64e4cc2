"""Threads, as actors take blocking work to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio

from actors.storage.ports import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# CPython's words, when the system gives it none: it raises no class of its own.
NO_THREAD = "can't start new thread"


async def in_thread(work: Callable[[], T], limiter: trio.CapacityLimiter) -> T:
    """Do `work` in a thread, as `trio.to_thread.run_sync` does.

    Raises:
      StorageUnavailable: if the system gives no thread. What can be tried again then is not taken
        for a crash.
    """
    try:
        return await trio.to_thread.run_sync(work, limiter=limiter)
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        raise StorageUnavailable("the system gives no thread") from None
