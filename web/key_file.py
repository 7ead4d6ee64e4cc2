"""The option `--key-file` of commands that are clients, and the variable that may stand for it.

A key is never an argument itself: whoever lists the processes could read it, and shells remember.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from web.settings import KEY_VARIABLE, read_own_key
from web.tokens import read_token

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound="Callable[..., object]")


def _key(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> str | None:
    try:
        said = read_own_key() if path is None else path.read_text("ascii").strip()
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{path} cannot be read as a key.") from error
    if said is not None and read_token(said) is None:
        raise click.BadParameter(f"What is in {path or KEY_VARIABLE} is no key such as ck_…")
    return said


def key_option(command: C) -> C:
    """Give `command` the option; it gets the key itself as `key`, or None."""
    return click.option(
        "--key-file",
        "key",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=_key,
        help=f"The file with the key to the service.  [default: the key in {KEY_VARIABLE}]",
    )(command)


def service_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command be told which service it asks, and with which key."""
    command = click.option("--url", default="http://127.0.0.1:8080", show_default=True)(command)
    return key_option(command)
