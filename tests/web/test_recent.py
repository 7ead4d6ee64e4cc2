"""Answers that may be a moment old, and no older."""

import pytest
import trio
import trio.testing

from web.recent import Recent


class Oracle:
    """Answers when it may, and counts how often it was asked what."""

    def __init__(self):
        self.asked = []
        self.broken = False
        self.seconds = 0.0

    async def __call__(self, key):
        self.asked.append(key)
        await trio.sleep(self.seconds)
        if self.broken:
            raise ZeroDivisionError
        return f"{key}{len(self.asked)}"


@pytest.fixture
def oracle():
    return Oracle()


@pytest.fixture
def recent(oracle):
    return Recent(oracle, age=1.0, size=2)


async def test_an_answer_is_kept_for_its_age_and_asked_for_anew_after_it(
    recent, oracle, autojump_clock
):
    first = await recent.get("a")
    await trio.sleep(0.99)
    again = await recent.get("a")
    await trio.sleep(0.01)
    later = await recent.get("a")

    assert (first, again, later) == ("a1", "a1", "a2")


async def test_the_age_counts_from_the_asking(recent, oracle, autojump_clock):
    oracle.seconds = 0.6
    await recent.get("a")
    await trio.sleep(0.4)

    assert await recent.get("a") == "a2"


async def test_many_who_want_to_know_at_once_ask_once(recent, oracle, autojump_clock):
    oracle.seconds = 5
    heard = []

    async def get():
        heard.append(await recent.get("a"))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(get)

    assert heard == ["a1"] * 100


async def test_who_waits_asks_anew_when_the_one_who_asked_has_gone(
    recent, oracle, autojump_clock, nursery
):
    oracle.seconds = 5
    impatient = trio.CancelScope()

    async def give_up():
        with impatient:
            await recent.get("a")

    nursery.start_soon(give_up)
    await trio.testing.wait_all_tasks_blocked()
    heard = []

    async def get():
        heard.append(await recent.get("a"))

    nursery.start_soon(get)
    await trio.testing.wait_all_tasks_blocked()
    impatient.cancel()
    await trio.sleep(6)

    assert heard == ["a2"]


async def test_an_error_is_for_the_one_who_asked_and_not_kept(recent, oracle):
    oracle.broken = True
    with pytest.raises(ZeroDivisionError):
        await recent.get("a")
    oracle.broken = False

    assert await recent.get("a") == "a2"


async def test_what_was_wanted_last_is_kept(recent, oracle):
    for key in ("a", "b", "a", "c", "a", "b"):
        await recent.get(key)

    assert oracle.asked == ["a", "b", "c", "b"]


async def test_an_answer_can_be_nothing(oracle):
    asked = []

    async def nothing(key):  # noqa: ASYNC124 (as askers are)
        asked.append(key)

    recent = Recent(nothing, age=1.0, size=1)

    assert await recent.get("a") is None
    assert await recent.get("a") is None
    assert asked == ["a"]
