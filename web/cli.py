"""The command `calotype`."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import click

# Each is a module of `web.commands`, and in it what has its name.
COMMANDS: Final = (
    "audit",
    "backup",
    "doctor",
    "keys",
    "load",
    "quarantine",
    "queue",
    "serve",
    "settings",
    "submit",
    "verify",
    "webhooks",
)


class _Commands(click.Group):
    """Commands that are imported when they are used: a client needs no storage, for example."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names."""
        return [*super().list_commands(ctx), *COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, if there is one."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(f"web.commands.{cmd_name}"), cmd_name)
        return command


@click.group(cls=_Commands)
@click.version_option(package_name="calotype")
def main() -> None:
    """Calotype, an asynchronous image-processing service."""
