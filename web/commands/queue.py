"""The commands `calotype queue …`: what an operator has the running service do with its queue.

They ask the service over HTTP, and do not change the catalogue beside it, so that it begins at once
what they make due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from web.commands.asking import asking, service_options
from web.commands.options import Duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from web.results import Queue


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option("--code", metavar="CODE", help="Only those that failed so.")(command)
    return click.option(
        "--older-than",
        type=Duration(),
        help="Only those that failed so long ago, such as 15m or 2d.",
    )(command)


@click.group()
def queue() -> None:
    """Pause and resume the queue, look at it, and try again what has failed.

    It is that of a running service, and needs a key with the scope admin if that has keys.
    """


@queue.command()
@service_options
def status(url: str, key: str | None) -> None:
    """Say how it stands with the queue."""
    with asking(url, key) as client:
        _tell(client.queue())


@queue.command()
@service_options
def pause(url: str, key: str | None) -> None:
    """Begin no further job, also after a restart. Jobs are accepted as ever."""
    with asking(url, key) as client:
        _tell(client.pause_queue())


@queue.command()
@service_options
def resume(url: str, key: str | None) -> None:
    """Begin jobs again."""
    with asking(url, key) as client:
        _tell(client.resume_queue())


@queue.command()
@_filters
@service_options
def dead(url: str, key: str | None, code: str | None, older_than: timedelta | None) -> None:
    """List the jobs that have failed, in the order in which they were accepted."""
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "tenant", "operation", "code", "attempts", "failed"):
        table.add_column(heading, no_wrap=heading == "id")
    with asking(url, key) as client:
        for job in client.dead_jobs(code=code, older_than=older_than):
            table.add_row(
                *(job.id, job.tenant, job.operation, job.error_code or ""),
                *(str(job.attempts), f"{job.updated_at:%Y-%m-%dT%H:%M:%S.%fZ}"),
            )
    Console(soft_wrap=True, markup=False).print(table)


@queue.command()
@_filters
@service_options
def retry(url: str, key: str | None, code: str | None, older_than: timedelta | None) -> None:
    """Try failed jobs again: all of them, or those that fit."""
    with asking(url, key) as client:
        total = client.retry_dead_jobs(code=code, older_than=older_than)
    click.echo(f"{total} tried again")


def _tell(now: Queue) -> None:
    state = "paused" if now.paused else "running"
    click.echo(
        f"{state}: {now.pending} pending, {now.waiting} of them not due yet; "
        f"{now.processing} processing; {now.failed} failed"
    )
