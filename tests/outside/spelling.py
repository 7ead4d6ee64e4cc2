"""The many ways to write an IP address, some of which some program or other understands."""

import string
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote

from hypothesis import strategies as st

FULL_WIDTH = str.maketrans(string.digits, "".join(chr(0xFF10 + digit) for digit in range(10)))
CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")
IDEOGRAPHIC = str.maketrans(".", "。")
HALF_WIDTH = str.maketrans(".", "｡")

NUMBERS: list[Callable[[int], str]] = [
    str,
    hex,
    lambda number: f"0X{number:X}",
    lambda number: f"0{number:o}",
    lambda number: f"0x{number:016x}",
    lambda number: f"000{number:o}",
]


def in_brackets(address: int) -> str:
    """Write it as IPv6."""
    return f"[{IPv6Address(address)}]"


@st.composite
def spellings(draw: st.DrawFn, address: IPv4Address) -> str:
    """Draw a way to write `address` as the host of a URL; never the plain one."""
    number, octets = int(address), address.packed
    kind = draw(st.sampled_from(["parts", "disguise", "wrap", "escape"]))
    if kind == "parts":
        count = draw(st.integers(1, 4))
        values = [*octets[: count - 1], number & (1 << 8 * (5 - count)) - 1]
        text = ".".join(draw(st.sampled_from(NUMBERS))(value) for value in values)
        return text + draw(st.sampled_from(["", ".", ".."]))
    if kind == "disguise":
        table = draw(st.sampled_from([FULL_WIDTH, CIRCLED, IDEOGRAPHIC, HALF_WIDTH]))
        return str(address).translate(table)
    if kind == "wrap":
        mapped = f"{octets[0]:02x}{octets[1]:02x}:{octets[2]:02x}{octets[3]:02x}"
        return draw(
            st.sampled_from(
                [
                    in_brackets(number),
                    in_brackets(0xFFFF_0000_0000 + number),
                    in_brackets(0xFFFF_0000_0000_0000 + number),
                    in_brackets((0x64_FF9B << 96) + number),
                    in_brackets((0x2002 << 112) + (number << 80)),
                    f"[::ffff:{address}]",
                    f"[0:0:0:0:0:FFFF:{mapped.upper()}]",
                    f"[0000:0000:0000:0000:0000:ffff:{address}]",
                    f"[::ffff:{mapped}%25lo]",
                    f"[::{address}]",
                ]
            )
        )
    text = str(address)
    return draw(
        st.sampled_from(
            [
                "".join(f"%{ord(each):02x}" for each in text),
                text.replace(".", "%2e"),
                quote(text.translate(FULL_WIDTH)),
                f"{text}%00.example.com",
                f"user@{text}",
                f"example.com@{text}",
                f"{text}%20",
            ]
        )
    )
