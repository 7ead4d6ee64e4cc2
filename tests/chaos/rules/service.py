"""What is promised of the service as a whole."""

from collections.abc import Iterator

from tests.chaos.evidence import Evidence, Violation

# Statuses of answers that may be given to what our clients send. 409 and 410 are for what comes
# too late: a cancel after the end, a download of what was cancelled.
EXPECTED = {200, 201, 202, 204, 404, 409, 410, 500, 503, 507}
# What may be answered with 500.
CRASHES = frozenset({"crash", "kill render"})


def answers_are_lawful(evidence: Evidence) -> Iterator[Violation]:
    """No answer is one that nothing explains."""
    for request in evidence.history.requests:
        if request.status is None:
            continue
        crashes = evidence.faults(CRASHES, request.asked_at, request.answered_at)
        strange = request.status not in EXPECTED
        if request.status == 404 and request.job_id is not None:
            strange = not evidence.is_wished("delete", request.job_id)
        elif request.status == 404:
            strange = True
        if strange or (request.status == 500 and not crashes):
            yield Violation("answer", request.job_id or "", f"{request}")


def nobody_dies_alone(evidence: Evidence) -> Iterator[Violation]:
    """The service ends when it is ended, and well when it is told to."""
    for death in evidence.history.deaths:
        full = evidence.faults(frozenset({"fill disk"}), death.begun, death.at)
        if not death.why and not (full and not death.was_ready):
            yield Violation("death", "", f"{death}: nobody has ended it")
        elif death.why in {"terminate", "the end"} and death.code != 0:
            yield Violation("death", "", f"{death}: it should have ended with 0")


def nothing_is_left_behind(evidence: Evidence) -> Iterator[Violation]:
    """When all rests, there is what records name, and nothing else."""
    remains = evidence.remains
    for path in remains.orphans:
        yield Violation("left behind", "", f"{path}, which no record names")
    for path in remains.missing:
        yield Violation("left behind", "", f"{path} is named, and is not there")
    for pid in remains.strays:
        yield Violation("left behind", "", f"process {pid}")
    if remains.integrity != "ok":
        yield Violation("left behind", "", f"the catalogue: {remains.integrity}")
