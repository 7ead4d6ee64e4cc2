"""The register of repeated requests on SQLite: a part of the catalogue, on its connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.keeping import TRIMMED
from actors.storage.repeats import AnswerForgotten, OtherRequest
from actors.storage.rows import rows, time_text

if TYPE_CHECKING:
    from datetime import datetime

    from sqlite_utils import Database

    from actors.storage.keeping import Keeping
    from actors.storage.repeats import Once

LAST = "(select coalesce(max(turn), 0) from repeats where tenant = :tenant)"


class SqliteRepeats:
    """See `RepeatRegister`. It borrows the connection of its catalogue.

    The records of a tenant are numbered by `turn`, so that the oldest is found without counting.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    def recall(self, tenant: str, once: Once, since: datetime) -> str | None:
        """See `RepeatRegister.recall`."""
        found = rows(
            self._db,
            "select fingerprint, answer from repeats "
            "where tenant = :tenant and name = :name and created_at >= :since",
            {"tenant": tenant, "name": once.name, "since": time_text(since)},
        )
        if not found:
            return None
        if found[0]["fingerprint"] != once.fingerprint:
            raise OtherRequest
        if found[0]["answer"] is None:
            raise AnswerForgotten
        return str(found[0]["answer"])

    def record(
        self,
        tenant: str,
        once: Once,
        subject: str,
        answer: str,
        now: datetime,
        bounds: Keeping,
    ) -> None:
        """See `RepeatRegister.record`."""
        # There is one if it is too old to count.
        self._db.execute(
            "delete from repeats where tenant = :tenant and name = :name",
            {"tenant": tenant, "name": once.name},
        )
        self._db.execute(
            f"""
            insert into repeats (tenant, turn, name, fingerprint, subject, answer, created_at)
            values (:tenant, {LAST} + 1, :name, :fingerprint, :subject, :answer, :now)
            """,
            {
                "tenant": tenant,
                "name": once.name,
                "fingerprint": once.fingerprint,
                "subject": subject,
                "answer": answer,
                "now": time_text(now),
            },
        )
        self._db.execute(
            f"delete from repeats where tenant = :tenant and turn <= {LAST} - :most",
            {"tenant": tenant, "most": bounds.most},
        )
        self._db.execute(
            "delete from repeats where created_at < :since and number in "
            "(select number from repeats order by number limit :trimmed)",
            {"since": time_text(bounds.since(now)), "trimmed": TRIMMED},
        )

    def forget(self, subject: str) -> None:
        """See `RepeatRegister.forget`."""
        self._db.execute(
            # The index has no others in it.
            "update repeats set answer = null where subject = :subject and subject <> ''",
            {"subject": subject},
        )
