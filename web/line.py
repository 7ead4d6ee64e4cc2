"""One call to the service, tried until it succeeds or there is no point in going on.

Every call can be repeated. What only reads, and DELETE, does no harm the second time; every POST
has an `Idempotency-Key`, by which the service knows it again and does once what it asks.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from random import SystemRandom
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypedDict, TypeVar

import httpx2

from web.failures import NoAnswer, RequestFailed, Unreachable, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from web.receiving import Sink
    from web.sending import Content, Upload

P = ParamSpec("P")
R = TypeVar("R")

# How often a call is tried in all, and for how many seconds another attempt may begin. The seconds
# between are drawn between 0 and a cap, which is doubled each time, so that clients whose service
# went away do not come back all at once. What the service asks for when it is busy comes on top,
# unless that is longer than anybody should sleep without being asked.
ATTEMPTS: Final = 5
TRYING: Final = 60.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 10.0

# Seconds that a connection may take to come about, and to be silent once it is there.
CONNECT: Final = 5.0
SILENCE: Final = 30.0

BUSY: Final = frozenset({429, 503})
PASSING: Final = (httpx2.NetworkError, httpx2.TimeoutException, httpx2.RemoteProtocolError)
BEFORE: Final = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol)

_draw: Final = SystemRandom().uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What is asked of the service. `wait` is for how many seconds it may think about it.

    `until` is when, by the driver's clock, nobody wants the answer any more.
    """

    method: str
    path: str
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None
    wait: int = 0
    attempts: int = ATTEMPTS
    until: float | None = None


class Driver(Protocol):
    """How a client touches the world: by waiting in trio, or by blocking.

    The methods of one that blocks are coroutines that never wait.
    """

    @property
    def http(self) -> httpx2.Client | httpx2.AsyncClient:
        """Builds requests."""

    async def exchange(
        self, request: httpx2.Request, upload: Upload | None, sink: Sink | None
    ) -> httpx2.Response:
        """Return the answer with all of its body; that of a success goes to `sink`, if any.

        Raises:
          httpx2.TransportError: if there is none.
          OSError: if a file cannot be read or written.
          Damaged: as `Sink.begin` says.
        """

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what `work` returns, which may be busy with files."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def now(self) -> float:
        """Return the time in seconds; since when, does not matter."""


class HttpOptions(TypedDict):
    """What both kinds of clients are made with."""

    base_url: str
    headers: dict[str, str]
    limits: httpx2.Limits
    trust_env: bool


def http_options(url: str, key: str | None) -> HttpOptions:
    """Return the options of a client that asks the service at `url` with `key`."""
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {key}"} if key else {},
        "limits": httpx2.Limits(max_connections=None, max_keepalive_connections=100),
        # Proxies in the environment are left alone: only web/settings.py reads the environment.
        "trust_env": False,
    }


class Line:
    """The way to the service."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver

    async def ask(self, call: Call, sink: Sink | None = None) -> httpx2.Response:
        """Return the answer to `call`, which is a success; its body goes to `sink`, if any.

        Raises:
          RequestFailed: if there is none.
          OSError: if a file cannot be read or written.
        """
        headers = dict(call.headers)
        if call.method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        end = self.driver.now() + TRYING if call.until is None else call.until
        is_unclear, cap = False, FIRST_PAUSE
        for left in reversed(range(call.attempts)):
            pause: float | None
            try:
                response = await self._attempt(call, headers, sink)
            except httpx2.TransportError as error:
                failure: RequestFailed = _failure(error)
                pause = 0.0 if isinstance(error, PASSING) else None
                is_unclear = is_unclear or isinstance(failure, NoAnswer)
            else:
                # An attempt whose answer was lost has deleted it.
                is_gone = is_unclear and call.method == "DELETE" and response.status_code == 404
                if response.is_success or is_gone:
                    return response
                failure, pause = problem(response.status_code, response.content), _asked(response)
            again = call.content is None or call.content.can_be_sent
            if not left or not again or pause is None:
                raise failure
            pause += _draw(0, cap)
            if self.driver.now() + pause > end:
                raise failure
            await self.driver.sleep(pause)
            cap = min(2 * cap, LONGEST_PAUSE)
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(
        self, call: Call, headers: Mapping[str, str], sink: Sink | None
    ) -> httpx2.Response:
        upload = None if call.content is None else await self._open(call.content)
        try:
            sent: dict[str, str] = {}
            if call.content is not None and upload is not None:
                sent = {"Content-Type": call.content.content_type, **upload.length}
            request = self.driver.http.build_request(
                call.method,
                call.path,
                params=dict(call.params),
                headers={**headers, **sent, **({} if sink is None else sink.headers)},
                timeout=self._timeout(call),
            )
            return await self.driver.exchange(request, upload, sink)
        finally:
            if upload is not None:
                upload.close()

    async def _open(self, content: Content) -> Upload:
        return content.open() if content.is_in_memory else await self.driver.run(content.open)

    def _timeout(self, call: Call) -> httpx2.Timeout:
        connect, read = CONNECT, SILENCE + call.wait
        if call.until is not None:
            # A second for the answer that is on its way at the last moment.
            left = max(call.until - self.driver.now(), 0) + 1
            connect, read = min(connect, left), min(read, left)
        return httpx2.Timeout(connect=connect, read=read, write=SILENCE, pool=None)


def _failure(error: httpx2.TransportError) -> RequestFailed:
    failure: RequestFailed
    if isinstance(error, BEFORE):
        failure = Unreachable(str(error) or "The connection timed out.")
    elif isinstance(error, httpx2.TimeoutException):
        failure = NoAnswer("The service has fallen silent.")
    else:
        failure = NoAnswer(str(error) or "The connection broke.")
    failure.__cause__ = error
    return failure


def _asked(response: httpx2.Response) -> float | None:
    """Return for how many seconds the service asks us to stay away; None if for good."""
    asked: str = response.headers.get("Retry-After", "")
    if response.status_code not in BUSY or not (asked.isascii() and asked.isdigit()):
        return None
    return float(asked) if float(asked) <= LONGEST_PAUSE else None
