"""0009: what became of jobs, in one sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_events(db: Database) -> None:
    """Make the table of events, and have triggers write it, so that no change can go around it."""
    # SQLite gives each row the greatest number there is, and one more. Since the newest is never
    # given up, none is used twice; "autoincrement" would have a second table written each time.
    db.execute(
        """
        create table events (
            number integer primary key,
            tenant text not null,
            job_id text not null,
            status text not null,
            attempt integer not null,
            reason text,
            error_code text,
            time text not null
        ) strict
        """
    )
    insert = "insert into events (tenant, job_id, status, attempt, reason, error_code, time) values"
    db.execute(
        f"create trigger events_added after insert on jobs begin {insert} (new.tenant, new.id, "
        "new.status, new.attempts, 'submitted', null, new.created_at); end"
    )
    db.execute(
        "create trigger events_moved after update of status on jobs "
        f"when new.status <> old.status begin {insert} (new.tenant, new.id, "
        "new.status, new.attempts, case when new.status <> 'pending' then null "
        "when old.status <> 'processing' then 'retried' "
        "when new.attempts < old.attempts then 'unclaimed' else 'given_back' end, "
        "new.error_code, new.updated_at); end"
    )
    db.execute(
        f"create trigger events_deleted after delete on jobs begin {insert} (old.tenant, old.id, "
        "'deleted', old.attempts, null, old.error_code, old.updated_at); end"
    )
