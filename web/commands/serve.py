"""The command `calotype serve`."""

from __future__ import annotations

import sys

import click
import trio

from actors.storage.ports import StorageError
from actors.supervision import TooManyCrashes
from web.logs import configure_logs
from web.presets import BadPresets
from web.settings import OpenToAnybody, read_settings


@click.command()
def serve() -> None:
    """Run the service. Its settings come from the environment: see `calotype settings`."""
    from web.serve import serve as serve_until_stopped  # noqa: PLC0415  (a help needs no server)

    settings = read_settings()
    configure_logs(settings.log_format, settings.log_level)
    in_time = False
    try:
        in_time = trio.run(serve_until_stopped, settings)
    except* BadPresets as group:
        _complain("the presets cannot be used", group)
    except* StorageError as group:
        _complain("the storage cannot be opened", group)
    except* OpenToAnybody as group:
        _complain("nobody would be kept out", group)
    except* OSError as group:
        _complain(f"cannot listen on {settings.host}:{settings.port}", group)
    except* TooManyCrashes as group:
        _complain("an actor kept crashing", group)
    sys.exit(0 if in_time else 1)


def _complain(what: str, group: BaseExceptionGroup[BaseException]) -> None:
    for error in _leaves(group):
        click.echo(f"calotype: {what}: {error}", err=True)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
