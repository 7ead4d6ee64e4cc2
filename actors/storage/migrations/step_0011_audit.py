"""0011: who has done what cannot be changed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_audit(db: Database) -> None:
    """Make the table of the audit."""
    audit = {
        "number": int,
        "at": str,
        "action": str,
        "subject": str,
        "tenant": str,
        "key_id": str,
        "user": str,
        "details": str,
    }
    optional = {"number", "key_id", "user"}
    db.table("audit").create(audit, pk="number", not_null=audit.keys() - optional, strict=True)
