"""Hours in minutes: load at a steady rate, and whether anything grows that should not.

    python -m benchmarks.soak --minutes 30

It starts the service, finds out how many jobs a second it can do, sends a share of that for as long
as it is told, in a mix of what clients do, and looks at the processes every few seconds. Of the
second half, in which everything should have found its level, the last quarter is compared with the
one before. It ends with 1 if something has grown, or if an answer was not what it should be.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import psutil
import trio
from PIL import Image

from benchmarks.photos import photo
from benchmarks.service import service
from web.commands.lean import LeanConnection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.service import Service
    from web.commands.lean import Answer

LOOK = 5.0  # seconds between two looks
CLIENTS = 64  # connections; beyond them jobs begin late, which is told
WARM = 20.0  # seconds to find out how much it can do
# Results and records go within minutes, so that the catalogue finds its level as well.
SETTINGS = {
    "RETAIN_RESULTS": "30",
    "RETAIN_RECORDS": "30",
    "SWEEP_PERIOD": "5",
    "EVENTS_AGE": "60",
    "LOG_LEVEL": "warning",
    # Longer than a connection of ours ever waits for its turn.
    "KEEP_ALIVE": "600",
}
SMALL = "operation=thumbnail&width=300&height=300"
# By how much the last quarter may lie above the one before: a share, and so much besides.
BOUNDS: Mapping[str, tuple[float, float]] = {
    "memory (MB)": (0.03, 2),
    "memory of renders (MB)": (0.05, 4),
    "threads": (0, 2),
    "descriptors": (0.05, 8),
    "tasks": (0.05, 8),
    "processes": (0, 1),
    "files": (0.1, 20),
    "log of the catalogue (MB)": (0.1, 1),
    "catalogue (MB)": (0.1, 1),
}


@dataclass(slots=True)
class Soak:
    """What was seen: `looks` are times in seconds, and one value of each series for each."""

    looks: list[float] = field(default_factory=list)
    series: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    ended: Counter[str] = field(default_factory=Counter)
    late: int = 0

    def look(self, moment: float, values: Mapping[str, float]) -> None:
        """Take a look down."""
        self.looks.append(moment)
        for name, value in values.items():
            self.series[name].append(value)

    @property
    def wrong(self) -> int:
        """How many answers were not what they should be."""
        return sum(count for what, count in self.ended.items() if what.startswith("wrong"))


def grown(values: Sequence[float], share: float, more: float) -> bool:
    """Whether the last quarter of `values` lies above the third by more than is allowed."""
    quarter = len(values) // 4
    before, last = median(values[-2 * quarter : -quarter]), median(values[-quarter:])
    return last > before * (1 + share) + more


def leaks(soak: Soak) -> list[str]:
    """Return the names of the series that have grown."""
    return [name for name, bound in BOUNDS.items() if grown(soak.series[name], *bound)]


class Clients:
    """What clients do, in a mix from a seed; every picture is another one, so nothing is reused."""

    def __init__(self, url: str, soak: Soak, seed: int) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._soak = soak
        self._random = Random(seed)  # noqa: S311 - no secret is made of it
        self._numbers = itertools.count()
        self._photos = [photo(*size, 85, 0.05) for size in ((400, 300), (1632, 1224))]
        self._film = _film()
        self._free: list[LeanConnection] = []
        self._places = trio.Semaphore(CLIENTS)

    async def run(self, rate: float, seconds: float) -> None:
        """Begin `rate` jobs a second for so many seconds, whatever becomes of them."""
        start = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in range(int(rate * seconds)):
                await trio.sleep_until(start + number / rate)
                self._soak.late += self._places.value == 0
                await self._places.acquire()
                nursery.start_soon(self._one)

    async def _one(self) -> None:
        connection = self._free.pop() if self._free else LeanConnection(self._host, self._port)
        kinds = (self._waits, self._polls, self._moves, self._breaks, self._deletes)
        (kind,) = self._random.choices(kinds, (60, 25, 2, 8, 5))
        try:
            with trio.fail_after(60):
                self._soak.ended[await kind(connection)] += 1
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            self._soak.ended[f"wrong: {type(error).__name__}"] += 1
            await connection.aclose()
        else:
            self._free.append(connection)
        finally:
            self._places.release()

    def _picture(self) -> bytes:
        # What follows the end of a JPEG is no part of it, and makes it another file.
        return self._random.choice(self._photos) + b"%d" % next(self._numbers)

    async def _submit(
        self, to: LeanConnection, data: bytes, *headers: tuple[bytes, bytes], query: str = SMALL
    ) -> Answer:
        kind = (b"content-type", b"application/octet-stream")
        return await to.request("POST", f"/jobs?{query}", [kind, *headers], data)

    async def _waits(self, to: LeanConnection) -> str:
        wanted = (b"prefer", b"wait=30"), (b"accept", b"image/*")
        answer = await self._submit(to, self._picture(), *wanted)
        return _named("waited for", answer.status == 200 and len(answer.body) > 100)

    async def _polls(self, to: LeanConnection) -> str:
        job = json.loads((await self._submit(to, self._picture())).body)["job_id"]
        await to.request("GET", f"/jobs/{job}?wait=30")
        answer = await to.request("GET", f"/jobs/{job}/download")
        return _named("downloaded", answer.status == 200)

    async def _moves(self, to: LeanConnection) -> str:
        data = self._film + b"%d" % next(self._numbers)
        wanted = (b"prefer", b"wait=30"), (b"accept", b"image/*")
        answer = await self._submit(to, data, *wanted, query="operation=resize&width=100")
        return _named("animated", answer.status == 200)

    async def _breaks(self, to: LeanConnection) -> str:
        data = self._picture()
        answer = await self._submit(to, data[: len(data) // 2], (b"prefer", b"wait=30"))
        return _named("broken", json.loads(answer.body).get("error_code") == "not_an_image")

    async def _deletes(self, to: LeanConnection) -> str:
        job = json.loads((await self._submit(to, self._picture())).body)["job_id"]
        answer = await to.request("DELETE", f"/jobs/{job}")
        return _named("deleted", answer.status == 204)


def _named(what: str, is_right: bool) -> str:  # noqa: FBT001 - it is the only thing it says
    return what if is_right else f"wrong: {what}"


def _film() -> bytes:
    frames = [Image.new("P", (200, 150), number) for number in range(12)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=50)
    return file.getvalue()


def look_at(running: Service, metrics: str) -> dict[str, float]:
    """Return what the service has of everything at this moment."""
    process = psutil.Process(running.pid)
    sizes = [_size(each) for each in process.children(recursive=True)]
    place = running.directory
    files = sum(1 for name in ("uploads", "outputs") for each in (place / name).rglob("*")
                if each.is_file())  # fmt: skip
    tasks = next(line for line in metrics.splitlines() if line.startswith("calotype_tasks "))
    return {
        "memory (MB)": process.memory_info().rss / 1e6,
        "memory of renders (MB)": sum(sizes) / 1e6,
        "threads": process.num_threads(),
        "descriptors": process.num_fds(),
        "tasks": float(tasks.split()[1]),
        "processes": sum(1 for size in sizes if size),
        "files": files,
        "log of the catalogue (MB)": (place / "data/jobs.db-wal").stat().st_size / 1e6,
        "catalogue (MB)": (place / "data/jobs.db").stat().st_size / 1e6,
    }


def _size(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0  # It was replaced at this very moment.


async def watch(running: Service, soak: Soak) -> None:
    """Look every few seconds, until cancelled."""
    parts = urlsplit(running.url)
    connection = LeanConnection(parts.hostname or "", parts.port or 80)
    start = trio.current_time()
    for number in itertools.count(1):
        await trio.sleep_until(start + number * LOOK)
        answer = await connection.request("GET", "/metrics")
        soak.look(trio.current_time() - start, look_at(running, answer.body.decode()))
        soak.series["delay of the loop, p99 (ms)"].append(_p99(answer.body.decode()))


def _p99(metrics: str) -> float:
    """Return the bound below which 99 % of all delays of the event loop were so far."""
    counts = [
        (float(line.split('le="')[1].split('"')[0]), float(line.split()[1]))
        for line in metrics.splitlines()
        if line.startswith("calotype_loop_delay_seconds_bucket")
    ]
    whole = counts[-1][1]
    return 1000 * next(bound for bound, count in counts if count >= 0.99 * whole)


def capacity(running: Service, folder: Path) -> float:
    """Return how many jobs of the larger picture the service can do a second."""
    picture = folder / "photo.jpg"
    picture.write_bytes(photo(1632, 1224, 85, 0.05))
    command = Path(sys.executable).with_name("calotype")
    done = subprocess.run(
        [command, "load", running.url, "--mode", "wait", "--photo", picture, "--clients", "8",
         "--seconds", str(WARM), "--json"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(json.loads(done.stdout)["jobs_per_second"])


async def _press(running: Service, soak: Soak, rate: float, seconds: float, seed: int) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, running, soak)
        await Clients(running.url, soak, seed).run(rate, seconds)
        nursery.cancel_scope.cancel()


def plot(soak: Soak, path: Path, title: str) -> None:
    """Draw everything that was seen over time into a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - it takes a while

    drawing = Figure(figsize=(12, 9), layout="constrained")
    drawing.suptitle(title)
    minutes = [look / 60 for look in soak.looks]
    for axes, (name, values) in zip(drawing.subplots(4, 3).flat, soak.series.items(), strict=False):
        axes.plot(minutes, values, lw=1)
        axes.set(title=name, ylim=(0, 1.1 * max(*values, 1)))
        axes.axvline(minutes[-1] / 2, color="grey", lw=0.5)
        axes.grid(visible=True, alpha=0.3)
    drawing.savefig(path, format="png", dpi=80)


