"""Where a request comes from, and who is believed about it."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.origins import UNKNOWN, Origins, parse_proxies

DIRECT = Origins()
PROXIED = Origins(parse_proxies("10.0.0.0/8, 2001:db8:1::/48"))


@pytest.mark.parametrize(
    ("peer", "origin"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:2:3:4:5:6:7", "2001:db8:2:3::/64"),
        ("2001:db8:2:3::", "2001:db8:2:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        (None, UNKNOWN),
        ("", UNKNOWN),
        ("/run/calotype.sock", UNKNOWN),
    ],
)
def test_an_origin_is_an_address_or_a_network_of_64_bits(peer, origin):
    assert DIRECT.of(peer, []) == origin


def test_nobody_is_believed_who_is_no_proxy():
    assert DIRECT.of("10.0.0.1", ["192.0.2.1"]) == "10.0.0.1"
    assert PROXIED.of("198.51.100.7", ["192.0.2.1", "10.0.0.1"]) == "198.51.100.7"


@pytest.mark.parametrize(
    ("forwarded", "origin"),
    [
        ([], "10.0.0.1"),
        ([""], "10.0.0.1"),
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:5678"], "192.0.2.1"),
        (["2001:db8:2::1"], "2001:db8:2::/64"),
        (["[2001:db8:2::1]:5678"], "2001:db8:2::/64"),
        (["[2001:db8:2::1]"], "2001:db8:2::/64"),
        # The client says what it likes, on the left of what the proxy adds.
        (["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1"], "192.0.2.1"),
        (["10.0.0.9, 192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1, 10.9.9.9, 2001:db8:1::5"], "192.0.2.1"),
        (["192.0.2.1,10.9.9.9", "::ffff:10.1.1.1"], "192.0.2.1"),
        # What is no address ends what is believed.
        (["192.0.2.1, unknown"], "10.0.0.1"),
        (["192.0.2.1, "], "10.0.0.1"),
        (["192.0.2.1, _hidden, 10.9.9.9"], "10.9.9.9"),
        (["10.3.3.3, 10.9.9.9"], "10.3.3.3"),
    ],
)
def test_a_proxy_says_on_the_right_whom_it_was_asked_by(forwarded, origin):
    assert PROXIED.of("10.0.0.1", forwarded) == origin


@given(st.lists(st.text(max_size=60), max_size=5))
def test_whatever_is_forwarded_there_is_an_origin(forwarded):
    origin = PROXIED.of("10.0.0.1", forwarded)

    assert ip_network(origin) == ip_network(origin, strict=False)
    assert PROXIED.of("198.51.100.7", forwarded) == "198.51.100.7"


@given(st.lists(st.ip_addresses(), max_size=5), st.ip_addresses())
def test_nothing_to_the_left_of_a_stranger_counts(left, stranger):
    if any(stranger in network for network in parse_proxies("10.0.0.0/8, 2001:db8:1::/48")):
        return
    mapped = getattr(stranger, "ipv4_mapped", None)
    if mapped and mapped in ip_network("10.0.0.0/8"):
        return

    with_left = PROXIED.of("10.0.0.1", [", ".join(map(str, [*left, stranger]))])

    assert with_left == DIRECT.of(str(stranger), [])


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy", "10.0.0.1,", "10.0.0.1 10.0.0.2", "1/2/3"])
def test_what_is_no_network_is_no_proxy(text):
    with pytest.raises(ValueError, match=r".*"):
        parse_proxies(text)


def test_a_proxy_is_an_address_or_a_network():
    assert parse_proxies(" ") == ()
    assert parse_proxies("10.0.0.1, ::1") == tuple(
        map(ip_network, map(ip_address, ("10.0.0.1", "::1")))
    )
