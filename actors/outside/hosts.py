"""Host and port as people write them, brought into the one form that is checked and asked."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

import idna

from actors.outside.errors import SourceForbidden

if TYPE_CHECKING:
    from actors.outside.addresses import IPAddress

AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]+)(?::(?P<port>[0-9]{1,5}))?")
NAME: Final = re.compile(r"(?=.{1,253}\Z)(?:(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.|\Z))+(?<!\.)")
# Resolvers read a name that ends so as an IPv4 address: 127.1, 0x7f000001, 017700000001.
ENDS_IN_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


def parse_authority(text: str) -> tuple[str, int | None]:
    """Return host and port of `text`: a name in lower case and in ASCII, or an IP address.

    Of all the ways to write an IPv4 address only that with four decimal numbers is taken.

    Raises:
      SourceForbidden: for anything else.
    """
    match = AUTHORITY.fullmatch(text)
    if match is None:
        raise SourceForbidden("Its host is not written as one.")
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        raise SourceForbidden("A port is a number from 1 to 65535.")
    host = match["host"]
    return (_ipv6(host) if host.startswith("[") else _name(host)), port


def literal(host: str) -> IPAddress | None:
    """Return the address that `host`, as `parse_authority` returns it, is; or None for a name."""
    with suppress(ValueError):
        return ip_address(host)
    return None


def is_local_name(host: str) -> bool:
    """Whether `host` names this very machine everywhere (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


def _ipv6(host: str) -> str:
    try:
        address = IPv6Address(host[1:-1])
    except AddressValueError:
        raise SourceForbidden("Its host is no IPv6 address.") from None
    if address.scope_id is not None:
        raise SourceForbidden("An IPv6 address with a zone is one of this network.")
    return str(address)


def _name(host: str) -> str:
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True, std3_rules=True).decode()
    except UnicodeError:
        raise SourceForbidden("Its host is no valid name.") from None
    name = name.lower().removesuffix(".")
    if ENDS_IN_NUMBER.fullmatch(name):
        try:
            return str(IPv4Address(name))
        except AddressValueError:
            raise SourceForbidden("Write an IPv4 address as four decimal numbers.") from None
    if not NAME.fullmatch(name):
        raise SourceForbidden("Its host is no valid name.")
    return name
