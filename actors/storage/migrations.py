"""The schema of the SQLite catalogue, one step after another; applied ones are recorded.

A step that was released is never edited: what is to change gets a step of its own.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sqlite_utils import Migrations

from actors.storage.ports import ENDED, PRIORITIES, STATUSES
from actors.storage.twins import LET_GO

if TYPE_CHECKING:
    from sqlite_utils import Database

migrations = Migrations("calotype")

# The counts are kept by triggers, so that "how many are pending" costs the same with a million
# jobs as with one, and cannot differ from the jobs themselves.
COUNT_IN = (
    "update tallies set jobs = jobs + 1 where status = new.status and priority = new.priority"
)
COUNT_OUT = (
    "update tallies set jobs = jobs - 1 where status = old.status and priority = old.priority"
)


def make_jobs(db: Database) -> None:
    """Make the table of jobs, the tallies by status and priority, and the catalogue's own name."""
    db.table("catalogue").insert({"id": str(uuid.uuid4())}, pk="id", strict=True)
    db.table("jobs").create(
        {
            "number": int,
            "id": str,
            "status": str,
            "priority": str,
            "position": int,
            "operation": str,
            "recipe": str,
            "input_key": str,
            "input_size": int,
            "output_key": str,
            "output_type": str,
            "output_width": int,
            "output_height": int,
            "output_size": int,
            "output_sha256": str,
            "error_code": str,
            "error": str,
            "attempts": int,
            "attempts_allowed": int,
            "created_at": str,
            "started_at": str,
            "updated_at": str,
        },
        pk="number",
        not_null={
            "id", "status", "priority", "position", "operation", "recipe", "input_key",
            "input_size", "attempts", "attempts_allowed", "created_at", "updated_at",
        },
        strict=True,
    )  # fmt: skip
    table = db.table("jobs")
    table.create_index(["id"], unique=True)
    table.create_index(["position"], unique=True)
    table.create_index(["status", "number"])
    table.create_index(["operation", "number"])
    table.create_index(["created_at"])
    db.execute("create index idx_jobs_queue on jobs(priority, position) where status = 'pending'")

    db.table("tallies").create(
        {"status": str, "priority": str, "jobs": int},
        pk=("status", "priority"),
        not_null={"jobs"},
        strict=True,
    )
    db.table("tallies").insert_all(
        {"status": status, "priority": priority, "jobs": 0}
        for status in STATUSES
        for priority in PRIORITIES
    )
    db.execute(f"create trigger jobs_added after insert on jobs begin {COUNT_IN}; end")
    db.execute(f"create trigger jobs_deleted after delete on jobs begin {COUNT_OUT}; end")
    db.execute(
        "create trigger jobs_moved after update of status on jobs "
        f"begin {COUNT_OUT}; {COUNT_IN}; end"
    )


def count_spared(db: Database) -> None:
    """Count the spared attempts of a job, and list by status and operation through an index."""
    table = db.table("jobs")
    table.add_column("spared", int, not_null_default=0)
    table.create_index(["status", "operation", "number"])


def keep_outputs(db: Database) -> None:
    """Let a job have several outputs and a receipt, and say every recipe in the new way."""
    table = db.table("jobs")
    table.add_column("outputs", str)
    table.add_column("receipt", str)
    db.execute(
        """
        update jobs set outputs = json_array(json_object(
            'name', 'output', 'key', output_key, 'media_type', output_type,
            'width', output_width, 'height', output_height, 'size_bytes', output_size,
            'sha256', output_sha256, 'details', '{}'
        )) where output_key is not null
        """
    )
    # Only `case` has an order: what is no JSON must not be asked for its parts.
    db.execute(
        """
        update jobs set recipe = json_object('outputs', json_array(json_object(
            'name', 'output', 'operations', json_extract(recipe, '$.operations'),
            'format', json_extract(recipe, '$.output.format'),
            'quality', json_extract(recipe, '$.output.quality')
        ))) where case when json_valid(recipe) then json_type(recipe, '$.operations') = 'array' end
        """
    )
    for column in ("key", "type", "width", "height", "size", "sha256"):
        db.execute(f"alter table jobs drop column output_{column}")


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


