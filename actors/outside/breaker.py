"""Hosts that fail are left alone for a while, and none may hold up the others.

No published breaker suited: purgatory counts a cancellation as a failure and lets any number of
calls try a host that may have recovered, aiobreaker and hyx rest since years, pybreaker is for
threads, and bulkman has left trio for asyncio.
Nothing here waits, so it asks nothing of trio but the time.
"""

from __future__ import annotations

import random as random_module
from collections import OrderedDict
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from actors.outside.backoff import doubled
from actors.outside.errors import OutsideError, SourceTooLarge, SourceUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class HostBusy(OutsideError):
    """As many calls to this host are under way as may be."""


class HostResting(OutsideError):
    """The host has failed too often; it is asked again after so many `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Its host has failed too often, and is left alone for a while.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Rules:
    """How much a host may take, and how much it is borne with.

    After `failures` in a row it rests for `rest` seconds, doubled up to `longest_rest` each time
    that the one call which then tries it fails as well; and up to half of that less, by chance, so
    that hosts which fell together are not tried together.
    Of hosts that have failed lately so many are `remembered`.
    """

    calls: int = 4
    failures: int = 5
    rest: float = 10.0
    longest_rest: float = 600.0
    remembered: int = 1024


@dataclass(slots=True)
class _Host:
    running: int = 0
    failures: int = 0
    rests: int = 0
    rests_until: float | None = None
    is_tried: bool = False

    @property
    def is_as_new(self) -> bool:
        return not self.running and not self.failures and self.rests_until is None


class Breakers:
    """A breaker and a bound on concurrent calls for each host.

    A host is closed (asked freely), open (it rests), or half-open (it has rested, and one call may
    try it). It is forgotten when there is nothing to remember of it, and the one that was asked
    least recently when too many have failed; one that is being asked is not forgotten.
    """

    def __init__(
        self,
        rules: Rules = Rules(),
        *,
        clock: Callable[[], float] = trio.current_time,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._random = random
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def __len__(self) -> int:
        return len(self._hosts)

    def taken(self) -> dict[str, int]:
        """Return how many of its calls each host has no room for, as far as that is known.

        One that rests or has rested takes one call, when its rest is over, and while that tries it
        no other.
        """
        return {host: self._taken(state) for host, state in self._hosts.items()}

    def _taken(self, state: _Host) -> int:
        if state.rests_until is None:
            return state.running
        return max(state.running, self._rules.calls - (not state.is_tried))

    @contextmanager
    def call(self, host: str) -> Iterator[None]:
        """Count the block as a call to `host`, and learn from how it ends.

        A `SourceUnreachable` that may pass is a failure. Another answer is a success, also one
        that is of no use to the caller; any other exception, a cancellation too, tells nothing.

        Raises:
          HostBusy, HostResting: if the host must not be asked now; the block is not entered.
        """
        state = self._hosts.get(host) or _Host()
        tries = self._admit(state)
        self._hosts[host] = state
        self._hosts.move_to_end(host)
        state.running += 1
        state.is_tried = state.is_tried or tries
        try:
            yield
        except SourceUnreachable as error:
            self._learn(state, tries=tries, failed=error.may_pass)
            raise
        except SourceTooLarge:
            self._learn(state, tries=tries, failed=False)
            raise
        else:
            self._learn(state, tries=tries, failed=False)
        finally:
            state.running -= 1
            if tries:
                state.is_tried = False
            self._forget(host, state)

    def _admit(self, state: _Host) -> bool:
        """Return whether the call is the one that tries a host which has rested."""
        if state.rests_until is not None:
            left = state.rests_until - self._clock()
            if left > 0:
                raise HostResting(left)
        if state.is_tried or state.running >= self._rules.calls:
            raise HostBusy("As many calls to this host are under way as may be.")
        return state.rests_until is not None

    def _learn(self, state: _Host, *, tries: bool, failed: bool) -> None:
        if state.rests_until is not None and not tries:
            return  # It was begun before the host came to rest.
        if not failed:
            state.failures = state.rests = 0
            state.rests_until = None
            return
        state.failures += 1
        if tries or state.failures >= self._rules.failures:
            rest = doubled(self._rules.rest, state.rests, self._rules.longest_rest)
            state.rests_until = self._clock() + rest * (1 - self._random() / 2)
            state.rests += 1

    def _forget(self, host: str, state: _Host) -> None:
        if state.is_as_new:
            del self._hosts[host]
        while len(self._hosts) > self._rules.remembered:
            idle = next((each for each, state in self._hosts.items() if not state.running), None)
            if idle is None:
                return
            del self._hosts[idle]
