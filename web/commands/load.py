"""The command `calotype load`: how much a service bears, and how long its clients wait."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args
from urllib.parse import SplitResult, urlencode, urlsplit

import click
import trio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from actors.imaging.sample import photo as generated
from web.commands.crowd import Crowd, Mode, Plan, Target
from web.commands.figures import percentile, plot
from web.commands.interruption import INTERRUPTED, run_interruptibly
from web.commands.options import key_option

if TYPE_CHECKING:
    from web.commands.figures import Figures

# With a limit of time alone, and with none: bounds all the same.
REQUESTS: Final = 200
MOST_REQUESTS: Final = 10_000_000
MOST_SECONDS: Final = 600.0
MOST_PIXELS: Final = 25_000_000

REFRESH: Final = 0.5  # seconds


def _url(_context: click.Context, _parameter: click.Parameter, value: str) -> SplitResult:
    try:
        url = urlsplit(value)
        complete = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not complete:
        raise click.BadParameter(f"{value!r} is no address such as http://127.0.0.1:8080.")
    return url


def _seconds(
    _context: click.Context, _parameter: click.Parameter, value: float | None
) -> float | None:
    # FloatRange takes NaN, which is neither below nor above anything.
    if value is not None and not 0 < value < math.inf:
        raise click.BadParameter(f"{value:g} is no finite number above 0.")
    return value


def _size(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[int, int]:
    if not re.fullmatch("[1-9][0-9]{0,4}x[1-9][0-9]{0,4}", value):
        raise click.BadParameter(f"{value!r} is no size such as 1600x1200.")
    width, height = map(int, value.split("x"))
    if width * height > MOST_PIXELS:
        raise click.BadParameter(f"{value!r} is more than {MOST_PIXELS:,} pixels.")
    return width, height


def is_loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Report:
    """How the figures are wanted."""

    url: str
    as_json: bool
    picture: Path | None


@click.command()
@click.argument("url", callback=_url)
@click.option("--clients", type=click.IntRange(1, 1000), default=8, show_default=True)
@click.option(
    "--requests",
    type=click.IntRange(1, MOST_REQUESTS),
    help=f"How many jobs to try.  [default: {REQUESTS}, if there is no --seconds]",
)
@click.option(
    "--seconds",
    type=float,
    callback=_seconds,
    help=f"After how long no more jobs are begun.  [default: {MOST_SECONDS:.0f}]",
)
@click.option(
    "--photo",
    "paths",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to send, in turn; by default a generated photo.",
)
@click.option(
    "--size", callback=_size, default="1600x1200", show_default=True, help="The size of that."
)
@click.option(
    "--mode",
    type=click.Choice(get_args(Mode)),
    default="poll",
    show_default=True,
    help="poll: submit, wait and download; wait: all in one request; submit: only that.",
)
@click.option("--operation", type=click.Choice(["resize", "thumbnail"]), default="thumbnail")
@click.option("--width", type=click.IntRange(1, 4096), default=300, show_default=True)
@click.option("--height", type=click.IntRange(1, 4096), default=300, show_default=True)
@click.option(
    "--plot",
    "picture",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Draw the latency over time into this PNG.",
)
@click.option("--json", "as_json", is_flag=True, help="Print figures for programs.")
@key_option
@click.option("--allow-remote", is_flag=True, help="Press a machine other than this one.")
def load(  # noqa: PLR0913 - one argument for each option
    *,
    url: SplitResult,
    clients: int,
    requests: int | None,
    seconds: float | None,
    paths: tuple[Path, ...],
    size: tuple[int, int],
    mode: Mode,
    operation: str,
    width: int,
    height: int,
    picture: Path | None,
    key: str | None,
    as_json: bool,
    allow_remote: bool,
) -> None:
    """Press the service at URL with many clients at once, and measure.

    A 503 with Retry-After counts as refused: the client waits as it is told, and goes on.
    Ends with 1 if there was any other error.
    """
    host = url.hostname or ""
    if not (allow_remote or is_loopback(host)):
        raise click.UsageError(
            f"{host} is not this machine. A load test of a server that is not yours is an attack; "
            "if it is yours, say --allow-remote."
        )
    if picture and find_spec("matplotlib") is None:
        raise click.UsageError("--plot needs matplotlib: pip install 'calotype[plot]'")
    if picture and not picture.absolute().parent.is_dir():
        raise click.UsageError(f"There is no directory for {picture}.")
    tls = url.scheme == "https"
    query = urlencode({"operation": operation, "width": width, "height": height})
    target = Target(host, url.port or (443 if tls else 80), tls, url.path.rstrip("/"), query, key)
    bound = requests or (MOST_REQUESTS if seconds else REQUESTS)
    plan = Plan(mode, clients, bound, seconds or MOST_SECONDS)
    photos = [path.read_bytes() for path in paths] or [generated(*size, seed=1)]
    report = _Report(url.geturl(), as_json, picture)
    click.get_current_context().exit(_run(Crowd(target, plan, photos), report))


def _run(crowd: Crowd, report: _Report) -> int:
    """Press, tell, and return the exit code."""
    figures = crowd.figures
    interrupted = run_interruptibly(partial(_press, crowd))
    if not figures.begun and not interrupted:
        click.echo(f"calotype: No Calotype answers at {report.url}. Is it running?", err=True)
        return 1
    if report.as_json:
        plan = {"url": report.url, "mode": crowd.plan.mode, "clients": crowd.plan.clients}
        click.echo(json.dumps({**plan, **figures.as_json()}, indent=2))
    else:
        Console().print(*figures.as_tables())
    if report.picture and figures.jobs:
        plot(figures, report.picture, f"{crowd.plan.clients} clients, {crowd.plan.mode}")
    if interrupted:
        return INTERRUPTED
    return 1 if figures.errors else 0


async def _press(crowd: Crowd) -> None:
    if not await crowd.is_calotype():
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        await crowd.run()
        return
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_show, crowd, live)
            await crowd.run()
            nursery.cancel_scope.cancel()


async def _show(crowd: Crowd, live: Live) -> None:
    # Rarely, and in this thread: the server under test may share the processor.
    seconds, jobs = 0.0, 0
    while True:
        await trio.sleep(REFRESH)
        now = crowd.tick()
        rate = (crowd.figures.jobs - jobs) / (now - seconds)
        seconds, jobs = now, crowd.figures.jobs
        live.update(_snapshot(crowd.figures, crowd.plan, rate), refresh=True)


def _snapshot(figures: Figures, plan: Plan, rate: float) -> Table:
    """Return what is known while it runs; percentiles are those of the latest jobs."""
    ranked = sorted(figures.steps["job"].recent)
    percentiles = [f"p{share} {1000 * percentile(ranked, share):,.0f}" for share in (50, 95, 99)]
    errors = [f"{code} {count:,}" for code, count in figures.errors.most_common()]
    left = f"of {plan.requests:,}" if plan.requests < MOST_REQUESTS else ""
    grid = Table.grid(padding=(0, 2))
    grid.add_row(f"{figures.seconds:,.0f} s", f"{figures.jobs:,} {left} jobs", f"{rate:,.1f}/s")
    grid.add_row("latency", "  ".join(percentiles), "ms")
    grid.add_row("in flight", f"{figures.in_flight:,}", f"refused {figures.refused:,}")
    if errors:
        grid.add_row("errors", "  ".join(errors))
    return grid