def schedule(db: Database) -> None:
    """Let tenants take turns, jobs wait for their time, and the queue be paused."""
    jobs = db.table("jobs")
    jobs.add_column("run_at", str)
    jobs.add_column("due", int, not_null_default=1)
    jobs.add_column("max_attempts", int, not_null_default=1)
    db.execute("update jobs set max_attempts = attempts_allowed - spared")

    # From now on a position is a place among the jobs of all tenants, and need not be its own.
    db.execute("drop index idx_jobs_position")
    db.execute("drop index idx_jobs_queue")
    db.execute(
        """
        update jobs set position = places.place from (
            select number, row_number() over (partition by priority, tenant order by position)
                as place
            from jobs where status in ('pending', 'processing')
        ) as places where places.number = jobs.number
        """
    )
    is_due = "where status = 'pending' and due = 1"
    db.execute(
        f"create index idx_jobs_ready on jobs(priority, position) {is_due} "
        "and input_key is not null"
    )
    db.execute(
        f"create index idx_jobs_distant on jobs(priority, position) {is_due} and input_key is null"
    )
    db.execute(f"create index idx_jobs_places on jobs(priority, tenant, position) {is_due}")
    db.execute(
        "create index idx_jobs_due on jobs(due, coalesce(run_at, created_at)) "
        "where status = 'pending'"
    )
    db.execute(
        "create index idx_jobs_fetching on jobs(status) "
        "where status = 'processing' and input_key is null"
    )
    db.execute("create index idx_jobs_dead on jobs(number) where status = 'failed'")
    db.execute("create index idx_jobs_dead_of on jobs(error_code, number) where status = 'failed'")

    db.table("switches").create(
        {"name": str, "is_on": int}, pk="name", not_null={"is_on"}, strict=True
    )
    db.table("switches").insert({"name": "paused", "is_on": 0})
    db.table("lanes").create(
        {"priority": str, "reached": int, "waiting": int},
        pk="priority",
        not_null={"reached", "waiting"},
        strict=True,
    )
    db.table("lanes").insert_all(
        {"priority": priority, "reached": 0, "waiting": 0} for priority in PRIORITIES
    )
    was, is_now = (f"({row}.status = 'pending' and {row}.due = 0)" for row in ("old", "new"))
    for name, event, changed in (
        ("added", "insert", is_now),
        ("deleted", "delete", f"-{was}"),
        ("moved", "update of status, due", f"{is_now} - {was}"),
    ):
        row = "old" if event == "delete" else "new"
        db.execute(
            f"create trigger waiting_{name} after {event} on jobs when {changed} <> 0 begin "
            f"update lanes set waiting = waiting + ({changed}) where priority = {row}.priority; end"
        )


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


def keep_events(db: Database) -> None:
    """Make the table of events, and have triggers write it, so that no change can go around it."""
    # SQLite gives each row the greatest number there is, and one more. Since the newest is never
    # given up, none is used twice; "autoincrement" would have a second table written each time.
    db.execute(
        """
        create table events (
            number integer primary key,
            tenant text not null,
            job_id text not null,
            status text not null,
            attempt integer not null,
            reason text,
            error_code text,
            time text not null
        ) strict
        """
    )
    insert = "insert into events (tenant, job_id, status, attempt, reason, error_code, time) values"
    db.execute(
        f"create trigger events_added after insert on jobs begin {insert} (new.tenant, new.id, "
        "new.status, new.attempts, 'submitted', null, new.created_at); end"
    )
    db.execute(
        "create trigger events_moved after update of status on jobs "
        f"when new.status <> old.status begin {insert} (new.tenant, new.id, "
        "new.status, new.attempts, case when new.status <> 'pending' then null "
        "when old.status <> 'processing' then 'retried' "
        "when new.attempts < old.attempts then 'unclaimed' else 'given_back' end, "
        "new.error_code, new.updated_at); end"
    )
    db.execute(
        f"create trigger events_deleted after delete on jobs begin {insert} (old.tenant, old.id, "
        "'deleted', old.attempts, null, old.error_code, old.updated_at); end"
    )


