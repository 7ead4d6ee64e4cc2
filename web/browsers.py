"""What browsers are told: what they may do with an answer, and which pages may read it.

Nobody is trusted because of a cookie here. But where no key is needed, a browser is trusted for
where it runs, and so the gate refuses what it sends for pages of other origins, but those of
`CORS_ORIGINS`; which may also see the answers (https://fetch.spec.whatwg.org).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Fields: TypeAlias = list[tuple[bytes, bytes]]

ANY: Final = "*"
# What an answer says unless its route knows better.
USUAL: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
MAX_AGE = 600  # seconds for which a browser need not ask again what it may send
METHODS = "GET, HEAD, POST, PATCH, DELETE"
SENT = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range, Last-Event-ID, "
    "Prefer, Range, X-Request-ID, traceparent, tracestate"
)
SHOWN = (
    "Accept-Ranges, Content-Disposition, Content-Location, Content-Range, ETag, "
    "Idempotent-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, "
    "Retry-After, WWW-Authenticate, X-Request-ID"
)
VARY: Final = (b"vary", b"Origin")


class Cors:
    """Which origins may read answers: those that are named, or `ANY`; none by default."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        named = {origin.encode() for origin in origins}
        self._any = ANY.encode() in named
        self._named = named - {ANY.encode()}
        self.is_on = bool(named)

    def allows(self, origin: bytes) -> bool:
        """Whether pages of this origin may read answers."""
        return self._any or origin in self._named

    def fields(self, origin: bytes | None) -> Fields:
        """Return what an answer to a request from this origin says besides."""
        if not self.is_on:
            return []
        if not origin or not self.allows(origin):
            return [VARY]
        return [
            VARY,
            (b"access-control-allow-origin", ANY.encode() if self._any else origin),
            (b"access-control-expose-headers", SHOWN.encode()),
        ]


def preflight_fields() -> dict[str, str]:
    """Return what a browser is told that asks what it may send."""
    return {
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Allow-Headers": SENT,
        "Access-Control-Max-Age": str(MAX_AGE),
    }


def with_usual(headers: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return the headers of an answer and the usual ones that it has not got."""
    said = list(headers)
    names = {name.lower() for name, _ in said}
    return [*said, *(field for field in USUAL if field[0] not in names)]
