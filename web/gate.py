"""Who asks, and what they may: decided for each request before anything of its body is taken in."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

import structlog
import trio
from quart import g, request

from actors.messages import CountKeys, FindKey, FindTenant, ListKeyIds
from actors.storage.credentials import SCOPES, Key, KeyNotFound, Scope
from web.browsers import Cors
from web.problems import Problem
from web.recent import Recent
from web.tokens import Token, read_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from actors.mailbox import Address
    from web.links import Links
    from web.origins import Origins
    from web.turnstile import Account, Turnstile

OPEN: frozenset[Scope] = frozenset()
READ: frozenset[Scope] = frozenset({"jobs:read"})
WRITE: frozenset[Scope] = frozenset({"jobs:write"})
ADMIN: frozenset[Scope] = frozenset({"admin"})

DOWNLOAD = "GET /jobs/<job_id>/download"

# What each route needs, all of it. A route without a line here ends the start.
NEEDED: Mapping[str, frozenset[Scope]] = MappingProxyType(
    {
        "POST /jobs": WRITE,
        "GET /jobs": READ,
        "GET /jobs/<job_id>": READ,
        "GET /jobs/<job_id>/events": READ,
        "GET /jobs/<job_id>/deliveries": READ,
        "POST /jobs/<job_id>/redeliver": WRITE,
        "GET /events": READ,
        DOWNLOAD: READ,
        "POST /jobs/<job_id>/cancel": WRITE,
        "POST /jobs/<job_id>/retry": WRITE,
        "DELETE /jobs/<job_id>": WRITE,
        # It hands on the right to read, which whoever does so must have, and outlives a key.
        "POST /jobs/<job_id>/links": READ | WRITE,
        "POST /batches": WRITE,
        "GET /batches/<batch_id>": READ,
        "POST /batches/<batch_id>/cancel": WRITE,
        "DELETE /batches/<batch_id>": WRITE,
        "GET /batches/<batch_id>/deliveries": READ,
        "POST /batches/<batch_id>/redeliver": WRITE,
        "POST /images": WRITE,
        "GET /images/<image_id>": READ,
        "GET /images/<image_id>/content": READ,
        "DELETE /images/<image_id>": WRITE,
        "POST /plan": WRITE,
        "PATCH /pool": ADMIN,
        "GET /queue": ADMIN,
        "POST /queue/pause": ADMIN,
        "POST /queue/resume": ADMIN,
        "GET /queue/dead": ADMIN,
        "POST /queue/retry": ADMIN,
        "GET /stats": ADMIN,
        "GET /metrics": ADMIN,
        "GET /health": OPEN,
        "GET /health/live": OPEN,
        "GET /health/ready": OPEN,
        "GET /problems/<code>": OPEN,
        "GET /openapi.json": OPEN,
        "GET /docs": OPEN,
    }
)
AGE = 1.0  # seconds until a change of a key is noticed, at most
REMEMBERED = 10_000  # keys
NO_DIGEST = "0" * 64
FOREIGN_PAGE = "A page of another origin needs a key, or its origin in CORS_ORIGINS."


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever asks: whose jobs and images they see, what they may do, and by which key."""

    tenant: str
    scopes: frozenset[Scope]
    key_id: str | None = None


ANONYMOUS = Caller("", frozenset(SCOPES))


def caller() -> Caller:
    """Return who asks in the present request."""
    return cast("Caller", g.caller)


def account() -> Account | None:
    """Return whom the present request is counted for; None if for nobody."""
    return cast("Account | None", g.get("account"))


class Gate(Protocol):
    """What stands before the routes."""

    def check(self, routes: Iterable[str]) -> None:
        """Make sure that it knows what each of them needs. Raises: LookupError."""

    async def admit(self) -> Caller:
        """Return who asks in the present request, if they may; from then on `account` is known.

        Raises: Problem, and others. If the request was counted, `account` is known all the same.
        """

    async def would_admit(self, caller: Caller) -> bool:
        """Whether somebody who was admitted would still be: a stream can outlive a key."""


