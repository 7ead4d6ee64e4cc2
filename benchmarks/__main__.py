"""Run the benchmarks that are named, or all of them.

Machines are noisy, so what is compared runs in turn, and a ratio is the median of those of each
turn. A rate by itself says something of the machine at that moment, and little of Calotype.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import psutil

from benchmarks.catalogue import claims, fill
from benchmarks.imaging import imaging, outputs
from benchmarks.photos import photo
from benchmarks.planning import planning
from benchmarks.service import service

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.service import Service


@dataclass(frozen=True, slots=True)
class Effort:
    """How long and how often to measure."""

    turns: int
    seconds: float
    pending: int


def render(name: str, size: tuple[int, int], quality: int, box: tuple[int, int],
           effort: Effort) -> None:  # fmt: skip
    """Compare the service with bare loops over the same picture on the same cores."""
    with tempfile.TemporaryDirectory() as folder, service() as running:
        picture = Path(folder) / "photo.jpg"
        picture.write_bytes(photo(*size, quality, 0.1))
        contenders: dict[str, Callable[[], float]] = {
            "bare Pillow loop": lambda: _codec("bare", picture, box, effort.seconds),
            "our render, bare": lambda: _codec("ours", picture, box, effort.seconds),
            "one request": lambda: _load(running, "wait", picture, box, effort.seconds)[0],
            "three requests": lambda: _load(running, "poll", picture, box, effort.seconds)[0],
        }
        kilobytes = picture.stat().st_size // 1000
        print(f"\n{name}: {size[0]}x{size[1]}, {kilobytes} kB, to {box[0]}x{box[1]}")
        _compare(contenders, effort.turns)


def _compare(contenders: dict[str, Callable[[], float]], turns: int) -> None:
    """Run the contenders in turn, and print their rates and ratios to the first one."""
    turned = [{name: run() for name, run in contenders.items()} for _ in range(turns)]
    first = next(iter(contenders))
    for name in contenders:
        ratios = sorted(turn[name] / turn[first] for turn in turned)
        print(
            f"  {name:20} {median(turn[name] for turn in turned):8.1f}/s"
            f"  ratio {median(ratios):.2f}  ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )


def _codec(which: str, picture: Path, box: tuple[int, int], seconds: float) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.codec", which, picture, *map(str, box), str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def _load(
    running: Service,
    mode: str,
    picture: Path,
    box: tuple[int, int],
    seconds: float,
    clients: int = 8,
) -> tuple[float, float]:
    """Return jobs per second, and the p99 of a submit in milliseconds."""
    command = Path(sys.executable).with_name("calotype")
    done = subprocess.run(
        [
            command, "load", running.url, "--mode", mode, "--photo", picture,
            "--clients", str(clients), "--seconds", str(seconds), "--json",
            "--operation", "thumbnail", "--width", str(box[0]), "--height", str(box[1]),
        ],
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    figures = json.loads(done.stdout)
    return figures["jobs_per_second"], figures["latency_ms"]["submit"]["p99"]


def submits(effort: Effort) -> None:
    """How fast small pictures are accepted, with nothing pending and with many."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.jpg"
        small.write_bytes(photo(400, 300, 80, 0.05))
        print(
            f"\nsubmits of {small.stat().st_size // 1000} kB, made durable one by one (8 clients)"
        )
        for pending in (0, effort.pending):
            with tempfile.TemporaryDirectory(dir=".") as place:
                fill(Path(place), pending)
                with service(Path(place), WORKER_POOL_SIZE="1", MAX_RENDERS="1",
                             MAX_PENDING=str(10 * effort.pending)) as running:  # fmt: skip
                    rate, p99 = _load(running, "submit", small, (300, 300), effort.seconds)
                    print(f"  {pending:>7} pending: {rate:7.1f}/s, p99 {p99:.1f} ms")


def memory(effort: Effort) -> None:
    """What a pending job costs in memory."""
    resident = {}
    for pending in (0, effort.pending):
        with tempfile.TemporaryDirectory(dir=".") as place:
            fill(Path(place), pending)
            with service(Path(place), WORKER_POOL_SIZE="1", MAX_RENDERS="1") as running:
                subprocess.run(["curl", "-sf", f"{running.url}/stats"], check=True,
                               stdout=subprocess.DEVNULL)  # fmt: skip
                resident[pending] = psutil.Process(running.pid).memory_info().rss
    more = resident[effort.pending] - resident[0]
    print(
        f"\nmemory: {resident[0] / 1e6:.0f} MB with nothing pending, "
        f"{more / 1e6:+.1f} MB with {effort.pending}: {more / effort.pending:.0f} bytes a job"
    )


def requests(effort: Effort) -> None:
    """How many small requests are answered."""
    with tempfile.TemporaryDirectory() as folder, service() as running:
        small = Path(folder) / "small.jpg"
        small.write_bytes(photo(400, 300, 80, 0.05))
        made = subprocess.run(
            ["curl", "-sf", "-H", "Content-Type: image/jpeg", "-H", "Prefer: wait=30",
             "--data-binary", f"@{small}",
             f"{running.url}/jobs?operation=thumbnail&width=300&height=300"],
            check=True, capture_output=True,
        )  # fmt: skip
        job = json.loads(made.stdout)["id"]
        print("\nrequests (8 clients)")
        for name, path in (("health", "/health"), ("download", f"/jobs/{job}/download")):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.gets", running.url, path, str(effort.seconds)],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            print(f"  {name:10} {done.stdout.strip()}/s")


BENCHMARKS: dict[str, Callable[[Effort], None]] = {
    "requests": requests,
    "render-2mp": lambda effort: render("render-2mp", (1632, 1224), 90, (300, 300), effort),
    "render-12mp": lambda effort: render("render-12mp", (4000, 3000), 88, (800, 600), effort),
    "imaging": lambda effort: imaging(effort.turns * effort.seconds),
    "outputs": lambda effort: outputs(effort.turns * effort.seconds),
    "planning": lambda _: planning(),
    "submits": submits,
    "claims": lambda effort: claims(effort.pending),
    "memory": memory,
}


def main() -> None:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("name", nargs="*", help=", ".join(BENCHMARKS))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--pending", type=int, default=100_000)
    chosen = parser.parse_args()
    unknown = set(chosen.name) - BENCHMARKS.keys()
    if unknown:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    for name in chosen.name or BENCHMARKS:
        BENCHMARKS[name](Effort(chosen.turns, chosen.seconds, chosen.pending))


if __name__ == "__main__":
    main()
