"""What commands share that have a running service do something, by way of the client."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from web.client import Client
from web.commands.options import key_option
from web.failures import RequestFailed, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def service_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command be told which service it asks, and with which key."""
    command = click.option("--url", default="http://127.0.0.1:8080", show_default=True)(command)
    return key_option(command)


@contextmanager
def asking(url: str, key: str | None) -> Iterator[Client]:
    """Yield a client of the service; if that says no, or nothing, say why and end with 1."""
    try:
        with Client(url, key=key) as client:
            yield client
    except RequestFailed as error:
        reason = f"{url} cannot be reached: {error}" if isinstance(error, Unreachable) else error
        click.echo(f"calotype: {reason}", err=True)
        sys.exit(1)
