"""A template of services whose actors can be crashed: a real-time signal for each of `ACTORS`.

An actor crashes as a bug would have it: by a message that it does not know. In the middle of a job
a Worker gets no message, so there it is the work itself that raises: `before` it, or `after` the
end of the job is written, and nobody has been told.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import wraps
from typing import Any

import trio

import web.serve
from actors.errors import AskFailed
from actors.mailbox import Address, Request
from actors.system import System, open_system
from actors.worker import Worker
from tests.chaos.plan import SIGNALS
from tests.web.template import main as serve_from_template

PATIENCE = 2


class Unknown(Request[None]):
    """A message that no actor knows."""


class Unreadable(Request[None]):
    """A message that cannot even be compared. The Dispatcher passes on what it does not know."""

    @property  # type: ignore[misc]  # It is a bug on purpose.
    def __class__(self) -> type:
        raise TypeError("a bug")


class Fragile:
    """The actors of a service, and who is to crash next."""

    def __init__(self) -> None:
        self.workers: list[Address] = []
        self.fuses: set[str] = set()

    def instrument(self) -> None:
        """Have this process open such a system, when it serves."""
        hire, end = System._hire, Worker._end

        async def remembered(system: System) -> Address:
            self.workers.append(await hire(system))
            return self.workers[-1]

        @wraps(end)
        async def fused(worker: Worker, *job: Any) -> None:
            if "before" in self.fuses:
                self.fuses.remove("before")
                raise TypeError("a bug")
            await end(worker, *job)
            if "after" in self.fuses:
                self.fuses.remove("after")
                raise TypeError("a bug")

        System._hire = remembered  # type: ignore[method-assign, assignment]
        Worker._end = fused  # type: ignore[method-assign, assignment]
        web.serve.open_system = self.open_system  # type: ignore[attr-defined]

    @asynccontextmanager
    async def open_system(self, *how: Any, **more: Any) -> AsyncIterator[System]:
        """See `actors.system.open_system`."""
        async with open_system(*how, **more) as system, trio.open_nursery() as nursery:
            await nursery.start(self._crash_at_signals, system, nursery)
            yield system
            nursery.cancel_scope.cancel()

    async def _crash_at_signals(
        self, system: System, nursery: trio.Nursery, *, task_status: trio.TaskStatus[None]
    ) -> None:
        names = {number: name for name, number in SIGNALS.items()}
        with trio.open_signal_receiver(*names) as signals:
            task_status.started()
            async for number in signals:
                name = names[number]
                match name:
                    case "before" | "after":
                        self.fuses.add(name)
                    case "dispatcher":
                        nursery.start_soon(ask, system.front_door, Unreadable())
                    case "worker":
                        nursery.start_soon(ask, self.workers[-1], Unknown())
                    case _:
                        nursery.start_soon(ask, getattr(system, f"_{name}_door"), Unknown())


async def ask(address: Address, message: Request[None]) -> None:
    """Ask, and be content with whatever comes of it."""
    with trio.move_on_after(PATIENCE):
        with suppress(AskFailed):
            await address.ask(message)


def main() -> None:
    """See `tests.web.template.main`."""
    Fragile().instrument()
    serve_from_template()
