"""0018: what has each look at the catalogue be short."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def bound_work(db: Database) -> None:
    """Have each step read no more than it gives, however much there is beside that.

    Jobs know the latest time of acceptance up to theirs, images how many jobs need them, and the
    outbox which tenant has something to be sent to which host.
    """
    jobs = db.table("jobs")
    # It only grows with the number, also when the clock was set back.
    jobs.add_column("latest_at", str, not_null_default="")
    db.execute(
        "update jobs set latest_at = latest.at from (select number, max(created_at) "
        "over (order by number) as at from jobs) as latest where latest.number = jobs.number"
    )
    jobs.create_index(["latest_at"])
    db.execute("drop index idx_jobs_created_at")

    db.table("images").add_column("needed", int, not_null_default=0)
    db.execute(
        "update images set needed = (select count(*) from uses where image = images.id) "
        "where id in (select image from uses)"
    )
    for name, event, row, by in (
        ("needed", "insert", "new", 1),
        ("released", "delete", "old", -1),
    ):
        db.execute(
            f"create trigger images_{name} after {event} on uses begin "
            f"update images set needed = needed + {by} where id = {row}.image; end"
        )
    db.execute("drop index idx_images_created_at")
    db.execute("create index idx_images_unneeded on images(created_at) where needed = 0")

    _keep_receivers_by_tenant(db)


def _keep_receivers_by_tenant(db: Database) -> None:
    outbox = db.table("outbox")
    outbox.add_column("undone", int, not_null_default=0)
    for trigger in ("added", "again"):
        db.execute(f"drop trigger outbox_{trigger}")
    db.execute("drop index idx_outbox_due")
    db.execute("create index idx_outbox_due on outbox(tenant, host, due_at) where fate = 'pending'")
    db.execute("create table rests (host text primary key, until text not null) strict")
    db.execute("create index idx_rests_until on rests(until)")
    db.execute("insert into rests select host, rests_until from receivers where rests_until <> ''")
    db.execute("drop table receivers")
    db.execute(
        "create table receivers (tenant text not null, host text not null, next_at text not null, "
        "primary key (tenant, host)) strict"
    )
    db.execute("create index idx_receivers_next on receivers(next_at)")
    db.execute("create index idx_receivers_next_of on receivers(tenant, next_at)")
    db.execute("create index idx_receivers_host on receivers(host)")

    def not_before_its_rest(due_at: str, host: str) -> str:
        return f"max({due_at}, coalesce((select until from rests where host = {host}), ''))"

    db.execute(
        "insert into receivers (tenant, host, next_at) select tenant, host, "
        f"{not_before_its_rest('min(due_at)', 'outbox.host')} from outbox "
        "where fate = 'pending' group by tenant, host"
    )
    next_at = not_before_its_rest("new.due_at", "new.host")
    for name, event in (("added", "insert"), ("again", "update of fate, due_at")):
        db.execute(
            f"create trigger outbox_{name} after {event} on outbox when new.fate = 'pending' begin "
            "insert into receivers (tenant, host, next_at) "
            f"values (new.tenant, new.host, {next_at}) "
            "on conflict do update set next_at = min(next_at, excluded.next_at); end"
        )
