"""What the machine has."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# Where control groups say how much memory those in them may have: in version 2, and in version 1.
BOUNDS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def memory_of_machine() -> int:
    """Return the bytes of memory that there are, or that the control group may have if fewer."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for bound in BOUNDS:
        # There may be no such file, and in it may be the word "max".
        with suppress(OSError, ValueError):
            found.append(int(bound.read_text()))
    return min(found)
