"""The command `calotype backup`: a copy of the storage that a service can be started with."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from actors.storage.copying import back_up, places_below
from actors.storage.opening import Places
from actors.storage.ports import StorageError
from web.settings import read_settings

if TYPE_CHECKING:
    from types import FrameType

MADE, INCOMPLETE, FAILED = 0, 1, 2


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
def backup(target: Path) -> None:
    """Copy the catalogue and all files into the new directory TARGET, beside the service.

    On the same file system the files are hard links, which take no room.

    Ends with 0 if all is there, with 1 if files were missing already, and with 2 if there is no
    copy.
    """
    settings = read_settings()
    places = Places(settings.db_path, settings.upload_dir, settings.output_dir)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        copied = back_up(places, target.absolute())
    except (StorageError, OSError) as error:
        click.echo(f"calotype: there is no backup: {error}", err=True)
        sys.exit(FAILED)
    copy = places_below(target)
    click.echo(
        f"{copied.jobs} jobs, {copied.images} images and {copied.files} files. To start with it:\n"
        f"DB_PATH={copy.catalogue} UPLOAD_DIR={copy.inputs} OUTPUT_DIR={copy.outputs}"
    )
    if copied.missing:
        click.echo(f"calotype: {copied.missing} files were missing; see calotype doctor", err=True)
        sys.exit(INCOMPLETE)


def _leave(number: int, _: FrameType | None) -> None:
    """Leave as by Ctrl-C, so that nothing half-done stays."""
    sys.exit(128 + number)
