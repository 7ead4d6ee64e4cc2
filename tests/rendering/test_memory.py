"""Memory that renders share is never lent twice, and everybody gets some in turn."""

import itertools
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.rendering.memory import Memory, TooMuch

TOTAL = 100


@dataclass(eq=False)
class Render:
    """Whoever has an advance, and perhaps wants more."""

    memory: Memory
    advance: int
    state: str = "begun"
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    wants: trio.Event = field(default_factory=trio.Event)
    done: trio.Event = field(default_factory=trio.Event)
    amount: int = 0
    has: int = 0

    async def run(self):
        with self.scope, self.memory.advance(self.advance) as loan:
            self.has = loan.amount
            while not self.done.is_set():
                await self.wants.wait()
                self.wants = trio.Event()
                if self.done.is_set():
                    break
                self.state, self.has = "waits", 0
                try:
                    await self.memory.extend(loan, self.amount)
                except TooMuch:
                    self.state = "refused"
                else:
                    self.state = "has"
                self.has = loan.amount
        self.state, self.has = "gone", 0

    def extend(self, amount):
        self.amount = amount
        self.wants.set()

    def end(self):
        self.done.set()
        self.wants.set()


@pytest.fixture
def begin(nursery):
    memory = Memory(TOTAL)

    async def begin_one(advance=0, amount=None):
        render = Render(memory, advance)
        nursery.start_soon(render.run)
        await trio.testing.wait_all_tasks_blocked()
        if amount is not None:
            render.extend(amount)
            await trio.testing.wait_all_tasks_blocked()
        return render

    return begin_one


async def test_an_advance_is_lent_and_given_back(begin):
    render = await begin(60)
    lent = render.memory.lent
    render.end()
    await trio.testing.wait_all_tasks_blocked()

    assert (lent, render.memory.lent) == (60, 0)


async def test_who_would_not_fit_has_no_advance(begin):
    renders = [await begin(60), await begin(60), await begin(40)]

    assert [each.has for each in renders] == [60, 0, 40]


async def test_who_wants_more_gives_back_what_he_has_and_waits(begin):
    first, second = await begin(60), await begin(40, 80)
    waiting = (second.state, first.memory.lent, first.memory.waiting)
    first.end()
    await trio.testing.wait_all_tasks_blocked()

    assert waiting == ("waits", 60, 1)
    assert (second.state, second.has, first.memory.lent, first.memory.waiting) == ("has", 80, 80, 0)


async def test_who_asks_for_much_is_not_passed_by_those_who_ask_for_little(begin):
    first, large = await begin(60), await begin(0, 90)
    small, late = await begin(0, 20), await begin(10)
    states = [each.state for each in (large, small)]
    first.end()
    await trio.testing.wait_all_tasks_blocked()

    assert states == ["waits", "waits"]
    assert late.has == 0
    assert [each.state for each in (large, small)] == ["has", "waits"]


async def test_who_leaves_the_queue_holds_up_nobody(begin):
    first, large, small = await begin(60), await begin(0, 90), await begin(0, 10)

    large.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()

    assert (large.state, small.state, first.memory.lent) == ("gone", "has", 70)


async def test_who_is_cancelled_just_when_it_has_come_gives_it_back(begin):
    first, second = await begin(60), await begin(0, 80)

    first.end()
    second.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()

    assert (second.state, first.memory.lent, first.memory.waiting) == ("gone", 0, 0)


async def test_what_never_fits_is_refused_and_what_there_is_kept(begin):
    render = await begin(60, TOTAL + 1)

    assert (render.state, render.has, render.memory.lent) == ("refused", 60, 60)


async def test_all_of_it_can_be_lent(begin):
    assert (await begin(60, TOTAL)).has == TOTAL


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, TOTAL + 20)),
        st.tuples(st.just("extend"), st.integers(0, 9), st.integers(0, TOTAL + 20)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.just(("settle",)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_whatever_renders_do_it_is_never_overdrawn_and_nobody_waits_for_ever(acts):
    trio.run(live, acts)


async def live(acts):
    memory, renders = Memory(TOTAL), list[Render]()
    asked = list[Render]()

    async def settle():
        await trio.testing.wait_all_tasks_blocked()
        assert 0 <= memory.lent <= memory.total
        assert memory.lent == sum(each.has for each in renders)
        waiting = [each for each in asked if each.state == "waits"]
        assert memory.waiting == len(waiting)
        # The first does not fit, or it would not wait.
        assert not waiting or memory.lent + waiting[0].amount > memory.total

    async with trio.open_nursery() as nursery:
        for name, *numbers in acts:
            there = [each for each in renders if each.state != "gone"]
            match name, numbers, there:
                case "begin", [advance], _:
                    renders.append(Render(memory, advance))
                    nursery.start_soon(renders[-1].run)
                    await settle()
                case "extend", [number, amount], [_, *_]:
                    render = there[number % len(there)]
                    if render.state != "waits" and not render.wants.is_set():
                        asked = [*(each for each in asked if each is not render), render]
                        render.extend(amount)
                        await settle()
                case "cancel", [number], [_, *_]:
                    there[number % len(there)].scope.cancel()
                case "end", [number], [_, *_]:
                    there[number % len(there)].end()
                case "settle", _, _:
                    await settle()
        # Whoever ends makes room for the next, until all have been served.
        for _ in itertools.repeat(None, len(renders) + 1):
            await settle()
            for each in renders:
                if each.state != "waits":
                    each.end()
        await settle()
        assert {each.state for each in renders} <= {"gone"}
    assert (memory.lent, memory.waiting) == (0, 0)
