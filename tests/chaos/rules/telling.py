"""What is promised of what clients are told: events, webhooks, batches."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.history import ENDED


def events_are_told_once_and_in_order(evidence: Evidence) -> Iterator[Violation]:
    """What was heard over all connections is what is told at the end, each number once."""
    numbers = [event.number for event in evidence.history.heard]
    for before, number in pairwise(numbers):
        if number <= before:
            yield Violation("events", "", f"number {number} came after {before}")
    heard = {event.number: event for event in evidence.history.heard}
    for event in evidence.remains.replay:
        if event.number not in heard:
            yield Violation("events", event.job_id, f"{event} was not told")
        elif heard.pop(event.number) != event:
            yield Violation("events", event.job_id, f"{event} was told as another")
    for event in heard.values():
        yield Violation("events", event.job_id, f"{event} is no more")


def webhooks_are_true(evidence: Evidence) -> Iterator[Violation]:
    """Each is signed, and tells of what happened."""
    kinds: dict[str, str] = {}
    told: dict[str, Counter[str]] = defaultdict(Counter)
    for hook in evidence.history.hooks:
        if not hook.is_genuine:
            yield Violation("webhook", hook.subject, f"{hook.id} is not genuine")
        if hook.id not in kinds:
            told[hook.subject][hook.type] += 1
        if kinds.setdefault(hook.id, hook.type) != hook.type:
            yield Violation("webhook", hook.subject, f"{hook.id} says first this, then that")
    for subject, counts in told.items():
        course = evidence.courses.get(subject, [])
        ends = Counter(f"job.{event.status}" for event in course if event.status in ENDED)
        untrue = (
            Counter({each: n for each, n in counts.items() if each != "batch.completed"}) - ends
        )
        if untrue:
            yield Violation("webhook", subject, f"{dict(untrue)} did not happen")
        if subject in evidence.jobs and "callback_url" not in evidence.jobs[subject]:
            yield Violation("webhook", subject, "nobody wanted to be told")


def webhooks_tell_of_every_end(evidence: Evidence) -> Iterator[Violation]:
    """At least one is taken for each end of a job that asks for it."""
    taken: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for hook in evidence.history.hooks:
        if hook.taken:
            taken[hook.subject].add((hook.id, hook.type))
    for job_id, job in evidence.jobs.items():
        submission, course = evidence.by_job.get(job_id), evidence.courses.get(job_id, [])
        wants = "callback_url" in job
        if submission and wants != submission.callback:
            yield Violation("webhook", job_id, "its callback_url is not what was asked for")
        ends = Counter(f"job.{event.status}" for event in course if event.status in ENDED)
        told = Counter(kind for _, kind in taken[job_id])
        if wants and ends - told:
            yield Violation("webhook", job_id, f"nobody was told of {dict(ends - told)}")
    if evidence.remains.unheard:
        yield Violation("webhook", "", f"{evidence.remains.unheard} are still to be delivered")


def batches_end(evidence: Evidence) -> Iterator[Violation]:
    """A batch that is not deleted has ended, counts what its jobs are, and tells of its end."""
    told = {hook.subject for hook in evidence.history.hooks if hook.taken}
    for note in evidence.history.batches.values():
        if len(set(note.batch_ids)) > 1:
            yield Violation("batch", note.mark, f"it is {note.batch_ids}")
        for batch_id in note.batch_ids:
            batch = evidence.remains.batches.get(batch_id)
            if batch is None:
                if ("delete", batch_id) not in evidence.wishes:
                    yield Violation("lost", batch_id, "the batch is not there")
                continue
            counts = Counter(
                job["status"] for job in evidence.jobs.values() if job.get("batch_id") == batch_id
            )
            if +Counter(batch["counts"]) != counts or batch["status"] != "ended":
                yield Violation("batch", batch_id, f"{batch}, and its jobs are {counts}")
            if note.callback and batch_id not in told:
                yield Violation("webhook", batch_id, "nobody was told of the batch's end")
