"""How much each caller may use, and what answers say of it.

The fields are those of draft-ietf-httpapi-ratelimit-headers-10: `RateLimit-Policy` says what there
is, and `RateLimit` what is left of it and for how long.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal

import structlog

from actors import metrics
from actors.storage.usage import Bill
from web.bounds import Bounds, with_own
from web.meter import Meter
from web.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from web.bounds import Rate

log = structlog.get_logger("calotype.web")

DAY = 86_400  # seconds
TOO_MANY: Mapping[str, str] = {
    "requests": "Too many requests. There may be {quota} in {window} seconds.",
    "bytes": "Too much was sent. There may be {quota} bytes in {window} seconds.",
    "wrong_keys": "Too many wrong keys. There may be {quota} in {window} seconds.",
}


class Account:
    """One caller, and what they may use: counted as they use it, and told in every answer."""

    def __init__(self, name: str, bounds: Bounds, requests: Meter, sent: Meter) -> None:
        self._name = name
        self._bounds = bounds
        self._requests = requests
        self._bytes = sent
        self._waits: dict[str, int] = {}

    @property
    def bill(self) -> Bill | None:
        """Whom the jobs of the caller are counted for; None if they need not be."""
        bounds = self._bounds
        if bounds.jobs is None and bounds.pixels is None:
            return None
        return Bill(self._name, bounds.jobs, bounds.pixels)

    def count_request(self) -> None:
        """Count a request. Raises: Problem, `rate_limited`."""
        rate = self._bounds.requests
        if rate and (wait := self._requests.take(self._name, rate, 1)):
            raise self._refusal("requests", rate, wait)

    def count_bytes(self, size: int) -> None:
        """Count bytes of a body, before they are taken in. Raises: Problem, `rate_limited`."""
        rate = self._bounds.bytes
        if rate and size and (wait := self._bytes.take(self._name, rate, size)):
            raise self._refusal("bytes", rate, wait)

    def give_bytes_back(self, size: int) -> None:
        """Undo the counting of bytes that did not come."""
        if self._bounds.bytes and size:
            self._bytes.give_back(self._name, self._bounds.bytes, size)

    def fields(self) -> dict[str, str]:
        """Return the fields that answers to the caller have; none if there is no bound."""
        bounds, policies, standings = self._bounds, [], []
        for name, rate, unit, meter in (
            ("requests", bounds.requests, "", self._requests),
            ("bytes", bounds.bytes, ';qu="content-bytes"', self._bytes),
        ):
            if rate:
                standing = meter.standing(self._name, rate)
                seconds = self._waits.get(name) or ceil(standing.seconds)
                policies.append(f'"{name}";q={rate.quota};w={rate.window}{unit}')
                standings.append(f'"{name}";r={standing.left};t={seconds}')
        if bounds.jobs is not None:
            policies.append(f'"jobs";q={bounds.jobs};qu="jobs"')
        if bounds.pixels is not None:
            policies.append(f'"pixels";q={bounds.pixels};w={DAY};qu="pixels"')
        told = {"RateLimit-Policy": policies, "RateLimit": standings}
        return {name: ", ".join(items) for name, items in told.items() if items}

    def _refusal(self, policy: Literal["requests", "bytes"], rate: Rate, wait: float) -> Problem:
        problem = _refusal(policy, rate, wait)
        self._waits[policy] = int(problem.headers["Retry-After"])
        return problem


class Turnstile:
    """The accounts of all callers: those with a key by their key, and others by their origin.

    `bounds` hold for each of them, but as far as a key has limits of its own. `wrong_keys` is how
    many an origin may try.
    """

    def __init__(self, bounds: Bounds = Bounds(), wrong_keys: Rate | None = None) -> None:  # noqa: B008
        self._bounds = bounds
        self._wrong_keys = wrong_keys
        # Apart, so that nobody without a key can fill the meters of those with one.
        self._of_keys = Meter(), Meter()
        self._of_origins = Meter(), Meter()
        self._guesses = Meter()

    def of_key(self, key_id: str, limits: str | None) -> Account:
        """Return the account of a key that has these limits of its own."""
        return Account(f"key {key_id}", with_own(self._bounds, limits), *self._of_keys)

    def of_origin(self, origin: str) -> Account:
        """Return the account of whoever comes from there without a key."""
        return Account(f"origin {origin}", self._bounds, *self._of_origins)

    def is_guessing(self, origin: str) -> bool:
        """Whether so many wrong keys came from there that another would be refused."""
        rate = self._wrong_keys
        return rate is not None and not self._guesses.standing(origin, rate).left

    def count_wrong_key(self, origin: str) -> None:
        """Count a wrong key. Raises: Problem, `rate_limited`."""
        rate = self._wrong_keys
        if rate and (wait := self._guesses.take(origin, rate, 1)):
            raise _refusal("wrong_keys", rate, wait)


def _refusal(policy: str, rate: Rate, wait: float) -> Problem:
    metrics.REFUSALS.labels(policy).inc()
    log.info("limit_reached", policy=policy)
    detail = TOO_MANY[policy].format(quota=rate.quota, window=rate.window)
    return Problem("rate_limited", detail, headers={"Retry-After": str(ceil(wait))})
