"""The register of the outbox on SQLite: a part of the catalogue, on its connection.

A trigger puts in what is to be sent when a job ends, so that no way in which it may end can forget
to. Another keeps `receivers`: for each host to which a tenant has something pending, a time before
which there is nothing to claim for these two. It may be too early, and is put right when that is
noticed. `rests` has the hosts that are spared.
"""

from __future__ import annotations

from collections import Counter
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
# From each tenant to the next by the index, whatever lies between.
OWNERS = """
    with recursive owners(tenant) as (
        select min(tenant) from receivers
        union all
        select (select min(tenant) from receivers where receivers.tenant > owners.tenant)
        from owners where owners.tenant is not null
    )
"""
STALE_RESTS = 100  # rests that are over and go with one claim


class SqliteOutbox:
    """See `OutboxRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, new: NewDelivery, now: datetime) -> Delivery:
        """See `OutboxRegister.add`."""
        (delivery,) = self._read(
            "insert into outbox (id, subject, tenant, url, type, payload, trace, created_at, "
            "since, due_at) values (:id, :subject, :tenant, :url, :type, :payload, :trace, :now, "
            ":now, :now) returning *",
            {
                "id": new.id,
                "subject": new.subject,
                "tenant": new.tenant,
                "url": new.url,
                "type": new.type,
                "payload": new.payload,
                "trace": new.trace,
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
        begun: Counter[str] = Counter()
        for tenant, next_at in self._owners(room):
            if next_at > time_text(now) or len(claimed) >= room.places:
                break
            most = min(room.tenants.left(tenant), room.places - len(claimed))
            for host in self._hosts_due(tenant, room, most, now):
                left = min(most, room.hosts.left(host) - begun[host])
                if left > 0:
                    taken = self._begin(tenant, host, left, now)
                    claimed += taken
                    most -= len(taken)
                    begun[host] += len(taken)
        self._db.execute(
            "delete from rests where host in (select host from rests where until <= :now "
            "order by until limit :limit)",
            {"now": time_text(now), "limit": STALE_RESTS},
        )
        return claimed

    def next_due(self, room: Room) -> datetime | None:
        """See `OutboxRegister.next_due`."""
        clause, full = _without("host", room.hosts.full)
        if room.tenants.full:
            next_at = next((next_at for _, next_at in self._owners(room)), None)
        else:
            # What is asked at each transaction costs the same however many tenants there are.
            (next_at,) = self._db.execute(
                f"select min(next_at) from receivers where true{clause}", full
            ).fetchone()
        return datetime.fromisoformat(next_at) if next_at else None

    def _owners(self, room: Room) -> list[tuple[str, str]]:
        """Return the tenants there is room for, and when each may have something due, in order."""
        clause, full = _without("host", room.hosts.full)
        others, full_tenants = _without("owners.tenant", room.tenants.full)
        first = (
            "select rowid from receivers where receivers.tenant = owners.tenant"
            f"{clause} order by next_at limit 1"
        )
        found = self._db.execute(
            f"{OWNERS} select first.tenant, first.next_at from owners "
            "cross join receivers as first "
            f"on first.rowid = ({first}) where true{others} order by first.next_at",
            {**full, **full_tenants},
        )
        return [(str(tenant), str(next_at)) for tenant, next_at in found]

    def _hosts_due(self, tenant: str, room: Room, most: int, now: datetime) -> list[str]:
        clause, full = _without("host", room.hosts.full)
        due = self._db.execute(
            f"select host from receivers where tenant = :tenant and next_at <= :now{clause} "
            "order by next_at limit :most",
            {**full, "tenant": tenant, "now": time_text(now), "most": most},
        )
        return [str(host) for (host,) in due.fetchall()]

    def _begin(self, tenant: str, host: str, most: int, now: datetime) -> list[Delivery]:
        whose = {"tenant": tenant, "host": host}
        pending = "from outbox where tenant = :tenant and host = :host and fate = 'pending'"
        begun = self._read(
            "update outbox set fate = 'sending', attempts = attempts + 1, begun_at = :now, "
            f"due_at = null where number in (select number {pending} and due_at <= :now "
            "order by due_at, number limit :most) returning *",
            {**whose, "now": time_text(now), "most": most},
        )
        self._db.execute(
            f"update receivers set next_at = coalesce((select min(due_at) {pending}), '') "
            "where tenant = :tenant and host = :host",
            whose,
        )
        self._db.execute(
            "delete from receivers where tenant = :tenant and host = :host and next_at = ''", whose
        )
        return begun

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
            "update outbox set fate = 'pending', due_at = :now, undone = undone + 1 "
            f"where {PRESENT}",
            {"id": delivery_id, "attempt": attempt, "now": time_text(now)},
        )

    def spare(self, host: str, until: datetime) -> None:
        """See `OutboxRegister.spare`."""
        values = {"host": host, "until": time_text(until)}
        self._db.execute(
            "insert into rests (host, until) values (:host, :until) "
            "on conflict do update set until = max(until, excluded.until)",
            values,
        )
        self._db.execute(
            "update receivers set next_at = max(next_at, :until) where host = :host", values
        )

    def recall(self, held: Collection[str], now: datetime) -> int:
        """See `OutboxRegister.recall`."""
        sending = rows(self._db, "select number, id from outbox where fate = 'sending'", {})
        lost = [row for row in sending if row["id"] not in held]
        self._db.conn.executemany(
            "update outbox set fate = 'pending', due_at = :now where number = :number",
            [{"number": row["number"], "now": time_text(now)} for row in lost],
        )
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
        counts = self.counts()
        too_many = counts["delivered"] + counts["dead"] - kept
        first = f"select number from outbox where {ENDED}"
        in_order = "order by ended_at, number limit"
        gone = self._db.execute(
            "delete from outbox where number in "
            f"(select * from ({first} and ended_at <= :before {in_order} :limit) "
            f"union select * from ({first} {in_order} :too_many))",
            {
                "before": time_text(before),
                "limit": limit,
                "too_many": max(0, min(too_many, limit)),
            },
        )
        return gone.rowcount

    def _read(self, sql: str, values: Mapping[str, Value]) -> list[Delivery]:
        return [msgspec.convert(row, Delivery) for row in rows(self._db, sql, values)]


def _without(column: str, names: Collection[str]) -> tuple[str, dict[str, Value]]:
    """Return what leaves out those where `column` has one of these names, with its values."""
    key = column.replace(".", "_")
    values: dict[str, Value] = {f"{key}{n}": name for n, name in enumerate(names)}
    marks = ", ".join(f":{each}" for each in values)
    return (f" and {column} not in ({marks})" if values else ""), values
