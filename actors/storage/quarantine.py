"""The quarantine: images that have ended the processes they were rendered in. Records and port.

What has done so too often is not rendered again, in whatever job, until somebody lets it go or it
would be rendered by other versions. It holds for one tenant: otherwise anybody could have an image
of somebody else's locked away, by a recipe that ends processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from actors.storage.keeping import Keeping
from actors.storage.ports import StorageError

SUSPECTS: Final = Keeping(most=10_000, age=timedelta(days=365))


REFUSED: Final = (
    "This image has ended the processes that rendered it too often. It is not tried again until "
    "the operator lets it go, or other codecs are there."
)


class Quarantined(StorageError):
    """The image has caused as many deaths as are borne with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An image of a tenant's, by the SHA-256 of its bytes, and how many `deaths` it has caused.

    `job_id` is the job of the last one, and `last_at` its time.
    """

    tenant: str
    sha256: str
    deaths: int
    job_id: str
    last_at: datetime


class QuarantineRegister(Protocol):
    """The suspects: a part of a `Catalogue`, and in its transactions.

    What was noted under other versions than `made_with` (opaque) counts for nothing.
    """

    def note(
        self,
        tenant: str,
        sha256: str,
        made_with: str,
        job_id: str,
        now: datetime,
        bounds: Keeping,
    ) -> int:
        """Count a death, and return how many there have been; the oldest suspects go."""

    def deaths(self, tenant: str, sha256: str, made_with: str) -> int:
        """Return how many deaths an image has caused."""

    def newest(self, made_with: str, limit: int) -> list[Suspect]:
        """Return the last suspects, the newest first."""

    def release(self, sha256: str) -> int:
        """Forget an image, of whichever tenants; return of how many it was."""
