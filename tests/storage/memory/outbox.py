"""The register of the outbox in memory: a part of the fake catalogue."""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import msgspec

from actors.storage.outbox import FATES, TOO_LATE, Delivery, DeliveryNotFound, NewDelivery
from actors.storage.rows import json_text, time_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from actors.storage.outbox import Fate, Room
    from actors.storage.ports import Job


class MemoryOutbox:
    """See `OutboxRegister`. Its catalogue says when a job has ended or is gone."""

    def __init__(self) -> None:
        self._deliveries: dict[str, Delivery] = {}
        self._spared: dict[str, datetime] = {}

    def copy(self) -> MemoryOutbox:
        """Return a register with the same in it, which changes on its own."""
        twin = MemoryOutbox()
        twin._deliveries, twin._spared = dict(self._deliveries), dict(self._spared)
        return twin

    def announce(self, job: Job) -> None:
        """Put in that this job has ended, if somebody wants to know."""
        if job.callback_url is None:
            return
        told = {
            "type": f"job.{job.status}",
            "timestamp": time_text(job.updated_at),
            "data": {
                "id": job.id,
                "status": job.status,
                "outputs": [
                    {
                        "name": output.name,
                        "media_type": output.media_type,
                        "width": output.width,
                        "height": output.height,
                        "size_bytes": output.size_bytes,
                        "sha256": output.sha256,
                    }
                    for output in job.outputs
                ],
                "error_code": job.error_code,
                "error": job.error,
                "metadata": msgspec.Raw(job.metadata.encode()) if job.metadata else None,
            },
        }
        new = NewDelivery(
            id=f"msg_{uuid.uuid4().hex}",
            subject=job.id,
            tenant=job.tenant,
            url=job.callback_url,
            type=f"job.{job.status}",
            payload=json_text(told),
            trace=job.trace,
        )
        self.add(new, job.updated_at)

    def is_open(self, subject: str) -> bool:
        """Whether something is still to be delivered of it."""
        found = self.of(subject, len(self._deliveries))
        return any(each.fate in {"pending", "sending"} for each in found)

    def forget(self, subject: str) -> None:
        """Forget all deliveries about this."""
        kept = {each.id: each for each in self._deliveries.values() if each.subject != subject}
        self._deliveries = kept

    def add(self, new: NewDelivery, now: datetime) -> Delivery:
        """See `OutboxRegister.add`."""
        fresh = Delivery(
            **asdict(new),
            fate="pending",
            attempts=0,
            tries=0,
            created_at=now,
            since=now,
            due_at=now,
        )
        return self._put(fresh)

    def of(self, subject: str, limit: int) -> list[Delivery]:
        """See `OutboxRegister.of`."""
        found = [each for each in self._deliveries.values() if each.subject == subject]
        return found[::-1][:limit]

    def claim(self, room: Room, now: datetime) -> list[Delivery]:
        """See `OutboxRegister.claim`."""
        claimed: list[Delivery] = []
        hosts: Counter[str] = Counter()
        tenants: Counter[str] = Counter()
        for each in self._waiting():
            if (
                self._due_at(each) <= now
                and len(claimed) < room.places
                and hosts[each.host] < room.hosts.left(each.host)
                and tenants[each.tenant] < room.tenants.left(each.tenant)
            ):
                hosts[each.host] += 1
                tenants[each.tenant] += 1
                begun = replace(
                    each, fate="sending", attempts=each.attempts + 1, begun_at=now, due_at=None
                )
                claimed.append(self._put(begun))
        return claimed

    def next_due(self, room: Room) -> datetime | None:
        """See `OutboxRegister.next_due`."""
        hosts, tenants = room.hosts.full, room.tenants.full
        waiting = (
            each
            for each in self._waiting()
            if each.host not in hosts and each.tenant not in tenants
        )
        return min((self._due_at(each) for each in waiting), default=None)

    def _waiting(self) -> list[Delivery]:
        waiting = [each for each in self._deliveries.values() if each.fate == "pending"]
        return sorted(waiting, key=lambda each: (each.due_at, self._due_at(each)))

    def _due_at(self, delivery: Delivery) -> datetime:
        if delivery.due_at is None:
            raise AssertionError("only what is pending is due")
        return max(delivery.due_at, self._spared.get(delivery.host, delivery.due_at))

    def deliver(self, delivery_id: str, attempt: int, status: int, now: datetime) -> None:
        """See `OutboxRegister.deliver`."""
        each = self._present(delivery_id, attempt)
        if each:
            self._put(
                replace(each, fate="delivered", last_status=status, last_error=None, ended_at=now)
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
        each = self._present(delivery_id, attempt)
        if each:
            self._put(
                replace(
                    each,
                    fate="pending" if due_at else "dead",
                    tries=each.tries + 1,
                    last_status=status,
                    last_error=error,
                    due_at=due_at,
                    ended_at=None if due_at else now,
                )
            )

    def put_back(self, delivery_id: str, attempt: int, now: datetime) -> None:
        """See `OutboxRegister.put_back`."""
        each = self._present(delivery_id, attempt)
        if each:
            self._put(replace(each, fate="pending", due_at=now, undone=each.undone + 1))

    def spare(self, host: str, until: datetime) -> None:
        """See `OutboxRegister.spare`."""
        self._spared[host] = max(until, self._spared.get(host, until))

    def recall(self, held: Collection[str], now: datetime) -> int:
        """See `OutboxRegister.recall`."""
        sending = [each for each in self._deliveries.values() if each.fate == "sending"]
        lost = [each for each in sending if each.id not in held]
        for each in lost:
            self._put(replace(each, fate="pending", due_at=now))
        return len(lost)

    def redeliver(self, subject: str, now: datetime) -> Delivery:
        """See `OutboxRegister.redeliver`."""
        found = self.of(subject, 1)
        if not found:
            raise DeliveryNotFound(subject)
        (newest,) = found
        if newest.fate == "sending":
            return newest
        return self._put(
            replace(newest, fate="pending", tries=0, since=now, due_at=now, ended_at=None)
        )

    def give_up(self, before: datetime, now: datetime, limit: int) -> int:
        """See `OutboxRegister.give_up`."""
        late = [each for each in self._waiting() if each.since <= before]
        late = sorted(late, key=lambda each: each.since)[:limit]
        for each in late:
            error = each.last_error or TOO_LATE
            self._put(replace(each, fate="dead", due_at=None, ended_at=now, last_error=error))
        return len(late)

    def counts(self) -> dict[Fate, int]:
        """See `OutboxRegister.counts`."""
        counted = Counter(each.fate for each in self._deliveries.values())
        return {fate: counted[fate] for fate in FATES}

    def trim(self, kept: int, before: datetime, limit: int) -> int:
        """See `OutboxRegister.trim`."""
        ended = [(each.ended_at, each.id) for each in self._deliveries.values() if each.ended_at]
        ended.sort(key=lambda each: each[0])
        too_many = len(ended) - kept
        gone = [
            each
            for place, (ended_at, each) in enumerate(ended)
            if place < too_many or ended_at <= before
        ][:limit]
        for each in gone:
            del self._deliveries[each]
        return len(gone)

    def _present(self, delivery_id: str, attempt: int) -> Delivery | None:
        each = self._deliveries.get(delivery_id)
        return each if each and each.fate == "sending" and each.attempts == attempt else None

    def _put(self, delivery: Delivery) -> Delivery:
        self._deliveries[delivery.id] = delivery
        return delivery
