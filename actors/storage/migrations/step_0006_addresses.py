"""0006: jobs whose input has to be fetched."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_addresses(db: Database) -> None:
    """Let a job have the address of its input, and no input until that has been fetched."""
    jobs = db.table("jobs")
    jobs.add_column("image_url", str)
    # SQLite takes no "not null" back from a column, so each is replaced.
    for column, kind in {"input_key": str, "input_size": int}.items():
        db.execute(f"alter table jobs rename column {column} to old_{column}")
        jobs.add_column(column, kind)
        db.execute(f"update jobs set {column} = old_{column}")
        db.execute(f"alter table jobs drop column old_{column}")
