"""What an account may use: the limits as people write them, and as they are kept with a key.

A rate is written `100/1m`, a quota `20` or `500M`; `off` is no bound.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

OFF: Final = "off"
SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
TIMES: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
MOST: Final = 10**15
LONGEST: Final = 31 * SECONDS["d"]
REMEMBERED: Final = 1000  # different limits of keys
_RATE = re.compile("([^/]*)/([1-9][0-9]{0,8})([smhd])")
_AMOUNT = re.compile("([1-9][0-9]{0,15})([kMG]?)")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, which come back evenly within `window` seconds."""

    quota: int
    window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one account may use; None is no bound.

    `requests` and `bytes` of their bodies are rates. `jobs` are those in flight, and `pixels` those
    of their inputs in a day.
    """

    requests: Rate | None = None
    bytes: Rate | None = None
    jobs: int | None = None
    pixels: int | None = None


def parse_rate(text: str) -> Rate | None:
    """Return the rate that `text` names. Raises: ValueError."""
    if text == OFF:
        return None
    found = _RATE.fullmatch(text)
    quota = parse_quota(found[1]) if found else None
    window = int(found[2]) * SECONDS[found[3]] if found else math.inf
    if quota is None or window > LONGEST:
        raise ValueError(f"{text!r} is no rate within up to 31d, such as 100/1m, 50M/1h or off")
    return Rate(quota, int(window))


def parse_quota(text: str) -> int | None:
    """Return the quota that `text` names. Raises: ValueError."""
    if text == OFF:
        return None
    found = _AMOUNT.fullmatch(text)
    quota = int(found[1]) * TIMES[found[2]] if found else math.inf
    if quota > MOST:
        raise ValueError(f"{text!r} is no number such as 20, 500M or off")
    return int(quota)


PARSERS: Final[dict[str, Callable[[str], Rate | int | None]]] = {
    "requests": parse_rate,
    "bytes": parse_rate,
    "jobs": parse_quota,
    "pixels": parse_quota,
}


@lru_cache(REMEMBERED)
def with_own(bounds: Bounds, limits: str | None) -> Bounds:
    """Return `bounds` for a key with these limits, which are JSON as `limits_text` writes it."""
    own = read_limits(limits)
    return Bounds(
        requests=parse_rate(own["requests"]) if "requests" in own else bounds.requests,
        bytes=parse_rate(own["bytes"]) if "bytes" in own else bounds.bytes,
        jobs=parse_quota(own["jobs"]) if "jobs" in own else bounds.jobs,
        pixels=parse_quota(own["pixels"]) if "pixels" in own else bounds.pixels,
    )


def read_limits(limits: str | None) -> dict[str, str]:
    """Return a key's own limits by their names, as they were written."""
    return msgspec.json.decode(limits, type=dict[str, str]) if limits else {}


def limits_text(own: dict[str, str]) -> str | None:
    """Return a key's own limits as they are kept."""
    return msgspec.json.encode(own).decode() if own else None
