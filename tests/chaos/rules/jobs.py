"""What is promised of jobs."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.course import follows, shows
from tests.chaos.evidence import Evidence, Violation, mark_of
from tests.chaos.history import ENDED, Event, Sight

# What ends an attempt that is none of the job's own doing.
INTERRUPTING = frozenset(
    {"kill", "kill twice", "terminate", "freeze and kill", "crash", "kill render", "fill disk"}
)
# The codes that work may fail with by itself.
OWN_CODES = {"garbage": {"not_an_image"}, "missing": {"source_unreachable"}}


def nothing_is_lost(evidence: Evidence) -> Iterator[Violation]:
    """What was accepted is there, unless a client has wanted it deleted."""
    for job_id in evidence.by_job:
        if job_id not in evidence.jobs and not evidence.is_wished("delete", job_id):
            yield Violation("lost", job_id, "it was accepted, and is not there")
        if job_id not in evidence.courses:
            yield Violation("lost", job_id, "it was accepted, and no event tells of it")
    for order in evidence.history.orders:
        if order.wish == "delete" and order.done and order.subject in evidence.jobs:
            yield Violation("undeleted", order.subject, "it was deleted, and is there")


def nothing_is_made_up(evidence: Evidence) -> Iterator[Violation]:
    """Each job is one that was asked for, and ids are unique."""
    owners: dict[str, str] = {}
    for submission in evidence.history.submissions.values():
        for job_id in submission.job_ids:
            owner = owners.setdefault(job_id, submission.mark)
            if owner != submission.mark:
                yield Violation("id", job_id, f"of both {owner} and {submission.mark}")
    for job_id, job in evidence.jobs.items():
        mark = mark_of(job)
        if mark not in evidence.history.submissions:
            yield Violation("made up", job_id, f"nobody has asked for {mark}")
        elif owners.setdefault(job_id, mark) != mark:
            yield Violation("made up", job_id, f"it is {mark}, and not {owners[job_id]}")
        if job_id not in evidence.courses:
            yield Violation("made up", job_id, "no event tells of it")
    for job_id, course in evidence.courses.items():
        if job_id not in evidence.jobs and course[-1].status != "deleted":
            yield Violation("lost", job_id, "events tell of it, and it is not there")


def what_is_sent_again_is_done_once(evidence: Evidence) -> Iterator[Violation]:
    """Under a key there is one job; without, no more than were sent."""
    found = defaultdict(set)
    for job_id, job in evidence.jobs.items():
        found[mark_of(job)].add(job_id)
    for submission in evidence.history.submissions.values():
        job_ids = found[submission.mark] | set(submission.job_ids)
        batch = evidence.history.batches.get(submission.batch or "")
        keyed = batch.key if batch else submission.key
        unknown = batch.unknown if batch else submission.unknown
        most = 1 if keyed else len(submission.job_ids) + unknown
        if len(job_ids) > most:
            words = f"{len(job_ids)} jobs of {submission.mark}, of {most} at most: {job_ids}"
            yield Violation("twice", min(job_ids), words)


def everything_ends(evidence: Evidence) -> Iterator[Violation]:
    """Nothing hangs."""
    for job_id, job in evidence.jobs.items():
        if job["status"] not in ENDED:
            yield Violation("hung", job_id, f"it is {job['status']} in the end")
    if not evidence.remains.has_rested:
        yield Violation("hung", "", "the service did not come to rest")


def courses_are_lawful(evidence: Evidence) -> Iterator[Violation]:
    """Each event follows from the one before, so each job ends once unless it is retried."""
    for job_id, course in evidence.courses.items():
        before: Event | None = None
        for event in course:
            if not follows(before, event):
                words = f"{event} after {before}"
                yield Violation("course", job_id, words)
            if event.reason == "retried" and not evidence.is_wished("retry", job_id):
                yield Violation("course", job_id, "nobody wanted it to be tried again")
            if event.status == "cancelled" and not evidence.is_wished("cancel", job_id):
                yield Violation("course", job_id, "nobody wanted it to be cancelled")
            if event.status == "deleted" and not evidence.is_wished("delete", job_id):
                yield Violation("course", job_id, "nobody wanted it to be deleted")
            before = event
        job = evidence.jobs.get(job_id)
        if (
            job
            and before
            and (job["status"], job["attempts"])
            != (
                before.status,
                before.attempt,
            )
        ):
            yield Violation("course", job_id, f"the last event is {before}")


def nothing_goes_back(evidence: Evidence) -> Iterator[Violation]:
    """What clients saw of a job, one after another, is how its events tell its course."""
    sights: dict[str, list[Sight]] = defaultdict(list)
    for sight in evidence.history.sights:
        sights[sight.job_id].append(sight)
    for job_id, seen in sights.items():
        course = iter(evidence.courses.get(job_id, []))
        event = next(course, None)
        for sight in seen:
            while event and not shows(sight, event):
                event = next(course, None)
            if event is None:
                yield Violation("backwards", job_id, f"{sight} was not to be seen then")
                break


def failures_have_a_reason(evidence: Evidence) -> Iterator[Violation]:
    """A job that failed did so by itself, or by faults that were injected meanwhile."""
    for job_id, job in evidence.jobs.items():
        if job["status"] == "failed":
            code = job["error_code"]
            if not _is_explained(evidence, job_id, code, job):
                yield Violation("failure", job_id, f"nothing explains {code}: {job['error']}")
        submission = evidence.history.submissions.get(mark_of(job))
        own = OWN_CODES.get(submission.kind) if submission else None
        if own and job["status"] == "completed":
            yield Violation("failure", job_id, f"it should have failed with {own}")


def _is_explained(evidence: Evidence, job_id: str, code: str, job: dict[str, object]) -> bool:
    submission = evidence.history.submissions.get(mark_of(job))
    if submission and code in OWN_CODES.get(submission.kind, ()):
        return True
    course = evidence.courses.get(job_id, [])
    lives = [event for event in course if event.reason in {"submitted", "retried"}]
    if not lives:
        return False
    begin, end = lives[-1].time, course[-1].time
    if code == "crashed":
        most = job["max_attempts"]
        begun = sum(event.status == "processing" and event.time >= begin for event in course)
        faults = evidence.faults(INTERRUPTING, begin, end)
        return isinstance(most, int) and begun >= most and len(faults) >= most
    return code == "out_of_space" and bool(evidence.faults(frozenset({"fill disk"}), begin, end))


def results_are_right(evidence: Evidence) -> Iterator[Violation]:
    """Each result is a picture of the size that was asked for, and that of the record."""
    for job_id, job in evidence.jobs.items():
        if job["status"] != "completed":
            if "outputs" in job:
                yield Violation("result", job_id, f"it is {job['status']}, and has outputs")
            continue
        submission = evidence.history.submissions.get(mark_of(job))
        results = evidence.remains.results.get(job_id, {})
        told = {each["name"]: each for each in job["outputs"]}
        if submission and results.keys() != submission.sizes.keys():
            yield Violation("result", job_id, f"there are {list(results)}")
        for name, picture in results.items():
            size = submission.sizes.get(name) if submission else picture.size
            if picture.size != size:
                yield Violation("result", job_id, f"{name} is {picture.size}, and not {size}")
            if name not in told or picture.sha256 != told[name]["sha256"]:
                yield Violation("result", job_id, f"{name} is not that of the record")
