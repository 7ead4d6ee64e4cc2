"""A print shop that closes gracefully: how Calotype's actors start and stop, in one small file.

    customers ──ask──▶ Clerk ──forward──▶ Printer × 2 ──ask──▶ Archive

Nobody counts what is under way, and nobody is told to stop. The front door closes; whoever has read
all its mail leaves, and leaving closes the doors below. What is still there after the grace is
cancelled. Press Ctrl-C to see it, or give `--after`; with `--late`, one order takes too long.
"""  # noqa: INP001 - a script, in no package.

from __future__ import annotations

import signal
import sys
import time
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import click
import trio

from actors.errors import AskFailed, MailboxFull
from actors.mailbox import Address, Envelope, Mailbox, Request, open_mailbox
from actors.supervision import Activity, Actor, Intensity, supervise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

BEGUN = time.monotonic()
FOREVER = 3600.0


def log(who: str, what: str) -> None:
    """Say who does what, and when."""
    click.echo(f"{time.monotonic() - BEGUN:4.1f} s  {who:<9}  {what}")


# --- The vocabulary: what one can ask, and what the answer is -------------------------------------


@dataclass(frozen=True, slots=True)
class Print(Request[int]):
    """Print `title`, which takes `seconds`. The answer is its number in the book."""

    title: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Keep(Request[int]):
    """Write `title` into the book. The answer is its number there."""

    title: str


# --- The actors: each works until its mailbox ends ------------------------------------------------


class Clerk:
    """Takes orders, and hands each to a Printer that has room. Never waits for one."""

    def __init__(self, mailbox: Mailbox, printers: Sequence[Address]) -> None:
        self._mailbox = mailbox
        self._printers = deque(printers)

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Hand out what is ordered, until the front door has closed."""
        task_status.started()
        async for envelope in self._mailbox:
            with envelope:
                self._hand_out(envelope)

    def _hand_out(self, envelope: Envelope) -> None:
        self._printers.rotate()
        for printer in self._printers:
            try:
                # The duty to answer goes along: from here on it is the Printer's.
                printer.forward(envelope)
            except MailboxFull:
                continue
            return
        envelope.fail(MailboxFull("both printers"))


class Printer:
    """Prints one order at a time, and has it kept."""

    def __init__(self, name: str, mailbox: Mailbox, archive: Address) -> None:
        self._name = name
        self._mailbox = mailbox
        self._archive = archive

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Print what the Clerk has handed over, until the Clerk has left."""
        task_status.started()
        async for envelope in self._mailbox:
            # Whatever happens in here, the asker hears of it.
            with envelope:
                match envelope.message:
                    case Print(title, seconds):
                        log(self._name, f"begins {title}")
                        await trio.sleep(seconds)
                        number = await self._archive.ask(Keep(title))
                        log(self._name, f"has finished {title}")
                        envelope.answer(number)


class Archive:
    """Owns the book, from its opening to its closing."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep what is printed, until every Printer has left."""
        with opened_book() as book:
            # Now, and no earlier: `started` is a promise that the book is open.
            task_status.started()
            async for envelope in self._mailbox:
                with envelope:
                    match envelope.message:
                        case Keep(title):
                            book.append(title)
                            envelope.answer(len(book))


@contextmanager
def opened_book() -> Iterator[list[str]]:
    """Yield a book; close it however the block ends, also when it is cancelled."""
    book: list[str] = []
    log("archive", "opens the book")
    try:
        yield book
    finally:
        log("archive", f"closes the book, with {len(book)} titles in it")


# --- The wiring: start from the bottom up, stop from the top down ---------------------------------


@asynccontextmanager
async def open_shop(grace: float) -> AsyncIterator[Address]:
    """Run the shop for the time of the block, and yield its front door."""
    async with trio.open_nursery() as nursery:

        async def start(make: Callable[[], Actor], activity: Activity, *doors: Address) -> None:
            await nursery.start(_run, make, activity, doors)

        front_door, orders = open_mailbox("clerk", 4)
        archive, titles = open_mailbox("archive", 4)
        printers = []
        try:
            # Leaving this `with` is the whole shutdown: the front door closes.
            with front_door:
                await start(partial(Archive, titles), Activity("archive", titles))
                for name in ("printer-1", "printer-2"):
                    printer, mail = open_mailbox(name, 1)
                    door = archive.clone()
                    await start(partial(Printer, name, mail, door), Activity(name, mail), door)
                    printers.append(printer)
                archive.close()  # Each Printer has a door of its own.
                await start(partial(Clerk, orders, printers), Activity("clerk", orders), *printers)
                yield front_door
        finally:
            nursery.cancel_scope.deadline = trio.current_time() + grace


async def _run(
    make: Callable[[], Actor],
    activity: Activity,
    doors: Sequence[Address],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Supervise an actor until it leaves for good; then close the doors below it."""
    try:
        await supervise(make, activity, Intensity(), task_status=task_status)
        below = ", ".join(door.name for door in doors) or "nothing"
        log(activity.name, f"has read all its mail, and leaves; so it closes {below}")
    except trio.Cancelled:
        log(activity.name, "is still here, and is cancelled")
        raise
    finally:
        for door in doors:
            door.close()


# --- The world outside ----------------------------------------------------------------------------


async def visit(name: str, front_door: Address, seconds: float) -> None:
    """Order one print after another, until there is nobody to ask."""
    for number in count(1):
        title = f"{name}'s print {number}"
        try:
            kept = await front_door.ask(Print(title, seconds))
        except AskFailed as error:
            log(name, f"goes home without {title}: {error!r}")
            return
        log(name, f"has {title}, number {kept} in the book")


async def serve(after: float, grace: float, *, late: bool) -> bool:
    """Run the shop until it is closing time. Return whether all work was done in time."""
    # Customers stand outside: they get their answers until the shop has closed, hence the `noqa`.
    async with trio.open_nursery() as customers:
        async with open_shop(grace) as front_door:
            for name in ("ann", "ben", "cat"):
                customers.start_soon(visit, name, front_door, 0.4)  # noqa: ASYNC111
            if late:
                customers.start_soon(visit, "dan", front_door, FOREVER)  # noqa: ASYNC111
            with (
                trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
                trio.move_on_after(after),
            ):
                await anext(signals)
            closed = trio.current_time()
            log("main", f"closes the front door; {grace:g} seconds are left")
        in_time = trio.current_time() - closed < grace
    log("main", "has closed the shop " + ("in time" if in_time else "by force"))
    return in_time


def seconds(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Return `value` if it is a time that can pass; NaN is none."""
    if not 0 <= value <= FOREVER:
        raise click.BadParameter(f"{value} is not between 0 and {FOREVER:g}.")
    return value


@click.command(help=__doc__)
@click.option(
    "--after",
    default=FOREVER,
    callback=seconds,
    help="Seconds until closing time; by default Ctrl-C.",
)
@click.option(
    "--grace", default=3.0, show_default=True, callback=seconds, help="Seconds to finish."
)
@click.option("--late", is_flag=True, help="Order a print that takes longer than the grace.")
def main(*, after: float, grace: float, late: bool) -> None:
    """Run the shop. End with 1 if something had to be cancelled."""
    sys.exit(0 if trio.run(partial(serve, after, grace, late=late)) else 1)


if __name__ == "__main__":
    main()
