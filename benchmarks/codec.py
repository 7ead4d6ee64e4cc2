"""The codec limit: bare loops over one picture, with as many threads as cores, and no service.

Run as a process of its own, so that it shares nothing with what it is compared to.
"""

from __future__ import annotations

import argparse
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from actors.imaging.geometry import fit_inside
from actors.imaging.operations.scaling import Resize
from actors.imaging.recipe import Output, Recipe
from actors.imaging.render import keep_memory, render
from benchmarks import rivals

Make = Callable[[bytes, tuple[int, int]], object]


def ours(data: bytes, size: tuple[int, int]) -> object:
    """Make a small picture as a Worker does."""
    return render(data, Recipe((Output(operations=(Resize(*size),)),)))


MAKERS: dict[str, Make] = {
    "bare": rivals.bare("JPEG", quality=90),
    "ours": ours,
}


def loop(make: Make, data: bytes, box: tuple[int, int], seconds: float) -> float:
    """Return how many are made in a second by as many threads as there are cores."""
    with Image.open(io.BytesIO(data)) as image:
        size = fit_inside(image.size, box, enlarge=True)
    cores = os.sched_getaffinity(0)
    keep_memory(len(cores))
    make(data, size)
    done, until = 0, time.perf_counter() + seconds

    def work() -> None:
        nonlocal done
        while time.perf_counter() < until:
            make(data, size)
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
    parser.add_argument("which", choices=MAKERS)
    parser.add_argument("photo", type=Path)
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("seconds", type=float)
    chosen = parser.parse_args()
    rate = loop(
        MAKERS[chosen.which],
        chosen.photo.read_bytes(),
        (chosen.width, chosen.height),
        chosen.seconds,
    )
    print(rate)
