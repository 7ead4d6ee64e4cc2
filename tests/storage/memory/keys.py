"""The register of keys in memory: a part of the fake catalogue."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from actors.storage.credentials import Key, KeyNotFound, NewKey

if TYPE_CHECKING:
    from datetime import datetime


class MemoryKeys:
    """See `KeyRegister`."""

    def __init__(self) -> None:
        self._keys: dict[str, Key] = {}
        self._secret: str | None = None

    def copy(self) -> MemoryKeys:
        """Return a register with the same in it, which changes on its own."""
        twin = MemoryKeys()
        twin._keys, twin._secret = dict(self._keys), self._secret
        return twin

    def add(self, new: NewKey, now: datetime) -> Key:
        """See `KeyRegister.add`."""
        said = {each.name: getattr(new, each.name) for each in fields(NewKey)}
        self._keys[new.id] = Key(**said, created_at=now)
        return self._keys[new.id]

    def find(self, key_id: str) -> Key:
        """See `KeyRegister.find`."""
        try:
            return self._keys[key_id]
        except KeyError:
            raise KeyNotFound(key_id) from None

    def list_all(self) -> list[Key]:
        """See `KeyRegister.list_all`."""
        return list(self._keys.values())

    def ids(self) -> frozenset[str]:
        """See `KeyRegister.ids`."""
        return frozenset(self._keys)

    def count(self) -> int:
        """See `KeyRegister.count`."""
        return len(self._keys)

    def revoke(self, key_id: str, now: datetime) -> Key:
        """See `KeyRegister.revoke`."""
        key = self.find(key_id)
        self._keys[key_id] = replace(key, revoked_at=key.revoked_at or now)
        return self._keys[key_id]

    def expire(self, key_id: str, at: datetime) -> Key:
        """See `KeyRegister.expire`."""
        key = self.find(key_id)
        self._keys[key_id] = replace(key, expires_at=min(key.expires_at or at, at))
        return self._keys[key_id]

    def limit(self, key_id: str, limits: str | None) -> Key:
        """See `KeyRegister.limit`."""
        self._keys[key_id] = replace(self.find(key_id), limits=limits)
        return self._keys[key_id]

    def link_secret(self, fresh: str) -> str:
        """See `KeyRegister.link_secret`."""
        self._secret = self._secret or fresh
        return self._secret

    def forget_link_secret(self) -> None:
        """See `KeyRegister.forget_link_secret`."""
        self._secret = None
