"""The commands `calotype audit …`: who has changed what cannot be changed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import msgspec

from actors.storage.opening import view_catalogue
from web.commands.beside import complaining
from web.settings import read_settings

if TYPE_CHECKING:
    from actors.storage.audit import Entry


@click.group()
def audit() -> None:
    """Look at the audit: keys made and revoked, jobs and images deleted."""


@audit.command("list")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="How many entries, the newest ones.",
)
@click.option("--json", "as_json", is_flag=True, help="Print them for programs.")
def list_audit(*, limit: int, as_json: bool) -> None:
    """List the last entries, the newest first."""
    with complaining(), view_catalogue(read_settings().db_path) as catalogue:
        entries = catalogue.audit.newest(limit)
    if as_json:
        click.echo(msgspec.json.encode(entries))
        return
    for entry in entries:
        details = " ".join(f"{name}={value}" for name, value in entry.details.items())
        at, whose = f"{entry.at:%Y-%m-%d %H:%M:%S}Z", entry.tenant or "-"
        line = f"{at}  {entry.action:13}  {entry.subject:36}  {whose:8}  {_who(entry)}  {details}"
        click.echo(line.rstrip())


def _who(entry: Entry) -> str:
    if entry.key_id:
        return f"key {entry.key_id}"
    return f"user {entry.user}" if entry.user else "without a key"
