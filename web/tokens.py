"""Keys as text: `ck_<id>_<secret>`, which only their owners have whole."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

ID_BYTES = 8
SECRET_BYTES = 32
_FORM = re.compile(r"ck_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """A key as its owner says it. Its secret is 256 random bits, so a plain digest guards it."""

    key_id: str
    secret: str = field(repr=False)

    @property
    def digest(self) -> str:
        """What is kept of the secret: its SHA-256, in hexadecimal."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def __str__(self) -> str:
        return f"ck_{self.key_id}_{self.secret}"


def make_token() -> Token:
    """Return a new one."""
    return Token(secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES))


def read_token(text: str) -> Token | None:
    """Return the token that `text` is; None if it is none."""
    found = _FORM.fullmatch(text)
    return Token(found[1], found[2]) if found else None
