"""The command `calotype settings`: what can be set, and how it is."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from web.settings import Settings, read_settings


@click.command()
def settings() -> None:
    """List the settings: environment variable, value, meaning."""
    table = Table("setting", "value", "meaning", box=None, pad_edge=False)
    chosen = read_settings()
    for name, field in Settings.model_fields.items():
        table.add_row(name.upper(), str(getattr(chosen, name)), field.description)
    Console(soft_wrap=True).print(table)
