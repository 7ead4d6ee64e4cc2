"""The quarantine on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.storage.keeping import TRIMMED
from actors.storage.quarantine import Suspect
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.keeping import Keeping


class SqliteQuarantine:
    """See `QuarantineRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def note(
        self,
        tenant: str,
        sha256: str,
        made_with: str,
        job_id: str,
        now: datetime,
        bounds: Keeping,
    ) -> int:
        """See `QuarantineRegister.note`."""
        self._db.execute(
            "insert into suspects (tenant, sha256, made_with, deaths, job_id, last_at) "
            "values (:tenant, :sha256, :made_with, 1, :job_id, :now) "
            "on conflict (tenant, sha256) do update set "
            "deaths = iif(made_with = :made_with, deaths + 1, 1), "
            "made_with = :made_with, job_id = :job_id, last_at = :now",
            {
                "tenant": tenant,
                "sha256": sha256,
                "made_with": made_with,
                "job_id": job_id,
                "now": time_text(now),
            },
        )
        self._db.execute(
            "delete from suspects where rowid in (select rowid from suspects "
            "order by last_at desc limit :trimmed offset :most)",
            {"trimmed": TRIMMED, "most": bounds.most},
        )
        self._db.execute(
            "delete from suspects where rowid in (select rowid from suspects "
            "where last_at < :since order by last_at limit :trimmed)",
            {"since": time_text(bounds.since(now)), "trimmed": TRIMMED},
        )
        return self.deaths(tenant, sha256, made_with)

    def deaths(self, tenant: str, sha256: str, made_with: str) -> int:
        """See `QuarantineRegister.deaths`."""
        found = rows(
            self._db,
            "select deaths from suspects where tenant = :tenant and sha256 = :sha256 "
            "and made_with = :made_with",
            {"tenant": tenant, "sha256": sha256, "made_with": made_with},
        )
        return msgspec.convert(found[0]["deaths"], int) if found else 0

    def newest(self, made_with: str, limit: int) -> list[Suspect]:
        """See `QuarantineRegister.newest`."""
        found = rows(
            self._db,
            "select tenant, sha256, deaths, job_id, last_at from suspects "
            "where made_with = :made_with order by last_at desc, rowid desc limit :limit",
            {"made_with": made_with, "limit": limit},
        )
        return [msgspec.convert(row, Suspect) for row in found]

    def release(self, sha256: str) -> int:
        """See `QuarantineRegister.release`."""
        cursor = self._db.execute("delete from suspects where sha256 = :sha256", {"sha256": sha256})
        return int(cursor.rowcount)
