"""What the service promises, held against what happened."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.chaos.history import ENDED, Event, Fault, History, Sight, Submission

# What ends an attempt that is none of the job's own doing.
INTERRUPTING = frozenset(
    {"kill", "kill twice", "terminate", "freeze and kill", "crash", "kill render", "fill disk"}
)
# The codes that work may fail with by itself.
OWN_CODES = {"garbage": {"not_an_image"}, "missing": {"source_unreachable"}}
# How far apart the same moment may be for two who watch: seconds.
BLUR = 1.0
# Statuses of answers that may be given to what our clients send. 409 and 410 are for what comes
# too late: a cancel after the end, a download of what was cancelled.
EXPECTED = {200, 201, 202, 204, 404, 409, 410, 500, 503, 507}


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and by what."""

    rule: str
    subject: str
    words: str


class Model:
    """The promises. Each rule yields what breaks it."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._remains = history.remains
        self._jobs = history.remains.jobs
        self._by_job: dict[str, Submission] = {}
        for each in history.submissions.values():
            for job_id in each.job_ids:
                self._by_job.setdefault(job_id, each)
        self._course: dict[str, list[Event]] = defaultdict(list)
        for event in history.remains.replay:
            self._course[event.job_id].append(event)
        self._wishes = {(order.wish, order.subject) for order in history.orders}

    def check(self) -> list[Violation]:
        """Return all violations."""
        rules: tuple[Callable[[], Iterator[Violation]], ...] = (
            self.nothing_is_lost,
            self.nothing_is_made_up,
            self.what_is_sent_again_is_done_once,
            self.everything_ends,
            self.courses_are_lawful,
            self.nothing_goes_back,
            self.failures_have_a_reason,
            self.results_are_right,
            self.events_are_told_once_and_in_order,
            self.webhooks_tell_of_every_end,
            self.batches_end,
            self.answers_are_lawful,
            self.nobody_dies_alone,
            self.nothing_is_left_behind,
        )
        return [violation for rule in rules for violation in rule()]

    def _is_wished(self, wish: str, job_id: str) -> bool:
        """Whether a client has ever asked for this, of the job or of its batch."""
        submission = self._by_job.get(job_id)
        job = self._jobs.get(job_id, {})
        batch_ids = {job.get("batch_id")}
        if submission and submission.batch:
            batch_ids |= set(self._history.batches[submission.batch].batch_ids)
        return any((wish, each) in self._wishes for each in (job_id, *batch_ids))

    def _is_deleted(self, job_id: str) -> bool:
        course = self._course.get(job_id)
        return bool(course) and course[-1].status == "deleted"

    def _faults(self, kinds: frozenset[str], begin: float, end: float) -> list[Fault]:
        """Return the faults of these kinds in this time."""
        return [
            each
            for each in self._history.faults
            if each.kind in kinds and each.at <= end + BLUR and each.until >= begin - BLUR
        ]

    def nothing_is_lost(self) -> Iterator[Violation]:
        """What was accepted is there, unless a client has wanted it deleted."""
        for job_id in self._by_job:
            if job_id not in self._jobs and not self._is_wished("delete", job_id):
                yield Violation("lost", job_id, "it was accepted, and is not there")
            if job_id not in self._course:
                yield Violation("lost", job_id, "it was accepted, and no event tells of it")
        for order in self._history.orders:
            if order.wish == "delete" and order.done and order.subject in self._jobs:
                yield Violation("undeleted", order.subject, "it was deleted, and is there")

    def nothing_is_made_up(self) -> Iterator[Violation]:
        """Each job is one that was asked for, and ids are unique."""
        owners: dict[str, str] = {}
        for submission in self._history.submissions.values():
            for job_id in submission.job_ids:
                owner = owners.setdefault(job_id, submission.mark)
                if owner != submission.mark:
                    yield Violation("id", job_id, f"of both {owner} and {submission.mark}")
        for job_id, job in self._jobs.items():
            mark = mark_of(job)
            if mark not in self._history.submissions:
                yield Violation("made up", job_id, f"nobody has asked for {mark}")
            elif owners.setdefault(job_id, mark) != mark:
                yield Violation("made up", job_id, f"it is {mark}, and not {owners[job_id]}")
            if job_id not in self._course:
                yield Violation("made up", job_id, "no event tells of it")
        for job_id, course in self._course.items():
            if job_id not in self._jobs and course[-1].status != "deleted":
                yield Violation("lost", job_id, "events tell of it, and it is not there")

    def what_is_sent_again_is_done_once(self) -> Iterator[Violation]:
        """Under a key there is one job; without, no more than were sent."""
        found = defaultdict(set)
        for job_id, job in self._jobs.items():
            found[mark_of(job)].add(job_id)
        for submission in self._history.submissions.values():
            job_ids = found[submission.mark] | set(submission.job_ids)
            batch = self._history.batches.get(submission.batch or "")
            keyed = batch.key if batch else submission.key
            unknown = batch.unknown if batch else submission.unknown
            most = 1 if keyed else len(submission.job_ids) + unknown
            if len(job_ids) > most:
                words = f"{len(job_ids)} jobs of {submission.mark}, of {most} at most: {job_ids}"
                yield Violation("twice", min(job_ids), words)

    def everything_ends(self) -> Iterator[Violation]:
        """Nothing hangs."""
        for job_id, job in self._jobs.items():
            if job["status"] not in ENDED:
                yield Violation("hung", job_id, f"it is {job['status']} in the end")
        if not self._remains.has_rested:
            yield Violation("hung", "", "the service did not come to rest")

    def courses_are_lawful(self) -> Iterator[Violation]:
        """Each event follows from the one before, so each job ends once unless it is retried."""
        for job_id, course in self._course.items():
            before: Event | None = None
            for event in course:
                if not follows(before, event):
                    words = f"{event} after {before}"
                    yield Violation("course", job_id, words)
                if event.reason == "retried" and not self._is_wished("retry", job_id):
                    yield Violation("course", job_id, "nobody wanted it to be tried again")
                if event.status == "cancelled" and not self._is_wished("cancel", job_id):
                    yield Violation("course", job_id, "nobody wanted it to be cancelled")
                if event.status == "deleted" and not self._is_wished("delete", job_id):
                    yield Violation("course", job_id, "nobody wanted it to be deleted")
                before = event
            job = self._jobs.get(job_id)
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

    def nothing_goes_back(self) -> Iterator[Violation]:
        """What clients saw of a job, one after another, is how its events tell its course."""
        sights: dict[str, list[Sight]] = defaultdict(list)
        for sight in self._history.sights:
            sights[sight.job_id].append(sight)
        for job_id, seen in sights.items():
            course = iter(self._course.get(job_id, []))
            event = next(course, None)
            for sight in seen:
                while event and not _shows(sight, event):
                    event = next(course, None)
                if event is None:
                    yield Violation("backwards", job_id, f"{sight} was not to be seen then")
                    break

    def failures_have_a_reason(self) -> Iterator[Violation]:
        """A job that failed did so by itself, or by faults that were injected meanwhile."""
        for job_id, job in self._jobs.items():
            if job["status"] == "failed":
                code = job["error_code"]
                if not self._is_explained(job_id, code, job):
                    yield Violation("failure", job_id, f"nothing explains {code}: {job['error']}")
            submission = self._history.submissions.get(mark_of(job))
            own = OWN_CODES.get(submission.kind) if submission else None
            if own and job["status"] == "completed":
                yield Violation("failure", job_id, f"it should have failed with {own}")

    def _is_explained(self, job_id: str, code: str, job: dict[str, object]) -> bool:
        submission = self._history.submissions.get(mark_of(job))
        if submission and code in OWN_CODES.get(submission.kind, ()):
            return True
        course = self._course.get(job_id, [])
        lives = [event for event in course if event.reason in {"submitted", "retried"}]
        if not lives:
            return False
        begin, end = lives[-1].time, course[-1].time
        if code == "crashed":
            most = job["max_attempts"]
            begun = sum(event.status == "processing" and event.time >= begin for event in course)
            faults = self._faults(INTERRUPTING, begin, end)
            return isinstance(most, int) and begun >= most and len(faults) >= most
        return code == "out_of_space" and bool(self._faults(frozenset({"fill disk"}), begin, end))

    def results_are_right(self) -> Iterator[Violation]:
        """Each result is a picture of the size that was asked for, and that of the record."""
        for job_id, job in self._jobs.items():
            if job["status"] != "completed":
                if "outputs" in job:
                    yield Violation("result", job_id, f"it is {job['status']}, and has outputs")
                continue
            submission = self._history.submissions.get(mark_of(job))
            results = self._remains.results.get(job_id, {})
            told = {each["name"]: each for each in job["outputs"]}
            if submission and results.keys() != submission.sizes.keys():
                yield Violation("result", job_id, f"there are {list(results)}")
            for name, picture in results.items():
                size = submission.sizes.get(name) if submission else picture.size
                if picture.size != size:
                    yield Violation("result", job_id, f"{name} is {picture.size}, and not {size}")
                if name not in told or picture.sha256 != told[name]["sha256"]:
                    yield Violation("result", job_id, f"{name} is not that of the record")

    def events_are_told_once_and_in_order(self) -> Iterator[Violation]:
        """What was heard over all connections is what is told at the end, each number once."""
        numbers = [event.number for event in self._history.heard]
        for before, number in zip(numbers, numbers[1:], strict=False):
            if number <= before:
                yield Violation("events", "", f"number {number} came after {before}")
        heard = {event.number: event for event in self._history.heard}
        for event in self._remains.replay:
            if event.number not in heard:
                yield Violation("events", event.job_id, f"{event} was not told")
            elif heard.pop(event.number) != event:
                yield Violation("events", event.job_id, f"{event} was told as another")
        for event in heard.values():
            yield Violation("events", event.job_id, f"{event} is no more")

    def webhooks_tell_of_every_end(self) -> Iterator[Violation]:
        """At least one for each end of a job that asks for it, none that is untrue."""
        hooks: dict[str, dict[str, str]] = defaultdict(dict)
        for hook in self._history.hooks:
            if not hook.is_genuine:
                yield Violation("webhook", hook.subject, f"{hook.id} is not genuine")
            if hooks[hook.subject].setdefault(hook.id, hook.type) != hook.type:
                yield Violation("webhook", hook.subject, f"{hook.id} says first this, then that")
        taken = {hook.id for hook in self._history.hooks if hook.taken}
        batch_ids = {each for note in self._history.batches.values() for each in note.batch_ids}
        for subject, told in hooks.items():
            if subject not in self._course and subject not in self._remains.batches.keys() | (
                batch_ids
            ):
                if not next(iter(told.values())).startswith("batch."):
                    yield Violation("webhook", subject, "there is no such job")
        for job_id, course in self._course.items():
            ends = Counter(f"job.{event.status}" for event in course if event.status in ENDED)
            told = Counter(hooks[job_id].values())
            job = self._jobs.get(job_id)
            submission = self._by_job.get(job_id)
            if told - ends:
                yield Violation("webhook", job_id, f"{told - ends} did not happen")
            wants = job is not None and "callback_url" in job
            if told and not wants and job is not None:
                yield Violation("webhook", job_id, "nobody wanted to be told")
            if submission and job is not None and wants != submission.callback:
                yield Violation("webhook", job_id, "its callback_url is not what was asked for")
            if wants and ends - Counter(kind for id, kind in hooks[job_id].items() if id in taken):
                yield Violation("webhook", job_id, f"{ends} happened, and {told} was told")
        if self._remains.unheard:
            yield Violation("webhook", "", f"{self._remains.unheard} are still to be delivered")

    def batches_end(self) -> Iterator[Violation]:
        """A batch that is not deleted has ended, counts what its jobs are, and tells of its end."""
        told = {hook.subject for hook in self._history.hooks if hook.taken}
        for note in self._history.batches.values():
            if len(set(note.batch_ids)) > 1:
                yield Violation("batch", note.mark, f"it is {note.batch_ids}")
            for batch_id in note.batch_ids:
                batch = self._remains.batches.get(batch_id)
                if batch is None:
                    if ("delete", batch_id) not in self._wishes:
                        yield Violation("lost", batch_id, "the batch is not there")
                    continue
                counts = Counter(
                    job["status"] for job in self._jobs.values() if job.get("batch_id") == batch_id
                )
                if +Counter(batch["counts"]) != counts or batch["status"] != "ended":
                    yield Violation("batch", batch_id, f"{batch}, and its jobs are {counts}")
                if note.callback and batch_id not in told:
                    yield Violation("webhook", batch_id, "nobody was told of the batch's end")

    def answers_are_lawful(self) -> Iterator[Violation]:
        """No answer is one that nothing explains."""
        for request in self._history.requests:
            if request.status is None or request.status == 0:
                continue
            crashes = self._faults(frozenset({"crash"}), request.asked_at, request.answered_at)
            strange = request.status not in EXPECTED
            if request.status == 404 and request.job_id is not None:
                strange = not self._is_wished("delete", request.job_id)
            elif request.status == 404:
                strange = True
            if strange or (request.status == 500 and not crashes):
                yield Violation("answer", request.job_id or "", f"{request}")

    def nobody_dies_alone(self) -> Iterator[Violation]:
        """The service ends when it is ended, and well when it is told to."""
        for death in self._history.deaths:
            full = self._faults(frozenset({"fill disk"}), death.at, death.at)
            if not death.why and not full:
                yield Violation("death", "", f"{death}: nobody has ended it")
            elif death.why in {"terminate", "the end"} and death.code != 0:
                yield Violation("death", "", f"{death}: it should have ended with 0")

    def nothing_is_left_behind(self) -> Iterator[Violation]:
        """When all rests, there is what records name, and nothing else."""
        remains = self._remains
        for path in remains.orphans:
            yield Violation("left behind", "", f"{path}, which no record names")
        for path in remains.missing:
            yield Violation("left behind", "", f"{path} is named, and is not there")
        for pid in remains.strays:
            yield Violation("left behind", "", f"process {pid}")
        if remains.integrity != "ok":
            yield Violation("left behind", "", f"the catalogue: {remains.integrity}")


def mark_of(job: dict[str, object]) -> str:
    """Return the mark of a job, from its metadata or its callback."""
    metadata, url = job.get("metadata"), job.get("callback_url")
    if isinstance(metadata, dict):
        return str(metadata.get("mark"))
    return url.rpartition("/")[2] if isinstance(url, str) else "without a mark"


def _shows(sight: Sight, event: Event) -> bool:
    if sight.status == "deleted":
        return event.status == "deleted"
    return (sight.status, sight.attempts) == (event.status, event.attempt)


def follows(before: Event | None, event: Event) -> bool:
    """Whether this can be the next that becomes of a job."""
    if before is None:
        return (event.status, event.reason, event.attempt) == ("pending", "submitted", 0)
    more = event.attempt - before.attempt
    match before.status, event.status, event.reason:
        case "deleted", _, _:
            return False
        case _, "deleted", _:
            return more == 0
        case "pending", "processing", _:
            return more == 1
        case "processing", "pending", "given_back":
            return more == 0
        case "processing", "pending", "unclaimed":
            return more == -1
        case "processing", ("completed" | "failed"), _:
            return more == 0
        case (("pending" | "processing"), "cancelled", _):
            return more == 0
        case (("failed" | "cancelled"), "pending", "retried"):
            return more == 0
        case _:
            return False
