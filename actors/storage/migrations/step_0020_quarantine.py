"""0020: which images have ended the processes that they were rendered in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_suspects(db: Database) -> None:
    """Make the table of the quarantine."""
    suspects = {
        "tenant": str,
        "sha256": str,
        "made_with": str,
        "deaths": int,
        "job_id": str,
        "last_at": str,
    }
    table = db.table("suspects")
    table.create(
        suspects, pk=("tenant", "sha256"), not_null=suspects.keys(), strict=True
    ).create_index(["last_at"])
