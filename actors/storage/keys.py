"""The keys of files. A key tells whose file it is, so that no row has to be searched for it."""

from __future__ import annotations

import re
import uuid

KEY = re.compile(r"[0-9a-f]{2}/([0-9a-f-]{36})(-[0-9]+-[0-9a-f]{8})?\.[a-z]+")


def key_of(owner_id: str, suffix: str, attempt: int | None = None) -> str:
    """Return the key of a file of this job or image, fanned out by the first digits of its id.

    An output has a name that is never used again, so that a result which comes late or twice cannot
    take the place of the one that counts, nor take it along when it is refused.
    """
    name = owner_id if attempt is None else f"{owner_id}-{attempt}-{uuid.uuid4().hex[:8]}"
    return f"{owner_id[:2]}/{name}{suffix}"


def owner_of(key: str) -> str | None:
    """Return the id of the job or image whose file has this key; None if the key is not ours."""
    ours = KEY.fullmatch(key)
    return ours[1] if ours else None
