"""Batches: jobs that were accepted together. The record and the port of its register.

A batch is `running` while one of its jobs has not ended, and has ended otherwise. A retry of one of
its jobs makes it run again, and then it ends again. It is gone with the last of its jobs; if that
had not ended, it has ended thereby.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from actors.storage.ports import ENDED, Status, StorageError

if TYPE_CHECKING:
    from actors.storage.ports import Job, Removed


class BatchNotFound(StorageError):
    """There is no batch of that id that the asker may know of."""


class ImagesNotFound(StorageError):
    """There are no images of these ids that the asker may know of; nothing was changed.

    Attributes:
      image_ids: all that are missing.
    """

    def __init__(self, image_ids: frozenset[str]) -> None:
        super().__init__(image_ids)
        self.image_ids = image_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """What is known of a batch when it is accepted.

    `callback_url`, which may be a secret, is who is told when it ends; `metadata` is JSON of the
    client's own, and opaque here.
    """

    id: str
    tenant: str = ""
    callback_url: str | None = field(default=None, repr=False)
    metadata: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(NewBatch):
    """The record of a batch. `counts` are its jobs that there are, by status."""

    created_at: datetime
    counts: Mapping[Status, int]

    @property
    def size(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values())

    @property
    def has_ended(self) -> bool:
        """Whether all of its jobs have."""
        return all(status in ENDED for status, jobs in self.counts.items() if jobs)


@dataclass(frozen=True, slots=True)
class Deleted:
    """A batch that was deleted: how many jobs it had left, and whether this was the first time."""

    jobs: int
    is_new: bool


class BatchRegister(Protocol):
    """The batches: a part of a `Catalogue`, which shares its transactions.

    A job joins one by its `batch_id` when it is added. Whatever becomes of it then is counted.
    """

    def add(self, new: NewBatch, now: datetime) -> None:
        """Make a batch, which is to get its jobs in the same transaction."""

    def find(self, batch_id: str, tenant: str) -> Batch:
        """Return a batch of this tenant; it costs the same however many jobs it has.

        Raises: BatchNotFound, also for another's.
        """

    def cancel(self, batch_id: str, tenant: str, now: datetime, limit: int) -> list[Job]:
        """End the first `limit` of its jobs that have not ended, and return them.

        Raises: BatchNotFound.
        """

    def delete(self, batch_id: str, tenant: str) -> Deleted:
        """Forget a batch, as far as clients can see; its jobs go with `clear`.

        So does what was to be sent about it. May be called again, as long as some jobs are left.

        Raises: BatchNotFound.
        """

    def clear(self, now: datetime, limit: int, batch_id: str | None = None) -> list[Removed]:
        """Forget the first `limit` jobs of batches that are deleted, of one or of all of them.

        Their files are the caller's to delete.
        """

    def ended(self) -> list[Batch]:
        """Return those that have ended since this was asked last.

        One without jobs is among them if the last was deleted before it had ended.
        """
