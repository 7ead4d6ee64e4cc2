"""The audit on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.storage.audit import Entry
from actors.storage.keeping import TRIMMED
from actors.storage.rows import Row, json_text, rows, time_text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.audit import Act
    from actors.storage.keeping import Keeping


class SqliteAudit:
    """See `AuditRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(self, act: Act, now: datetime, bounds: Keeping) -> None:
        """See `AuditRegister.note`."""
        self._db.execute(
            "insert into audit (at, action, subject, tenant, key_id, user, details) "
            "values (:at, :action, :subject, :tenant, :key_id, :user, :details)",
            {
                "at": time_text(now),
                "action": act.action,
                "subject": act.subject,
                "tenant": act.tenant,
                "key_id": act.key_id,
                "user": act.user,
                "details": json_text(act.details),
            },
        )
        self._db.execute(
            "delete from audit where number <= (select max(number) from audit) - :most",
            {"most": bounds.most},
        )
        self._db.execute(
            "delete from audit where at < :since and number in "
            "(select number from audit order by number limit :trimmed)",
            {"since": time_text(bounds.since(now)), "trimmed": TRIMMED},
        )

    def newest(self, limit: int) -> list[Entry]:
        """See `AuditRegister.newest`."""
        found = rows(
            self._db, "select * from audit order by number desc limit :limit", {"limit": limit}
        )
        return [_entry(row) for row in found]


def _entry(row: Row) -> Entry:
    return msgspec.convert({**row, "details": msgspec.json.decode(str(row["details"]))}, Entry)
