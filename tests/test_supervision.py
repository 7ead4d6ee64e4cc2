"""A crashed actor is replaced by a clean one, within an intensity and a period."""

from dataclasses import dataclass

import pytest
import trio
import trio.testing

from actors.errors import ActorStopped, HandlerCrashed
from actors.mailbox import Mailbox, Request, open_mailbox
from actors.supervision import Activity, Intensity, TooManyCrashes, supervise
from tests.conftest import PATIENCE


@dataclass(frozen=True, slots=True)
class Add(Request[int]):
    """Answered with the sum of all the numbers so far; a negative one finds a bug."""

    number: int


class Adder:
    """Keeps a sum, so that a test can see whether it is clean."""

    def __init__(self, mailbox: Mailbox, activity: Activity) -> None:
        self._mailbox = mailbox
        self._activity = activity
        self._sum = 0

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        self._activity.doing = "adding"
        async for envelope in self._mailbox:
            with envelope:
                assert isinstance(envelope.message, Add)
                if envelope.message.number < 0:
                    raise ZeroDivisionError
                self._sum += envelope.message.number
                envelope.answer(self._sum)
                self._activity.handled += 1


class Supervised:
    """An Adder under supervision."""

    def __init__(self, max_crashes: int = 5, period: float = 10) -> None:
        self.address, self.mailbox = open_mailbox("adder", 8)
        self.activity = Activity("adder", self.mailbox)
        self.intensity = Intensity(max_crashes, period)
        self.made: list[Adder] = []
        self.ended: object = "not yet"

    def make(self) -> Adder:
        self.made.append(Adder(self.mailbox, self.activity))
        return self.made[-1]

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        try:
            await supervise(self.make, self.activity, self.intensity, task_status=task_status)
        except TooManyCrashes as error:
            self.ended = error
        else:
            self.ended = "well"

    async def crash(self) -> None:
        with pytest.raises(HandlerCrashed), trio.fail_after(PATIENCE):
            await self.address.ask(Add(-1))
        await trio.testing.wait_all_tasks_blocked()

    async def add(self, number: int) -> int:
        with trio.fail_after(PATIENCE):
            return await self.address.ask(Add(number))


async def test_a_crashed_actor_is_replaced_by_a_clean_one(nursery):
    adder = Supervised()
    await nursery.start(adder.run)
    await adder.add(5)

    await adder.crash()

    assert await adder.add(2) == 2
    assert len(adder.made) == 2


async def test_a_crash_loses_the_message_in_hand_and_none_behind_it(nursery):
    adder = Supervised()
    outcomes: dict[int, int | tuple[str]] = {}

    async def add(number):
        try:
            answer = await adder.address.ask(Add(number))
            outcomes[number] = answer
        except HandlerCrashed as error:
            (name,) = error.args
            outcomes[number] = (name,)

    for number in (1, -1, 2, 3):
        nursery.start_soon(add, number)
        await trio.testing.wait_all_tasks_blocked()

    await nursery.start(adder.run)
    await trio.testing.wait_all_tasks_blocked()

    assert outcomes == {1: 1, -1: ("Add",), 2: 2, 3: 5}


async def test_the_crash_that_exceeds_the_intensity_goes_up(nursery):
    adder = Supervised(max_crashes=2)
    await nursery.start(adder.run)

    await adder.crash()
    await adder.crash()
    survived = adder.ended
    await adder.crash()

    assert survived == "not yet"
    assert isinstance(adder.ended, TooManyCrashes)
    assert adder.ended.args == ("adder",)
    assert isinstance(adder.ended.__cause__, ZeroDivisionError)


async def test_an_intensity_of_none_survives_no_crash(nursery):
    adder = Supervised(max_crashes=0)
    await nursery.start(adder.run)

    await adder.crash()

    assert isinstance(adder.ended, TooManyCrashes)


async def test_what_is_queued_is_released_when_the_fault_goes_up(nursery):
    adder = Supervised(max_crashes=0)
    errors: dict[int, type] = {}

    async def add(number):
        try:
            await adder.address.ask(Add(number))
        except (HandlerCrashed, ActorStopped) as error:
            errors[number] = type(error)

    for number in (-1, 1):
        nursery.start_soon(add, number)
        await trio.testing.wait_all_tasks_blocked()

    await nursery.start(adder.run)
    await trio.testing.wait_all_tasks_blocked()

    assert errors == {-1: HandlerCrashed, 1: ActorStopped}
    with pytest.raises(ActorStopped):
        await adder.address.ask(Add(1))


