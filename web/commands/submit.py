"""The command `calotype submit`: pictures in, pictures out, as if the service were a filter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

import click
import httpx2
import trio

from actors.imaging.facts import Written
from web.client import AsyncClient
from web.commands.errands import Errand, Outputs, errands_for
from web.commands.interruption import INTERRUPTED, run_interruptibly
from web.commands.options import key_option
from web.commands.progress import Board
from web.failures import RequestFailed, Unreachable
from web.receiving import written_beside
from web.recipes import OPERATIONS
from web.sending import ImageUrl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from web.sending import Recipe

FORMATS: Final = get_args(Written)
SUFFIX_FORMATS: Final = {
    **{f".{name}": name for name in FORMATS},
    ".jpg": "jpeg",
    ".tif": "tiff",
}


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a run of the command is to do."""

    url: str
    key: str | None = field(repr=False)
    parameters: Recipe
    errands: list[Errand]
    outputs: Outputs
    jobs: int


def _checked_url(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        url = httpx2.URL(value)
    except httpx2.InvalidURL as error:
        raise click.BadParameter(str(error)) from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise click.BadParameter(f"{value!r} is no address such as http://127.0.0.1:8080.")
    return value


def _checked_sources(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[Path | ImageUrl]:
    a_path = click.Path(exists=True, path_type=Path)
    return [
        ImageUrl(_checked_url(context, parameter, each))
        if each.lower().startswith(("http://", "https://"))
        else Path(a_path.convert(each, parameter, context))
        for each in values
    ]


def _checked_settings(
    _context: click.Context, _parameter: click.Parameter, settings: tuple[str, ...]
) -> dict[str, str]:
    said: dict[str, str] = {}
    for setting in settings:
        name, is_set, value = setting.partition("=")
        if not name or not is_set:
            raise click.BadParameter(f"{setting!r} is nothing such as angle=90.")
        if name in said:
            raise click.BadParameter(f"{name} is set twice.")
        said[name] = value
    return said


@click.command()
@click.argument(
    "sources", metavar="PATH|URL...", nargs=-1, required=True, callback=_checked_sources
)
@click.option("--operation", type=click.Choice(tuple(OPERATIONS)), metavar="NAME")
@click.option("--preset", metavar="NAME", help="One of the service's own recipes.")
@click.option("--width", type=click.IntRange(1))
@click.option("--height", type=click.IntRange(1))
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_checked_settings,
    help="Any other parameter, such as angle=90. Can be repeated.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(FORMATS),
    help="By default as the name given with -o says, and else as the picture came.",
)
@click.option("--quality", type=click.IntRange(1, 100), help="For formats that lose some.")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, callback=_checked_url)
@key_option
@click.option(
    "-o",
    "out",
    type=click.Path(path_type=Path),
    help="The file for one picture; the directory for several, the current one by default.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=4, show_default=True, help="At once.")
def submit(  # noqa: PLR0913 - one argument for each option
    *,
    sources: list[Path | ImageUrl],
    operation: str | None,
    preset: str | None,
    width: int | None,
    height: int | None,
    settings: dict[str, str],
    output_format: str | None,
    quality: int | None,
    url: str,
    key: str | None,
    out: Path | None,
    jobs: int,
) -> None:
    """Send pictures to a service, and keep what it makes of them.

    A picture is a file; or an address, from which the service fetches it.

    Of a directory, all pictures in it and below it are sent, and its tree is kept in the results.
    The results are named after the pictures and the operation or the preset, such as
    photo.thumbnail.jpg, and their names are printed as they are written. No picture that is sent is
    ever overwritten.

    Ends with 1 if a picture failed, and says why.
    """
    made = operation or preset
    if made is None or (operation and preset):
        raise click.UsageError("Name an --operation or a --preset.")
    errands = errands_for(sources)
    if not errands:
        raise click.UsageError("There is no picture in there.")
    first = sources[0]
    alone = len(sources) == 1 and not (isinstance(first, Path) and first.is_dir())
    outputs = Outputs(out, made, errands, alone=alone)
    if outputs.file is not None and outputs.is_input(outputs.file):
        raise click.UsageError(f"{out} is a picture to be sent; it would be overwritten.")
    if outputs.file is not None and operation and "output_format" not in settings:
        suffix = outputs.file.suffix.lower()
        if suffix and suffix not in SUFFIX_FORMATS and output_format is None:
            raise click.UsageError(f"Nothing is known to make of {out}; name a --format.")
        output_format = output_format or SUFFIX_FORMATS.get(suffix)
    wanted: dict[str, str | int | None] = {
        "operation": operation,
        "preset": preset,
        "width": width,
        "height": height,
        "output_format": output_format,
        "quality": quality,
    }
    parameters = {name: value for name, value in wanted.items() if value is not None}
    if twice := parameters.keys() & settings.keys():
        raise click.UsageError(f"{min(twice)} is given twice.")
    parameters |= settings
    code = _run(_Batch(url, key, parameters, errands, outputs, jobs))
    click.get_current_context().exit(code)


def _run(batch: _Batch) -> int:
    """Do it all. Return the exit code."""
    interrupted = False
    with Board(len(batch.errands)) as board:
        try:
            interrupted = run_interruptibly(lambda: _send_all(batch, board))
        except* Unreachable as group:
            board.failed += 1
            why = _first(group)
            board.complain(f"There is no connection to {batch.url}: {why} Is the service running?")
    if interrupted:
        board.complain("Interrupted.")
        return INTERRUPTED
    return 1 if board.failed else 0


def _first(group: BaseExceptionGroup[Unreachable]) -> str:
    """Return what the first of these errors says, as a sentence."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{str(error).rstrip('.')}."


async def _send_all(batch: _Batch, board: Board) -> None:
    errands = iter(batch.errands)
    async with AsyncClient(batch.url, key=batch.key) as client, trio.open_nursery() as nursery:
        for _ in range(min(batch.jobs, len(batch.errands))):
            nursery.start_soon(_send_some, client, batch, errands, board)


async def _send_some(
    client: AsyncClient, batch: _Batch, errands: Iterator[Errand], board: Board
) -> None:
    for errand in errands:
        with board.under_way(errand.name) as progress:
            try:
                for picture in await client.submit_and_wait_for_all(
                    errand.source, batch.parameters, progress
                ):
                    target = batch.outputs.target(errand, picture)
                    await trio.to_thread.run_sync(_write, target, picture.data)
                    board.announce(target)
            except Unreachable:
                raise
            except RequestFailed as error:
                board.failed += 1
                board.complain(f"{errand.name}: {error}")
            except OSError as error:
                board.failed += 1
                board.complain(f"{errand.name}: {error.strerror}: {error.filename}")


def _write(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(target) as file:
        file.write(data)
