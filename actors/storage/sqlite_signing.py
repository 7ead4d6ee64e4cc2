"""The register of signing secrets on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.rows import time_text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlite_utils import Database


class SqliteSigning:
    """See `SigningRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def secrets(self, tenant: str, fresh: str, now: datetime) -> list[str]:
        """See `SigningRegister.secrets`."""
        found = self._db.execute(
            "select secret from signing where tenant = :tenant "
            "and (retires_at is null or retires_at > :now) order by number desc",
            {"tenant": tenant, "now": time_text(now)},
        ).fetchall()
        if not found:
            self._add(tenant, fresh, now)
        return [secret for (secret,) in found] or [fresh]

    def rotate(self, tenant: str, fresh: str, retires_at: datetime, now: datetime) -> None:
        """See `SigningRegister.rotate`."""
        self._db.execute(
            "delete from signing where tenant = :tenant and retires_at <= :now",
            {"tenant": tenant, "now": time_text(now)},
        )
        self._db.execute(
            "update signing set retires_at = min(coalesce(retires_at, :at), :at) "
            "where tenant = :tenant",
            {"tenant": tenant, "at": time_text(retires_at)},
        )
        self._add(tenant, fresh, now)

    def _add(self, tenant: str, secret: str, now: datetime) -> None:
        self._db.execute(
            "insert into signing (tenant, secret, created_at) values (:tenant, :secret, :now)",
            {"tenant": tenant, "secret": secret, "now": time_text(now)},
        )
