"""Where a request comes from: the address of its client, also behind proxies."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from actors.outside.addresses import IPAddress, IPNetwork

UNKNOWN: Final = "unknown"
# What one customer of a provider has at least (RFC 6177), so that within it all are one.
SITE: Final = 64  # bits
REMEMBERED: Final = 4096  # addresses
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


class Origins:
    """Tells origins apart. Only of `proxies` it is believed for whom they ask."""

    def __init__(self, proxies: Sequence[IPNetwork] = ()) -> None:
        self._proxies = proxies

    def of(self, peer: str | None, forwarded: Sequence[str]) -> str:
        """Return the origin of a request: an address, or the network that is one origin.

        `peer` is the address of the connection, and `forwarded` the fields `X-Forwarded-For`: each
        proxy adds whom it was asked by on the right, so what is true is read from there, as far as
        proxies are known. What a proxy says that is no address counts as its own.
        """
        address = _address(peer or "")
        if address is None:
            return UNKNOWN
        rest = ",".join(forwarded) if self._is_proxy(address) else ""
        while rest and self._is_proxy(address):
            rest, _, said = rest.rpartition(",")
            before = _address(said.strip())
            if before is None:
                break
            address = before
        return _name(address)

    def _is_proxy(self, address: IPAddress) -> bool:
        return any(address in network for network in self._proxies)


def parse_proxies(text: str) -> tuple[IPNetwork, ...]:
    """Return the addresses and networks that `text` names. Raises: ValueError."""
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    return tuple(ip_network(name) for name in names)


@lru_cache(REMEMBERED)
def _address(text: str) -> IPAddress | None:
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _name(address: IPAddress) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(IPv6Network((address, SITE), strict=False))
