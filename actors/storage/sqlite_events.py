"""The register of events on SQLite: a part of the catalogue, written by its triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from actors.storage.events import Bounds, Event
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.events import Interest
    from actors.storage.rows import Value


class SqliteEvents:
    """See `EventRegister`. It borrows the connection of its catalogue.

    There is no index but that of the numbers: each would be written three times for a job, and
    those who read from far behind do so in steps.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def bounds(self) -> Bounds:
        """See `EventRegister.bounds`."""
        oldest, last = self._db.execute(
            "select (select min(number) from events), (select max(number) from events)"
        ).fetchone()
        return Bounds(0, 0) if last is None else Bounds(oldest - 1, last)

    def read(self, after: int, up_to: int, interest: Interest | None, limit: int) -> list[Event]:
        """See `EventRegister.read`."""
        values: dict[str, Value] = {"after": after, "up_to": up_to, "limit": limit}
        where = "number > :after and number <= :up_to"
        if interest:
            where += " and tenant = :tenant"
            values["tenant"] = interest.tenant
            if interest.job_id is not None:
                where += " and job_id = :job_id"
                values["job_id"] = interest.job_id
            if interest.statuses:
                statuses = {f"status{n}": each for n, each in enumerate(sorted(interest.statuses))}
                where += f" and status in ({', '.join(f':{name}' for name in statuses)})"
                values.update(statuses)
        found = rows(
            self._db, f"select * from events where {where} order by number limit :limit", values
        )
        return [msgspec.convert(row, Event) for row in found]

    def trim(self, kept: int, since: datetime, step: int) -> bool:
        """See `EventRegister.trim`."""
        last = self.bounds().last
        values = {
            "last": last,
            "last_gone": last - kept,
            "since": time_text(since),
            "step": step,
        }
        oldest = "select number, time from events order by number limit :step"
        newest_gone = (
            f"select coalesce(min(number) - 1, (select max(number) from ({oldest}))) "
            f"from ({oldest}) where number > :last_gone and time >= :since or number = :last"
        )
        gone = self._db.execute(f"delete from events where number <= ({newest_gone})", values)
        return gone.rowcount == step
