"""Whether a catalogue and its directories are sound, before any record is looked at.

It only reads, and may do so beside the service.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from sqlite_utils import Database

from actors.storage.files import PARTIAL, SHARDS
from actors.storage.findings import GRAVE, Finding
from actors.storage.migrations.steps import STEPS, migrations
from actors.storage.opening import MARK, owner_of_files
from actors.storage.ports import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

    from actors.storage.opening import Places, Role

MOST = 20  # things told of one kind of damage to the catalogue
LOW = 256 * 1024 * 1024  # bytes of free room below which there is soon none


def look_at_places(places: Places) -> list[Finding]:
    """Return what is wrong with the catalogue itself, with its directories and their room.

    Raises:
      StorageUnavailable: if there is no catalogue that could be read.
    """
    if not places.catalogue.is_file():
        raise StorageUnavailable(f"there is no catalogue at {places.catalogue}")
    findings = _look_at_catalogue(places.catalogue)
    identity = None if any(each.kind in GRAVE for each in findings) else _identity(places.catalogue)
    for role, directory in places.directories.items():
        findings += _look_at_directory(directory, role, identity)
    findings += _unwritable(places.catalogue, places.catalogue.parent)
    findings += _room(places)
    return findings


def leftovers(places: Places, older_than: timedelta) -> Iterator[Path]:
    """Yield the files that were begun and never finished, as far as they are older than that."""
    before = time.time() - older_than.total_seconds()
    for directory in places.directories.values():
        try:
            entries = list((directory / PARTIAL).iterdir())
        except OSError:
            continue  # That is told by `look_at_places`.
        for path in entries:
            try:
                is_left = path.lstat().st_mtime <= before
            except FileNotFoundError:
                continue
            if is_left:
                yield path


def _look_at_catalogue(path: Path) -> list[Finding]:
    try:
        with closing(_connect(path)) as connection:
            return [*_schema(path, connection), *_integrity(path, connection)]
    except sqlite3.OperationalError as error:
        raise StorageUnavailable(f"the catalogue: {error}") from error
    except sqlite3.DatabaseError as error:
        return [Finding("catalogue_damaged", str(path), str(error))]


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _schema(path: Path, connection: sqlite3.Connection) -> Iterator[Finding]:
    applied = {step.name for step in migrations.applied(Database(connection))}
    if newer := sorted(applied - STEPS.keys()):
        text = f"a newer version of Calotype made it: {', '.join(newer)}"
        yield Finding("schema_newer", str(path), text)
    elif older := sorted(STEPS.keys() - applied):
        text = (
            f"an older version made it, and the next start brings it up to date: {', '.join(older)}"
        )
        yield Finding("schema_older", str(path), text)


def _integrity(path: Path, connection: sqlite3.Connection) -> Iterator[Finding]:
    for (told,) in connection.execute(f"pragma integrity_check({MOST})"):
        if told != "ok":
            yield Finding("catalogue_damaged", str(path), str(told))
    violations = connection.execute("pragma foreign_key_check").fetchmany(MOST)
    for table, row, parent, _ in violations:
        text = f"row {row} of {table} refers to something that is not in {parent}"
        yield Finding("catalogue_damaged", str(path), text)


def _identity(path: Path) -> str:
    with closing(_connect(path)) as connection:
        (identity,) = connection.execute("select id from catalogue").fetchone()
    return str(identity)


def _look_at_directory(directory: Path, role: Role, identity: str | None) -> Iterator[Finding]:
    if not directory.is_dir():
        yield Finding("directory_missing", str(directory), "there is no such directory")
        return
    try:
        mark = (directory / MARK).read_text("utf-8").strip()
    except FileNotFoundError:
        mark = ""
    except (OSError, ValueError) as error:
        mark = f"unreadable: {error}"
    if identity is not None and mark != owner_of_files(role, identity):
        said = f"its mark says {mark!r}" if mark else "it has no mark"
        text = f"not the {role} of this catalogue: {said}"
        yield Finding("directory_foreign", str(directory), text)
        return
    names = (PARTIAL, *SHARDS)
    missing = [name for name in names if not (directory / name).is_dir()]
    if missing:
        text = f"{len(missing)} of its {len(names)} directories are missing, such as {missing[0]}"
        yield Finding("directory_incomplete", str(directory), text)
    there = (directory / name for name in names if name not in missing)
    yield from _unwritable(directory, *there)


def _unwritable(*paths: Path) -> Iterator[Finding]:
    """Tell of the first of these that this process may not write."""
    for path in paths:
        wanted = os.W_OK | os.X_OK if path.is_dir() else os.W_OK
        if not os.access(path, wanted):
            yield Finding("not_writable", str(path), "whoever runs this cannot write there")
            return


def _room(places: Places) -> Iterator[Finding]:
    seen = set[int]()
    for path in (places.catalogue.parent, *places.directories.values()):
        if not path.is_dir() or path.stat().st_dev in seen:
            continue
        seen.add(path.stat().st_dev)
        free = shutil.disk_usage(path).free
        if free < LOW:
            text = f"only {free // 2**20} MiB are free"
            yield Finding("room_low", str(path), text)
