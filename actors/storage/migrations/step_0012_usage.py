"""0012: what each account has in flight, and has had on a day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.storage.ports import ENDED, STATUSES

if TYPE_CHECKING:
    from sqlite_utils import Database


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
