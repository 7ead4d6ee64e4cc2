"""Signatures of webhooks, after the specification "Standard Webhooks"."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PREFIX: Final = "whsec_"
# Bytes of a secret, by the specification; and of those made here.
SHORTEST: Final = 24
LONGEST: Final = 64
NEW: Final = 32


class Secret:
    """What sender and receiver of a webhook share. It shows itself to nobody who prints it."""

    __slots__ = ("_key",)

    def __init__(self, text: str) -> None:
        """Take the secret as it is written: `whsec_`, then base64.

        Raises:
          ValueError: if it is not written so, or is too short or too long.
        """
        if not text.startswith(PREFIX):
            raise ValueError(f"a secret of webhooks begins with {PREFIX}")
        try:
            self._key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"what follows {PREFIX} is not base64") from None
        if not SHORTEST <= len(self._key) <= LONGEST:
            raise ValueError(f"a secret of webhooks has {SHORTEST} to {LONGEST} bytes")

    def sign(self, signed: bytes) -> str:
        """Return the signature, with its version."""
        digest = hmac.digest(self._key, signed, hashlib.sha256)
        return f"v1,{base64.b64encode(digest).decode()}"


def new_secret() -> str:
    """Return a new secret as it is written."""
    return PREFIX + base64.b64encode(secrets.token_bytes(NEW)).decode()


def signature_headers(
    secrets: Sequence[Secret], message_id: str, sent_at: datetime, body: bytes
) -> dict[str, str]:
    """Return the headers that tell a receiver who sent `body`, and when.

    Each of `secrets` signs, so that a receiver that knows one of them is content: while they are
    changed, these are the new one and the old one.
    `message_id` stays the same however often the message is sent, `sent_at` does not.
    """
    timestamp = str(int(sent_at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(secret.sign(signed) for secret in secrets),
    }
