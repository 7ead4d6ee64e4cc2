"""Who waits for a job hears of its end, once, and nobody waits for ever."""

import pytest
import trio
import trio.testing

from actors.errors import ActorStopped
from actors.mailbox import open_mailbox
from actors.messages import Await
from actors.parking import FEW, Parking
from actors.storage.ports import JobNotFound
from actors.waiting import Waiting
from tests.conftest import make_job


class Asker:
    """An ask for the end of a job, and what came of it."""

    def __init__(self) -> None:
        self.outcome: object = None
        self.scope = trio.CancelScope()

    async def ask(self, address, message):
        with self.scope:
            try:
                self.outcome = await address.ask(message)
            except (ActorStopped, JobNotFound) as error:
                self.outcome = error


@pytest.fixture
def wait(nursery):
    """Have askers wait for a job."""
    address, mailbox = open_mailbox("store", 0)

    async def wait_for(waiting: Waiting, job_id: str, tenant: str = "") -> Asker:
        asker = Asker()
        nursery.start_soon(asker.ask, address, Await(job_id, tenant=tenant))
        async for envelope in mailbox:
            waiting.add(job_id, envelope, tenant)
            break
        await trio.testing.wait_all_tasks_blocked()
        return asker

    return wait_for


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled"])
async def test_the_end_of_a_job_answers_all_who_wait_for_it_and_nobody_else(wait, status):
    waiting = Waiting()
    job = make_job(1, status=status)
    askers = [await wait(waiting, job.id) for _ in range(3)]
    other = await wait(waiting, make_job(2).id)

    waiting.settle(job)
    await trio.testing.wait_all_tasks_blocked()

    assert [asker.outcome for asker in askers] == [job, job, job]
    assert other.outcome is None
    assert len(waiting.asks) == 1


@pytest.mark.parametrize("status", ["pending", "processing"])
async def test_a_job_that_has_not_ended_answers_nobody(wait, status):
    waiting = Waiting()
    job = make_job(1, status=status)
    asker = await wait(waiting, job.id)

    waiting.settle(job)
    await trio.testing.wait_all_tasks_blocked()

    assert asker.outcome is None
    assert len(waiting.asks) == 1


async def test_a_job_that_is_gone_tells_all_who_wait_for_it(wait):
    waiting = Waiting()
    askers = [await wait(waiting, "1") for _ in range(2)]

    waiting.fail("1", JobNotFound("1"))
    await trio.testing.wait_all_tasks_blocked()

    assert [type(asker.outcome) for asker in askers] == [JobNotFound, JobNotFound]
    assert len(waiting.asks) == 0


async def test_settling_twice_is_settling_once(wait):
    waiting = Waiting()
    job = make_job(1, status="completed")
    asker = await wait(waiting, job.id)

    waiting.settle(job)
    waiting.settle(job)
    await trio.testing.wait_all_tasks_blocked()

    assert asker.outcome == job
    assert len(waiting.asks) == 0


async def test_leaving_its_with_releases_all(wait):
    waiting = Waiting()
    askers = [await wait(waiting, str(number)) for number in range(3)]

    with pytest.raises(ZeroDivisionError), waiting.asks:
        raise ZeroDivisionError
    await trio.testing.wait_all_tasks_blocked()

    assert [type(asker.outcome) for asker in askers] == 3 * [ActorStopped]
    assert len(waiting.asks) == 0


async def test_the_envelopes_of_those_who_have_gone_do_not_pile_up(wait):
    waiting = Waiting()
    most = 0

    for number in range(4 * FEW):
        asker = await wait(waiting, str(number % 7))
        asker.scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        most = max(most, len(waiting.asks))

    assert most <= FEW


async def test_a_sweep_keeps_those_who_still_wait(wait):
    waiting = Waiting()
    job = make_job(1, status="completed")
    patient = [await wait(waiting, job.id) for _ in range(FEW - 1)]
    gone = await wait(waiting, job.id)
    gone.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    late = await wait(waiting, job.id)

    size = len(waiting.asks)
    waiting.settle(job)
    await trio.testing.wait_all_tasks_blocked()

    assert size == FEW
    assert all(asker.outcome == job for asker in [*patient, late])


async def test_the_living_are_not_looked_through_again_at_each_new_one(wait):
    class Counted(Parking[tuple[str, str]]):
        sweeps = 0

        def _sweep(self):
            self.sweeps += 1
            super()._sweep()

    waiting = Waiting()
    waiting.asks = counted = Counted()

    for _ in range(8 * FEW):
        await wait(waiting, "1")

    assert counted.sweeps == 3  # At 64, 128 and 256.


async def test_who_names_the_job_of_another_tenant_never_hears_of_its_end(wait):
    waiting = Waiting()
    job = make_job(1, status="completed", tenant="acme")
    own, other = await wait(waiting, job.id, "acme"), await wait(waiting, job.id, "zenith")

    waiting.fail(job.id, JobNotFound(job.id), "zenith")
    waiting.settle(job)
    await trio.testing.wait_all_tasks_blocked()

    assert own.outcome == job
    assert isinstance(other.outcome, JobNotFound)
    assert len(waiting.asks) == 0


async def test_the_end_of_a_job_is_not_told_to_another_tenant(wait):
    waiting = Waiting()
    job = make_job(1, status="completed", tenant="acme")
    other = await wait(waiting, job.id, "zenith")

    waiting.settle(job)
    await trio.testing.wait_all_tasks_blocked()

    assert other.outcome is None
    waiting.fail(job.id, JobNotFound(job.id), "zenith")
