"""0008: what is to be sent to clients, and the secrets that it is signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_outbox(db: Database) -> None:
    """Make the outbox, and have a trigger put in what is to be sent when a job ends."""
    jobs = db.table("jobs")
    jobs.add_column("callback_url", str)
    jobs.add_column("metadata", str)
    db.execute(
        """
        create table outbox (
            number integer primary key,
            id text not null unique,
            subject text not null,
            tenant text not null,
            url text not null,
            host text generated always as (substr(
                substr(url, instr(url, '://') + 3),
                1,
                instr(substr(url, instr(url, '://') + 3) || '/', '/') - 1
            )),
            type text not null,
            payload text not null,
            fate text not null default 'pending',
            attempts integer not null default 0,
            tries integer not null default 0,
            created_at text not null,
            since text not null,
            due_at text,
            begun_at text,
            ended_at text,
            last_status integer,
            last_error text
        ) strict
        """
    )
    db.execute("create index idx_outbox_subject on outbox(subject, number)")
    db.execute("create index idx_outbox_due on outbox(host, due_at) where fate = 'pending'")
    db.execute("create index idx_outbox_since on outbox(since) where fate = 'pending'")
    db.execute("create index idx_outbox_sending on outbox(number) where fate = 'sending'")
    db.execute(
        "create index idx_outbox_ended on outbox(ended_at) where fate in ('delivered', 'dead')"
    )
    _count_outbox(db)

    db.execute(
        "create table receivers (host text primary key, next_at text not null, "
        "rests_until text not null default '') strict"
    )
    db.execute("create index idx_receivers_next on receivers(next_at)")
    for name, event in (("added", "insert"), ("again", "update of fate, due_at")):
        db.execute(
            f"create trigger outbox_{name} after {event} on outbox when new.fate = 'pending' begin "
            "insert into receivers (host, next_at) values (new.host, new.due_at) "
            "on conflict do update set "
            "next_at = max(rests_until, min(next_at, excluded.next_at)); end"
        )

    told = ("name", "media_type", "width", "height", "size_bytes", "sha256")
    output = ", ".join(f"'{each}', json_extract(value, '$.{each}')" for each in told)
    db.execute(
        f"""
        create trigger jobs_announced after update of status on jobs
        when new.status in ('completed', 'failed', 'cancelled') and old.status <> new.status
            and new.callback_url is not null
        begin
            insert into outbox (id, subject, tenant, url, type, created_at, since, due_at,
                payload)
            values ('msg_' || lower(hex(randomblob(16))), new.id, new.tenant, new.callback_url,
                'job.' || new.status, new.updated_at, new.updated_at, new.updated_at,
                json_object('type', 'job.' || new.status, 'timestamp', new.updated_at,
                    'data', json_object('id', new.id, 'status', new.status,
                        'outputs', json((select json_group_array(json_object({output}))
                            from json_each(coalesce(new.outputs, '[]')))),
                        'error_code', new.error_code, 'error', new.error,
                        'metadata', json(new.metadata))));
        end
        """
    )
    db.execute(
        "create trigger outbox_lost after delete on jobs "
        "begin delete from outbox where subject = old.id; end"
    )
    db.execute(
        "create table signing (number integer primary key, tenant text not null, "
        "secret text not null, created_at text not null, retires_at text) strict"
    )
    db.execute("create index idx_signing_tenant on signing(tenant, number)")


def _count_outbox(db: Database) -> None:
    """Have triggers count the deliveries of each fate."""
    db.table("outbox_tallies").create(
        {"fate": str, "deliveries": int}, pk="fate", not_null={"deliveries"}, strict=True
    )
    db.table("outbox_tallies").insert_all(
        {"fate": fate, "deliveries": 0} for fate in ("pending", "sending", "delivered", "dead")
    )

    def more(by: int, row: str) -> str:
        return f"update outbox_tallies set deliveries = deliveries + {by} where fate = {row}.fate;"

    for name, event, changes in (
        ("in", "insert", (more(1, "new"),)),
        ("out", "delete", (more(-1, "old"),)),
        ("over", "update of fate", (more(-1, "old"), more(1, "new"))),
    ):
        db.execute(
            f"create trigger outbox_counted_{name} after {event} on outbox "
            f"begin {' '.join(changes)} end"
        )
