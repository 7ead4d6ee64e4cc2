"""The queue on SQLite: which job is the next, a part of the catalogue, on its connection.

A job's `position` is its start tag. The table `lanes` has, for each priority, the tag that was
`reached`: that of the job which was begun last, or a later one. Every step costs the same however
many jobs there are, since each reads the first or the last entry of a partial index.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from actors.storage.ports import Woken
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlite_utils import Database

    from actors.storage.ports import Priority
    from actors.storage.rows import Row

DUE_SINCE = "coalesce(run_at, created_at)"

# The place of the next job of a tenant.
PLACE = """(
    select 1 + max(reached, coalesce((
        select max(position) from jobs
        where status = 'pending' and due = 1 and priority = :priority and tenant = :tenant
    ), 0)) from lanes where priority = :priority
)"""
_FIRST = (
    "select position, number from jobs where status = 'pending' and due = 1 and held = 0 "
    "and input_key is {} and priority = :priority order by position, number limit 1"
)
FIRST_HERE = _FIRST.format("not null")
FIRST_ELSEWHERE = _FIRST.format("null")
BEGIN = """
    update jobs set status = 'processing', attempts = attempts + 1,
        started_at = :now, updated_at = :now
    where number = :number
    returning *
"""
STANDING = """
    select is_on, (select count(*) from jobs where status = 'processing' and input_key is null)
    from switches where name = 'paused'
"""
NEWLY_DUE = f"""
    select number, priority, tenant from jobs
    where status = 'pending' and due = 0 and {DUE_SINCE} <= :now
    order by {DUE_SINCE} limit :limit
"""
# One that had a place before keeps it.
WAKE = f"""
    update jobs set due = 1, position = case position when 0 then {PLACE} else position end
    where number = :number
"""
NEXT_DUE = (
    f"select {DUE_SINCE} from jobs where status = 'pending' and due = :due "
    f"order by {DUE_SINCE} limit 1"
)


class SqliteQueue:
    """See `Catalogue.claim`, `wake` and `pause`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def claim(
        self, turns: Iterable[Sequence[Priority]], now: datetime, fetching: int | None
    ) -> list[Row]:
        """Begin jobs, and return their rows."""
        paused, fetched_now = self._db.execute(STANDING).fetchone()
        if paused:
            return []
        claimed: list[Row] = []
        reached: dict[Priority, int] = {}
        for turn in turns:
            for priority in turn:
                may_fetch = fetching is None or fetched_now < fetching
                first = self._first(priority, may_fetch=may_fetch)
                if first:
                    position, number = first
                    (row,) = rows(self._db, BEGIN, {"number": number, "now": time_text(now)})
                    claimed.append(row)
                    reached[priority] = position
                    fetched_now += row["input_key"] is None
                    break
            else:
                break
        for lane, position in reached.items():
            self._db.execute(
                "update lanes set reached = max(reached, ?) where priority = ?", (position, lane)
            )
        return claimed

    def _first(self, priority: Priority, *, may_fetch: bool) -> tuple[int, int] | None:
        """Return the place and the number of the next job."""
        queries = (FIRST_HERE, FIRST_ELSEWHERE) if may_fetch else (FIRST_HERE,)
        heads = [self._db.execute(each, {"priority": priority}).fetchone() for each in queries]
        return min(filter(None, heads), default=None)

    def wake(self, now: datetime, limit: int) -> Woken:
        """See `Catalogue.wake`."""
        first = self._since(due=False)
        if first is None or first > now:
            return Woken(0, first)
        due = rows(self._db, NEWLY_DUE, {"now": time_text(now), "limit": limit})
        for row in due:
            self._db.execute(WAKE, row)
        return Woken(len(due), self._since(due=False))

    def oldest(self) -> datetime | None:
        """Return since when the job may be begun that has been due for longest."""
        return self._since(due=True)

    def _since(self, *, due: bool) -> datetime | None:
        found = self._db.execute(NEXT_DUE, {"due": int(due)}).fetchone()
        return datetime.fromisoformat(found[0]) if found else None

    def pause(self, *, paused: bool) -> None:
        """See `Catalogue.pause`."""
        self._db.execute("update switches set is_on = ? where name = 'paused'", (int(paused),))

    @property
    def paused(self) -> bool:
        """Whether nothing is begun."""
        (paused, _) = self._db.execute(STANDING).fetchone()
        return bool(paused)

    def waiting(self) -> dict[Priority, int]:
        """Return how many jobs of each priority are not due yet."""
        return dict(self._db.execute("select priority, waiting from lanes").fetchall())
