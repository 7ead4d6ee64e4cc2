"""The register of retention on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.retention import Unneeded
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.ports import Removed
    from actors.storage.retention import Rules

ENDED = "status in ('completed', 'failed', 'cancelled') and gone_at is null"


class SqliteRetention:
    """See `RetentionRegister`. It borrows the connection of its catalogue, and how it deletes."""

    def __init__(
        self,
        db: Database,
        delete_job: Callable[[str, datetime], Removed],
        unneeded_image: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._db = db
        self._delete_job = delete_job
        self._unneeded_image = unneeded_image

    def expire(self, rules: Rules, now: datetime, limit: int) -> list[str]:
        """See `RetentionRegister.expire`."""
        gone = self._mark(f"{ENDED} and kept_until <= :before", now, now, limit)
        if rules.results is not None:
            before = now - rules.results
            own = f"{ENDED} and retain is null and updated_at <= :before"
            gone += self._mark(own, before, now, limit - len(gone))
        while rules.max_bytes is not None and len(gone) < limit and self._ended() > rules.max_bytes:
            oldest = self._mark(f"{ENDED} and retain is null order by updated_at", now, now, 1)
            if not oldest:
                break
            gone += oldest
        return gone

    def _mark(self, which: str, before: datetime, now: datetime, limit: int) -> list[str]:
        marked = rows(
            self._db,
            f"update jobs set gone_at = :now where number in "
            f"(select number from jobs where {which} limit :limit) returning id",
            {"before": time_text(before), "now": time_text(now), "limit": limit},
        )
        return [str(row["id"]) for row in marked]

    def purge(self, before: datetime, limit: int) -> Unneeded:
        """See `RetentionRegister.purge`."""
        purged = rows(
            self._db,
            "update jobs set purged = 1 where number in (select number from jobs "
            "where gone_at <= :before and purged = 0 limit :limit) "
            "returning number, image_id, input_key, outputs",
            {"before": time_text(before), "limit": limit},
        )
        inputs, outputs = [], []
        for row in purged:
            if row["image_id"] is None and row["input_key"] is not None:
                inputs.append(str(row["input_key"]))
            outputs += self._keys_of(row["outputs"])
            used = rows(
                self._db,
                "delete from uses where job = :job returning image",
                {"job": row["number"]},  # type: ignore[dict-item]  # It is a number.
            )
            for use in used:
                inputs += self._unneeded_image(str(use["image"]))
        return Unneeded(len(purged), tuple(inputs), tuple(outputs))

    def _keys_of(self, outputs: object) -> list[str]:
        each = "select json_extract(value, '$.key') from json_each(coalesce(?, '[]'))"
        return [str(key) for (key,) in self._db.execute(each, [outputs])]

    def forget_images(self, before: datetime, limit: int) -> Unneeded:
        """See `RetentionRegister.forget_images`."""
        forgotten = rows(
            self._db,
            "delete from images where id in (select id from images where needed = 0 "
            "and created_at <= :before order by created_at limit :limit) returning key",
            {"before": time_text(before), "limit": limit},
        )
        return Unneeded(len(forgotten), tuple(str(row["key"]) for row in forgotten))

    def forget_records(self, before: datetime, limit: int, now: datetime) -> list[Removed]:
        """See `RetentionRegister.forget_records`."""
        old = rows(
            self._db,
            "select id from jobs where gone_at <= :before and purged = 1 "
            "and not exists (select 1 from outbox where subject = jobs.id "
            "and fate in ('pending', 'sending')) "
            "and not exists (select 1 from jobs as others where others.batch_id = jobs.batch_id "
            "and others.status in ('pending', 'processing')) limit :limit",
            {"before": time_text(before), "limit": limit},
        )
        return [self._delete_job(str(row["id"]), now) for row in old]

    def stored(self) -> int:
        """See `RetentionRegister.stored`."""
        (stored,) = self._db.execute("select bytes from stored").fetchone()
        return int(stored)

    def _ended(self) -> int:
        """Return the bytes of the files that there is a rule for."""
        (ended,) = self._db.execute("select ended from stored").fetchone()
        return int(ended)
