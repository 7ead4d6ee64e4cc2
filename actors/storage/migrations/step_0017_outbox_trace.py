"""0017: the traces of deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def trace_deliveries(db: Database) -> None:
    """Let a delivery say in which trace its job was submitted."""
    db.table("outbox").add_column("trace", str)
    db.execute("drop trigger jobs_announced")
    told = ("name", "media_type", "width", "height", "size_bytes", "sha256")
    output = ", ".join(f"'{each}', json_extract(value, '$.{each}')" for each in told)
    db.execute(
        f"""
        create trigger jobs_announced after update of status on jobs
        when new.status in ('completed', 'failed', 'cancelled') and old.status <> new.status
            and new.callback_url is not null
        begin
            insert into outbox (id, subject, tenant, url, type, created_at, since, due_at,
                payload, trace)
            values ('msg_' || lower(hex(randomblob(16))), new.id, new.tenant, new.callback_url,
                'job.' || new.status, new.updated_at, new.updated_at, new.updated_at,
                json_object('type', 'job.' || new.status, 'timestamp', new.updated_at,
                    'data', json_object('id', new.id, 'status', new.status,
                        'outputs', json((select json_group_array(json_object({output}))
                            from json_each(coalesce(new.outputs, '[]')))),
                        'error_code', new.error_code, 'error', new.error,
                        'metadata', json(new.metadata))), new.trace);
        end
        """
    )
