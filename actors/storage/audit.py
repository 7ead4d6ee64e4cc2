"""The audit: who has changed what cannot be changed back. The record and its port.

It names things by their ids. It never holds a secret, nor anything of an image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from actors.storage.keeping import Keeping

if TYPE_CHECKING:
    from typing import Final

Action = Literal[
    "key_created",
    "key_rotated",
    "key_revoked",
    "key_limited",
    "links_revoked",
    "secret_rotated",
    "job_deleted",
    "batch_deleted",
    "image_deleted",
    "image_released",
    "queue_paused",
    "queue_resumed",
    "job_mended",
    "image_mended",
]

AUDIT: Final = Keeping(most=100_000, age=timedelta(days=365))


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that somebody has done.

    `subject` is the id of what it was done to, if that has one, and `tenant` whose that is.
    `key_id` is the key of whoever did it over HTTP, and `user` the name of whoever did it by the
    command line; neither if it was somebody without a key. `details` are for people.
    """

    action: Action
    subject: str
    tenant: str
    key_id: str | None = None
    user: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Act):
    """An act in the audit. Numbers only grow."""

    number: int
    at: datetime


class AuditRegister(Protocol):
    """The audit: a part of a `Catalogue`, and in its transactions: no act without an entry."""

    def note(self, act: Act, now: datetime, bounds: Keeping) -> None:
        """Write an act down; the oldest ones go if there are too many."""

    def newest(self, limit: int) -> list[Entry]:
        """Return the last `limit` entries, the newest first."""
