"""What commands share that look into the catalogue, beside the service if that is running."""

from __future__ import annotations

import os
import pwd
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

import click

from actors.storage.credentials import TENANT, KeyNotFound
from actors.storage.opening import open_beside
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from actors.storage.ports import Catalogue

T = TypeVar("T")


@contextmanager
def complaining() -> Iterator[None]:
    """Say what is wrong with the catalogue, and end with 1."""
    try:
        yield
    except KeyNotFound as error:
        click.echo(f"calotype: there is no key {error}", err=True)
        sys.exit(1)
    except StorageError as error:
        click.echo(f"calotype: the catalogue cannot be opened: {error}", err=True)
        sys.exit(1)


def change_beside(db_path: Path, call: Callable[[Catalogue], T]) -> T:
    """Change the catalogue, beside the service; or say why not, and end with 1."""
    with complaining(), open_beside(db_path) as catalogue:
        (result,) = catalogue.batch([call])
        if isinstance(result, StorageError):
            raise result
        return cast("T", result)


def user_name() -> str:
    """Return the name of whoever runs the command, as the operating system has it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def checked_tenant(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> str | None:
    """Return the name of a tenant, if it is one. Raises: click.BadParameter."""
    if value is not None and not re.fullmatch(TENANT, value):
        raise click.BadParameter(
            f"{value!r} is no name of up to 32 of a-z, 0-9, - and _, with none of the last two in "
            "front."
        )
    return value
