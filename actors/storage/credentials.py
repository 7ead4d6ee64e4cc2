"""Keys: who may use the service, for what, and whose jobs they see. The record and its port.

Of a key only a digest is kept, so who reads the catalogue cannot use the service with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, get_args

from actors.storage.ports import StorageError

Scope = Literal["jobs:read", "jobs:write", "admin"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
TENANT = "[a-z0-9][a-z0-9_-]{0,31}"


class KeyNotFound(StorageError):
    """There is no key of that id, and never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What is known of a key when it is made.

    `digest` is the SHA-256 of its secret, in hexadecimal. `tenant` is whose jobs and images it
    opens; nothing for those of whoever has no key. `limits` is JSON, and opaque here.
    """

    id: str
    digest: str
    tenant: str
    scopes: tuple[Scope, ...]
    name: str = ""
    expires_at: datetime | None = None
    limits: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(NewKey):
    """The record of a key. It stays when the key is good no more."""

    created_at: datetime
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class KeyRegister(Protocol):
    """The keys, and the secret that links are signed with: a part of a `Catalogue`.

    It shares the catalogue's transactions. A key is never removed, so that a service which once had
    keys does not become open to everybody when the last of them is revoked.
    """

    def add(self, new: NewKey, now: datetime) -> Key:
        """Accept a key."""

    def find(self, key_id: str) -> Key:
        """Return a key, whether it is good or not. Raises: KeyNotFound."""

    def list_all(self) -> list[Key]:
        """Return every key there ever was, the oldest first."""

    def ids(self) -> frozenset[str]:
        """Return the ids of all keys there ever were."""

    def count(self) -> int:
        """Return how many keys there ever were."""

    def revoke(self, key_id: str, now: datetime) -> Key:
        """Have a key open nothing from now on; again is once. Raises: KeyNotFound."""

    def expire(self, key_id: str, at: datetime) -> Key:
        """Have a key expire at `at`, if it does not before. Raises: KeyNotFound."""

    def limit(self, key_id: str, limits: str | None) -> Key:
        """Have a key live with these limits from now on. Raises: KeyNotFound."""

    def link_secret(self, fresh: str) -> str:
        """Return the secret that links are signed with; `fresh` becomes it if there is none."""

    def forget_link_secret(self) -> None:
        """Make every link void that was signed so far."""
