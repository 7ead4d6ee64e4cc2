"""Twins: jobs of one tenant that ask for the same bytes to be made of the same bytes.

While one of them is pending or processing, those behind it are held back, as if they were not in
the queue; they keep their places. What is made once is then copied (`Catalogue.finished_twin`).

Of those that are pending, the first one in the order of the queue is never held back, unless one
is processing. So nobody waits for a job of lower priority than its own, for one that is behind it,
or for one that is not due.
"""

from __future__ import annotations

import hashlib

import msgspec

# So many are let go when one is completed. Each of them is soon done and lets as many go, so all
# of them are free in no time, and no transaction has to touch them all.
LET_GO = 16


def twin_of(tenant: str, sha256: str, recipe: str, made_with: str | None) -> str | None:
    """Return what the twins of a job have in common; None if it can have none.

    The recipe names the other images that it needs by their ids, under which nothing else will ever
    be. `made_with` says in which versions; without it a job is a twin of nobody.
    """
    if made_with is None:
        return None
    told = msgspec.json.encode((tenant, sha256, recipe, made_with))
    return hashlib.sha256(told).hexdigest()
