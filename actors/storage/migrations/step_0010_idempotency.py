"""0010: answers to requests that may be sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_repeats(db: Database) -> None:
    """Make the table of what was answered to requests that may be sent again."""
    repeats = {
        "number": int,
        "tenant": str,
        "turn": int,
        "name": str,
        "fingerprint": str,
        "subject": str,
        "answer": str,
        "created_at": str,
    }
    optional = {"number", "answer"}
    db.table("repeats").create(
        repeats, pk="number", not_null=repeats.keys() - optional, strict=True
    )
    db.table("repeats").create_index(["tenant", "name"], unique=True)
    db.table("repeats").create_index(["tenant", "turn"], unique=True)
    db.execute("create index idx_repeats_subject on repeats(subject) where subject <> ''")
