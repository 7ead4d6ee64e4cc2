"""Which formats a client takes, by its `Accept` (RFC 9110, section 12.5.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.imaging.facts import Written

# What every client can show; and what it must name, since browsers say image/* that cannot.
SHOWN: tuple[Written, ...] = ("jpeg", "png", "gif")
NAMED: tuple[Written, ...] = ("avif", "webp")


def accepted(accept: Iterable[tuple[str, float]]) -> tuple[Written, ...]:
    """Return what may be chosen from for a client, which may be nothing.

    What it names counts if it likes nothing better. What it allows with a wildcard always does:
    that says little of what it likes.

    Args:
      accept: each range of media types, with its quality.
    """
    said = {kind.lower(): quality for kind, quality in accept}
    if not any(kind.startswith("image/") or kind == "*/*" for kind in said):
        return SHOWN
    wildcard = said.get("image/*", said.get("*/*", 0))
    named = {each: said[f"image/{each}"] for each in (*NAMED, *SHOWN) if f"image/{each}" in said}
    most = max(wildcard, *named.values()) if named else wildcard
    return tuple(
        each
        for each in (*NAMED, *SHOWN)
        if (0 < named[each] == most if each in named else wildcard > 0 and each in SHOWN)
    )
