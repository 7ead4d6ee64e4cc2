"""Options that commands share: a span of time, and the key to a service.

A key is never an argument itself, but in the file of `--key-file`, or in a variable: whoever lists
the processes could read it, and shells remember.
"""

from __future__ import annotations

import math
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from web.settings import KEY_VARIABLE, read_own_key
from web.tokens import read_token

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound="Callable[..., object]")

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}  # in seconds
LONGEST = 10 * 366 * UNITS["d"]


class Duration(click.ParamType[timedelta]):
    """A span of time such as 45s, 15m, 1h, 30d or 2w."""

    name = "duration"

    def convert(
        self,
        value: str | timedelta,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Return the span that `value` names."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch("([0-9]{1,9})([smhdw])", value)
        seconds = int(found[1]) * UNITS[found[2]] if found else math.inf
        if seconds > LONGEST:
            self.fail(
                f"{value!r} is no span of up to ten years, such as 15m, 1h or 30d.", param, ctx
            )
        return timedelta(seconds=seconds)


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
