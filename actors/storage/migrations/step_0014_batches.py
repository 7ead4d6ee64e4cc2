"""0014: jobs that were accepted together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.ports import STATUSES

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_batches(db: Database) -> None:
    """Let jobs be of a batch, and have triggers count them there."""
    db.table("jobs").add_column("batch_id", str)
    db.execute("create index idx_jobs_batch on jobs(batch_id, number) where batch_id is not null")
    open_ones = "status in ('pending', 'processing')"
    db.execute(
        "create index idx_jobs_batch_open on jobs(batch_id, number) "
        f"where batch_id is not null and {open_ones}"
    )
    # `news`: it has ended, and nobody has been told.
    batches = {
        "number": int,
        "id": str,
        "tenant": str,
        "callback_url": str,
        "metadata": str,
        "created_at": str,
        "deleted": int,
        "news": int,
    }
    batches.update((status, int) for status in STATUSES)
    db.table("batches").create(
        batches,
        pk="number",
        not_null=batches.keys() - {"number", "callback_url", "metadata"},
        defaults=dict.fromkeys((*STATUSES, "deleted", "news"), 0),
        strict=True,
    )
    db.table("batches").create_index(["id"], unique=True)
    db.execute("create index idx_batches_deleted on batches(number) where deleted")
    db.execute("create index idx_batches_news on batches(number) where news")

    db.execute(
        "create trigger batches_unsaid after update of deleted on batches when new.deleted "
        "begin delete from outbox where subject = new.id; end"
    )

    more = ", ".join(f"{status} = {status} + (new.status = '{status}')" for status in STATUSES)
    fewer = ", ".join(f"{status} = {status} - (old.status = '{status}')" for status in STATUSES)
    moved = ", ".join(
        f"{status} = {status} + (new.status = '{status}') - (old.status = '{status}')"
        for status in STATUSES
    )
    # What was running and is no more has ended; whatever else happens to it changes nothing.
    is_last = "not deleted and pending + processing = 1"
    news = f"news = case when old.{open_ones} then {is_last} else news end"
    db.execute(
        "create trigger batches_joined after insert on jobs when new.batch_id is not null "
        f"begin update batches set {more} where id = new.batch_id; end"
    )
    db.execute(
        "create trigger batches_moved after update of status on jobs "
        "when new.batch_id is not null and new.status <> old.status begin "
        f"update batches set {moved}, news = case "
        f"when new.{open_ones} then 0 when old.{open_ones} then {is_last} else news end "
        "where id = new.batch_id; end"
    )
    db.execute(
        "create trigger batches_left after delete on jobs when old.batch_id is not null begin "
        f"update batches set {fewer}, {news} where id = old.batch_id; "
        f"delete from batches where id = old.batch_id and {' + '.join(STATUSES)} = 0; end"
    )
