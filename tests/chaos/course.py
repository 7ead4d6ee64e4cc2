"""The course of a job: which event may follow which, and what a client may see."""

from tests.chaos.history import Event, Sight

# By how much the attempts may change, by the status before, the status and its reason.
CHANGES = {
    ("pending", "processing", None): 1,
    ("processing", "pending", "given_back"): 0,
    ("processing", "pending", "unclaimed"): -1,
    ("processing", "completed", None): 0,
    ("processing", "failed", None): 0,
    ("processing", "cancelled", None): 0,
    ("pending", "cancelled", None): 0,
    ("failed", "pending", "retried"): 0,
    ("cancelled", "pending", "retried"): 0,
}


def follows(before: Event | None, event: Event) -> bool:
    """Whether this can be the next that becomes of a job; the first is that it was submitted."""
    if before is None:
        return (event.status, event.reason, event.attempt) == ("pending", "submitted", 0)
    if event.status == "deleted":
        return before.status != "deleted" and event.attempt == before.attempt
    change = CHANGES.get((before.status, event.status, event.reason))
    return change is not None and event.attempt == before.attempt + change


def shows(sight: Sight, event: Event) -> bool:
    """Whether a client that saw this saw the job as the event left it."""
    if sight.status == "deleted":
        return event.status == "deleted"
    return (sight.status, sight.attempts) == (event.status, event.attempt)
