"""0015: the traces of jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_traces(db: Database) -> None:
    """Let a job say in which trace it was submitted."""
    db.table("jobs").add_column("trace", str)
