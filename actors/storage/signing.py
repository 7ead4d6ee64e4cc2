"""The secrets that webhooks are signed with, which tenants know: the port of their register."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime


class SigningRegister(Protocol):
    """The secrets of each tenant, as `outside.signing` writes them: a part of a `Catalogue`.

    It shares the catalogue's transactions.
    """

    def secrets(self, tenant: str, fresh: str, now: datetime) -> list[str]:
        """Return what to sign with, the newest first; `fresh` becomes it if there is none."""

    def rotate(self, tenant: str, fresh: str, retires_at: datetime, now: datetime) -> None:
        """Have `fresh` sign from now on; what has signed so far does so until it retires."""
