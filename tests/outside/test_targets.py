"""No spelling of an address leads inside, and those that lead outside are understood."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.outside.addresses import INSIDE_4, INSIDE_6, is_inside
from actors.outside.allowance import Allowance, parse_allowance
from actors.outside.errors import SourceForbidden
from actors.outside.targets import MAX_LENGTH, Target, parse_target, redirected
from tests.outside.spelling import spellings

EVERYBODY = Allowance()

# Each line leads inside for some program that reads URLs, resolves names or opens connections, or
# is no address of the web at all.
SPELLINGS = (Path(__file__).parent / "inside.txt").read_text(encoding="utf-8").splitlines()
UNCLEAN = [
    "http://a b.com/",
    "http://exa\u00admple.com\u2028/",
    "http://example.com/\r\nHost: inside",
    "http://example.com/\tx",
    "http://example.com/\x00",
    "http://example.com/ x",
    "http://\ud800.com/",
    "http://xn--\u00e9.com/",
    " http://example.com/",
    "http://example.com/\x7f",
]


@pytest.mark.parametrize("text", [*SPELLINGS, *UNCLEAN], ids=ascii)
def test_what_could_lead_inside_is_refused_at_sight(text):
    with pytest.raises(SourceForbidden):
        parse_target(text, EVERYBODY)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("http://example.com", Target("http", "example.com", 80, "/")),
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTPS://EXAMPLE.COM/A", Target("https", "example.com", 443, "/A")),
        ("http://example.com./", Target("http", "example.com", 80, "/")),
        ("http://example.com:443/", Target("http", "example.com", 443, "/")),
        ("https://example.com:80/", Target("https", "example.com", 80, "/")),
        ("http://example.com?x=1&y=2", Target("http", "example.com", 80, "/?x=1&y=2")),
        ("http://example.com/a?b#c", Target("http", "example.com", 80, "/a?b")),
        ("http://example.com#@b/", Target("http", "example.com", 80, "/")),
        ("http://a.com/@b:c//d;e", Target("http", "a.com", 80, "/@b:c//d;e")),
        ("http://a.com/%2e%2E/%zz", Target("http", "a.com", 80, "/%2e%2E/%zz")),
        ("http://a.com/é?ü=☃", Target("http", "a.com", 80, "/%C3%A9?%C3%BC=%E2%98%83")),
        ('http://a.com/"<>`', Target("http", "a.com", 80, "/%22%3C%3E%60")),
        ("http://bücher.example/", Target("http", "xn--bcher-kva.example", 80, "/")),
        ("http://straße.de/", Target("http", "xn--strae-oqa.de", 80, "/")),
        ("http://ⓔⓧⓐⓜⓟⓛⓔ。com/", Target("http", "example.com", 80, "/")),
        ("http://my_bucket.s3.test/", Target("http", "my_bucket.s3.test", 80, "/")),
        ("http://r3---sn-x.test/", Target("http", "r3---sn-x.test", 80, "/")),
        ("http://127.0.0.1.nip.io/", Target("http", "127.0.0.1.nip.io", 80, "/")),
        ("http://1.2.3.0xyz/", Target("http", "1.2.3.0xyz", 80, "/")),
        ("http://8.8.8.8/", Target("http", "8.8.8.8", 80, "/")),
        ("http://8.8.8.8./", Target("http", "8.8.8.8", 80, "/")),
        ("https://[2606:4700:0::1111]/", Target("https", "2606:4700::1111", 443, "/")),
        ("http://[64:ff9b::8.8.8.8]/", Target("http", "64:ff9b::808:808", 80, "/")),
    ],
)
def test_what_leads_outside_is_understood(text, target):
    parsed = parse_target(text, EVERYBODY)

    assert parsed == target
    assert parse_target(str(parsed), EVERYBODY) == parsed


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("http://Example.com:80/", "example.com"),
        ("https://example.com:443/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("http://[2606:4700::1111]/", "[2606:4700::1111]"),
        ("https://[2606:4700::1111]:80/", "[2606:4700::1111]:80"),
    ],
)
def test_the_header_host_names_the_port_if_it_is_not_the_usual_one(text, authority):
    assert parse_target(text, EVERYBODY).authority == authority


def test_an_address_has_a_longest_length():
    longest = "http://example.com/".ljust(MAX_LENGTH, "x")

    assert str(parse_target(longest, EVERYBODY)) == longest
    with pytest.raises(SourceForbidden, match="2048"):
        parse_target(longest + "x", EVERYBODY)


INSIDE_ADDRESSES = st.one_of(
    [st.ip_addresses(network=each).map(str).map(IPv4Address) for each in INSIDE_4]
)


@given(INSIDE_ADDRESSES.flatmap(spellings), st.sampled_from(["http", "https"]))
def test_no_spelling_of_an_address_inside_is_taken(host, scheme):
    with pytest.raises(SourceForbidden):
        parse_target(f"{scheme}://{host}/", EVERYBODY)


@given(st.one_of([st.ip_addresses(network=each) for each in INSIDE_6]), st.booleans())
def test_no_address_inside_is_taken_in_ipv6(address, exploded):
    with pytest.raises(SourceForbidden):
        parse_target(f"http://[{address.exploded if exploded else address}]/", EVERYBODY)


@given(st.ip_addresses().filter(lambda address: not is_inside(address)))
def test_every_address_outside_is_taken_as_it_is_usually_written(address):
    host = str(address) if address.version == 4 else f"[{address}]"

    target = parse_target(f"http://{host}/", EVERYBODY)

    assert target.address == address


@given(st.text(max_size=60) | st.text("htps:/[]@#?.%0123456789abcdefxl\\", max_size=60))
def test_whatever_is_said_is_a_target_or_forbidden(text):
    for each in (text, f"http://{text}"):
        try:
            target = parse_target(each, EVERYBODY)
        except SourceForbidden:
            continue
        assert target.host.isascii()
        assert target.path.isascii()
        assert target.path.isprintable()
        assert " " not in target.path


BASE = parse_target("https://example.com/a/b?c", EVERYBODY)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/d", "https://example.com/d"),
        ("d", "https://example.com/a/d"),
        ("../d", "https://example.com/d"),
        ("../../../../d", "https://example.com/d"),
        ("?d", "https://example.com/a/b?d"),
        ("#d", "https://example.com/a/b?c"),
        ("", "https://example.com/a/b?c"),
        ("//other.com/d", "https://other.com/d"),
        ("https://other.com", "https://other.com/"),
    ],
)
def test_a_redirect_leads_on(location, expected):
    assert str(redirected(BASE, location, EVERYBODY)) == expected


@pytest.mark.parametrize(
    "location",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "//127.0.0.1/",
        "//0x7f.1/",
        "/\\127.0.0.1/",
        "https://user@example.com/",
        "https://example.com:8443/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://[::1/",
        "https://[::1]/",
        "//[x]/",
        "d e",
        "\ufffd\x00",
    ],
)
def test_a_redirect_does_not_lead_inside(location):
    with pytest.raises(SourceForbidden):
        redirected(BASE, location, EVERYBODY)


def test_a_redirect_may_lead_to_what_is_allowed():
    allowance = parse_allowance(allow="127.0.0.1:8443")

    led_to = redirected(BASE, "https://127.0.0.1:8443/x", allowance)

    assert str(led_to) == "https://127.0.0.1:8443/x"