def report(soak: Soak) -> None:
    """Print what was seen."""
    quarter = len(soak.looks) // 4
    print(f"{'':28} {'third quarter':>14} {'last quarter':>14}")
    for name, values in soak.series.items():
        thirds, lasts = values[-2 * quarter : -quarter], values[-quarter:]
        print(f"{name:28} {median(thirds):14.1f} {median(lasts):14.1f}")
    for what, count in soak.ended.most_common():
        print(f"{what:28} {count:14}")
    print(f"{'begun late':28} {soak.late:14}")


def main() -> None:
    """Soak, tell, and end with 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="soak", description="Does anything leak?")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.7, help="of what the service can do")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="draw what was seen into this PNG")
    chosen = parser.parse_args()
    soak = Soak()
    with tempfile.TemporaryDirectory() as folder, service(None, **SETTINGS) as running:
        most = capacity(running, Path(folder))
        rate = chosen.share * most
        print(f"{most:.1f} jobs a second at the most; {rate:.1f} for {chosen.minutes:g} minutes")
        begun = time.monotonic()
        trio.run(_press, running, soak, rate, 60 * chosen.minutes, chosen.seed)
        print(f"{sum(soak.ended.values())} jobs in {time.monotonic() - begun:.0f} s")
    report(soak)
    if chosen.plot:
        plot(soak, chosen.plot, f"{rate:.1f} jobs a second for {chosen.minutes:g} minutes")
    found = leaks(soak)
    for name in found:
        print(f"It has grown: {name}")
    sys.exit(bool(found or soak.wrong))


if __name__ == "__main__":
    main()
