"""What `calotype submit` shows: a bar for all, one for each picture on its way, and the results."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from web.sending import Progress as Listener


class Board:
    """The bars, on stderr and only on a terminal. `failed` counts what went wrong."""

    def __init__(self, total: int) -> None:
        self.failed = 0
        self._done = 0
        self._total = total
        self._console = console = Console(stderr=True, soft_wrap=True)
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=console,
            transient=True,
            disable=not console.is_terminal,
            redirect_stdout=False,
            redirect_stderr=False,
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

    def complain(self, sentence: str) -> None:
        """Say on stderr what went wrong."""
        self._console.print(f"calotype: {sentence}", markup=False, highlight=False)

    def announce(self, target: Path) -> None:
        """Print the name of a result on stdout: into a pipe exactly as the file is named."""
        if sys.stdout.isatty() and self._console.is_terminal:
            # The bars make room for what goes through their console.
            self._console.print(click.format_filename(target), markup=False, highlight=False)
            return
        try:
            click.echo(os.fsencode(target))
        except BrokenPipeError:
            # Whoever read the names has left; the pictures are still wanted.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
