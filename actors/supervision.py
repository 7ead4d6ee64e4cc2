"""Replace a crashed actor by a clean one, within an intensity and a period.

The rule is that of Erlang's supervisors: more than `max_crashes` crashes within `period` mean that
a fresh start does not help, so the fault goes up and ends the service.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import structlog
import trio

from actors import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.mailbox import Mailbox, MailboxStatistics

log = structlog.get_logger("calotype.supervision")


@dataclass(frozen=True, slots=True)
class Intensity:
    """How many crashes are survived within `period` seconds."""

    max_crashes: int = 5
    period: float = 10.0


class TooManyCrashes(Exception):
    """An actor crashed more often than its intensity allows."""


@dataclass(slots=True)
class Activity:
    """What an actor is doing and has done; written by the actor, read by whoever asks for stats."""

    name: str
    mailbox: Mailbox
    doing: str = "starting"
    handled: int = 0
    crashed: int = 0

    def statistics(self) -> ActorStatistics:
        """Return this moment's figures."""
        return ActorStatistics(
            self.name, self.mailbox.statistics(), self.doing, self.handled, self.crashed
        )


@dataclass(frozen=True, slots=True)
class ActorStatistics:
    """One actor at one moment; `handled` and `crashed` count over all its restarts."""

    name: str
    mailbox: MailboxStatistics
    doing: str
    handled: int
    crashed: int


class Actor(Protocol):
    """What can be supervised: `run` returns when its mailbox has ended."""

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Work until the mailbox ends; `started()` means that what the actor owns is open."""


async def supervise(
    make: Callable[[], Actor],
    activity: Activity,
    intensity: Intensity,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run what `make` makes until its mailbox ends, replacing it whenever it crashes.

    The mailbox is closed on leaving, which releases every asker still queued.

    Raises:
      TooManyCrashes: when the intensity is exceeded.
      Exception: what the actor raised before it had ever started; the start-up fails by name.
    """
    crashes: deque[float] = deque(maxlen=intensity.max_crashes + 1)
    first = _FirstStart(task_status)
    with activity.mailbox:
        while True:
            try:
                await make().run(task_status=first)
            except Exception as error:
                if not first.happened:
                    raise
                activity.crashed += 1
                # By kind: the number of a Worker means nothing once it has gone.
                metrics.CRASHES.labels(activity.name.partition("-")[0]).inc()
                activity.doing = "restarting"
                log.exception("actor_crashed", actor=activity.name, crashed=activity.crashed)
                crashes.append(trio.current_time())
                if (
                    len(crashes) > intensity.max_crashes
                    and crashes[-1] - crashes[0] <= intensity.period
                ):
                    raise TooManyCrashes(activity.name) from error
            else:
                activity.doing = "stopped"
                return


class _FirstStart(trio.TaskStatus[None]):
    """Hand the first `started()` on; a status may be used once, and an actor starts many times."""

    def __init__(self, status: trio.TaskStatus[None]) -> None:
        self._status = status
        self.happened = False

    def started(self, value: None = None) -> None:
        if not self.happened:
            self.happened = True
            self._status.started(value)
