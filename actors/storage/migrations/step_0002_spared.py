"""0002: attempts that do not count."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def count_spared(db: Database) -> None:
    """Count the spared attempts of a job, and list by status and operation through an index."""
    table = db.table("jobs")
    table.add_column("spared", int, not_null_default=0)
    table.create_index(["status", "operation", "number"])
