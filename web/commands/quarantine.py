"""The commands `calotype quarantine …`: images that are not rendered, as they end processes.

They work on the catalogue itself, beside the service if that is running; it notices at once.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec
import structlog

from actors.imaging.receipt import made_with
from actors.storage.audit import Act
from actors.storage.opening import view_catalogue
from web.commands.beside import change_beside, complaining, user_name
from web.logs import configure_logs
from web.settings import read_settings

if TYPE_CHECKING:
    from actors.storage.ports import Catalogue

log = structlog.get_logger("calotype.quarantine")


@click.group()
def quarantine() -> None:
    """Look at images that have ended the processes they were rendered in, and let them go."""


@quarantine.command("list")
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=10_000),
    default=100,
    show_default=True,
    help="How many images, the last ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print them for programs.")
def list_quarantine(*, limit: int, as_json: bool) -> None:
    """List images that have ended a process, the last ones first.

    Those that have done so MAX_ATTEMPTS times are not rendered any more.
    """
    settings = read_settings()
    with complaining(), view_catalogue(settings.db_path) as catalogue:
        suspects = catalogue.quarantine.newest(made_with(), limit)
    if as_json:
        click.echo(msgspec.json.encode(suspects))
        return
    for suspect in suspects:
        state = "held" if suspect.deaths >= settings.max_attempts else "suspected"
        click.echo(
            f"{suspect.last_at:%Y-%m-%d %H:%M:%S}Z  {suspect.sha256}  {suspect.deaths:3}  "
            f"{state:9}  {suspect.tenant or '-':8}  job {suspect.job_id}"
        )


def _digest(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise click.BadParameter(f"{value!r} is no SHA-256 in hexadecimal, as `list` prints it.")
    return value


@quarantine.command("release")
@click.argument("sha256", callback=_digest)
def release(sha256: str) -> None:
    """Have the image with this SHA-256 rendered again, in new jobs and retried ones."""
    settings = read_settings()
    configure_logs(settings.log_format, settings.log_level)
    act = Act(action="image_released", subject=sha256, tenant="", user=user_name())

    def let_go(catalogue: Catalogue) -> int:
        released = catalogue.quarantine.release(sha256)
        if released:
            catalogue.audit.note(act, datetime.now(UTC), settings.audit)
        return released

    if not change_beside(settings.db_path, let_go):
        click.echo(f"calotype: there is no image {sha256} in quarantine", err=True)
        sys.exit(1)
    log.info("image_released", sha256=sha256)
