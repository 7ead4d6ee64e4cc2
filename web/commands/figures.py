"""What a load test has measured, and how it is told: figures, JSON, a table, a picture."""

from __future__ import annotations

import random
from array import array
from collections import Counter, defaultdict, deque
from math import ceil
from typing import TYPE_CHECKING, Final

from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

# 16 bytes each: their moment and how long it took.
MOST_SAMPLES: Final = 1_000_000
RECENT: Final = 500
SHOWN: Final = (50, 90, 95, 99)


class Samples:
    """Durations in seconds, and when each ended.

    All are kept up to `capacity`, and percentiles are exact; of more, a fair selection is kept.
    """

    def __init__(self, capacity: int = MOST_SAMPLES) -> None:
        self.count = 0
        self.total = 0.0
        self.longest = 0.0
        self.moments = array("d")
        self.durations = array("d")
        self.recent = deque[float](maxlen=RECENT)
        self._capacity = capacity
        self._dice = random.Random(0)  # noqa: S311 - a fair selection is no secret

    def add(self, moment: float, duration: float) -> None:
        """Take note of something that ended at `moment`."""
        self.count += 1
        self.total += duration
        self.longest = max(self.longest, duration)
        self.recent.append(duration)
        if self.count <= self._capacity:
            self.moments.append(moment)
            self.durations.append(duration)
        elif (place := self._dice.randrange(self.count)) < self._capacity:
            self.moments[place] = moment
            self.durations[place] = duration

    def summary(self) -> dict[str, float]:
        """Return milliseconds: the mean, percentiles and the longest; and how many there were."""
        ranked = sorted(self.durations)
        shares = {f"p{share}": percentile(ranked, share) for share in SHOWN}
        figures = {"mean": self.total / max(self.count, 1), **shares, "max": self.longest}
        return {
            "count": self.count,
            **{name: round(1000 * value, 3) for name, value in figures.items()},
        }


def percentile(ranked: list[float], share: float) -> float:
    """Return the value that `share` percent do not exceed (nearest rank), of a sorted list."""
    return ranked[max(ceil(share * len(ranked) / 100), 1) - 1] if ranked else 0.0


class Figures:
    """The figures of a run. `seconds` runs until the last request has ended."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.begun = 0
        self.jobs = 0
        self.requests = 0
        self.refused = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.errors = Counter[str]()
        self.steps = defaultdict[str, Samples](Samples)

    @property
    def in_flight(self) -> int:
        """How many jobs have begun and have not come to an end of any kind."""
        return self.begun - self.jobs - self.refused - self.errors.total()

    def as_json(self) -> dict[str, object]:
        """Return all of it in members with plain names; bytes are those of bodies."""
        seconds = max(self.seconds, 1e-9)
        return {
            "seconds": round(self.seconds, 3),
            "jobs": self.jobs,
            "requests": self.requests,
            "jobs_per_second": round(self.jobs / seconds, 2),
            "requests_per_second": round(self.requests / seconds, 2),
            "refused": self.refused,
            "errors": dict(self.errors.most_common()),
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "latency_ms": {name: each.summary() for name, each in self.steps.items()},
        }

    def as_tables(self) -> tuple[Table, Table]:
        """Return the totals and the latencies, to be printed."""
        totals = Table(show_header=False)
        totals.add_column(justify="left")
        totals.add_column(justify="right")
        for name, value in self.as_json().items():
            if not isinstance(value, dict):
                totals.add_row(name.replace("_", " "), f"{value:,}")
        for code, count in self.errors.most_common():
            totals.add_row(f"error {code}", f"{count:,}")
        latencies = Table("milliseconds", title="Latency")
        for column in Samples().summary():
            latencies.add_column(column, justify="right")
        for step, samples in self.steps.items():
            number, *durations = samples.summary().values()
            latencies.add_row(step, f"{number:,}", *(f"{each:,.1f}" for each in durations))
        return totals, latencies


def plot(figures: Figures, path: Path, title: str) -> None:
    """Draw the latency of the jobs over time into a PNG."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - it comes with an extra

    jobs = figures.steps["job"]
    by_second = defaultdict[int, list[float]](list)
    for moment, duration in zip(jobs.moments, jobs.durations, strict=True):
        by_second[int(moment)].append(1000 * duration)
    seconds = sorted(by_second)
    middles = [min(second + 0.5, jobs.moments[-1]) for second in seconds]

    drawing = Figure(figsize=(10, 5), layout="constrained")
    axes = drawing.subplots()
    axes.plot(jobs.moments, [1000 * each for each in jobs.durations], ".", ms=3, alpha=0.4)
    for share in (50, 99):
        points = [percentile(sorted(by_second[second]), share) for second in seconds]
        axes.plot(middles, points, label=f"p{share} of each second")
    axes.set(title=title, xlabel="seconds", ylabel="milliseconds for a job")
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    drawing.savefig(path, format="png", dpi=120)
