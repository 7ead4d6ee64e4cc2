"""What is locked: each package of `requirements/`, with who needs it."""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
_ENTRY = re.compile(
    r"(?P<name>[\w.-]+)==(?P<version>[^ \\\n]+)(?: ; (?P<marker>[^\\\n]+?))?(?: \\\n)"
    r"(?P<hashes>(?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    r"(?P<via>(?:    #[^\n]*\n)+)"
)


@dataclass(frozen=True, slots=True)
class Pin:
    """A package at one version.

    `marker` says where it is installed, and `hashes` are the SHA-256 of the files that may be.
    `needed_by` are the names of the packages for whose sake it is.
    """

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    needed_by: frozenset[str]


def pins(lock: str) -> dict[str, Pin]:
    """Return what `requirements/LOCK.txt` holds, by name."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
    return {found["name"]: _pin(found) for found in _ENTRY.finditer(text)}


def shipped() -> dict[str, Pin]:
    """Return what a service runs on."""
    return pins("runtime")


def extra() -> dict[str, Pin]:
    """Return what else it may run on, if its extras are installed."""
    wanted = set[str]()
    for requirements in PROJECT["optional-dependencies"].values():
        wanted |= {canonicalize_name(Requirement(line).name) for line in requirements}
    there = pins("test")
    while more := {pin.name for pin in there.values() if pin.needed_by & wanted} - wanted:
        wanted |= more
    return {name: there[name] for name in sorted(wanted - shipped().keys())}


def needs_of(name: str, among: Iterable[Pin]) -> list[Pin]:
    """Return which of these packages `name` needs itself."""
    return [pin for pin in among if name in pin.needed_by]


def _pin(found: re.Match[str]) -> Pin:
    said = re.sub(r"(?m)^    # *(?:via)?", "", found["via"]).split("\n")
    return Pin(
        name=found["name"],
        version=found["version"],
        marker=found["marker"],
        hashes=tuple(re.findall(r"sha256:([0-9a-f]+)", found["hashes"])),
        needed_by=frozenset(each.split()[0] for each in said if each.strip()),
    )
