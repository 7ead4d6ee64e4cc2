"""Which IP addresses are inside: all but those that the public internet routes to one machine.

After the registries of special-purpose addresses that IANA keeps for IPv4 and for IPv6 (RFC 6890),
and those of multicast (RFC 5771, RFC 4291). The standard library's `is_global` is no substitute:
it lets multicast through, and its table changes with the version of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address
IPNetwork: TypeAlias = IPv4Network | IPv6Network

INSIDE_4: Final = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # "This network" (RFC 791).
            "10.0.0.0/8",  # Private (RFC 1918).
            "100.64.0.0/10",  # Shared behind a carrier's NAT (RFC 6598).
            "127.0.0.0/8",  # Loopback (RFC 1122).
            "169.254.0.0/16",  # Link-local, and with it the metadata of clouds (RFC 3927).
            "172.16.0.0/12",  # Private (RFC 1918).
            "192.0.0.0/24",  # Protocol assignments (RFC 6890).
            "192.0.2.0/24",  # Documentation (RFC 5737).
            "192.88.99.0/24",  # Relays of 6to4, given up (RFC 7526).
            "192.168.0.0/16",  # Private (RFC 1918).
            "198.18.0.0/15",  # Benchmarking (RFC 2544).
            "198.51.100.0/24",  # Documentation (RFC 5737).
            "203.0.113.0/24",  # Documentation (RFC 5737).
            "224.0.0.0/4",  # Multicast (RFC 5771).
            "240.0.0.0/4",  # Reserved (RFC 1112), and the limited broadcast (RFC 919).
        ),
    )
)

# All global unicast addresses there are (RFC 4291, section 2.4). Outside it are loopback, what is
# mapped from IPv4, discard-only (RFC 6666), unique local (RFC 4193), link-local, site-local (RFC
# 3879), multicast, and the identifiers of SRv6 (RFC 9602).
GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
INSIDE_6: Final = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Protocol assignments (RFC 2928): Teredo, benchmarking, ORCHID, DETs.
            "2001:db8::/32",  # Documentation (RFC 3849).
            "2002::/16",  # 6to4 (RFC 3056): a tunnel to the IPv4 address in it, whichever that is.
            "3fff::/20",  # Documentation (RFC 9637).
        ),
    )
)

# What a network without IPv4 is given by DNS64 for any name with an IPv4 address (RFC 6052).
NAT64: Final = IPv6Network("64:ff9b::/96")

# Where the last 32 bits are an IPv4 address.
ENDING_IN_IPV4: Final = tuple(
    map(
        IPv6Network,
        (
            "::/96",  # "Compatible" (RFC 4291).
            "::ffff:0:0/96",  # Mapped (RFC 4291).
            "::ffff:0:0:0/96",  # Translated (RFC 2765).
            "64:ff9b::/96",  # NAT64 (RFC 6052).
            "64:ff9b:1::/48",  # NAT64 for local use (RFC 8215).
        ),
    )
)


def is_inside(address: IPAddress) -> bool:
    """Whether `address` is anything but a globally routed unicast address."""
    if isinstance(address, IPv4Address):
        return any(address in network for network in INSIDE_4)
    if address in NAT64:
        return any(is_inside(each) for each in carried(address))
    return address not in GLOBAL_UNICAST or any(address in network for network in INSIDE_6)


def carried(address: IPAddress) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that `address` stands for, by any of the ways to write them."""
    if isinstance(address, IPv4Address):
        return ()
    if any(address in network for network in ENDING_IN_IPV4):
        return (IPv4Address(address.packed[-4:]),)
    if address.sixtofour:
        return (address.sixtofour,)
    return address.teredo or ()
