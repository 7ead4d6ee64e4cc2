"""What the service promises, held against what happened."""

from collections.abc import Callable, Iterator

from tests.chaos.evidence import Evidence, Violation
from tests.chaos.history import History
from tests.chaos.rules import jobs, service, telling

Rule = Callable[[Evidence], Iterator[Violation]]

RULES: tuple[Rule, ...] = (
    jobs.nothing_is_lost,
    jobs.nothing_is_made_up,
    jobs.what_is_sent_again_is_done_once,
    jobs.everything_ends,
    jobs.courses_are_lawful,
    jobs.nothing_goes_back,
    jobs.failures_have_a_reason,
    jobs.results_are_right,
    telling.events_are_told_once_and_in_order,
    telling.webhooks_are_true,
    telling.webhooks_tell_of_every_end,
    telling.batches_end,
    service.answers_are_lawful,
    service.nobody_dies_alone,
    service.nothing_is_left_behind,
)


def check(history: History) -> list[Violation]:
    """Return all that broke a promise."""
    evidence = Evidence(history)
    return [violation for rule in RULES for violation in rule(evidence)]
