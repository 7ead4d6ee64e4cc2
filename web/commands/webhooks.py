"""The commands `calotype webhooks …`: the secrets they are signed with, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import msgspec
import structlog

from actors.outside.signing import new_secret
from actors.storage.audit import Act
from web.commands.asking import asking, service_options
from web.commands.beside import change_beside, checked_tenant, user_name
from web.commands.options import Duration
from web.logs import configure_logs
from web.settings import read_settings

if TYPE_CHECKING:
    from actors.storage.ports import Catalogue

log = structlog.get_logger("calotype.webhooks")


@click.group()
def webhooks() -> None:
    """Show and change the secrets of webhooks; look at deliveries, and send them again."""


@webhooks.command()
@click.option(
    "--tenant",
    metavar="NAME",
    callback=checked_tenant,
    help="Whose.  [default: that of the jobs that were made without a key]",
)
@click.option("--rotate", is_flag=True, help="Make a new one first.")
@click.option(
    "--grace",
    type=Duration(),
    default="1d",
    show_default=True,
    help="For how long the old one signs as well, with --rotate.",
)
def secret(*, tenant: str | None, rotate: bool, grace: timedelta) -> None:
    """Print the secret that a tenant's webhooks are signed with; there is one from then on.

    It is in the catalogue that the settings name, and good for the next delivery.
    """
    settings, now, whose = read_settings(), datetime.now(UTC), tenant or ""
    configure_logs(settings.log_format, settings.log_level)

    def learn(catalogue: Catalogue) -> str:
        if rotate:
            catalogue.signing.rotate(whose, new_secret(), now + grace, now)
            act = Act(
                action="secret_rotated",
                subject="webhooks",
                tenant=whose,
                user=user_name(),
                details={"grace": str(grace)},
            )
            catalogue.audit.note(act, now, settings.audit)
        return catalogue.signing.secrets(whose, new_secret(), now)[0]

    click.echo(change_beside(settings.db_path, learn))
    if rotate:
        log.info("secret_rotated", tenant=whose, grace=str(grace))


@webhooks.command("list")
@click.argument("job_id", metavar="JOB")
@service_options
def list_deliveries(job_id: str, url: str, key: str | None) -> None:
    """List the deliveries about a job, the newest first, with attempts and the last answer."""
    with asking(url, key) as client:
        found = client.deliveries(job_id)
    for each in found:
        answer = each.last_status or each.last_error or "-"
        due = f"  next {each.next_attempt_at:%Y-%m-%d %H:%M:%S}Z" if each.next_attempt_at else ""
        said = f"{each.id}  {each.type:13}  {each.status:9}  {each.attempts:3}  {answer}{due}"
        click.echo(said)


@webhooks.command()
@click.argument("job_id", metavar="JOB")
@service_options
def show(job_id: str, url: str, key: str | None) -> None:
    """Print all that is known of the deliveries about a job, as JSON, the newest first."""
    with asking(url, key) as client:
        found = client.deliveries(job_id)
    click.echo(msgspec.json.format(msgspec.json.encode(found)))


@webhooks.command()
@click.argument("job_ids", metavar="JOB…", nargs=-1, required=True)
@service_options
def resend(job_ids: tuple[str, ...], url: str, key: str | None) -> None:
    """Send the newest delivery about each of these jobs again, whatever became of it."""
    with asking(url, key) as client:
        for job_id in job_ids:
            click.echo(client.redeliver(job_id).id)
