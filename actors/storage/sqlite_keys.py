"""The register of keys on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.storage.credentials import Key, KeyNotFound
from actors.storage.rows import Row, json_text, rows, time_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.credentials import NewKey
    from actors.storage.rows import Value


class SqliteKeys:
    """See `KeyRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, new: NewKey, now: datetime) -> Key:
        """See `KeyRegister.add`."""
        return self._one(
            """
            insert into keys (id, digest, tenant, scopes, name, expires_at, limits, created_at)
            values (:id, :digest, :tenant, :scopes, :name, :expires_at, :limits, :now)
            returning *
            """,
            {
                "id": new.id,
                "digest": new.digest,
                "tenant": new.tenant,
                "scopes": json_text(new.scopes),
                "name": new.name,
                "expires_at": None if new.expires_at is None else time_text(new.expires_at),
                "limits": new.limits,
                "now": time_text(now),
            },
        )

    def find(self, key_id: str) -> Key:
        """See `KeyRegister.find`."""
        return self._one("select * from keys where id = :id", {"id": key_id})

    def list_all(self) -> list[Key]:
        """See `KeyRegister.list_all`."""
        return [_key(row) for row in rows(self._db, "select * from keys order by number", {})]

    def ids(self) -> frozenset[str]:
        """See `KeyRegister.ids`."""
        return frozenset(key_id for (key_id,) in self._db.execute("select id from keys"))

    def count(self) -> int:
        """See `KeyRegister.count`."""
        (count,) = self._db.execute("select count(*) from keys").fetchone()
        return int(count)

    def revoke(self, key_id: str, now: datetime) -> Key:
        """See `KeyRegister.revoke`."""
        return self._one(
            "update keys set revoked_at = coalesce(revoked_at, :now) where id = :id returning *",
            {"id": key_id, "now": time_text(now)},
        )

    def expire(self, key_id: str, at: datetime) -> Key:
        """See `KeyRegister.expire`."""
        return self._one(
            "update keys set expires_at = min(coalesce(expires_at, :at), :at) where id = :id "
            "returning *",
            {"id": key_id, "at": time_text(at)},
        )

    def limit(self, key_id: str, limits: str | None) -> Key:
        """See `KeyRegister.limit`."""
        return self._one(
            "update keys set limits = :limits where id = :id returning *",
            {"id": key_id, "limits": limits},
        )

    def link_secret(self, fresh: str) -> str:
        """See `KeyRegister.link_secret`."""
        self._db.execute(
            "insert into secrets (name, value) values ('links', :value) on conflict do nothing",
            {"value": fresh},
        )
        (secret,) = self._db.execute("select value from secrets where name = 'links'").fetchone()
        return str(secret)

    def forget_link_secret(self) -> None:
        """See `KeyRegister.forget_link_secret`."""
        self._db.execute("delete from secrets where name = 'links'")

    def _one(self, sql: str, values: Mapping[str, Value]) -> Key:
        found = rows(self._db, sql, values)
        if not found:
            raise KeyNotFound(values["id"])
        return _key(found[0])


def _key(row: Row) -> Key:
    return msgspec.convert({**row, "scopes": msgspec.json.decode(str(row["scopes"]))}, Key)
