"""Requests to addresses that clients have named.

Below this stands httpcore2, the engine of httpx2, and not httpx2 itself: that would parse the
address a second time, and has cookies, proxies, credentials and decoders that had to be switched
off one by one. Here none of them exists.
Each request has a connection of its own, so none inherits what another has agreed upon.
"""

from __future__ import annotations

import ssl
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpcore2
import trio

from actors.outside.errors import SourceTooLarge, SourceUnreachable
from actors.outside.network import CheckedNetwork, resolve
from actors.outside.targets import redirected

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from actors.outside.allowance import Allowance
    from actors.outside.network import Resolve
    from actors.outside.targets import Target

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
# Besides 500 and above: what a server says that would have answered at another time.
PASSING: Final = frozenset({408, 421, 425, 429})


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: `total` from the name to the last byte, `connect` and `silence` within them."""

    connect: float = 5.0
    silence: float = 10.0
    total: float = 30.0


class Outside:
    """The one who asks outside. Holds no connection, so it need not be closed."""

    def __init__(
        self,
        allowance: Allowance,
        patience: Patience = Patience(),
        *,
        max_redirects: int = 5,
        user_agent: str = "Calotype",
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        self._allowance = allowance
        self._patience = patience
        self._max_redirects = max_redirects
        self._user_agent = user_agent
        self._tls = httpcore2.default_ssl_context() if tls is None else tls
        self._resolve = resolve

    @asynccontextmanager
    async def get(self, target: Target, max_bytes: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open what `target` leads to, and yield its bytes piece by piece, as they come.

        The deadline holds for the whole block, in which the pieces are to be read.

        Raises:
          SourceForbidden, SourceTooLarge, SourceUnreachable: from here or from the reading.
        """
        with self._in_time():
            for _ in range(self._max_redirects + 1):
                async with self._ask(target, "GET") as response:
                    location = _location(response)
                    if location is None:
                        _check_file(response, max_bytes)
                        async with aclosing(_pieces(response, max_bytes)) as pieces:
                            yield pieces
                        return
                target = redirected(target, location, self._allowance)
            raise SourceUnreachable("It redirects too often.", may_pass=False)

    async def post(self, target: Target, headers: Mapping[str, str], body: bytes) -> int:
        """Send `body`, and return the status of the answer, which is some 2xx.

        Redirects are not followed, and what the answer says is not read. Whether the receiver has
        taken the body is unknown after an error, and after a cancellation.

        Raises:
          SourceForbidden, SourceUnreachable: the latter also for any other status.
        """
        with self._in_time():
            async with self._ask(target, "POST", headers, body) as response:
                if 200 <= response.status < 300:
                    return response.status
                raise _answered(response)
        raise AssertionError("the block above returns or raises")

    @contextmanager
    def _in_time(self) -> Iterator[None]:
        # No `fail_after`: its error could be that of a deadline within the block.
        with trio.move_on_after(self._patience.total) as scope:
            yield
        if scope.cancelled_caught:
            raise SourceUnreachable(f"It took longer than {self._patience.total:g} seconds.")

    @asynccontextmanager
    async def _ask(
        self, target: Target, method: str, headers: Mapping[str, str] = {}, body: bytes = b""
    ) -> AsyncIterator[httpcore2.Response]:
        url = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        silence = self._patience.silence
        request = httpcore2.Request(
            method,
            url,
            headers=[*self._headers(target, method, body), *headers.items()],
            content=body,
            extensions={
                "timeout": {
                    "connect": self._patience.connect,
                    "read": silence,
                    "write": silence,
                }
            },
        )
        with CheckedNetwork(self._allowance, self._resolve) as network:
            connection = httpcore2.AsyncHTTPConnection(
                url.origin, ssl_context=self._tls, network_backend=network
            )
            with _faults_by_name():
                response = await connection.handle_async_request(request)
            yield response

    def _headers(self, target: Target, method: str, body: bytes) -> Iterator[tuple[str, str]]:
        yield "Host", target.authority
        yield "User-Agent", self._user_agent
        yield "Accept", "image/*,*/*;q=0.5" if method == "GET" else "*/*"
        # What is compressed may be a bomb, and pictures are compressed already.
        yield "Accept-Encoding", "identity"
        yield "Connection", "close"
        if method == "POST":
            yield "Content-Length", str(len(body))


def _location(response: httpcore2.Response) -> str | None:
    if response.status not in REDIRECTS:
        return None
    return _header(response, b"location")


def _check_file(response: httpcore2.Response, max_bytes: int) -> None:
    if response.status != 200:
        raise _answered(response)
    if (_header(response, b"content-encoding") or "identity").lower() != "identity":
        raise SourceUnreachable("It answers in an encoding not asked for.", may_pass=False)
    if int(_header(response, b"content-length") or "0") > max_bytes:
        raise SourceTooLarge(max_bytes)


async def _pieces(response: httpcore2.Response, max_bytes: int) -> AsyncGenerator[bytes, None]:
    left = max_bytes
    with _faults_by_name():
        async with aclosing(response.aiter_stream()) as pieces:
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    raise SourceTooLarge(max_bytes)
                yield piece  # noqa: ASYNC119 (`get` closes it)


def _answered(response: httpcore2.Response) -> SourceUnreachable:
    status = response.status
    asked = _header(response, b"retry-after") or ""
    return SourceUnreachable(
        f"It answered {status}.",
        may_pass=status >= 500 or status in PASSING,
        status=status,
        retry_after=float(asked) if asked.isascii() and asked.isdigit() else None,
    )


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    for key, value in response.headers:
        if key.lower() == name:
            return value.decode("utf-8", "replace")
    return None


@contextmanager
def _faults_by_name() -> Iterator[None]:
    try:
        yield
    except httpcore2.TimeoutException as error:
        raise SourceUnreachable("It has fallen silent.") from error
    except httpcore2.ConnectError as error:
        if _is_of_tls(error):
            raise SourceUnreachable("No trusted connection could be made.") from error
        raise SourceUnreachable("No connection could be made.") from error
    except httpcore2.NetworkError as error:
        raise SourceUnreachable("The connection broke.") from error
    except httpcore2.RemoteProtocolError as error:
        raise SourceUnreachable("It did not answer as HTTP asks for.") from error


def _is_of_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__
    return False
