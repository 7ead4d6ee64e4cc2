"""0007: turns of tenants, jobs that wait for their time, and a queue that can be paused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.ports import PRIORITIES

if TYPE_CHECKING:
    from sqlite_utils import Database


def schedule(db: Database) -> None:
    """Let tenants take turns, jobs wait for their time, and the queue be paused."""
    jobs = db.table("jobs")
    jobs.add_column("run_at", str)
    jobs.add_column("due", int, not_null_default=1)
    jobs.add_column("max_attempts", int, not_null_default=1)
    db.execute("update jobs set max_attempts = attempts_allowed - spared")

    # From now on a position is a place among the jobs of all tenants, and need not be its own.
    db.execute("drop index idx_jobs_position")
    db.execute("drop index idx_jobs_queue")
    db.execute(
        """
        update jobs set position = places.place from (
            select number, row_number() over (partition by priority, tenant order by position)
                as place
            from jobs where status in ('pending', 'processing')
        ) as places where places.number = jobs.number
        """
    )
    is_due = "where status = 'pending' and due = 1"
    db.execute(
        f"create index idx_jobs_ready on jobs(priority, position) {is_due} "
        "and input_key is not null"
    )
    db.execute(
        f"create index idx_jobs_distant on jobs(priority, position) {is_due} and input_key is null"
    )
    db.execute(f"create index idx_jobs_places on jobs(priority, tenant, position) {is_due}")
    db.execute(
        "create index idx_jobs_due on jobs(due, coalesce(run_at, created_at)) "
        "where status = 'pending'"
    )
    db.execute(
        "create index idx_jobs_fetching on jobs(status) "
        "where status = 'processing' and input_key is null"
    )
    db.execute("create index idx_jobs_dead on jobs(number) where status = 'failed'")
    db.execute("create index idx_jobs_dead_of on jobs(error_code, number) where status = 'failed'")

    db.table("switches").create(
        {"name": str, "is_on": int}, pk="name", not_null={"is_on"}, strict=True
    )
    db.table("switches").insert({"name": "paused", "is_on": 0})
    db.table("lanes").create(
        {"priority": str, "reached": int, "waiting": int},
        pk="priority",
        not_null={"reached", "waiting"},
        strict=True,
    )
    db.table("lanes").insert_all(
        {"priority": priority, "reached": 0, "waiting": 0} for priority in PRIORITIES
    )
    was, is_now = (f"({row}.status = 'pending' and {row}.due = 0)" for row in ("old", "new"))
    for name, event, changed in (
        ("added", "insert", is_now),
        ("deleted", "delete", f"-{was}"),
        ("moved", "update of status, due", f"{is_now} - {was}"),
    ):
        row = "old" if event == "delete" else "new"
        db.execute(
            f"create trigger waiting_{name} after {event} on jobs when {changed} <> 0 begin "
            f"update lanes set waiting = waiting + ({changed}) where priority = {row}.priority; end"
        )
