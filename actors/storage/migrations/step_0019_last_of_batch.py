"""0019: batches that end with the deletion of their last job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.ports import STATUSES

if TYPE_CHECKING:
    from sqlite_utils import Database


def tell_of_batches_that_are_gone(db: Database) -> None:
    """Let a batch outlive its last job until its end has been told, if that was the end."""
    fewer = ", ".join(f"{status} = {status} - (old.status = '{status}')" for status in STATUSES)
    is_last = "not deleted and pending + processing = 1"
    db.execute("drop trigger batches_left")
    db.execute(
        "create trigger batches_left after delete on jobs when old.batch_id is not null begin "
        f"update batches set {fewer}, news = case when old.status in ('pending', 'processing') "
        f"then {is_last} else news end where id = old.batch_id; "
        "delete from batches where id = old.batch_id and not news "
        f"and {' + '.join(STATUSES)} = 0; end"
    )
