"""The register of usage on SQLite: a part of the catalogue, on its connection.

Places are given up by triggers, so that no way in which a job may end can forget to.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from actors.storage.rows import time_text
from actors.storage.usage import check_jobs, check_pixels, day_of, disguised

if TYPE_CHECKING:
    from sqlite_utils import Database

    from actors.storage.usage import Bill

# Rows of days that are over which a change of the usage takes away, so that none takes long.
MOST_FORGOTTEN = 1000


class SqliteUsage:
    """See `UsageRegister`. It borrows the connection of its catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def admit(self, job_ids: tuple[str, ...], bill: Bill, pixels: int, now: datetime) -> None:
        """See `UsageRegister.admit`."""
        account = disguised(bill.account, self._secret())
        # Without a bound there may be so many that counting them takes long.
        if bill.jobs is not None:
            present, since = self._db.execute(
                "select count(*), min(since) from places where account = :account",
                {"account": account},
            ).fetchone()
            oldest = since and datetime.fromisoformat(since)
            check_jobs(bill.jobs, present, len(job_ids), oldest, now)
        self._count(account, bill.pixels, pixels, now)
        place = {"account": account, "pixels": bill.pixels, "since": time_text(now)}
        self._db.conn.executemany(
            "insert or replace into places (job, account, pixels, since) "
            "values (:job, :account, :pixels, :since)",
            [{"job": job_id, **place} for job_id in job_ids],
        )

    def charge(self, job_id: str, pixels: int, now: datetime) -> None:
        """See `UsageRegister.charge`."""
        place = self._db.execute(
            "select account, pixels from places where job = :job", {"job": job_id}
        ).fetchone()
        if place:
            account, bound = place
            self._count(account, bound, pixels, now)

    def _count(self, account: str, bound: int | None, pixels: int, now: datetime) -> None:
        if bound is None or not pixels:
            return
        day = day_of(now)
        found = self._db.execute(
            "select pixels from usage where account = :account and day = :day",
            {"account": account, "day": day},
        ).fetchone()
        check_pixels(bound, found[0] if found else 0, pixels, now)
        self._db.execute(
            "insert into usage (account, day, pixels) values (:account, :day, :pixels) "
            "on conflict do update set pixels = pixels + excluded.pixels",
            {"account": account, "day": day, "pixels": pixels},
        )
        self._db.execute(
            "delete from usage where rowid in "
            "(select rowid from usage where day < :day limit :most)",
            {"day": day, "most": MOST_FORGOTTEN},
        )

    def _secret(self) -> str:
        """Return the secret that names are made with; there is one from then on."""
        self._db.execute(
            "insert into secrets (name, value) values ('accounts', :fresh) on conflict do nothing",
            {"fresh": secrets.token_hex(32)},
        )
        (secret,) = self._db.execute("select value from secrets where name = 'accounts'").fetchone()
        return str(secret)
