"""What disks do to files."""

import os
from pathlib import Path


def flip(path: Path) -> None:
    """Change one bit in the middle of the file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def shorten(path: Path) -> None:
    """Cut off the last byte."""
    os.truncate(path, path.stat().st_size - 1)


def lose(path: Path) -> None:
    """Remove it."""
    path.unlink()
