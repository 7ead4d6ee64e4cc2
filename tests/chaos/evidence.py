"""What a history shows, put in order so that rules can ask it."""

from dataclasses import dataclass

from tests.chaos.history import Event, Fault, History, Submission

# How far apart the same moment may be for two who watch: seconds.
BLUR = 1.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and by what."""

    rule: str
    subject: str
    words: str


class Evidence:
    """A history by its jobs: `by_job` is who asked for it, `courses` are the events of each."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.remains = history.remains
        self.jobs = history.remains.jobs
        self.by_job: dict[str, Submission] = {}
        for each in history.submissions.values():
            for job_id in each.job_ids:
                self.by_job.setdefault(job_id, each)
        self.courses: dict[str, list[Event]] = {}
        for event in history.remains.replay:
            self.courses.setdefault(event.job_id, []).append(event)
        self.wishes = {(order.wish, order.subject) for order in history.orders}

    def is_wished(self, wish: str, job_id: str) -> bool:
        """Whether a client has ever asked for this, of the job or of its batch."""
        submission = self.by_job.get(job_id)
        subjects = {job_id, self.jobs.get(job_id, {}).get("batch_id")}
        if submission and submission.batch:
            subjects |= set(self.history.batches[submission.batch].batch_ids)
        return any((wish, each) in self.wishes for each in subjects)

    def faults(self, kinds: frozenset[str], begin: float, end: float) -> list[Fault]:
        """Return the faults of these kinds in this time."""
        return [
            each
            for each in self.history.faults
            if each.kind in kinds and each.at <= end + BLUR and each.until >= begin - BLUR
        ]


def mark_of(job: dict[str, object]) -> str:
    """Return the mark of a job, from its metadata or its callback."""
    metadata, url = job.get("metadata"), job.get("callback_url")
    if isinstance(metadata, dict):
        return str(metadata.get("mark"))
    return url.rpartition("/")[2] if isinstance(url, str) else "without a mark"
