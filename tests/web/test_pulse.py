"""How late the event loop is."""

import trio
import trio.testing

from web import metrics
from web.pulse import PERIOD, take_pulse


def counted():
    (family,) = metrics.LOOP_DELAY.collect()
    return {
        sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value
        for sample in family.samples
    }


async def test_a_loop_that_does_nothing_is_in_time(autojump_clock):
    before = counted()
    with trio.move_on_after(10 * PERIOD + PERIOD / 2):
        await take_pulse()

    after = counted()
    assert after["count"] - before["count"] == 10
    assert after["0.001"] - before["0.001"] == 10


async def test_what_holds_up_the_loop_is_seen(mock_clock, nursery):
    before = counted()
    nursery.start_soon(take_pulse)
    await trio.testing.wait_all_tasks_blocked()

    mock_clock.jump(PERIOD + 0.4)
    await trio.testing.wait_all_tasks_blocked()

    after = counted()
    assert after["0.25"] - before["0.25"] == 0
    assert after["0.5"] - before["0.5"] == 1
    nursery.cancel_scope.cancel()
