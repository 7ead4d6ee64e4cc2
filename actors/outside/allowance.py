"""Whom this service may ask: everybody outside on the usual ports, and what its operator says."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from actors.outside.addresses import carried, is_inside
from actors.outside.errors import SourceForbidden
from actors.outside.hosts import is_local_name, literal, parse_authority

if TYPE_CHECKING:
    from collections.abc import Iterable

    from actors.outside.addresses import IPAddress, IPNetwork

WEB_PORTS: Final = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Place:
    """A host by its name, or a network; on one port, or on all."""

    where: str | IPNetwork
    port: int | None = None

    def holds(self, host: str, port: int, addresses: Iterable[IPAddress]) -> bool:
        """Whether `host`, or one of `addresses`, is here and `port` is one of this place."""
        if self.port is not None and self.port != port:
            return False
        if isinstance(self.where, str):
            return self.where == host
        return any(address in self.where for address in addresses)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Which hosts, addresses and ports may be asked.

    `deny` beats `allow`, which beats what is inside.
    An exception that names its port opens that port; one that does not holds for `ports`.
    A network that is denied is so in whatever IPv6 address an address of it is wrapped.
    """

    allow: tuple[Place, ...] = ()
    deny: tuple[Place, ...] = ()
    ports: frozenset[int] = WEB_PORTS

    def check(
        self, host: str, port: int, address: IPAddress | None = None, *, is_own: bool = False
    ) -> None:
        """Check `host`, and the `address` it leads to as far as that is known yet.

        Args:
          is_own: whether the address is one of this very machine.

        Raises:
          SourceForbidden: if it must not be asked.
        """
        addresses = () if address is None else (address,)
        if self._denies(host, port, addresses):
            raise SourceForbidden("This address is not to be asked.")
        exceptions = [place for place in self.allow if place.holds(host, port, addresses)]
        if port not in self.ports and all(place.port is None for place in exceptions):
            ports = ", ".join(map(str, sorted(self.ports)))
            raise SourceForbidden(f"Only these ports are asked: {ports}.")
        if exceptions:
            return
        if is_own or is_local_name(host) or any(map(is_inside, addresses)):
            raise SourceForbidden("This address leads inside.")

    def _denies(self, host: str, port: int, addresses: tuple[IPAddress, ...]) -> bool:
        meant = [*addresses, *(each for address in addresses for each in carried(address))]
        return any(place.holds(host, port, meant) for place in self.deny)


def parse_allowance(allow: str = "", deny: str = "", ports: Iterable[int] = WEB_PORTS) -> Allowance:
    """Return the allowance of two lists: networks, `host` and `host:port`, with commas between.

    Raises:
      ValueError: naming the entry that is none of these.
    """
    return Allowance(_places(allow), _places(deny), frozenset(ports))


def _places(text: str) -> tuple[Place, ...]:
    return tuple(_place(entry.strip()) for entry in text.split(",") if entry.strip())


def _place(entry: str) -> Place:
    try:
        return Place(ip_network(entry))
    except ValueError as error:
        if "/" in entry:
            raise ValueError(f"{entry!r} is no network: {error}") from None
    try:
        host, port = parse_authority(entry)
    except SourceForbidden as error:
        raise ValueError(f"{entry!r} is neither a network nor host:port. {error}") from None
    address = literal(host)
    return Place(host if address is None else ip_network(address), port)
