"""The operator's presets: recipes with a name, from a TOML file.

```toml
[avatar]
operations = [{op = "resize", width = 128, height = 128, fit = "cover", gravity = "smart"}]
output = {format = "webp"}
```

Each table says what the JSON of a job would say of its recipe.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec
import structlog

from actors.imaging.recipe import Name, Recipe
from web.members import Members, check_nested
from web.problems import Problem, invalid
from web.recipes import take_recipe

log = structlog.get_logger("calotype.presets")

MAX_FILE = 1024 * 1024
MAX_PRESETS = 256


class BadPresets(Exception):
    """The file cannot be used; the text says where it is wrong."""


class Presets:
    """The recipes by name, as the file was when it was read last."""

    def __init__(self, path: Path | None) -> None:
        """Read the file.

        Raises:
          BadPresets: if it cannot be used.
        """
        self._path = path
        self.recipes: Mapping[str, Recipe] = _read(path) if path else MappingProxyType({})

    def reload(self) -> None:
        """Read the file again; if it cannot be used, what was read before goes on."""
        if self._path is None:
            return
        try:
            self.recipes = _read(self._path)
        except BadPresets as error:
            log.error("presets_refused", why=str(error))  # noqa: TRY400  (it says all there is)
        else:
            log.info("presets_read", presets=sorted(self.recipes))


def _read(path: Path) -> Mapping[str, Recipe]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise BadPresets(f"{path} has more than {MAX_FILE} bytes")
        tables = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadPresets(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # No UTF-8, no TOML, or too much of it.
        raise BadPresets(f"{path}: {error}") from error
    if len(tables) > MAX_PRESETS:
        raise BadPresets(f"{path} has more than {MAX_PRESETS} presets")
    return MappingProxyType({name: _recipe(path, name, table) for name, table in tables.items()})


def _recipe(path: Path, name: str, table: object) -> Recipe:
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise BadPresets(f"{path}: {name!r} is no name for a preset") from error
    if not isinstance(table, dict):
        raise BadPresets(f"{path}: {name} is no table")
    members = Members(dict(table))
    try:
        check_nested(table)
        named = take_recipe(members, {})
        members.refuse_rest("is no parameter here")
        if members.faults or named is None:
            raise invalid(members.faults)
    except Problem as problem:
        raise BadPresets(f"{path}: [{name}] {problem.detail}") from problem
    return named.recipe
