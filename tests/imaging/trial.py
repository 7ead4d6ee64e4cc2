"""Reads the files in a directory in a process of its own, and tells what became of each.

It imports nothing but what reads images, so that its memory is that of the reading.
"""

import json
import resource
import sys
import time
from pathlib import Path

from actors.imaging.colour import to_srgb
from actors.imaging.decode import decode, frames
from actors.imaging.errors import ImageError
from actors.imaging.exif import exif_kept
from actors.imaging.facts import Limits
from actors.imaging.inspect import SUFFIXES, inspect
from actors.imaging.metadata import metadata

LIMITS = Limits(formats=frozenset(SUFFIXES))
MODES = {"L", "LA", "RGB", "RGBA", "CMYK"}
MEGABYTE = 2**20


def read(data: bytes) -> str:
    """Read all that there is to read, and return what became of it."""
    try:
        facts = inspect(data, LIMITS)
        decoded = decode(data, facts, None)
        seen = [(decoded.image.mode, decoded.image.size)]
        shown = to_srgb(decoded.image, decoded.profile).size
        del decoded
        if facts.frames > 1:
            seen = [(image.mode, image.size) for image, _ in frames(data, facts)]
        about = metadata(data, facts)
        kept = [exif_kept(about.exif, which) for which in ("copyright", "all")]
    except ImageError as error:
        return error.code
    size = facts.width, facts.height
    is_right = (
        (len(seen) == facts.frames and {shown, *(each for _, each in seen)} == {size})
        and ({mode for mode, _ in seen} <= MODES and len({mode for mode, _ in seen}) == 1)
        and all(len(exif) < 65_500 for exif in kept)
    )
    return "picture" if is_right else "wrong"


def forget_peak() -> None:
    """Have the kernel begin anew with what it tells of the most memory that was in use."""
    Path("/proc/self/clear_refs").write_text("5")


def peak() -> int:
    """Return the most memory that was in use since then, in megabytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def main(directory: Path, seconds: int, megabytes: int) -> None:
    """Read one file after the other. The process is ended if they take more than so much."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE,) * 2)
    for path in sorted(directory.iterdir()):
        data = path.read_bytes()
        forget_peak()
        start = time.process_time()
        outcome = read(data)
        told = {
            "name": path.name,
            "outcome": outcome,
            "seconds": time.process_time() - start,
            "megabytes": peak(),
        }
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    sys.stdout.write(json.dumps({"modules": sorted(sys.modules)}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
