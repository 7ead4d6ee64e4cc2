"""How many fetches of each host are in hand, so that one that is silent holds few Workers.

Nothing here waits, so it asks nothing of trio but the time.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from actors.outside.breaker import HostBusy
from actors.outside.errors import OutsideError, SourceTooLarge, SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SILENCE: Final = 2.0  # seconds after which a host that has not answered is not waited for
REMEMBERED: Final = 1024  # hosts that have answered and have nothing in hand now, at most


@dataclass(slots=True)
class _Host:
    silent_since: float
    held: int = 0
    has_answered: bool = False


class Holds:
    """What each host has in hand, and since when it has been silent meanwhile.

    A host that answers may have any number, since these end soon.
    """

    def __init__(self, *, clock: Callable[[], float] = trio.current_time) -> None:
        self._clock = clock
        self._hosts: dict[str, _Host] = {}

    def __len__(self) -> int:
        return len(self._hosts)

    @contextmanager
    def hold(self, host: str, most: int) -> Iterator[None]:
        """Count the block as a fetch of `host`, and learn from its end whether that answers.

        Raises:
          HostBusy: if it has `most` in hand and does not answer; the block is not entered.
        """
        state = self._hosts.get(host) or _Host(self._clock())
        if not state.held:
            # It could not have answered meanwhile.
            state.has_answered = state.has_answered and self.patience(host) > 0
            state.silent_since = self._clock()
        if state.held >= most and not (state.has_answered and self.patience(host) > 0):
            raise HostBusy("As many images are being fetched from this host as may be.")
        self._hosts.pop(host, None)
        self._hosts[host] = state  # As the one that was asked most recently.
        state.held += 1
        try:
            yield
        except OutsideError as error:
            self._learn(state, error)
            raise
        else:
            self._learn(state, None)
        finally:
            state.held -= 1
            self._forget(host, state)

    def held(self, host: str) -> int:
        """Return how many `host` has in hand."""
        state = self._hosts.get(host)
        return state.held if state else 0

    def patience(self, host: str) -> float:
        """Return for how many seconds `host` may still be silent; 0 or less if it was too long."""
        state = self._hosts.get(host)
        return state.silent_since + SILENCE - self._clock() if state else SILENCE

    def _forget(self, host: str, state: _Host) -> None:
        if not state.held and not state.has_answered:
            del self._hosts[host]
        if len(self._hosts) > REMEMBERED:
            idle = next((each for each, state in self._hosts.items() if not state.held), None)
            if idle is not None:
                del self._hosts[idle]

    def _learn(self, state: _Host, error: OutsideError | None) -> None:
        match error:
            case None | SourceTooLarge() | SourceUnreachable(may_pass=False):
                state.silent_since = self._clock()
                state.has_answered = True
            case _:
                pass  # It tells nothing, or that there was no answer.
