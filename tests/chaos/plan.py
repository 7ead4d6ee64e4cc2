"""What a seed decides: the faults in their order, and what each client does.

When a fault strikes in the life of a job cannot be decided by anybody.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeAlias

FaultKind: TypeAlias = Literal[
    "kill",  # SIGKILL, as a power cut
    "kill twice",  # and again while it starts
    "terminate",  # SIGTERM, as a process manager stops it
    "freeze",  # SIGSTOP, and SIGCONT after a while
    "freeze and kill",
    "crash",  # an actor, by a message that it does not know
    "kill render",  # a render process, if there are such
    "freeze render",
    "fill disk",  # for a while, in which other faults happen
]
# Crashes of one actor end the service if they are too close, so there are not too many.
FAULTS: dict[FaultKind, int] = {
    "kill": 34,
    "kill twice": 6,
    "terminate": 8,
    "freeze": 8,
    "freeze and kill": 4,
    "crash": 18,
    "kill render": 12,
    "freeze render": 4,
    "fill disk": 6,
}
ACTORS = ("store", "dispatcher", "worker", "courier", "fetcher", "surveyor", "before", "after")
SIGNALS = {name: signal.SIGRTMIN + number for number, name in enumerate(ACTORS)}

WorkKind: TypeAlias = Literal[
    "picture",
    "large",  # a picture that takes a while
    "twin",  # one that others send as well
    "outputs",  # two results
    "garbage",  # no picture
    "found",  # a picture at an address
    "flaky",  # the same, but the server fails the first time
    "missing",  # the same, but there is none
    "batch",
    "half upload",  # a client that goes in the middle
    "no reader",  # a client that asks and does not take the answer
]
WORKS: dict[WorkKind, int] = {
    "picture": 48,
    "large": 8,
    "twin": 10,
    "outputs": 6,
    "garbage": 4,
    "found": 4,
    "flaky": 2,
    "missing": 2,
    "batch": 6,
    "half upload": 4,
    "no reader": 2,
}
Sequel: TypeAlias = Literal["leave", "poll", "download", "cancel", "retry", "delete"]
SEQUELS: dict[Sequel, int] = {
    "leave": 30,
    "poll": 30,
    "download": 10,
    "cancel": 8,
    "retry": 8,
    "delete": 8,
}


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """A fault that comes `pause` seconds after the one before; `seconds` is how long it lasts."""

    kind: FaultKind
    pause: float
    seconds: float
    actor: str
    # Bytes that a full disk has left.
    left: int


@dataclass(frozen=True, slots=True)
class Work:
    """What a client does next, and `pause` seconds later the next thing.

    `keyed`: with an Idempotency-Key. `again`: it is sent a second time under it, at the same
    moment or although it was answered. `callback`: it wants to be told. `lag`: seconds from the
    answer to the sequel.
    """

    mark: str
    kind: WorkKind
    form: Literal["json", "bare"]
    keyed: bool
    again: Literal["at once", "later"] | None
    callback: bool
    priority: Literal["high", "normal", "low"]
    max_attempts: int
    size: tuple[int, int]
    sequel: Sequel
    lag: float
    pause: float
    chance: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign. `pace` is how fast all of it goes: at 2, twice as much happens in a second.

    `rest` is how long it may take until nothing happens any more when the faults are over.
    """

    seed: int
    seconds: float
    clients: int = 4
    pace: float = 1.0
    rest: float = 180.0

    def faults(self) -> Iterator[FaultPlan]:
        """Yield faults without end."""
        chance = Random(f"{self.seed} faults")  # noqa: S311 - nothing here is secret
        kinds, weights = list(FAULTS), list(FAULTS.values())
        while True:
            (kind,) = chance.choices(kinds, weights)
            yield FaultPlan(
                kind,
                pause=chance.uniform(0.1, 1.9) / self.pace,
                seconds=chance.uniform(0.05, 0.4 if kind == "kill twice" else 2.0),
                actor=chance.choice(ACTORS),
                left=chance.choice((0, 4096, 65536)),
            )

    def works(self, client: int) -> Iterator[Work]:
        """Yield what this client does, without end."""
        chance = Random(f"{self.seed} client {client}")  # noqa: S311 - nothing here is secret
        kinds, weights = list(WORKS), list(WORKS.values())
        number = 0
        while True:
            number += 1
            (kind,) = chance.choices(kinds, weights)
            keyed = chance.random() < 0.7
            (sequel,) = chance.choices(list(SEQUELS), list(SEQUELS.values()))
            yield Work(
                mark=f"{client}-{number}",
                kind=kind,
                form=chance.choice(("json", "bare")),
                keyed=keyed,
                again=chance.choice(("at once", "later", None, None, None)) if keyed else None,
                callback=chance.random() < 0.5,
                priority=chance.choice(("high", "normal", "low")),
                max_attempts=chance.choice((2, 3, 10, 10)),
                size=(chance.randint(8, 96), chance.randint(8, 96)),
                sequel=sequel,
                lag=chance.choice((0.0, 0.01, 0.05, 0.3)),
                pause=chance.expovariate(5.0 * self.pace),
                chance=chance.getrandbits(32),
            )
