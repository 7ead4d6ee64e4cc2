"""0005: keys, and the tenants whose jobs and images they open."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_keys(db: Database) -> None:
    """Make the table of keys, give jobs and images a tenant, and list a tenant's jobs by index."""
    jobs = db.table("jobs")
    jobs.add_column("tenant", str, not_null_default="")
    db.table("images").add_column("tenant", str, not_null_default="")
    # Every list is that of one tenant, so the indexes without it have no use any more.
    for columns in ("operation_number", "status_operation_number", "preset_number"):
        db.execute(f"drop index idx_jobs_{columns}")
    db.execute("drop index idx_jobs_status_number")
    jobs.create_index(["tenant", "number"])
    jobs.create_index(["tenant", "status", "number"])
    jobs.create_index(["tenant", "operation", "number"])
    jobs.create_index(["tenant", "status", "operation", "number"])
    jobs.create_index(["tenant", "preset", "number"])
    db.execute("create index idx_jobs_processing on jobs(number) where status = 'processing'")

    keys = {
        "number": int,
        "id": str,
        "digest": str,
        "tenant": str,
        "scopes": str,
        "name": str,
        "limits": str,
        "created_at": str,
        "expires_at": str,
        "revoked_at": str,
    }
    optional = {"number", "limits", "expires_at", "revoked_at"}
    db.table("keys").create(keys, pk="number", not_null=keys.keys() - optional, strict=True)
    db.table("keys").create_index(["id"], unique=True)
    db.table("secrets").create(
        {"name": str, "value": str}, pk="name", not_null={"value"}, strict=True
    )
