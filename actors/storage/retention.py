"""Retention: what is kept for how long. The rules, and the port of their register.

A job that has ended is kept in two parts. First its files go: from then on it is `gone`, and its
result is answered with 410. Its record stays, and goes later, if at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from actors.storage.ports import Removed


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long things are kept; None is until a client deletes them.

    `results`: the files of a job, from its end; a job may say otherwise with `retain`.
    `records`: what is known of a job, from when its files went.
    `images`: an image, from when it came; and longer, until no job needs it any more.
    `max_bytes`: the files of jobs that have ended, together; beyond it, those go that ended first.
    Files that a client has asked to keep with `retain` neither go nor count.
    """

    results: timedelta | None = None
    records: timedelta | None = None
    images: timedelta | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Unneeded:
    """The keys of files that nobody needs any more, and of how many jobs or images they were."""

    of: int
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class RetentionRegister(Protocol):
    """What may go: a part of a `Catalogue`, which shares its transactions.

    Only jobs that have ended lose anything, and only images that no job needs. Each call does at
    most `limit` of what there is to do, so that it never takes long.
    """

    def expire(self, rules: Rules, now: datetime, limit: int) -> list[str]:
        """Mark jobs as gone whose time is over, or for which there is no room.

        Returns their ids. Their files are still there: whoever is reading one may finish.
        """

    def purge(self, before: datetime, limit: int) -> Unneeded:
        """Give up the files of jobs that were gone before that."""

    def forget_images(self, before: datetime, limit: int) -> Unneeded:
        """Forget images that came before that and that no job needs."""

    def forget_records(self, before: datetime, limit: int, now: datetime) -> list[Removed]:
        """Forget jobs that were gone before that and have no files any more.

        But none of whose end somebody is still to be told, nor one of a batch that is running.
        """

    def stored(self) -> int:
        """Return the bytes of all files that are kept; it costs the same however many there are."""
