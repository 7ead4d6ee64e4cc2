"""What was answered to requests that their clients may send again. The record and its port.

A client that has heard no answer cannot know whether its request was done. So it gives the request
a name, and sends it again under the same one: then it is done once, and answered the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from actors.storage.keeping import Keeping
from actors.storage.ports import StorageError

if TYPE_CHECKING:
    from typing import Final

REPEATS: Final = Keeping(most=1_000_000, age=timedelta(days=1))


class DoneBefore(StorageError):
    """It was done before, under the same name. Its argument is what was answered then."""


class OtherRequest(StorageError):
    """That name was given to another request; nothing was changed."""


class AnswerForgotten(StorageError):
    """It was done before, and what it was answered with is no more; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Once:
    """The name that a client has given a request, of all of which `fingerprint` is made."""

    name: str
    fingerprint: str


class RepeatRegister(Protocol):
    """The answers to requests with a name: a part of a `Catalogue`.

    It shares the catalogue's transactions, and an answer is recorded in the one in which the
    request is done: there is never one without the other, nor one that is half done. Names belong
    to a tenant, and to each its bounds.
    """

    def recall(self, tenant: str, once: Once, since: datetime) -> str | None:
        """Return what was answered since then; None if the request is new.

        Raises: OtherRequest, AnswerForgotten.
        """

    def record(
        self,
        tenant: str,
        once: Once,
        subject: str,
        answer: str,
        now: datetime,
        bounds: Keeping,
    ) -> None:
        """Keep the answer to a request that is new. `subject` is the id of what it tells of."""

    def forget(self, subject: str) -> None:
        """Forget what was told of this, because it is deleted; but not that it was told."""
