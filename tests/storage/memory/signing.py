"""The register of signing secrets in memory: a part of the fake catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime


class _Secret(NamedTuple):
    text: str
    retires_at: datetime | None = None


class MemorySigning:
    """See `SigningRegister`."""

    def __init__(self) -> None:
        self._secrets: dict[str, tuple[_Secret, ...]] = {}

    def copy(self) -> MemorySigning:
        """Return a register with the same in it, which changes on its own."""
        twin = MemorySigning()
        twin._secrets = dict(self._secrets)
        return twin

    def secrets(self, tenant: str, fresh: str, now: datetime) -> list[str]:
        """See `SigningRegister.secrets`."""
        signing = self._signing(tenant, now) or (_Secret(fresh),)
        self._secrets[tenant] = signing
        return [secret.text for secret in signing]

    def rotate(self, tenant: str, fresh: str, retires_at: datetime, now: datetime) -> None:
        """See `SigningRegister.rotate`."""
        old = (
            _Secret(secret.text, min(secret.retires_at or retires_at, retires_at))
            for secret in self._signing(tenant, now)
        )
        self._secrets[tenant] = (_Secret(fresh), *old)

    def _signing(self, tenant: str, now: datetime) -> tuple[_Secret, ...]:
        return tuple(
            secret
            for secret in self._secrets.get(tenant, ())
            if secret.retires_at is None or now < secret.retires_at
        )
