"""The codec limit: bare loops over one picture, with as many threads as cores, and no service.

Run as a process of its own, so that it shares nothing with what it is compared to.
"""

from __future__ import annotations

import argparse
import io
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, JpegImagePlugin

from actors.imaging.recipe import Recipe, Thumbnail
from actors.imaging.render import keep_memory, render

if TYPE_CHECKING:
    from collections.abc import Callable


def bare(data: bytes, box: tuple[int, int]) -> None:
    """Make a thumbnail with Pillow and nothing around it, in the fastest way that we know of.

    Draft to the smallest step that leaves 1.2 times the size, decode in one piece into memory that
    Pillow keeps, LANCZOS, and encode to a real descriptor, which lets go of the interpreter.
    """
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    image.decodermaxblock = len(data)
    factor = min(box[0] / image.width, box[1] / image.height)
    size = round(image.width * factor), round(image.height * factor)
    image.draft(None, (int(size[0] * 1.2), int(size[1] * 1.2)))
    small = image.resize(size, Image.Resampling.LANCZOS)
    with os.fdopen(os.memfd_create("bare"), "w+b") as file:
        small.save(file, "JPEG", quality=90)
        file.seek(0)
        file.read()


def ours(data: bytes, box: tuple[int, int]) -> None:
    """Make it as a Worker does."""
    render(data, Recipe((Thumbnail(*box),)))


def loop(make: Callable[[bytes, tuple[int, int]], None], data: bytes, box: tuple[int, int],
         seconds: float) -> float:  # fmt: skip
    """Return how many are made in a second by as many threads as there are cores."""
    cores = os.sched_getaffinity(0)
    keep_memory(len(cores))
    make(data, box)
    done, until = 0, time.perf_counter() + seconds

    def work() -> None:
        nonlocal done
        while time.perf_counter() < until:
            make(data, box)
            done += 1

    threads = [threading.Thread(target=work) for _ in cores]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done / (time.perf_counter() - begun)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("which", choices=("bare", "ours"))
    parser.add_argument("photo", type=Path)
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("seconds", type=float)
    chosen = parser.parse_args()
    rate = loop(
        {"bare": bare, "ours": ours}[chosen.which],
        chosen.photo.read_bytes(),
        (chosen.width, chosen.height),
        chosen.seconds,
    )
    print(rate)