def keep_usage(db: Database) -> None:
    """Make the tables of the places that jobs in flight hold, and of the pixels of a day."""
    places = {"job": str, "account": str, "pixels": int, "since": str}
    db.table("places").create(places, pk="job", not_null={"account", "since"}, strict=True)
    db.table("places").create_index(["account", "since"])
    usage = {"account": str, "day": str, "pixels": int}
    db.table("usage").create(usage, pk=("account", "day"), not_null={"pixels"}, strict=True)
    db.table("usage").create_index(["day"])
    ended = ", ".join(f"'{status}'" for status in STATUSES if status in ENDED)
    db.execute(
        f"create trigger places_left after update of status on jobs when new.status in ({ended}) "
        "begin delete from places where job = new.id; end"
    )
    db.execute(
        "create trigger places_lost after delete on jobs "
        "begin delete from places where job = old.id; end"
    )


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


def keep_batches(db: Database) -> None:
    """Let jobs be of a batch, and have triggers count them there."""
    db.table("jobs").add_column("batch_id", str)
    db.execute("create index idx_jobs_batch on jobs(batch_id, number) where batch_id is not null")
    open_ones = "status in ('pending', 'processing')"
    db.execute(
        "create index idx_jobs_batch_open on jobs(batch_id, number) "
        f"where batch_id is not null and {open_ones}"
    )
    # `news`: it has ended, and nobody has been told.
    batches = {
        "number": int,
        "id": str,
        "tenant": str,
        "callback_url": str,
        "metadata": str,
        "created_at": str,
        "deleted": int,
        "news": int,
    }
    batches.update((status, int) for status in STATUSES)
    db.table("batches").create(
        batches,
        pk="number",
        not_null=batches.keys() - {"number", "callback_url", "metadata"},
        defaults=dict.fromkeys((*STATUSES, "deleted", "news"), 0),
        strict=True,
    )
    db.table("batches").create_index(["id"], unique=True)
    db.execute("create index idx_batches_deleted on batches(number) where deleted")
    db.execute("create index idx_batches_news on batches(number) where news")

    db.execute(
        "create trigger batches_unsaid after update of deleted on batches when new.deleted "
        "begin delete from outbox where subject = new.id; end"
    )

    more = ", ".join(f"{status} = {status} + (new.status = '{status}')" for status in STATUSES)
    fewer = ", ".join(f"{status} = {status} - (old.status = '{status}')" for status in STATUSES)
    moved = ", ".join(
        f"{status} = {status} + (new.status = '{status}') - (old.status = '{status}')"
        for status in STATUSES
    )
    # What was running and is no more has ended; whatever else happens to it changes nothing.
    is_last = "not deleted and pending + processing = 1"
    news = f"news = case when old.{open_ones} then {is_last} else news end"
    db.execute(
        "create trigger batches_joined after insert on jobs when new.batch_id is not null "
        f"begin update batches set {more} where id = new.batch_id; end"
    )
    db.execute(
        "create trigger batches_moved after update of status on jobs "
        "when new.batch_id is not null and new.status <> old.status begin "
        f"update batches set {moved}, news = case "
        f"when new.{open_ones} then 0 when old.{open_ones} then {is_last} else news end "
        "where id = new.batch_id; end"
    )
    db.execute(
        "create trigger batches_left after delete on jobs when old.batch_id is not null begin "
        f"update batches set {fewer}, {news} where id = old.batch_id; "
        f"delete from batches where id = old.batch_id and {' + '.join(STATUSES)} = 0; end"
    )


def keep_traces(db: Database) -> None:
    """Let a job say in which trace it was submitted."""
    db.table("jobs").add_column("trace", str)