async def test_crashes_that_are_far_enough_apart_are_survived_for_ever(nursery, autojump_clock):
    adder = Supervised(max_crashes=2, period=10)
    await nursery.start(adder.run)

    for _ in range(20):
        await adder.crash()
        await trio.sleep(5.1)  # So that any three of them take more than ten seconds.

    assert adder.ended == "not yet"
    assert await adder.add(1) == 1


async def test_only_the_crashes_within_the_period_count(nursery, autojump_clock):
    adder = Supervised(max_crashes=2, period=10)
    await nursery.start(adder.run)
    await adder.crash()
    await trio.sleep(10.1)
    await adder.crash()
    await trio.sleep(4)
    await adder.crash()
    survived = adder.ended

    await trio.sleep(5.9)
    await adder.crash()

    assert survived == "not yet"
    assert isinstance(adder.ended, TooManyCrashes)


async def test_an_actor_whose_mail_has_ended_is_not_replaced(nursery):
    adder = Supervised()
    await nursery.start(adder.run)

    adder.address.close()
    await trio.testing.wait_all_tasks_blocked()

    assert adder.ended == "well"
    assert len(adder.made) == 1
    assert adder.activity.doing == "stopped"


async def test_starting_returns_when_the_actor_says_that_it_is_open():
    class Slow:
        async def run(self, *, task_status):
            order.append("opening")
            await trio.testing.wait_all_tasks_blocked()
            order.append("open")
            task_status.started()
            await trio.sleep_forever()

    order = []
    _, mailbox = open_mailbox("slow", 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(supervise, Slow, Activity("slow", mailbox), Intensity())
        order.append("started")
        nursery.cancel_scope.cancel()

    assert order == ["opening", "open", "started"]


async def test_an_actor_that_cannot_start_fails_by_name_and_is_not_tried_again(nursery):
    class Broken:
        async def run(self, *, task_status):  # noqa: ARG002 (it does not come to that)
            made.append(self)
            raise FileNotFoundError("calotype.db")

    made: list[object] = []
    address, mailbox = open_mailbox("broken", 1)

    with pytest.raises(FileNotFoundError, match=r"calotype\.db"):
        await nursery.start(supervise, Broken, Activity("broken", mailbox), Intensity())

    assert len(made) == 1
    with pytest.raises(ActorStopped):
        await address.ask(Add(1))


async def test_an_actor_that_cannot_start_again_has_crashed_once_more(nursery):
    class Fragile:
        async def run(self, *, task_status):
            made.append(self)
            if len(made) > 1:
                raise FileNotFoundError
            task_status.started()
            raise ZeroDivisionError

    made: list[object] = []
    _, mailbox = open_mailbox("fragile", 1)
    activity = Activity("fragile", mailbox)

    with pytest.raises(TooManyCrashes) as caught:
        await supervise(Fragile, activity, Intensity(max_crashes=2))

    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert activity.crashed == len(made) == 3


async def test_cancelling_is_no_crash():
    address, mailbox = open_mailbox("adder", 1)
    activity = Activity("adder", mailbox)

    async with trio.open_nursery() as nursery:
        await nursery.start(
            supervise, lambda: Adder(mailbox, activity), activity, Intensity(max_crashes=0)
        )
        nursery.cancel_scope.cancel()

    assert activity.crashed == 0
    with pytest.raises(ActorStopped):
        await address.ask(Add(1))


async def test_statistics_count_over_all_restarts(nursery):
    adder = Supervised()
    before = adder.activity.statistics()
    await nursery.start(adder.run)
    await adder.add(1)
    await adder.crash()
    await adder.add(1)
    await trio.testing.wait_all_tasks_blocked()

    now = adder.activity.statistics()

    assert (before.name, before.doing, before.handled, before.crashed) == (
        "adder",
        "starting",
        0,
        0,
    )
    assert (now.doing, now.handled, now.crashed) == ("adding", 2, 1)
    assert now.mailbox == adder.mailbox.statistics()
