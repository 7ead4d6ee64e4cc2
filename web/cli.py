"""The command `calotype`."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

import click
import trio
from rich.console import Console
from rich.table import Table

from actors.storage.ports import StorageError
from actors.supervision import TooManyCrashes
from web.logs import configure_logs
from web.presets import BadPresets
from web.settings import OpenToAnybody, Settings, read_settings

# Commands that are a module of the same name each.
MODULES: Final = {
    name: f"web.{name}"
    for name in ("audit", "keys", "load", "queue", "submit", "verify", "webhooks")
}


class _Commands(click.Group):
    """Commands that are imported when they are used: a client needs no storage, for example."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return sorted([*super().list_commands(ctx), *MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, if there is one."""
        if cmd_name not in MODULES:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(MODULES[cmd_name]), cmd_name)
        return command


@click.group(cls=_Commands)
@click.version_option(package_name="calotype")
def main() -> None:
    """Calotype, an asynchronous image-processing service."""


@main.command()
def serve() -> None:
    """Run the service. Its settings come from the environment: see `calotype settings`."""
    from web.serve import serve as serve_until_stopped  # noqa: PLC0415  (a client needs no server)

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


@main.command()
def settings() -> None:
    """List the settings: environment variable, value, meaning."""
    table = Table("setting", "value", "meaning", box=None, pad_edge=False)
    chosen = read_settings()
    for name, field in Settings.model_fields.items():
        table.add_row(name.upper(), str(getattr(chosen, name)), field.description)
    Console(soft_wrap=True).print(table)


def _complain(what: str, group: BaseExceptionGroup[BaseException]) -> None:
    for error in _leaves(group):
        click.echo(f"calotype: {what}: {error}", err=True)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
