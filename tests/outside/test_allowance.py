"""The operator opens and closes what is otherwise closed and open."""

from ipaddress import ip_address

import pytest

from actors.outside.allowance import parse_allowance
from actors.outside.errors import SourceForbidden


def is_allowed(allowance, host, port, address=None, *, is_own=False):
    try:
        allowance.check(host, port, address and ip_address(address), is_own=is_own)
    except SourceForbidden:
        return False
    return True


@pytest.mark.parametrize(
    ("allow", "host", "port", "address", "allowed"),
    [
        ("", "a.test", 80, None, True),
        ("", "a.test", 8080, None, False),
        ("", "a.test", 80, "8.8.8.8", True),
        ("", "a.test", 80, "10.0.0.1", False),
        ("10.0.0.0/8", "a.test", 80, "10.0.0.1", True),
        ("10.0.0.0/8", "a.test", 8080, "10.0.0.1", False),
        ("10.0.0.0/8", "a.test", 80, "192.168.0.1", False),
        ("10.0.0.1", "a.test", 443, "10.0.0.1", True),
        ("10.0.0.1:8080", "10.0.0.1", 8080, "10.0.0.1", True),
        ("10.0.0.1:8080", "10.0.0.1", 80, "10.0.0.1", False),
        ("10.0.0.1:8080", "10.0.0.1", 8081, "10.0.0.1", False),
        ("10.0.0.1:8080", "10.0.0.2", 8080, "10.0.0.2", False),
        ("a.test:8080", "a.test", 8080, None, True),
        ("a.test:8080", "a.test", 8080, "10.0.0.1", True),
        ("a.test:8080", "b.test", 8080, "10.0.0.1", False),
        ("A.Test.", "a.test", 80, "10.0.0.1", True),
        ("bücher.test", "xn--bcher-kva.test", 80, "10.0.0.1", True),
        ("", "localhost", 80, None, False),
        ("localhost:8080", "localhost", 8080, "127.0.0.1", True),
        ("[::1]:8080", "::1", 8080, "::1", True),
        ("::1", "::1", 80, "::1", True),
        ("fd00::/8", "a.test", 80, "fd00::1", True),
        (" 10.0.0.0/8 , 192.168.0.0/16 ,", "a.test", 80, "192.168.0.1", True),
        ("127.0.0.1", "::ffff:7f00:1", 80, "::ffff:127.0.0.1", False),
    ],
)
def test_an_exception_opens_what_it_names_and_nothing_else(allow, host, port, address, allowed):
    assert is_allowed(parse_allowance(allow=allow), host, port, address) == allowed


@pytest.mark.parametrize(
    ("deny", "host", "address", "allowed"),
    [
        ("8.8.8.0/24", "a.test", "8.8.8.8", False),
        ("8.8.8.0/24", "a.test", "8.8.4.4", True),
        ("8.8.8.8:80", "a.test", "8.8.8.8", False),
        ("8.8.8.8:443", "a.test", "8.8.8.8", True),
        ("a.test", "a.test", None, False),
        ("a.test", "b.test", None, True),
        ("8.8.8.8", "a.test", "64:ff9b::8.8.8.8", False),
        ("2606:4700::/32", "a.test", "2606:4700::1111", False),
    ],
)
def test_what_is_denied_is_not_asked(deny, host, address, allowed):
    assert is_allowed(parse_allowance(deny=deny), host, 80, address) == allowed


def test_a_denial_beats_an_exception_in_whatever_it_is_wrapped():
    allowance = parse_allowance(allow="0.0.0.0/0,::/0,a.test", deny="169.254.0.0/16")

    assert is_allowed(allowance, "a.test", 80, "10.0.0.1")
    assert not is_allowed(allowance, "a.test", 80, "169.254.169.254")
    for wrapped in ("::ffff:169.254.169.254", "2002:a9fe:a9fe::", "64:ff9b::169.254.169.254"):
        assert not is_allowed(allowance, "a.test", 80, wrapped)


def test_this_machine_is_inside_whatever_its_address():
    assert not is_allowed(parse_allowance(), "a.test", 80, "8.8.8.8", is_own=True)
    assert is_allowed(parse_allowance("8.8.8.8"), "a.test", 80, "8.8.8.8", is_own=True)
    assert is_allowed(parse_allowance("a.test"), "a.test", 80, "8.8.8.8", is_own=True)


def test_the_ports_can_be_widened():
    allowance = parse_allowance(ports={80, 443, 8080})

    assert is_allowed(allowance, "a.test", 8080, "8.8.8.8")
    assert not is_allowed(allowance, "a.test", 8080, "10.0.0.1")


@pytest.mark.parametrize(
    "entry",
    [
        *("10.0.0.1/8", "10.0.0.0/33", "a.test/8", "http://a.test", "a.test:x", "a.test:0"),
        *("*.test", "10.1", "[::1", "a b", "a.test:80:80", "user@a.test"),
    ],
)
def test_an_entry_that_is_none_is_named(entry):
    with pytest.raises(ValueError, match=r"is no network|is neither") as caught:
        parse_allowance(deny=f"a.test, {entry}")

    assert repr(entry) in str(caught.value)
