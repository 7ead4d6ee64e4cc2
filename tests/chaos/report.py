"""What a campaign has shown, in words."""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.chaos.evidence import Violation
from tests.chaos.history import ENDED, Event, History

SHOWN = 5  # violations whose history is printed


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def longest_waits(history: History) -> tuple[float, float]:
    """Return the most seconds from when a job was accepted, or retried, to its end.

    And the same from its first attempt on, without the wait for those before it in the queue.
    """
    accepted: dict[str, float] = {}
    begun: dict[str, float] = {}
    in_all, at_work = 0.0, 0.0
    for event in history.remains.replay:
        if event.reason in {"submitted", "retried"}:
            accepted[event.job_id] = event.time
            begun.pop(event.job_id, None)
        elif event.status == "processing":
            begun.setdefault(event.job_id, event.time)
        elif event.status in ENDED:
            in_all = max(in_all, event.time - accepted.get(event.job_id, event.time))
            at_work = max(at_work, event.time - begun.get(event.job_id, event.time))
    return in_all, at_work


def tell(history: History, violations: Sequence[Violation]) -> Iterator[str]:
    """Yield the lines of the report."""
    faults = Counter(
        f"{each.kind} {each.what}" if each.kind == "crash" else each.kind for each in history.faults
    )
    faults["kill render, of none"] = 0
    for each in history.faults:
        if each.kind in {"kill render", "freeze render"} and each.what == "0":
            faults[each.kind] -= 1
            faults["kill render, of none"] += 1
    ends = Counter(
        f"{job['status']} {job.get('error_code', '')}".strip()
        for job in history.remains.jobs.values()
    )
    replay: list[Event] = history.remains.replay
    ends["deleted"] = sum(event.status == "deleted" for event in replay)
    accepted = sum(event.reason == "submitted" for event in replay)
    kills = sum(death.code == -9 for death in history.deaths)
    given_back = sum(event.reason == "given_back" for event in replay)
    yield "faults      " + ", ".join(f"{name} {n}" for name, n in sorted(faults.items()) if n)
    yield f"deaths      {len(history.deaths)}, {kills} of them by SIGKILL"
    yield f"jobs        {accepted}: " + ", ".join(f"{k} {n}" for k, n in sorted(ends.items()))
    yield f"given back  {given_back} attempts"
    answers = Counter(
        f"{each.status} {each.code or ''}".strip() if each.status else "none"
        for each in history.requests
    )
    yield "answers     " + ", ".join(f"{k} {n}" for k, n in sorted(answers.items()))
    again = len(history.hooks) - len({each.id for each in history.hooks})
    yield f"webhooks    {len(history.hooks)} heard, {again} of them again"
    yield f"events      {len(replay)}"
    in_all, at_work = longest_waits(history)
    yield (
        f"waited      {in_all:.1f} s at most from 202 to the end, "
        f"{at_work:.1f} s from the first attempt to the end"
    )
    if history.recoveries:
        yield (
            f"recovery    {statistics.median(history.recoveries):.2f} s (p50), "
            f"{percentile(history.recoveries, 0.99):.2f} s (p99) from a death to ready"
        )
    yield f"violations  {len(violations)}"
    for violation in violations:
        yield f"  {violation.rule} {violation.subject}: {violation.words}"
    for subject in list(dict.fromkeys(each.subject for each in violations if each.subject))[:SHOWN]:
        yield f"history of {subject}"
        for entry in history.of(subject):
            yield f"  {entry}"
