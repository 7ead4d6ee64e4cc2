"""The register of the outbox on SQLite: a part of the catalogue, on its connection.

A trigger puts in what is to be sent when a job ends, so that no way in which it may end can forget
to. Another keeps `receivers`: for each host to which something is pending, a time before which
there is nothing to claim for it. It may be too early, and is put right when that is noticed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from actors.storage.outbox import FATES, TOO_LATE, Delivery, DeliveryNotFound
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlite_utils import Database

    from actors.storage.outbox import Fate, NewDelivery, Room
    from actors.storage.rows import Value

PRESENT = "id = :id and fate = 'sending' and attempts = :attempt"
ENDED = "fate in ('delivered', 'dead')"


class SqliteOutbox:
    """See `OutboxRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, new: NewDelivery, now: datetime) -> Delivery:
        """See `OutboxRegister.add`."""
        (delivery,) = self._read(
            "insert into outbox (id, subject, tenant, url, type, payload, created_at, since, "
            "due_at) values (:id, :subject, :tenant, :url, :type, :payload, :now, :now, :now) "
            "returning *",
            {
                "id": new.id,
                "subject": new.subject,
                "tenant": new.tenant,
                "url": new.url,
                "type": new.type,
                "payload": new.payload,
                "now": time_text(now),
            },
        )
        return delivery

    def of(self, subject: str, limit: int) -> list[Delivery]:
        """See `OutboxRegister.of`."""
        return self._read(
            "select * from outbox where subject = :subject order by number desc limit :limit",
            {"subject": subject, "limit": limit},
        )

    def claim(self, room: Room, now: datetime) -> list[Delivery]:
        """See `OutboxRegister.claim`."""
        claimed: list[Delivery] = []
        clause, full = _without(room.full)
        values = {**full, "now": time_text(now), "limit": room.places}
        due = rows(
            self._db,
            f"select host from receivers where next_at <= :now{clause} "
            "order by next_at limit :limit",
            values,
        )
        for host in (str(row["host"]) for row in due):
            most = min(room.left(host), room.places - len(claimed))
            claimed += self._read(
                "update outbox set fate = 'sending', attempts = attempts + 1, begun_at = :now, "
                "due_at = null where number in (select number from outbox where host = :host "
                "and fate = 'pending' and due_at <= :now order by due_at, number limit :most) "
                "returning *",
                {"host": host, "now": time_text(now), "most": most},
            )
            self._db.execute(
                "update receivers set next_at = max(rests_until, coalesce((select min(due_at) from "
                "outbox where host = :host and fate = 'pending'), '')) where host = :host",
                {"host": host},
            )
            self._db.execute(
                "delete from receivers where host = :host and not exists "
                "(select 1 from outbox where host = :host and fate = 'pending')",
                {"host": host},
            )
        return claimed

    def next_due(self, room: Room) -> datetime | None:
        """See `OutboxRegister.next_due`."""
        clause, full = _without(room.full)
        (next_at,) = self._db.execute(
            f"select min(next_at) from receivers where true{clause}", dict(full)
        ).fetchone()
        return datetime.fromisoformat(next_at) if next_at else None

    def deliver(self, delivery_id: str, attempt: int, status: int, now: datetime) -> None:
        """See `OutboxRegister.deliver`."""
        self._db.execute(
            "update outbox set fate = 'delivered', last_status = :status, last_error = null, "
            f"ended_at = :now where {PRESENT}",
            {"id": delivery_id, "attempt": attempt, "status": status, "now": time_text(now)},
        )

    def fail(
        self,
        delivery_id: str,
        attempt: int,
        status: int | None,
        error: str,
        due_at: datetime | None,
        now: datetime,
    ) -> None:
        """See `OutboxRegister.fail`."""
        is_dead = due_at is None
        self._db.execute(
            "update outbox set fate = :fate, tries = tries + 1, last_status = :status, "
            f"last_error = :error, due_at = :due_at, ended_at = :ended_at where {PRESENT}",
            {
                "id": delivery_id,
                "attempt": attempt,
                "fate": "dead" if is_dead else "pending",
                "status": status,
                "error": error,
                "due_at": time_text(due_at) if due_at else None,
                "ended_at": time_text(now) if is_dead else None,
            },
        )

    def put_back(self, delivery_id: str, attempt: int, now: datetime) -> None:
        """See `OutboxRegister.put_back`."""
        self._db.execute(
            f"update outbox set fate = 'pending', due_at = :now where {PRESENT}",
            {"id": delivery_id, "attempt": attempt, "now": time_text(now)},
        )

    def spare(self, host: str, until: datetime) -> None:
        """See `OutboxRegister.spare`."""
        self._db.execute(
            "insert into receivers (host, next_at, rests_until) values (:host, :until, :until) "
            "on conflict do update set rests_until = max(rests_until, :until), "
            "next_at = max(next_at, :until)",
            {"host": host, "until": time_text(until)},
        )

    def recall(self, held: Collection[str], now: datetime) -> int:
        """See `OutboxRegister.recall`."""
        sending = rows(self._db, "select id, attempts from outbox where fate = 'sending'", {})
        lost = [row for row in sending if row["id"] not in held]
        for row in lost:
            self.put_back(str(row["id"]), msgspec.convert(row["attempts"], int), now)
        return len(lost)

    def redeliver(self, subject: str, now: datetime) -> Delivery:
        """See `OutboxRegister.redeliver`."""
        newest = "(select max(number) from outbox where subject = :subject)"
        self._db.execute(
            "update outbox set fate = 'pending', tries = 0, since = :now, due_at = :now, "
            f"ended_at = null where number = {newest} and fate <> 'sending'",
            {"subject": subject, "now": time_text(now)},
        )
        found = self.of(subject, 1)
        if not found:
            raise DeliveryNotFound(subject)
        return found[0]

    def give_up(self, before: datetime, now: datetime, limit: int) -> int:
        """See `OutboxRegister.give_up`."""
        given_up = self._db.execute(
            "update outbox set fate = 'dead', due_at = null, ended_at = :now, "
            "last_error = coalesce(last_error, :error) where number in (select number from outbox "
            "where fate = 'pending' and since <= :before order by since limit :limit)",
            {
                "before": time_text(before),
                "now": time_text(now),
                "error": TOO_LATE,
                "limit": limit,
            },
        )
        return given_up.rowcount

    def counts(self) -> dict[Fate, int]:
        """See `OutboxRegister.counts`."""
        found = dict(self._db.execute("select fate, deliveries from outbox_tallies").fetchall())
        return {fate: int(found[fate]) for fate in FATES}

    def trim(self, kept: int, before: datetime, limit: int) -> int:
        """See `OutboxRegister.trim`."""
        newest_gone = (
            f"select ended_at, number from outbox where {ENDED} "
            "order by ended_at desc, number desc limit 1 offset :kept"
        )
        gone = self._db.execute(
            f"delete from outbox where number in (select number from outbox where {ENDED} and "
            f"(ended_at <= :before or (ended_at, number) <= ({newest_gone})) "
            "order by ended_at, number limit :limit)",
            {"kept": kept, "before": time_text(before), "limit": limit},
        )
        return gone.rowcount

    def _read(self, sql: str, values: Mapping[str, Value]) -> list[Delivery]:
        return [msgspec.convert(row, Delivery) for row in rows(self._db, sql, values)]


def _without(hosts: Collection[str]) -> tuple[str, dict[str, Value]]:
    """Return what leaves these hosts out, with its values."""
    values: dict[str, Value] = {f"full{n}": host for n, host in enumerate(hosts)}
    marks = ", ".join(f":{name}" for name in values)
    return (f" and host not in ({marks})" if values else ""), values
