"""Rows of SQLite as the adapters read and write them.

Times are RFC 3339 text in UTC with microseconds, so that they sort and a person can read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from sqlite_utils import Database

Value = str | int | None
Row = dict[str, object]


def rows(db: Database, sql: str, values: Mapping[str, Value]) -> list[Row]:
    """Run a statement, and return what it returns."""
    cursor = db.execute(sql, dict(values))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def json_text(value: object) -> str:
    """Return `value` as JSON."""
    return msgspec.json.encode(value).decode()


def time_text(moment: datetime) -> str:
    """Return `moment` as fixed-width RFC 3339 text in UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def time_or_null(moment: datetime | None) -> str | None:
    """Return `moment` as `time_text` does, if there is one."""
    return None if moment is None else time_text(moment)
