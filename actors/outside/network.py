"""Connections to addresses that were checked, and to no others."""

from __future__ import annotations

import socket
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import httpcore2
import trio

from actors.outside.errors import SourceUnreachable
from actors.threads import NO_THREAD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from actors.outside.addresses import IPAddress
    from actors.outside.allowance import Allowance

    Resolve: TypeAlias = Callable[[str], Awaitable[Sequence[IPAddress]]]

# Of the addresses of one name; among them are divided the seconds for a connection.
MOST_TRIED: Final = 4

NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, socket.EAI_NODATA})


async def resolve(host: str) -> Sequence[IPAddress]:
    """Return all addresses of `host`, the best first.

    If it is cancelled, the question goes on in its thread, and its answer is dropped.

    Raises:
      SourceUnreachable: if there are none, or the question was not answered.
    """
    try:
        found = await trio.socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        reason = "Its name could not be resolved."
        raise SourceUnreachable(reason, may_pass=error.errno not in NO_SUCH_NAME) from error
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        raise SourceUnreachable("Its name could not be resolved.", may_pass=True) from error
    return [ip_address(place[0]) for *_, place in found]


def is_own(address: IPAddress) -> bool:
    """Whether `address` is one of this machine's. Sends nothing."""
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    # To its own addresses a machine talks from these very addresses, and a datagram socket says
    # from which it would talk without a datagram being sent.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return ip_address(probe.getsockname()[0]) == address
    except OSError:
        return False


class CheckedNetwork(httpcore2.TrioBackend):
    """Resolves a name once, has every address of it checked, and connects to one of these.

    Leaving its `with` closes every connection that was opened through it.
    """

    def __init__(self, allowance: Allowance, resolve: Resolve) -> None:
        self._allowance = allowance
        self._resolve = resolve
        self._opened: list[trio.socket.SocketType] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's own signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """See `AsyncNetworkBackend`.

        Raises:
          SourceForbidden: if one of the addresses must not be asked, with no connection to any.
          SourceUnreachable: if there are none.
        """
        addresses = await self._addresses(host)
        for address in addresses:
            self._allowance.check(host, port, address, is_own=is_own(address))
        tried = addresses[:MOST_TRIED]
        failure: Exception | None = None
        for address in tried:
            share = None if timeout is None else timeout / len(tried)
            try:
                stream = await super().connect_tcp(
                    str(address), port, share, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                self._opened.append(stream.get_extra_info("socket"))
                return stream
        raise failure or SourceUnreachable("Its name has no address.")

    async def _addresses(self, host: str) -> Sequence[IPAddress]:
        try:
            return [ip_address(host)]
        except ValueError:
            return await self._resolve(host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A handshake that is cancelled leaves its connection open.
        for each in self._opened:
            each.close()
