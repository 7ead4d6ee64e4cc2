"""What the machine has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Which control groups this process is in, and where they are.
MEMBERSHIP = Path("/proc/self/cgroup")
GROUPS = Path("/sys/fs/cgroup")


def memory_of_machine() -> int:
    """Return the bytes of memory that there are, or that the control group may have if fewer."""
    there_are = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([there_are, *_bounds()])


def _bounds() -> Iterator[int]:
    """Yield what each control group around this process may have, in version 2 and version 1."""
    lines = list[str]()
    with suppress(OSError):
        lines = MEMBERSHIP.read_text().splitlines()
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if not kinds:
            root, name = GROUPS, "memory.max"
        elif "memory" in kinds.split(","):
            root, name = GROUPS / "memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container, the path may be one of outside; but the root is always there.
        inside = Path(path.lstrip("/"))
        for group in (inside, *inside.parents):
            # There may be no such file, and in it may be the word "max".
            with suppress(OSError, ValueError):
                yield int((root / group / name).read_text())
