"""What `calotype submit` shows while it runs: a bar for all, and one for each picture under way."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.pieces import Progress as Listener


class Board:
    """The bars, on stderr and only on a terminal. `failed` counts what went wrong."""

    def __init__(self, total: int) -> None:
        self.failed = 0
        self._done = 0
        self._total = total
        console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            # It would send what goes to a pipe to the terminal.
            redirect_stdout=sys.stdout.isatty(),
        )
        self._all = self._bars.add_task("all", total=total, state=f"0 of {total}")

    @contextmanager
    def under_way(self, name: str) -> Iterator[Listener]:
        """Show a bar for `name`. Yield what moves it while the picture is sent."""
        bar = self._bars.add_task(name, total=None, state="connecting")

        def move(sent: int, size: int) -> None:
            if sent < size:
                self._bars.update(bar, total=size, completed=sent, state=f"{100 * sent // size} %")
            else:
                # How long the rest takes is not known, so the bar only shows that it lives.
                self._bars.update(bar, total=None, state="waiting")

        try:
            yield move
        finally:
            self._done += 1
            self._bars.remove_task(bar)
            self._bars.update(
                self._all, completed=self._done, state=f"{self._done} of {self._total}"
            )

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
