"""What every register of events must do, whatever its catalogue is made of."""

from datetime import timedelta

import pytest

from actors.storage.events import Bounds, Event, Interest
from actors.storage.ports import JobNotFound, StorageError
from actors.storage.sqlite import SqliteCatalogue
from tests.storage.catalogues import (
    ANY,
    OUTPUT,
    RECEIPT,
    Each,
    minute,
    new_job,
)

ALL = 2**62
FAR = timedelta(days=1)


@pytest.fixture
def events(catalogue):
    """The register, which can also tell what is in it."""

    class Events(Each):
        def told(self, interest=None):
            """Return all there is in short."""
            found = self.read(0, ALL, interest, 1_000)
            return [(each.number, each.job_id, each.status, each.reason) for each in found]

    return Events(catalogue, "events")


def test_an_event_says_what_became_of_which_job_and_when(each, events):
    each.add(new_job("a", tenant="acme"), minute(0))
    each.claim([ANY], minute(1))
    each.fail("a", 1, "timed_out", "why", minute(2))

    common = {"tenant": "acme", "job_id": "a"}
    assert events.read(0, ALL, None, 9) == [
        Event(
            **common,
            number=1,
            status="pending",
            attempt=0,
            reason="submitted",
            error_code=None,
            time=minute(0),
        ),
        Event(
            **common,
            number=2,
            status="processing",
            attempt=1,
            reason=None,
            error_code=None,
            time=minute(1),
        ),
        Event(
            **common,
            number=3,
            status="failed",
            attempt=1,
            reason=None,
            error_code="timed_out",
            time=minute(2),
        ),
    ]


def test_a_job_that_is_pending_again_says_why(each, events):
    each.add(new_job("a"), minute(0))
    each.claim([ANY], minute(1))
    each.unclaim("a", 1, minute(2))
    each.claim([ANY], minute(3))
    each.release("a", 1, "why", minute(4))
    each.cancel("a", minute(5))
    each.retry("a", 3, minute(6))

    found = events.read(0, ALL, None, 99)
    assert [(each.status, each.attempt, each.reason) for each in found] == [
        ("pending", 0, "submitted"),
        ("processing", 1, None),
        ("pending", 0, "unclaimed"),
        ("processing", 1, None),
        ("pending", 1, "given_back"),
        ("cancelled", 1, None),
        ("pending", 1, "retried"),
    ]


def test_what_changes_no_status_is_no_event(each, events):
    each.add(new_job("a"), minute(0))
    each.cancel("a", minute(1))
    each.cancel("a", minute(2))
    each.unclaim("a", 1, minute(3))

    assert [number for number, *_ in events.told()] == [1, 2]


def test_an_attempt_too_many_fails_once(each, events):
    each.add(new_job("a", max_attempts=1), minute(0))
    each.claim([ANY], minute(1))
    each.release("a", 1, "why", minute(2))

    assert [status for _, _, status, _ in events.told()] == ["pending", "processing", "failed"]
    assert events.read(2, ALL, None, 9)[0].error_code == "crashed"


def test_a_deletion_is_an_event_at_its_own_time(each, events):
    each.add(new_job("a", tenant="acme"), minute(0))
    each.claim([ANY], minute(1))
    each.complete("a", 1, [OUTPUT], RECEIPT, minute(2))
    each.delete("a", minute(7))

    (last,) = events.read(3, ALL, None, 9)
    assert (last.number, last.tenant, last.job_id) == (4, "acme", "a")
    assert (last.status, last.attempt, last.time) == ("deleted", 1, minute(7))


def test_a_change_that_is_taken_back_leaves_no_event(catalogue, events):
    def add_then_fail(it):
        it.add(new_job("b"), minute(0))
        it.find("nowhere")

    results = catalogue.batch(
        [
            lambda it: it.add(new_job("a"), minute(0)),
            add_then_fail,
            lambda it: it.add(new_job("c"), minute(0)),
        ]
    )

    assert isinstance(results[1], JobNotFound)
    assert [(number, job) for number, job, *_ in events.told()] == [(1, "a"), (2, "c")]


def test_a_call_sees_the_events_of_those_before_it_in_the_batch(catalogue):
    _, bounds = catalogue.batch(
        [lambda it: it.add(new_job("a"), minute(0)), lambda it: it.events.bounds()]
    )

    assert bounds == Bounds(0, 1)


