"""0013: files that go before the record of their job does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_for_a_while(db: Database) -> None:
    """Let the files of a job go before its record does, and count the bytes of all files."""
    jobs = db.table("jobs")
    jobs.add_column("retain", int)
    jobs.add_column("kept_until", str)
    jobs.add_column("gone_at", str)
    jobs.add_column("purged", int, not_null_default=0)
    ended = "status in ('completed', 'failed', 'cancelled')"
    # In text, so that it is as exact as the time from which it counts.
    db.execute(
        f"create trigger jobs_kept after update of status on jobs "
        f"when new.{ended} and new.retain is not null begin "
        "update jobs set kept_until = strftime('%Y-%m-%dT%H:%M:%S', new.updated_at, "
        "'+' || new.retain || ' seconds') || substr(new.updated_at, 20) "
        "where number = new.number; end"
    )
    db.execute(f"create index idx_jobs_kept on jobs(kept_until) where {ended} and gone_at is null")
    db.execute(
        f"create index idx_jobs_ended on jobs(updated_at) where {ended} and gone_at is null "
        "and retain is null"
    )
    db.execute("create index idx_jobs_gone on jobs(purged, gone_at) where gone_at is not null")
    # What is gone cannot be tried again, and there may be much of it.
    dead = "where status = 'failed' and gone_at is null"
    for name, columns in {"dead": "number", "dead_of": "error_code, number"}.items():
        db.execute(f"drop index idx_jobs_{name}")
        db.execute(f"create index idx_jobs_{name} on jobs({columns}) {dead}")
    db.table("images").create_index(["created_at"])

    def files_of(job: str) -> str:
        sent = f"case when {job}.image_id is null then coalesce({job}.input_size, 0) else 0 end"
        made = (
            "coalesce((select sum(json_extract(value, '$.size_bytes')) "
            f"from json_each(coalesce({job}.outputs, '[]'))), 0)"
        )
        return f"case when {job}.gone_at is null then {sent} + {made} else 0 end"

    def ended_of(job: str) -> str:
        return f"iif({job}.{ended} and {job}.retain is null, {files_of(job)}, 0)"

    stored = {"bytes": int, "ended": int}
    db.table("stored").create(stored, not_null=stored.keys(), strict=True)
    db.execute(
        f"insert into stored select coalesce((select sum({files_of('jobs')}) from jobs), 0) "
        "+ coalesce((select sum(size_bytes) from images), 0), "
        f"coalesce((select sum({ended_of('jobs')}) from jobs), 0)"
    )
    db.execute(
        "create trigger jobs_ended after update of status, outputs, gone_at on jobs "
        f"when old.{ended} or new.{ended} begin update stored "
        f"set ended = ended + ({ended_of('new')}) - ({ended_of('old')}); end"
    )
    db.execute(
        f"create trigger jobs_unended after delete on jobs when old.{ended} begin "
        f"update stored set ended = ended - ({ended_of('old')}); end"
    )
    counted = {
        "jobs_stored after insert on jobs": files_of("new"),
        "jobs_restored after update of outputs, input_size, gone_at on jobs": (
            f"({files_of('new')}) - ({files_of('old')})"
        ),
        "jobs_unstored after delete on jobs": f"-({files_of('old')})",
        "images_stored after insert on images": "new.size_bytes",
        "images_unstored after delete on images": "-old.size_bytes",
    }
    for event, bytes_more in counted.items():
        db.execute(
            f"create trigger {event} begin update stored set bytes = bytes + ({bytes_more}); end"
        )