class Gatekeeper:
    """The gate of the running service. What it knows of a key is at most `AGE` seconds old.

    While there are no keys at all, everybody may do everything. With `allow_anonymous` that holds
    for all who bring no key. But a browser that does what a page of another origin wants needs a
    key, unless `cors` allows that page: it may be one that its user would not trust.
    """

    def __init__(
        self,
        dispatcher: Address,
        links: Links,
        patience: float,
        *,
        turnstile: Turnstile,
        origins: Origins,
        allow_anonymous: bool,
        cors: Cors,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._dispatcher = dispatcher
        self._links = links
        self._patience = patience
        self._turnstile = turnstile
        self._origins = origins
        self._allow_anonymous = allow_anonymous
        self._cors = cors
        self._now = clock
        self._keys = Recent(self._find_key, age=AGE, size=REMEMBERED)
        self._count = Recent(self._count_keys, age=AGE, size=1)
        self._ids = Recent(self._list_key_ids, age=AGE, size=1)

    def check(self, routes: Iterable[str]) -> None:
        """See `Gate.check`."""
        unknown = [route for route in routes if route not in NEEDED]
        if unknown:
            raise LookupError(f"web/gate.py does not say who may use {', '.join(unknown)}")

    async def admit(self) -> Caller:
        """See `Gate.admit`.

        Raises:
          Problem: `unauthenticated`, `forbidden`, `rate_limited`.
          JobNotFound: if a link is right, and its job deleted.
          trio.TooSlowError, AskFailed, StorageError: if nobody can say.
        """
        route = route_of_request()
        if route is None or not (needed := NEEDED[route]):
            return Caller("", OPEN)
        origin = self._origin()
        if route == DOWNLOAD and "signature" in request.args:
            self._count_for(self._turnstile.of_origin(origin))
            return await self._bearer_of_link()
        with trio.fail_after(self._patience):
            found = await self._bearer_of_key(origin)
        if found.key_id:
            structlog.contextvars.bind_contextvars(tenant=found.tenant, key_id=found.key_id)
        for scope in SCOPES:
            if scope in needed - found.scopes:
                raise _forbidden(scope)
        return found

    async def would_admit(self, caller: Caller) -> bool:
        """See `Gate.would_admit`.

        Raises:
          trio.TooSlowError, AskFailed, StorageError: if nobody can say.
        """
        with trio.fail_after(self._patience):
            if caller.key_id is None:
                return self._allow_anonymous or not await self._count.get(None)
            key = await self._keys.get(caller.key_id)
        return key is not None and key.is_good(self._now())

    def _origin(self) -> str:
        client = request.scope.get("client")
        forwarded = request.headers.getlist("X-Forwarded-For")
        return self._origins.of(client[0] if client else None, forwarded)

    def _count_for(self, somebody: Account) -> None:
        g.account = somebody
        somebody.count_request()

    async def _bearer_of_key(self, origin: str) -> Caller:
        fields = request.headers.getlist("Authorization")
        brought = [text.strip() for text in map(_bearer_text, fields) if text is not None]
        token = read_token(brought[0]) if len(fields) == len(brought) == 1 else None
        if token and (key := await self._good_key(token, origin)):
            self._count_for(self._turnstile.of_key(key.id, key.limits))
            return Caller(key.tenant, frozenset(key.scopes), key.id)
        self._count_for(self._turnstile.of_origin(origin))
        if not await self._count.get(None) or (self._allow_anonymous and not brought):
            if self._is_of_foreign_page():
                raise Problem("forbidden", FOREIGN_PAGE)
            return ANONYMOUS
        if brought:
            self._turnstile.count_wrong_key(origin)
            raise _unauthenticated(
                "The key is unknown, revoked or expired.", ' error="invalid_token"'
            )
        raise _unauthenticated("This needs a key: Authorization: Bearer ck_…")

    def _is_of_foreign_page(self) -> bool:
        # Browsers say it of all that changes something, and no page can keep them from it.
        page = request.headers.get("Origin")
        if page is None or self._cors.allows(page.encode()):
            return False
        return page.partition("://")[2].lower() != request.host.lower()

    async def _good_key(self, token: Token, origin: str) -> Key | None:
        # Whoever has tried very many keys has no further one looked up, unless it is there.
        if self._turnstile.is_guessing(origin) and token.key_id not in await self._ids.get(None):
            return None
        key = await self._keys.get(token.key_id)
        # With the same effort whether there is such a key or not.
        is_right = hmac.compare_digest(key.digest if key else NO_DIGEST, token.digest)
        return key if key and is_right and key.is_good(self._now()) else None

    async def _bearer_of_link(self) -> Caller:
        job_id = str((request.view_args or {})["job_id"])
        said = request.args
        if not await self._links.is_good(
            job_id, said.get("output"), said.get("expires", ""), said["signature"]
        ):
            raise Problem("forbidden", "The link is wrong, or has expired.")
        with trio.fail_after(self._patience):
            tenant = await self._dispatcher.ask(FindTenant(job_id))
        return Caller(tenant, READ)

    async def _find_key(self, key_id: str) -> Key | None:
        try:
            return await self._dispatcher.ask(FindKey(key_id))
        except KeyNotFound:
            return None

    async def _list_key_ids(self, _: None) -> frozenset[str]:
        return await self._dispatcher.ask(ListKeyIds())

    async def _count_keys(self, _: None) -> int:
        return await self._dispatcher.ask(CountKeys())


def route_of_request() -> str | None:
    """Return the route that the present request goes to; None if to none, or to OPTIONS."""
    method = "GET" if request.method == "HEAD" else request.method
    if request.url_rule is None or method == "OPTIONS":
        return None
    return f"{method} {request.url_rule.rule}"


def _bearer_text(field: str) -> str | None:
    scheme, _, text = field.partition(" ")
    return text if scheme.lower() == "bearer" else None


def _unauthenticated(detail: str, error: str = "") -> Problem:
    return Problem("unauthenticated", detail, headers={"WWW-Authenticate": f"Bearer{error}"})


def _forbidden(scope: Scope) -> Problem:
    # RFC 6750, 3.1.
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    return Problem(
        "forbidden",
        f"This needs a key with the scope {scope}.",
        headers={"WWW-Authenticate": challenge},
    )
