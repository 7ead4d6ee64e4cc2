"""0004: images that several jobs use."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_images(db: Database) -> None:
    """Make the table of images and that of their uses by jobs, and list jobs by preset."""
    jobs = db.table("jobs")
    jobs.add_column("preset", str)
    jobs.create_index(["preset", "number"])
    jobs.add_column("input_sha256", str)
    jobs.add_column("image_id", str)
    jobs.add_column("others", str, not_null_default="{}")

    images = {
        "id": str,
        "key": str,
        "format": str,
        "width": int,
        "height": int,
        "frames": int,
        "size_bytes": int,
        "sha256": str,
        "facts": str,
        "created_at": str,
        "deleted": int,
    }
    db.table("images").create(
        images, pk="id", not_null=images.keys() - {"id"}, defaults={"deleted": 0}, strict=True
    )
    db.table("uses").create(
        {"job": int, "image": str},
        pk=("job", "image"),
        foreign_keys=[("job", "jobs", "number"), ("image", "images", "id")],
        strict=True,
    )
    db.table("uses").create_index(["image"])
    # By a trigger, because the number of a deleted job may be given to another.
    db.execute(
        "create trigger jobs_unused after delete on jobs "
        "begin delete from uses where job = old.number; end"
    )