def hold_twins_back(db: Database) -> None:
    """Know which jobs are twins, and hold back those that have one before them (`twins`).

    By triggers, so that no change can go around it. Each looks at a few entries of an index.
    """
    jobs = db.table("jobs")
    jobs.add_column("twin", str)
    jobs.add_column("held", int, not_null_default=0)
    for name, fetched in (("ready", "not null"), ("distant", "null")):
        db.execute(f"drop index idx_jobs_{name}")
        db.execute(
            f"create index idx_jobs_{name} on jobs(priority, position) where status = 'pending' "
            f"and due = 1 and held = 0 and input_key is {fetched}"
        )

    def order_of(row: str) -> str:
        rank = f"case {row}priority when 'high' then 0 when 'normal' then 1 else 2 end"
        return f"{rank}, {row}position, {row}number"

    queued = "status = 'pending' and due = 1"
    db.execute(
        f"create index idx_jobs_twins on jobs(twin, held, {order_of('')}) "
        f"where {queued} and twin is not null"
    )
    db.execute(
        "create index idx_jobs_begun on jobs(twin) where status = 'processing' and twin is not null"
    )
    db.execute(
        "create index idx_jobs_finished on jobs(twin, number) "
        "where status = 'completed' and gone_at is null and twin is not null"
    )

    def first(held: int, twin: str, what: str) -> str:
        return (
            f"select {what} from jobs where twin = {twin} and held = {held} and {queued} "
            f"order by {order_of('')} limit"
        )

    # By limits, because a condition would be looked at for each of the jobs that wait.
    def let_go(twin: str, nobody_if: str = "0") -> str:
        finished = (
            f"select 1 from jobs where twin = {twin} and status = 'completed' and gone_at is null"
        )
        begun = f"select 1 from jobs where twin = {twin} and status = 'processing'"
        free, held = (f"({first(each, twin, order_of(''))} 1)" for each in (0, 1))
        count = (
            f"case when {nobody_if} then 0 when exists ({finished}) then {LET_GO} "
            f"when exists ({begun}) then 0 when {free} < {held} then 0 else 1 end"
        )
        which = f"{first(1, twin, 'number')} ({count})"
        return f"update jobs set held = 0 where number in ({which})"

    new_queued = "new.status = 'pending' and new.due = 1"
    unfinished = (
        "not exists (select 1 from jobs where twin = new.twin and status = 'completed' "
        "and gone_at is null)"
    )
    hold_itself = f"update jobs set held = {unfinished} where number = new.number and {new_queued}"
    hold_those_behind = (
        "update jobs set held = 1 where number in (select number from jobs where twin = new.twin "
        f"and held = 0 and {queued} and (new.status = 'processing' or {new_queued} "
        f"and ({order_of('')}) > ({order_of('new.')})) limit iif({unfinished}, -1, 0))"
    )
    others = (
        "exists (select 1 from jobs where twin = new.twin and status = 'processing' "
        "and number <> new.number) or "
        f"exists (select 1 from jobs where twin = new.twin and held = 0 and {queued} "
        "and number <> new.number) or "
        f"exists (select 1 from jobs where twin = new.twin and held = 1 and {queued} "
        "and number <> new.number) or new.held = 1"
    )
    # Of one that is begun nobody is let go, so that a claim costs the same however many wait.
    then = let_go("new.twin", "new.status = 'processing'")
    body = f"begin {hold_itself}; {hold_those_behind}; {then}; end"
    for name, event in (("added", "insert"), ("moved", "update of status, due, twin")):
        db.execute(
            f"create trigger twins_{name} after {event} on jobs "
            f"when new.twin is not null and ({others}) {body}"
        )
    db.execute(
        "create trigger twins_deleted after delete on jobs when old.twin is not null "
        f"begin {let_go('old.twin')}; end"
    )


def tell_of_batches_that_are_gone(db: Database) -> None:
    """Let a batch outlive its last job until its end has been told, if that was the end."""
    fewer = ", ".join(f"{status} = {status} - (old.status = '{status}')" for status in STATUSES)
    is_last = "not deleted and pending + processing = 1"
    db.execute("drop trigger batches_left")
    db.execute(
        "create trigger batches_left after delete on jobs when old.batch_id is not null begin "
        f"update batches set {fewer}, news = case when old.status in ('pending', 'processing') "
        f"then {is_last} else news end where id = old.batch_id; "
        "delete from batches where id = old.batch_id and not news "
        f"and {' + '.join(STATUSES)} = 0; end"
    )


STEPS = {
    "0001_jobs": make_jobs,
    "0002_spared": count_spared,
    "0003_outputs": keep_outputs,
    "0004_images": keep_images,
    "0005_keys": keep_keys,
    "0006_addresses": keep_addresses,
    "0007_schedule": schedule,
    "0009_events": keep_events,
    "0008_outbox": keep_outbox,
    "0010_idempotency": keep_repeats,
    "0011_audit": keep_audit,
    "0012_usage": keep_usage,
    "0013_retention": keep_for_a_while,
    "0014_batches": keep_batches,
    "0015_trace": keep_traces,
    "0016_twins": hold_twins_back,
    "0017_last_of_batch": tell_of_batches_that_are_gone,
}

for name, step in STEPS.items():
    migrations(name=name)(step)
