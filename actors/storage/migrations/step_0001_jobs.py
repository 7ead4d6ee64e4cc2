"""0001: jobs, and how many there are of each status."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from actors.storage.ports import PRIORITIES, STATUSES

if TYPE_CHECKING:
    from sqlite_utils import Database

# The counts are kept by triggers, so that "how many are pending" costs the same with a million
# jobs as with one, and cannot differ from the jobs themselves.
COUNT_IN = (
    "update tallies set jobs = jobs + 1 where status = new.status and priority = new.priority"
)
COUNT_OUT = (
    "update tallies set jobs = jobs - 1 where status = old.status and priority = old.priority"
)


def make_jobs(db: Database) -> None:
    """Make the table of jobs, the tallies by status and priority, and the catalogue's own name."""
    db.table("catalogue").insert({"id": str(uuid.uuid4())}, pk="id", strict=True)
    db.table("jobs").create(
        {
            "number": int,
            "id": str,
            "status": str,
            "priority": str,
            "position": int,
            "operation": str,
            "recipe": str,
            "input_key": str,
            "input_size": int,
            "output_key": str,
            "output_type": str,
            "output_width": int,
            "output_height": int,
            "output_size": int,
            "output_sha256": str,
            "error_code": str,
            "error": str,
            "attempts": int,
            "attempts_allowed": int,
            "created_at": str,
            "started_at": str,
            "updated_at": str,
        },
        pk="number",
        not_null={
            "id", "status", "priority", "position", "operation", "recipe", "input_key",
            "input_size", "attempts", "attempts_allowed", "created_at", "updated_at",
        },
        strict=True,
    )  # fmt: skip
    table = db.table("jobs")
    table.create_index(["id"], unique=True)
    table.create_index(["position"], unique=True)
    table.create_index(["status", "number"])
    table.create_index(["operation", "number"])
    table.create_index(["created_at"])
    db.execute("create index idx_jobs_queue on jobs(priority, position) where status = 'pending'")

    db.table("tallies").create(
        {"status": str, "priority": str, "jobs": int},
        pk=("status", "priority"),
        not_null={"jobs"},
        strict=True,
    )
    db.table("tallies").insert_all(
        {"status": status, "priority": priority, "jobs": 0}
        for status in STATUSES
        for priority in PRIORITIES
    )
    db.execute(f"create trigger jobs_added after insert on jobs begin {COUNT_IN}; end")
    db.execute(f"create trigger jobs_deleted after delete on jobs begin {COUNT_OUT}; end")
    db.execute(
        "create trigger jobs_moved after update of status on jobs "
        f"begin {COUNT_OUT}; {COUNT_IN}; end"
    )
