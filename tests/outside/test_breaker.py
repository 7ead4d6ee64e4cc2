"""A host that fails is left alone, tried once at a time, and never holds up another."""

from contextlib import ExitStack, suppress

import pytest
import trio
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from actors.outside.breaker import Breakers, HostBusy, HostResting, Rules
from actors.outside.errors import SourceForbidden, SourceTooLarge, SourceUnreachable

RULES = Rules(calls=2, failures=3, rest=10, longest_rest=35, remembered=4)
DOWN = SourceUnreachable("It is down.")
NOT_FOUND = SourceUnreachable("It answered 404.", may_pass=False, status=404)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breakers(clock):
    """Breakers that rest for as long as they may."""
    return Breakers(RULES, clock=clock, random=lambda: 0.0)


def call(breakers: Breakers, host: str, error: Exception | None = None) -> None:
    """Make a call that ends so; a refusal is raised, the error is not."""
    with ExitStack() as stack:
        stack.enter_context(suppress(*[type(error)] if error else []))
        stack.enter_context(breakers.call(host))
        if error:
            raise error


def fail(breakers: Breakers, host: str, times: int) -> None:
    for _ in range(times):
        call(breakers, host, DOWN)


def test_so_many_failures_in_a_row_bring_a_host_to_rest(breakers, clock):
    fail(breakers, "a", 3)

    with pytest.raises(HostResting) as caught:
        call(breakers, "a")
    assert caught.value.seconds == 10
    call(breakers, "b")


@pytest.mark.parametrize("error", [None, NOT_FOUND, SourceTooLarge(1)])
def test_an_answer_between_them_makes_it_a_new_row(breakers, error):
    fail(breakers, "a", 2)
    call(breakers, "a", error)
    fail(breakers, "a", 2)

    call(breakers, "a")


@pytest.mark.parametrize("error", [SourceForbidden("Inside."), ZeroDivisionError()])
def test_what_says_nothing_of_the_host_counts_as_nothing(breakers, error):
    fail(breakers, "a", 2)
    call(breakers, "a", error)
    fail(breakers, "a", 1)

    with pytest.raises(HostResting):
        call(breakers, "a")


async def test_a_cancelled_call_counts_as_nothing():
    breakers = Breakers(RULES)
    fail(breakers, "a", 2)
    with trio.move_on_after(0.01), breakers.call("a"):
        await trio.sleep_forever()

    fail(breakers, "a", 1)

    with pytest.raises(HostResting):
        call(breakers, "a")


def test_after_its_rest_one_call_tries_it(breakers, clock):
    fail(breakers, "a", 3)
    clock.now = 10

    with breakers.call("a"), pytest.raises(HostBusy):
        call(breakers, "a")

    call(breakers, "a")
    assert len(breakers) == 0


def test_it_is_known_how_many_calls_each_host_has_no_room_for(breakers, clock):
    with breakers.call("a"):
        assert breakers.taken() == {"a": 1}
    assert breakers.taken() == {}
    fail(breakers, "a", 3)
    assert breakers.taken() == {"a": 1}  # Of two, since only one may try it.
    clock.now = 10

    with breakers.call("a"), breakers.call("b"):
        assert breakers.taken() == {"a": 2, "b": 1}

    assert breakers.taken() == {}


def test_if_that_fails_it_rests_for_twice_as_long_up_to_a_bound(breakers, clock):
    fail(breakers, "a", 3)

    rests = []
    for _ in range(4):
        with pytest.raises(HostResting) as caught:
            call(breakers, "a")
        rests.append(caught.value.seconds)
        clock.now += caught.value.seconds
        fail(breakers, "a", 1)

    assert rests == [10, 20, 35, 35]


def test_a_host_that_has_recovered_is_as_new(breakers, clock):
    fail(breakers, "a", 3)
    clock.now = 10
    fail(breakers, "a", 1)
    clock.now = 30
    call(breakers, "a")

    fail(breakers, "a", 2)
    call(breakers, "a")
    fail(breakers, "a", 3)
    with pytest.raises(HostResting) as caught:
        call(breakers, "a")

    assert caught.value.seconds == 10