def test_events_are_read_by_interest_from_a_number_on_in_order(each, events):
    for number in range(8):
        each.add(new_job(f"{number}", tenant="acme" if number % 2 else "zenith"), minute(number))
    each.cancel("3", minute(9))
    each.delete("3", minute(9))

    acme = Interest("acme")
    assert [number for number, *_ in events.told(acme)] == [2, 4, 6, 8, 9, 10]
    assert [each.number for each in events.read(4, ALL, acme, 2)] == [6, 8]
    assert [each.number for each in events.read(4, 8, acme, 9)] == [6, 8]
    assert events.read(10, ALL, acme, 9) == []
    assert [number for number, *_ in events.told(Interest("acme", "3"))] == [4, 9, 10]
    assert events.told(Interest("zenith", "3")) == []
    ends = Interest("acme", statuses=frozenset({"cancelled", "deleted"}))
    assert [number for number, *_ in events.told(ends)] == [9, 10]
    assert events.told(Interest("acm", "' or 1 --")) == []


def test_what_is_read_is_what_the_interest_wants(each, events):
    for number in range(6):
        each.add(new_job(f"{number}", tenant="acme" if number % 2 else ""), minute(number))
    each.cancel("1", minute(9))

    everything = events.read(0, ALL, None, 99)
    for interest in (
        Interest(""),
        Interest("acme"),
        Interest("acme", "1"),
        Interest("", "1"),
        Interest("acme", statuses=frozenset({"cancelled"})),
        Interest("acme", "1", frozenset({"pending", "deleted"})),
    ):
        wanted = [event for event in everything if interest.wants(event)]
        assert events.read(0, ALL, interest, 99) == wanted


def test_the_oldest_are_given_up_in_steps_beyond_a_number(each, events):
    for number in range(10):
        each.add(new_job(f"{number}"), minute(number))

    more = events.trim(4, minute(0), 4)
    first = events.bounds()
    then = events.trim(4, minute(0), 4)

    assert (more, first) == (True, Bounds(4, 10))
    assert (then, events.bounds()) == (False, Bounds(6, 10))
    assert [number for number, *_ in events.told()] == [7, 8, 9, 10]
    assert events.trim(4, minute(0), 4) is False


def test_those_from_before_a_time_are_given_up(each, events):
    for number in range(10):
        each.add(new_job(f"{number}"), minute(number))

    assert events.trim(1_000, minute(3), 100) is False
    assert events.bounds() == Bounds(3, 10)


def test_events_are_given_up_by_number_though_the_clock_was_set_back(each, events):
    for number, at in enumerate((0, 9, 1, 9)):
        each.add(new_job(f"{number}"), minute(at))

    events.trim(1_000, minute(5), 100)

    assert events.bounds() == Bounds(1, 4)
    assert [number for number, *_ in events.told()] == [2, 3, 4]


def test_no_number_is_used_twice_though_all_are_given_up_that_can_be(each, events):
    for number in range(3):
        each.add(new_job(f"{number}"), minute(number))
    each.delete("2", minute(3))

    events.trim(0, minute(9), 100)
    gone = events.bounds()
    each.add(new_job("again"), minute(10))

    assert gone == Bounds(3, 4)
    assert [number for number, *_ in events.told()] == [4, 5]


def test_nothing_is_kept_of_a_new_catalogue(events):
    assert events.bounds() == Bounds(0, 0)
    assert events.read(0, ALL, None, 9) == []
    assert events.trim(10, minute(0), 10) is False


def test_the_sequence_goes_on_when_the_catalogue_is_opened_again(tmp_path):
    path = tmp_path / "calotype.db"
    for number in range(3):
        catalogue = SqliteCatalogue(path)
        each = Each(catalogue)
        each.add(new_job(f"{number}"), minute(number))
        each.delete(f"{number}", minute(number))
        catalogue.batch([lambda it: it.events.trim(0, minute(99), 100)])
        (bounds,) = catalogue.batch([lambda it: it.events.bounds()])
        catalogue.close()

        assert not isinstance(bounds, StorageError)
        assert bounds == Bounds(2 * number + 1, 2 * number + 2)
