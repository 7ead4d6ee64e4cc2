"""The commands `calotype queue …`: what an operator has the running service do with its queue.

They ask the service over HTTP, and do not change the catalogue beside it, so that it begins at once
what they make due.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, TypeVar

import click
import httpx2
import msgspec
from rich.console import Console
from rich.table import Table

from web.key_file import service_options
from web.keys import Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

T = TypeVar("T", bound=msgspec.Struct)

PATIENCE: Final = 60.0  # seconds
AT_ONCE: Final = 1000  # jobs tried again by one request


class _Queue(msgspec.Struct):
    paused: bool
    pending: int
    waiting: int
    processing: int
    failed: int


class _DeadJob(msgspec.Struct):
    id: str
    tenant: str
    operation: str
    error_code: str | None
    attempts: int
    updated_at: str


class _Page(msgspec.Struct):
    jobs: list[_DeadJob]
    next: str | None


class _Retried(msgspec.Struct):
    retried: int


class _Told(msgspec.Struct):
    """A problem, of which only this is shown."""

    detail: str = ""


class _Service:
    """The service that the command asks; what it answers is decoded, what it refuses ends it."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx2.Client(base_url=url, headers=headers, timeout=PATIENCE)

    def get(self, path: str, kind: type[T], query: Mapping[str, str | float] = {}) -> T:
        return self._ask("GET", path, kind, query, {})

    def post(self, path: str, kind: type[T], said: Mapping[str, str | float] = {}) -> T:
        return self._ask("POST", path, kind, {}, said)

    def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        query: Mapping[str, str | float],
        said: Mapping[str, str | float],
    ) -> T:
        try:
            response = self._http.request(method, path, params=query, json=said or None)
            if response.is_success:
                return msgspec.json.decode(response.content, type=kind)
            told = msgspec.json.decode(response.content, type=_Told).detail
        except httpx2.HTTPError as error:
            told = f"{self._http.base_url} cannot be reached: {error}"
        except msgspec.DecodeError:
            told = f"{self._http.base_url} is no Calotype of this version."
        click.echo(f"calotype: {told}", err=True)
        sys.exit(1)


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
    _tell(_Service(url, key).get("/queue", _Queue))


@queue.command()
@service_options
def pause(url: str, key: str | None) -> None:
    """Begin no further job, also after a restart. Jobs are accepted as ever."""
    _tell(_Service(url, key).post("/queue/pause", _Queue))


@queue.command()
@service_options
def resume(url: str, key: str | None) -> None:
    """Begin jobs again."""
    _tell(_Service(url, key).post("/queue/resume", _Queue))


@queue.command()
@_filters
@service_options
def dead(url: str, key: str | None, code: str | None, older_than: timedelta | None) -> None:
    """List the jobs that have failed, in the order in which they were accepted."""
    service, table = _Service(url, key), Table(box=None, pad_edge=False)
    for heading in ("id", "tenant", "operation", "code", "attempts", "failed"):
        table.add_column(heading, no_wrap=heading == "id")
    cursor: str | None = "0"
    while cursor is not None:
        page = service.get("/queue/dead", _Page, {**_said(code, older_than), "cursor": cursor})
        for job in page.jobs:
            table.add_row(
                *(job.id, job.tenant, job.operation, job.error_code or ""),
                *(str(job.attempts), job.updated_at),
            )
        cursor = page.next
    Console(soft_wrap=True, markup=False).print(table)


@queue.command()
@_filters
@service_options
def retry(url: str, key: str | None, code: str | None, older_than: timedelta | None) -> None:
    """Try failed jobs again: all of them, or those that fit."""
    service, begun = _Service(url, key), time.monotonic()
    total, retried = 0, AT_ONCE
    while retried:
        # One that fails again meanwhile is not tried once more.
        said = _said(code, older_than, time.monotonic() - begun)
        retried = service.post("/queue/retry", _Retried, {**said, "limit": AT_ONCE}).retried
        total += retried
    click.echo(f"{total} tried again")


def _said(
    code: str | None, older_than: timedelta | None, besides: float = 0.0
) -> dict[str, str | float]:
    """Return the filters, with so many seconds `besides`."""
    seconds = besides + (older_than.total_seconds() if older_than else 0.0)
    age: dict[str, str | float] = {"older_than": seconds} if seconds else {}
    return {"code": code, **age} if code else age


def _tell(now: _Queue) -> None:
    state = "paused" if now.paused else "running"
    click.echo(
        f"{state}: {now.pending} pending, {now.waiting} of them not due yet; "
        f"{now.processing} processing; {now.failed} failed"
    )