def test_a_try_that_tells_nothing_leaves_the_next_one_to_try(breakers, clock):
    fail(breakers, "a", 3)
    clock.now = 10
    call(breakers, "a", ZeroDivisionError())

    with breakers.call("a"), pytest.raises(HostBusy):
        call(breakers, "a")


def test_a_rest_is_shorter_by_chance():
    clock = Clock()
    breakers = Breakers(RULES, clock=clock, random=lambda: 0.5)
    fail(breakers, "a", 3)

    with pytest.raises(HostResting) as caught:
        call(breakers, "a")

    assert caught.value.seconds == 7.5


@pytest.mark.parametrize("error", [None, DOWN])
def test_a_call_from_before_the_rest_changes_nothing_about_it(breakers, clock, error):
    with ExitStack() as stack:
        if error:
            stack.enter_context(pytest.raises(SourceUnreachable))
        with breakers.call("a"):
            fail(breakers, "a", 3)
            clock.now = 4
            if error:
                raise error

    with pytest.raises(HostResting) as caught:
        call(breakers, "a")
    assert caught.value.seconds == 6


def test_no_more_than_so_many_calls_at_once(breakers):
    with breakers.call("a"), breakers.call("a"):
        with pytest.raises(HostBusy):
            call(breakers, "a")
        call(breakers, "b")

    call(breakers, "a")


def test_of_the_hosts_that_fail_the_latest_are_remembered(breakers):
    for number in range(100):
        fail(breakers, f"host{number}", 3)
    assert len(breakers) == 4

    call(breakers, "host95")
    with pytest.raises(HostResting):
        call(breakers, "host96")


def test_a_host_that_is_being_asked_is_not_forgotten(breakers):
    with breakers.call("a"), breakers.call("a"):
        for number in range(100):
            fail(breakers, f"host{number}", 1)

        with pytest.raises(HostBusy):
            call(breakers, "a")
        assert len(breakers) == 4


HOSTS = st.sampled_from("abcdef")


class AnyCalls(RuleBasedStateMachine):
    """Calls that begin and end in any order, on a few hosts, while time goes on."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breakers = Breakers(RULES, clock=self.clock, random=lambda: 0.0)
        self.under_way: dict[str, int] = {}
        self.last_failure: dict[str, float] = {}

    @rule(target=running, host=HOSTS)
    def begin(self, host):
        stack = ExitStack()
        try:
            stack.enter_context(self.breakers.call(host))
        except HostBusy:
            assert self.under_way.get(host, 0) >= 1
            return (host, None)
        except HostResting as resting:
            self.check_rest(host, resting.seconds)
            return (host, None)
        self.under_way[host] = self.under_way.get(host, 0) + 1
        return (host, stack)

    def check_rest(self, host, seconds):
        assert seconds > 0
        assert self.clock.now + seconds <= self.last_failure[host] + RULES.longest_rest

    @rule(call=consumes(running), error=st.sampled_from([None, DOWN, NOT_FOUND, KeyError()]))
    def end(self, call, error):
        host, stack = call
        if stack is None:
            return
        self.under_way[host] -= 1
        if error is DOWN:
            self.last_failure[host] = self.clock.now
        stack.__exit__(type(error) if error else None, error, None)

    @rule(host=HOSTS, times=st.integers(1, 4))
    def fail_in_a_row(self, host, times):
        for _ in range(times):
            call = self.begin(host)
            self.end(call, DOWN)

    @rule(seconds=st.sampled_from([0.5, 10.0, 35.0]))
    def wait(self, seconds):
        self.clock.now += seconds

    @invariant()
    def no_host_is_asked_too_often_at_once(self):
        assert all(0 <= count <= RULES.calls for count in self.under_way.values())

    @invariant()
    def no_more_hosts_are_remembered_than_may_be(self):
        asked = sum(count > 0 for count in self.under_way.values())
        assert len(self.breakers) <= max(RULES.remembered, asked)

    @invariant()
    def a_host_that_never_failed_is_free(self):
        call(self.breakers, "never failed")

    @invariant()
    def after_the_longest_rest_an_idle_host_is_asked_again(self):
        before = self.clock.now
        self.clock.now += RULES.longest_rest
        for host in "abcdef":
            if not self.under_way.get(host):
                call(self.breakers, host, KeyError())
        self.clock.now = before


TestAnyCalls = AnyCalls.TestCase
