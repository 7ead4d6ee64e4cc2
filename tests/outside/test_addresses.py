"""What is inside is known as such, whatever it is wrapped in."""

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.outside.addresses import INSIDE_4, INSIDE_6, NAT64, carried, is_inside

PUBLIC = """
1.1.1.1 8.8.8.8 93.184.216.34 100.63.255.255 100.128.0.0 126.255.255.255 172.15.255.255
172.32.0.0 192.0.1.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111
2a00:1450:4001::5e 2001:200::1 64:ff9b::1.1.1.1
""".split()  # noqa: SIM905 (a table)

INSIDE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.255 169.254.169.254
172.16.0.1 172.31.255.255 192.0.0.8 192.0.0.170 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1
198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255 ::
::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:1.1.1.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1
64:ff9b::a9fe:a9fe 64:ff9b:1::1.1.1.1 100::1 2001::1 2001:2::1 2001:10::1 2001:20::1 2001:30::1
2001:db8::1 2002:7f00:1:: 2002:808:808:: 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1
fe80::1%eth0 fec0::1 ff02::1 ff0e::1
""".split()  # noqa: SIM905 (a table)


@pytest.mark.parametrize("text", PUBLIC)
def test_what_the_internet_routes_is_outside(text):
    assert not is_inside(ip_address(text))


@pytest.mark.parametrize("text", INSIDE)
def test_everything_else_is_inside(text):
    assert is_inside(ip_address(text))


@given(st.one_of([st.ip_addresses(network=str(each)) for each in (*INSIDE_4, *INSIDE_6)]))
def test_no_address_of_a_special_network_is_outside(address):
    assert is_inside(address)


@given(st.ip_addresses())
def test_the_standard_library_finds_nothing_inside_that_is_outside_here(address):
    assert is_inside(address) or (address.is_global and not address.is_multicast)


@given(st.ip_addresses(v=4))
def test_a_translator_leads_where_the_address_in_it_leads(address):
    translated = IPv6Address(int(NAT64.network_address) + int(address))

    assert is_inside(translated) == is_inside(address)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.2.3.4", []),
        ("2606:4700::1111", []),
        ("::1.2.3.4", ["1.2.3.4"]),
        ("::ffff:1.2.3.4", ["1.2.3.4"]),
        ("::ffff:0:1.2.3.4", ["1.2.3.4"]),
        ("64:ff9b::1.2.3.4", ["1.2.3.4"]),
        ("64:ff9b:1:2:3::1.2.3.4", ["1.2.3.4"]),
        ("2002:102:304::1", ["1.2.3.4"]),
        ("2001:0:506:708::fefd:fcfb", ["5.6.7.8", "1.2.3.4"]),
    ],
)
def test_the_ipv4_address_in_an_ipv6_address_is_found(text, expected):
    assert [str(each) for each in carried(ip_address(text))] == expected


def test_the_table_is_one_of_networks_that_do_not_overlap():
    for networks in (INSIDE_4, INSIDE_6):
        for network in networks:
            assert sum(network.overlaps(other) for other in networks) == 1
