"""Changes that gather are made durable together, and each asker hears what came of its own."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from actors.group_commit import GroupCommit
from actors.storage.ports import JobNotFound, StorageError, StorageFull, StorageUnavailable
from tests.conftest import PATIENCE, SlowCatalogue
from tests.storage.memory.catalogue import MemoryCatalogue


def nothing(_):
    return "last"


def value_of(value):
    return lambda _: value


def not_found(_):
    raise JobNotFound("1")


@asynccontextmanager
async def running(
    catalogue,
    max_batch=8,
    last_call=lambda: nothing,
    committed=lambda _: None,
    lost=lambda _: None,
):
    async with trio.open_nursery() as nursery:
        changes = GroupCommit(max_batch)
        nursery.start_soon(changes.run, catalogue, last_call, committed, lost)  # noqa: ASYNC113 (commits wait for it)
        with changes:
            yield changes


class Asked:
    """Calls to commit in tasks of their own, and what came of them."""

    def __init__(self, nursery, changes):
        self._nursery = nursery
        self._changes = changes
        self.outcomes = {}

    def commit(self, name, call):
        self._nursery.start_soon(self._commit, name, call)

    async def _commit(self, name, call):
        try:
            self.outcomes[name] = await self._changes.commit(call)
        except StorageError as error:
            self.outcomes[name] = error

    async def wait_until_ended(self, number):
        with trio.fail_after(PATIENCE):
            while len(self.outcomes) < number:
                await trio.testing.wait_all_tasks_blocked(0.001)


async def test_a_commit_returns_the_value_of_its_call():
    async with running(MemoryCatalogue()) as changes:
        value = await changes.commit(lambda catalogue: catalogue.pending())

    assert value == 0


async def test_a_call_that_fails_raises_in_its_own_asker_alone(nursery):
    catalogue = SlowCatalogue()
    async with running(catalogue) as changes:
        asked = Asked(nursery, changes)
        catalogue.hold()
        for name, call in (
            ("0", nothing),
            ("a", value_of(1)),
            ("b", not_found),
            ("c", value_of(3)),
        ):
            asked.commit(name, call)
            await trio.testing.wait_all_tasks_blocked()
        catalogue.go_on()
        await asked.wait_until_ended(4)

    assert catalogue.sizes == [1, 3]
    assert (asked.outcomes["a"], asked.outcomes["c"]) == (1, 3)
    assert isinstance(asked.outcomes["b"], JobNotFound)


async def test_what_gathers_during_a_commit_goes_into_the_next_one(nursery):
    catalogue = SlowCatalogue()
    async with running(catalogue) as changes:
        asked = Asked(nursery, changes)
        catalogue.hold()
        for number in range(6):
            asked.commit(number, value_of(number))
            await trio.testing.wait_all_tasks_blocked()
        catalogue.go_on()
        await asked.wait_until_ended(6)

    assert catalogue.sizes == [1, 5]
    assert asked.outcomes == {number: number for number in range(6)}


async def test_no_batch_is_larger_than_allowed_and_nothing_is_left_out(nursery):
    catalogue = SlowCatalogue()
    async with running(catalogue, max_batch=3) as changes:
        asked = Asked(nursery, changes)
        catalogue.hold()
        for number in range(12):
            asked.commit(number, value_of(number))
            await trio.testing.wait_all_tasks_blocked()
        catalogue.go_on()
        await asked.wait_until_ended(12)

    assert max(catalogue.sizes) == 3
    assert sum(catalogue.sizes) == 12
    assert asked.outcomes == {number: number for number in range(12)}


async def test_the_catalogue_is_never_called_by_two_threads_at_once(nursery):
    catalogue = SlowCatalogue()
    async with running(catalogue, max_batch=2) as changes:
        asked = Asked(nursery, changes)
        for number in range(30):
            asked.commit(number, value_of(number))
        await asked.wait_until_ended(30)

    assert catalogue.at_once == 1


async def test_a_transaction_that_is_lost_fails_all_who_were_in_it_and_the_next_one_works(nursery):
    catalogue = SlowCatalogue()
    heard: list[object] = []
    async with running(catalogue, committed=heard.append) as changes:
        asked = Asked(nursery, changes)
        catalogue.hold()
        asked.commit("first", value_of(1))
        await trio.testing.wait_all_tasks_blocked()
        catalogue.broken = StorageFull("no room")
        asked.commit("second", value_of(2))
        await trio.testing.wait_all_tasks_blocked()
        catalogue.go_on()
        await asked.wait_until_ended(2)
        catalogue.broken = None
        after = await changes.commit(value_of(3))

    assert all(isinstance(each, StorageFull) for each in asked.outcomes.values())
    assert asked.outcomes["first"].args == ("no room",)
    assert asked.outcomes["first"] is not asked.outcomes["second"]
    assert after == 3
    assert heard == ["last"]


async def test_every_transaction_ends_with_a_last_call_made_at_its_beginning(nursery):
    catalogue = SlowCatalogue()
    made: list[int] = []
    order: list[str] = []

    def last_call():
        number = len(made)
        made.append(number)

        def last(_):
            order.append(f"last {number}")
            return number

        return last

    heard: list[object] = []
    async with running(catalogue, last_call=last_call, committed=heard.append) as changes:
        await changes.commit(lambda _: order.append("a"))
        await changes.commit(lambda _: order.append("b"))

    assert order == ["a", "last 0", "b", "last 1"]
    assert heard == [0, 1]


async def test_the_last_call_is_heard_before_anybody_else():
    order = []
    async with running(MemoryCatalogue(), committed=lambda _: order.append("last")) as changes:
        await changes.commit(nothing)
        order.append("asker")

    assert order == ["last", "asker"]


async def test_a_nudge_makes_a_transaction_though_nothing_changes():
    heard: list[object] = []
    committed = trio.Event()

    def hear(value):
        heard.append(value)
        committed.set()

    async with running(MemoryCatalogue(), committed=hear) as changes:
        changes.nudge()
        with trio.fail_after(PATIENCE):
            await committed.wait()

    assert heard == ["last"]


async def test_a_nudge_never_waits_nor_fails(nursery):
    catalogue = SlowCatalogue()
    async with running(catalogue, max_batch=2) as changes:
        catalogue.hold()
        for _ in range(10):
            changes.nudge()
            await trio.testing.wait_all_tasks_blocked()
        catalogue.go_on()

    changes.nudge()

    assert sum(catalogue.sizes) == 3  # One in the thread, and two that found room.


async def test_closing_commits_what_has_been_accepted_and_then_ends(nursery):
    catalogue = SlowCatalogue()
    with trio.fail_after(PATIENCE):
        async with running(catalogue, max_batch=2) as changes:
            asked = Asked(nursery, changes)
            catalogue.hold()
            for number in range(3):
                asked.commit(number, value_of(number))
                await trio.testing.wait_all_tasks_blocked()
            catalogue.go_on()

    await asked.wait_until_ended(3)

    assert asked.outcomes == {0: 0, 1: 1, 2: 2}


async def test_a_bug_in_a_call_ends_the_run():
    changes = GroupCommit(8)

    with pytest.RaisesGroup(ZeroDivisionError), trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(changes.run, MemoryCatalogue(), lambda: nothing, print, print)
            await changes.commit(lambda _: 1 // 0)


async def test_an_asker_that_is_cancelled_spoils_nobody_elses_change(nursery):
    catalogue = SlowCatalogue()
    async with running(catalogue) as changes:
        asked = Asked(nursery, changes)
        catalogue.hold()
        with trio.move_on_after(0.01):
            await changes.commit(value_of(1))
        asked.commit("other", value_of(2))
        await trio.testing.wait_all_tasks_blocked()
        catalogue.go_on()
        await asked.wait_until_ended(1)

    assert asked.outcomes == {"other": 2}


async def test_why_a_transaction_was_lost_keeps_its_type():
    catalogue = SlowCatalogue()
    catalogue.broken = StorageUnavailable("the disk is gone")

    async with running(catalogue) as changes:
        with pytest.raises(StorageUnavailable, match="the disk is gone"):
            await changes.commit(nothing)


async def test_the_operator_is_told_once_when_it_begins_to_fail_and_when_it_ends():
    catalogue = SlowCatalogue()
    async with running(catalogue) as changes:
        with capture_logs() as logs:
            await changes.commit(nothing)
            for why in ("locked", "locked", "gone"):
                catalogue.broken = StorageUnavailable(why)
                with pytest.raises(StorageUnavailable):
                    await changes.commit(nothing)
            catalogue.broken = None
            await changes.commit(nothing)
            await changes.commit(nothing)

    assert [(each["event"], each.get("why", each.get("from_what"))) for each in logs] == [
        ("catalogue_failing", "locked"),
        ("catalogue_failing", "gone"),
        ("catalogue_recovered", "gone"),
    ]
