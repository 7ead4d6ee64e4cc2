"""0016: jobs that make the same of the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.twins import LET_GO

if TYPE_CHECKING:
    from sqlite_utils import Database


def hold_twins_back(db: Database) -> None:
    """Know which jobs are twins, and hold back those that have one before them (`twins`).

    By triggers, so that no change can go around it. Each looks at a few entries of an index.
    """
    jobs = db.table("jobs")
    jobs.add_column("twin", str)
    jobs.add_column("held", int, not_null_default=0)
    for name, fetched in (("ready", "not null"), ("distant", "null")):
        db.execute(f"drop index idx_jobs_{name}")
        db.execute(
            f"create index idx_jobs_{name} on jobs(priority, position) where status = 'pending' "
            f"and due = 1 and held = 0 and input_key is {fetched}"
        )

    def order_of(row: str) -> str:
        rank = f"case {row}priority when 'high' then 0 when 'normal' then 1 else 2 end"
        return f"{rank}, {row}position, {row}number"

    queued = "status = 'pending' and due = 1"
    db.execute(
        f"create index idx_jobs_twins on jobs(twin, held, {order_of('')}) "
        f"where {queued} and twin is not null"
    )
    db.execute(
        "create index idx_jobs_begun on jobs(twin) where status = 'processing' and twin is not null"
    )
    db.execute(
        "create index idx_jobs_finished on jobs(twin, number) "
        "where status = 'completed' and gone_at is null and twin is not null"
    )

    def first(held: int, twin: str, what: str) -> str:
        return (
            f"select {what} from jobs where twin = {twin} and held = {held} and {queued} "
            f"order by {order_of('')} limit"
        )

    # By limits, because a condition would be looked at for each of the jobs that wait.
    def let_go(twin: str, nobody_if: str = "0") -> str:
        finished = (
            f"select 1 from jobs where twin = {twin} and status = 'completed' and gone_at is null"
        )
        begun = f"select 1 from jobs where twin = {twin} and status = 'processing'"
        free, held = (f"({first(each, twin, order_of(''))} 1)" for each in (0, 1))
        count = (
            f"case when {nobody_if} then 0 when exists ({finished}) then {LET_GO} "
            f"when exists ({begun}) then 0 when {free} < {held} then 0 else 1 end"
        )
        which = f"{first(1, twin, 'number')} ({count})"
        return f"update jobs set held = 0 where number in ({which})"

    new_queued = "new.status = 'pending' and new.due = 1"
    unfinished = (
        "not exists (select 1 from jobs where twin = new.twin and status = 'completed' "
        "and gone_at is null)"
    )
    hold_itself = f"update jobs set held = {unfinished} where number = new.number and {new_queued}"
    hold_those_behind = (
        "update jobs set held = 1 where number in (select number from jobs where twin = new.twin "
        f"and held = 0 and {queued} and (new.status = 'processing' or {new_queued} "
        f"and ({order_of('')}) > ({order_of('new.')})) limit iif({unfinished}, -1, 0))"
    )
    others = (
        "exists (select 1 from jobs where twin = new.twin and status = 'processing' "
        "and number <> new.number) or "
        f"exists (select 1 from jobs where twin = new.twin and held = 0 and {queued} "
        "and number <> new.number) or "
        f"exists (select 1 from jobs where twin = new.twin and held = 1 and {queued} "
        "and number <> new.number) or new.held = 1"
    )
    # Of one that is begun nobody is let go, so that a claim costs the same however many wait.
    then = let_go("new.twin", "new.status = 'processing'")
    body = f"begin {hold_itself}; {hold_those_behind}; {then}; end"
    for name, event in (("added", "insert"), ("moved", "update of status, due, twin")):
        db.execute(
            f"create trigger twins_{name} after {event} on jobs "
            f"when new.twin is not null and ({others}) {body}"
        )
    db.execute(
        "create trigger twins_deleted after delete on jobs when old.twin is not null "
        f"begin {let_go('old.twin')}; end"
    )
