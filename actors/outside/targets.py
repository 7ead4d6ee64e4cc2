"""An address as a client names it, taken apart and checked.

Stricter than what browsers take, on purpose: whatever two readers could understand in two ways is
refused, so that what was checked is what is asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin

from actors.outside.errors import SourceForbidden
from actors.outside.hosts import literal, parse_authority

if TYPE_CHECKING:
    from actors.outside.addresses import IPAddress
    from actors.outside.allowance import Allowance

MAX_LENGTH: Final = 2048
PORTS: Final = {"http": 80, "https": 443}
PARTS: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^#]*)(?:#.*)?",
    re.IGNORECASE,
)
# What stays as it is in a path and a query; all of ASCII but these four and what is refused.
UNQUOTED: Final = "".join(set(map(chr, range(0x21, 0x7F))) - set('"<>`'))


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be asked, as far as can be told without asking for its name.

    `host` is a name in lower case and ASCII, or an IP address without brackets.
    `path` includes the query and is percent-encoded.
    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def address(self) -> IPAddress | None:
        """The IP address that `host` is, or None if it is a name."""
        return literal(self.host)

    @property
    def authority(self) -> str:
        """Host and port as they stand in the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_target(text: str, allowance: Allowance) -> Target:
    """Return what `text` addresses; its fragment, which is never sent, is left out.

    Raises:
      SourceForbidden: if it is no address, or none that `allowance` lets ask.
    """
    if len(text) > MAX_LENGTH:
        raise SourceForbidden(f"An address has at most {MAX_LENGTH} characters.")
    if not text.isprintable() or " " in text or "\\" in text:
        raise SourceForbidden("An address has no spaces, backslashes or control characters.")
    parts = PARTS.fullmatch(text)
    if parts is None:
        raise SourceForbidden("An address begins with http:// or https://.")
    scheme = parts["scheme"].lower()
    if scheme not in PORTS:
        raise SourceForbidden("Only http and https are asked.")
    if "@" in parts["authority"]:
        raise SourceForbidden("An address names no user and no password.")
    host, port = parse_authority(parts["authority"])
    path = quote(parts["path"], safe=UNQUOTED)
    if not path.startswith("/"):
        path = f"/{path}"
    target = Target(scheme, host, port or PORTS[scheme], path)
    allowance.check(target.host, target.port, target.address)
    return target


def redirected(target: Target, location: str, allowance: Allowance) -> Target:
    """Return where `target` leads with this header Location, checked as `parse_target` does.

    Raises:
      SourceForbidden: as `parse_target` says, or if it leads from https to http.
    """
    try:
        joined = urljoin(str(target), location)
    except ValueError:
        raise SourceForbidden("A redirect leads to what is no address.") from None
    led_to = parse_target(joined, allowance)
    if target.scheme == "https" and led_to.scheme == "http":
        raise SourceForbidden("A redirect leads from https to http.")
    return led_to
