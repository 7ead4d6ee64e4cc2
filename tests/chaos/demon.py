"""Who throws the faults."""

import signal
import time
from collections.abc import Callable

import psutil
import trio

from tests.chaos.disk import Disk
from tests.chaos.history import Fault, History
from tests.chaos.keeper import Keeper
from tests.chaos.plan import SIGNALS, FaultPlan, Plan

PATIENCE = 60
# Crashes of actors closer than that could be too many of one in its period, which ends the service.
BETWEEN_CRASHES = 2.2


class Demon:
    """Throws the faults of a plan at the service, one after another, until the time is up."""

    def __init__(self, plan: Plan, keeper: Keeper, disk: Disk, history: History) -> None:
        self._plan = plan
        self._keeper = keeper
        self._disk = disk
        self._history = history
        self._crashed_at = 0.0

    async def run(self) -> None:
        """Throw faults for as long as the plan says."""
        async with trio.open_nursery() as nursery:
            end = time.time() + self._plan.seconds
            for fault in self._plan.faults():
                await trio.sleep(fault.pause)
                await self._until_up()
                if time.time() > end:
                    break
                if fault.kind == "fill disk":
                    nursery.start_soon(self._fill, fault)
                else:
                    await self._throw(fault)

    async def _until_up(self) -> None:
        with trio.fail_after(PATIENCE):
            await self._keeper.is_up.wait()

    async def _throw(self, fault: FaultPlan) -> None:
        begun = time.time()
        what = ""
        match fault.kind:
            case "kill":
                await self._kill(fault.kind)
            case "kill twice":
                await self._kill(fault.kind)
                await self._keeper.has_begun.wait()
                await trio.sleep(fault.seconds)
                await self._kill(fault.kind)
            case "terminate":
                await self._keeper.end(signal.SIGTERM, fault.kind)
            case "freeze":
                await self._freeze(fault.seconds)
            case "freeze and kill":
                self._keeper.send(signal.SIGSTOP)
                await trio.sleep(fault.seconds)
                await self._kill(fault.kind)
            case "crash":
                await trio.sleep(max(0.0, self._crashed_at + BETWEEN_CRASHES - time.time()))
                await self._until_up()
                begun = self._crashed_at = time.time()
                what = fault.actor
                self._keeper.send(SIGNALS[fault.actor])
            case "kill render":
                what = self._each_child(lambda child: child.kill())
            case "freeze render":
                what = self._each_child(lambda child: child.suspend())
                await trio.sleep(fault.seconds)
                self._each_child(lambda child: child.resume())
        self._history.faults.append(Fault(begun, time.time(), fault.kind, what))

    async def _kill(self, why: str) -> None:
        with trio.fail_after(PATIENCE):
            await self._keeper.end(signal.SIGKILL, why)

    async def _freeze(self, seconds: float) -> None:
        self._keeper.send(signal.SIGSTOP)
        await trio.sleep(seconds)
        self._keeper.send(signal.SIGCONT)

    def _each_child(self, strike: Callable[[psutil.Process], None]) -> str:
        """Strike every render process; return how many there were."""
        children = self._keeper.look_for_children()
        for child in children:
            try:
                strike(child)
            except psutil.NoSuchProcess:
                continue
        return str(len(children))

    async def _fill(self, fault: FaultPlan) -> None:
        begun = time.time()
        with self._disk.full(fault.left, self._keeper.pid):
            await trio.sleep(fault.seconds)
        self._history.faults.append(Fault(begun, time.time(), fault.kind, f"{fault.left} left"))
