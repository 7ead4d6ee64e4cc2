"""The Dispatcher hands out what the Workers can take, and nothing more."""

import pytest
import trio
import trio.testing

from actors.dispatcher import CANCELLING, LONGEST_PAUSE, PAUSE, Dispatcher
from actors.errors import ActorStopped, Draining, HandlerCrashed, JobInterrupted, MailboxFull
from actors.mailbox import Envelope, open_mailbox
from actors.messages import (
    Cancel,
    CancelBatch,
    Claim,
    Delete,
    DeleteBatch,
    Drain,
    Find,
    FindImage,
    Foresee,
    Keep,
    LookAtPool,
    Pool,
    Reclaim,
    Resize,
    Run,
    Submit,
)
from actors.orders import Orders
from actors.storage.batches import Batch, BatchNotFound
from actors.storage.ports import Job, StorageUnavailable
from actors.storage.repeats import DoneBefore, Once
from actors.supervision import Activity
from tests.conftest import NOON, PATIENCE, THUMBNAIL, make_job

SUBMIT = Submit(b"photo", "thumbnail", THUMBNAIL, "normal")
FORESEE = Foresee("5e", THUMBNAIL)


class FakeStore:
    """Hands out the jobs it is given, one claim at a time, and remembers what it was asked."""

    def __init__(self, capacity=8):
        self.address, self.mailbox = open_mailbox("store", capacity)
        self.asked: list[object] = []
        self.claim: Envelope | None = None
        self.jobs: list[Job] = []
        self.broken = None
        self.steps = 1  # until a batch is cancelled
        self.refusal = None  # what it fails with whatever would stop a job
        self.ended = trio.Event()
        self.reading = trio.CancelScope()
        self._heard = trio.Event()

    async def run(self):
        with self.reading:
            await self._read()
        self.ended.set()

    async def _read(self):
        async for envelope in self.mailbox:
            self.asked.append(envelope.message)
            self._heard.set()
            self._heard = trio.Event()
            match envelope.message:
                case Claim():
                    self._release()
                    self.claim = envelope
                    self._hand_out()
                case Reclaim() if self.broken:
                    with envelope:
                        envelope.fail(self.broken)
                case Cancel() | Delete() | CancelBatch() | DeleteBatch() if self.refusal:
                    with envelope:
                        envelope.fail(self.refusal)
                case CancelBatch(batch_id):
                    with envelope:
                        self._cancel(batch_id, envelope)
                case Find(job_id):
                    with envelope:
                        envelope.answer(make_job(int(job_id)))
                case _:
                    with envelope:
                        envelope.answer(None)

    def _cancel(self, batch_id, envelope):
        self.steps -= 1
        left = max(self.steps, 0)
        envelope.answer(Batch(id=batch_id, created_at=NOON, counts={"pending": left}))

    def _release(self):
        if self.claim:
            with self.claim:
                self.claim = None

    def add(self, *jobs):
        self.jobs += jobs
        self._hand_out()

    def _hand_out(self):
        if self.claim and self.jobs and not self.claim.abandoned:
            with self.claim as claim:
                self.claim = None
                assert isinstance(claim.message, Claim)
                limit = claim.message.limit
                claim.answer(tuple(self.jobs[:limit]))
                self.jobs = self.jobs[limit:]

    def fail_claim(self, error):
        assert self.claim
        with self.claim as claim:
            self.claim = None
            claim.fail(error)

    @property
    def standing(self):
        """The limit of the claim that stands, if one does."""
        if not self.claim or self.claim.abandoned:
            return 0
        assert isinstance(self.claim.message, Claim)
        return self.claim.message.limit

    async def hears(self, message):
        """Wait until it is asked this."""
        while message not in self.asked:
            await self._heard.wait()

    def take(self):
        """What it was asked since the last look."""
        asked, self.asked = self.asked, []
        return asked


class FakeSurveyor:
    """Answers with what it was asked."""

    def __init__(self, capacity):
        self.address, self.mailbox = open_mailbox("surveyor", capacity)
        self.ended = trio.Event()

    async def run(self):
        async for envelope in self.mailbox:
            with envelope:
                envelope.answer(envelope.message)
        self.ended.set()


class FakeWorker:
    """Holds its job until the test lets go of it."""

    def __init__(self, name):
        self.name = name
        self.address, self.mailbox = open_mailbox(name, 0)
        self.envelope: Envelope | None = None
        self.present = True
        self._go_on = trio.Event()

    async def run(self):
        async for envelope in self.mailbox:
            with envelope:
                self.envelope = envelope
                await self._go_on.wait()
                self._go_on = trio.Event()
                self.envelope = None
        self.present = False

    @property
    def job(self):
        if not self.envelope:
            return None
        assert isinstance(self.envelope.message, Run)
        return self.envelope.message.job.id

    def finish(self):
        assert self.envelope
        self.envelope.answer(None)
        self._go_on.set()

    def fail(self, error):
        assert self.envelope
        self.envelope.fail(error)
        self._go_on.set()


class Dispatching:
    """A Dispatcher between fakes."""

    def __init__(self, nursery, workers, capacity=8, fetching=None):
        self.nursery = nursery
        self.store = FakeStore(capacity)
        self.surveyor = FakeSurveyor(capacity)
        self.workers: list[FakeWorker] = []
        self.address, mailbox = open_mailbox("dispatcher", 8)
        self.activity = Activity("dispatcher", mailbox)
        self.orders = Orders(workers)
        self.dispatcher = Dispatcher(
            *(mailbox, self.store.address, self.surveyor.address),
            *(self.hire, self.orders, self.activity),
            fetching=fetching,
        )
        self.ended = trio.Event()
        self.mailbox = mailbox

    async def hire(self):
        worker = FakeWorker(f"worker-{len(self.workers) + 1}")
        self.workers.append(worker)
        self.nursery.start_soon(worker.run)
        return worker.address

    async def run(self, *, task_status):
        await self.dispatcher.run(task_status=task_status)
        self.ended.set()

    async def ask(self, request):
        with trio.fail_after(PATIENCE):
            return await self.address.ask(request)

    async def add(self, *numbers):
        self.store.add(*[make_job(number) for number in numbers])
        await trio.testing.wait_all_tasks_blocked()

    async def finish(self, worker):
        worker.finish()
        await trio.testing.wait_all_tasks_blocked()

    @property
    def at_work(self):
        """The jobs in the Workers' hands."""
        return sorted(worker.job for worker in self.workers if worker.job)

    @property
    def present(self):
        return sum(worker.present for worker in self.workers)


def ids(*numbers):
    return [make_job(number).id for number in numbers]


@pytest.fixture
def start(nursery):
    async def start_one(workers=2, capacity=8):
        dispatching = Dispatching(nursery, workers, capacity)
        nursery.start_soon(dispatching.store.run)
        nursery.start_soon(dispatching.surveyor.run)
        await nursery.start(dispatching.run)
        await trio.testing.wait_all_tasks_blocked()
        return dispatching

    return start_one


# --- Handing out ----------------------------------------------------------------------------------


async def test_it_gives_back_what_nobody_works_on_and_then_claims_for_all_workers(start):
    dispatching = await start(workers=3)

    assert dispatching.store.asked == [Reclaim(frozenset()), Claim(3, 1)]
    assert dispatching.present == 3


async def test_it_never_claims_more_than_the_idle_workers_can_take(start):
    dispatching = await start(workers=3)
    limits = []

    for number in range(3):
        limits.append(dispatching.store.standing)
        await dispatching.add(number)

    assert limits == [3, 2, 1]
    assert dispatching.store.standing == 0
    assert dispatching.at_work == ids(0, 1, 2)


async def test_what_all_workers_are_busy_with_leaves_the_rest_in_the_store(start):
    dispatching = await start(workers=2)

    await dispatching.add(1, 2, 3, 4)

    assert dispatching.at_work == ids(1, 2)
    assert [job.id for job in dispatching.store.jobs] == ids(3, 4)


async def test_a_worker_that_becomes_idle_is_given_the_next_job_at_once(start):
    dispatching = await start(workers=1)
    await dispatching.add(1, 2, 3)
    (worker,) = dispatching.workers

    done = []
    for _ in range(3):
        done.append(worker.job)
        await dispatching.finish(worker)

    assert done == ids(1, 2, 3)
    assert dispatching.store.standing == 1


async def test_a_job_goes_to_an_idle_worker_though_the_other_one_is_slow(start):
    dispatching = await start(workers=2)
    await dispatching.add(1, 2)
    slow, quick = dispatching.workers
    await dispatching.finish(quick)

    await dispatching.add(3)

    assert make_job(3).id in {slow.job, quick.job}
    assert len(dispatching.at_work) == 2


async def test_the_pool_can_be_looked_at(start):
    dispatching = await start(workers=3)
    await dispatching.add(1)

    assert await dispatching.ask(LookAtPool()) == Pool(wanted=3, present=3, busy=1)


# --- The front door -------------------------------------------------------------------------------


async def test_what_is_for_the_store_is_passed_on_and_the_store_answers(start):
    dispatching = await start()

    job = await dispatching.ask(Find("7"))

    assert job == make_job(7)


@pytest.mark.parametrize("message", [Keep(b"logo"), FORESEE])
async def test_what_is_for_the_surveyor_is_passed_on_and_the_surveyor_answers(start, message):
    dispatching = await start()
    dispatching.store.take()

    answer = await dispatching.ask(message)

    assert answer == message
    assert dispatching.store.asked == []


async def test_what_is_asked_of_images_that_are_kept_goes_to_the_store(start):
    dispatching = await start()

    await dispatching.ask(FindImage("5e"))

    assert FindImage("5e") in dispatching.store.asked


async def test_a_busy_store_does_not_hold_up_the_front_door(nursery):
    dispatching = Dispatching(nursery, 1)
    await nursery.start(dispatching.run)  # Its Store does not read its mail at all.

    pool = await dispatching.ask(LookAtPool())

    assert pool.wanted == 1


async def test_a_full_store_is_told_to_the_asker(nursery):
    dispatching = Dispatching(nursery, 1, capacity=1)
    await nursery.start(dispatching.run)
    await trio.testing.wait_all_tasks_blocked()  # The Reclaim has taken the only room.

    with pytest.raises(MailboxFull, match="store"):
        await dispatching.ask(SUBMIT)


async def test_a_full_surveyor_is_told_to_the_asker_and_holds_up_nobody_else(nursery):
    dispatching = Dispatching(nursery, 1, capacity=1)
    nursery.start_soon(dispatching.store.run)
    await nursery.start(dispatching.run)  # Its Surveyor does not read its mail.
    with trio.move_on_after(0.01):
        await dispatching.ask(Keep(b"logo"))

    with pytest.raises(MailboxFull, match="surveyor"):
        await dispatching.ask(Keep(b"logo"))

    assert await dispatching.ask(Find("7")) == make_job(7)


async def test_a_surveyor_that_has_gone_is_told_to_the_asker(nursery):
    dispatching = Dispatching(nursery, 1)
    await nursery.start(dispatching.run)
    dispatching.surveyor.mailbox.close()

    with pytest.raises(ActorStopped, match="surveyor"):
        await dispatching.ask(FORESEE)


async def test_a_store_that_has_gone_is_told_to_the_asker(start):
    dispatching = await start()
    dispatching.store.reading.cancel()
    await trio.testing.wait_all_tasks_blocked()
    dispatching.store.mailbox.close()

    with pytest.raises(ActorStopped, match="store"):
        await dispatching.ask(SUBMIT)


async def test_after_draining_nothing_is_accepted_and_nothing_begun(start):
    dispatching = await start(workers=2)
    await dispatching.add(1)

    await dispatching.ask(Drain())
    await trio.testing.wait_all_tasks_blocked()
    for message in (SUBMIT, Keep(b"logo")):
        with pytest.raises(Draining):
            await dispatching.ask(message)
    await dispatching.add(2)

    assert dispatching.store.standing == 0
    assert dispatching.at_work == ids(1)
    assert SUBMIT not in dispatching.store.asked
    assert Drain() in dispatching.store.asked


async def test_while_draining_questions_are_answered_and_jobs_are_finished(start):
    dispatching = await start(workers=1)
    await dispatching.add(1, 2)
    await dispatching.ask(Drain())

    job, plan = await dispatching.ask(Find("7")), await dispatching.ask(FORESEE)
    await dispatching.finish(dispatching.workers[0])

    assert (job, plan) == (make_job(7), FORESEE)
    assert dispatching.at_work == []
    assert dispatching.store.standing == 0


# --- Resizing -------------------------------------------------------------------------------------


async def test_a_larger_pool_takes_more_at_once(start):
    dispatching = await start(workers=1)
    await dispatching.add(1, 2, 3, 4)

    pool = await dispatching.ask(Resize(3))
    await trio.testing.wait_all_tasks_blocked()

    assert pool.wanted == 3
    assert dispatching.at_work == ids(1, 2, 3)
    assert await dispatching.ask(LookAtPool()) == Pool(wanted=3, present=3, busy=3)


async def test_a_larger_idle_pool_claims_for_all(start):
    dispatching = await start(workers=1)

    await dispatching.ask(Resize(4))
    await trio.testing.wait_all_tasks_blocked()

    assert dispatching.store.standing == 4


async def test_a_standing_claim_shrinks_with_the_pool(start):
    dispatching = await start(workers=4)

    await dispatching.ask(Resize(1))
    await trio.testing.wait_all_tasks_blocked()
    await dispatching.add(1, 2, 3)

    assert dispatching.at_work == ids(1)
    assert dispatching.present == 1


async def test_the_idle_leave_first_and_the_busy_after_their_job(start):
    dispatching = await start(workers=3)
    await dispatching.add(1, 2)
    idle = next(worker for worker in dispatching.workers if not worker.job)
    first, second = (worker for worker in dispatching.workers if worker.job)

    await dispatching.ask(Resize(1))
    await trio.testing.wait_all_tasks_blocked()
    after_resize = idle.present, first.present, second.present
    await dispatching.finish(first)
    after_first = first.present, second.present
    await dispatching.finish(second)

    assert after_resize == (False, True, True)
    assert after_first == (False, True)
    assert second.present
    assert dispatching.store.standing == 1


async def test_a_pool_of_none_begins_nothing_until_it_grows_again(start):
    dispatching = await start(workers=2)
    await dispatching.ask(Resize(0))
    await trio.testing.wait_all_tasks_blocked()
    await dispatching.add(1)
    nobody = dispatching.present, dispatching.at_work

    await dispatching.ask(Resize(1))
    await trio.testing.wait_all_tasks_blocked()

    assert nobody == (0, [])
    assert dispatching.at_work == ids(1)


# --- Cancelling -----------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [Cancel, Delete])
async def test_a_job_that_is_cancelled_is_given_up_and_the_store_hears_first(start, message):
    dispatching = await start(workers=2)
    await dispatching.add(1, 2)
    dispatching.store.take()
    worker = next(worker for worker in dispatching.workers if worker.job == make_job(1).id)
    envelope = worker.envelope

    await dispatching.ask(message(make_job(1).id))
    await trio.testing.wait_all_tasks_blocked()

    assert envelope.abandoned
    assert dispatching.store.take()[0] == message(make_job(1).id)
    assert all(other.envelope.abandoned is (other is worker) for other in dispatching.workers)


@pytest.mark.parametrize("message", [Cancel, Delete])
async def test_nobody_can_stop_the_work_on_a_job_of_another_tenant(start, message):
    dispatching = await start(workers=2)
    dispatching.store.add(make_job(1, tenant="acme"))
    await trio.testing.wait_all_tasks_blocked()
    worker = next(worker for worker in dispatching.workers if worker.job == make_job(1).id)
    envelope = worker.envelope

    for other in ("", "zenith"):
        await dispatching.ask(message(make_job(1).id, tenant=other))
    await trio.testing.wait_all_tasks_blocked()
    before = envelope.abandoned
    await dispatching.ask(message(make_job(1).id, tenant="acme"))
    await trio.testing.wait_all_tasks_blocked()

    assert (before, envelope.abandoned) == (False, True)


async def test_a_batch_is_cancelled_to_its_end_also_if_its_asker_goes(start):
    dispatching = await start(workers=1)
    cancel = CancelBatch("b", tenant="acme")
    dispatching.store.steps = 3

    with trio.CancelScope() as asking:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(dispatching.ask, cancel)
            await dispatching.store.hears(cancel)
            asking.cancel()
    await trio.testing.wait_all_tasks_blocked()
    asked = dispatching.store.take()
    batch = await dispatching.ask(cancel)

    assert asked.count(cancel) == 3
    assert batch.has_ended


async def test_no_more_batches_are_cancelled_at_once_than_may_be(start):
    dispatching = await start(workers=1)
    dispatching.store.reading.cancel()
    refused = []

    async def cancel(batch_id):
        try:
            await dispatching.ask(CancelBatch(batch_id))
        except MailboxFull:
            refused.append(batch_id)

    async with trio.open_nursery() as nursery:
        for number in range(CANCELLING + 2):
            nursery.start_soon(cancel, str(number))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert len(refused) == 2


async def test_what_is_wrong_with_cancelling_a_batch_is_heard(start):
    dispatching = await start(workers=1)
    dispatching.store.refusal = BatchNotFound("b")

    with pytest.raises(BatchNotFound):
        await dispatching.ask(CancelBatch("b"))


@pytest.mark.parametrize("message", [CancelBatch, DeleteBatch])
async def test_the_work_on_all_jobs_of_a_batch_is_stopped_and_on_no_other(start, message):
    dispatching = await start(workers=4)
    jobs = [
        make_job(1, tenant="acme", batch_id="b"),
        make_job(2, tenant="acme", batch_id="b"),
        make_job(3, tenant="acme", batch_id="c"),
        make_job(4, tenant="acme"),
    ]
    dispatching.store.add(*jobs)
    await trio.testing.wait_all_tasks_blocked()
    envelopes = {worker.job: worker.envelope for worker in dispatching.workers}

    await dispatching.ask(message("b", tenant="zenith"))
    await trio.testing.wait_all_tasks_blocked()
    before = [envelope.abandoned for envelope in envelopes.values()]
    await dispatching.ask(message("b", tenant="acme"))
    await trio.testing.wait_all_tasks_blocked()

    assert not any(before)
    abandoned = [job_id for job_id, envelope in envelopes.items() if envelope.abandoned]
    assert sorted(abandoned) == ids(1, 2)


async def test_a_job_that_was_given_up_is_given_back_in_case_it_could_not_be_cancelled(start):
    dispatching = await start(workers=2)
    await dispatching.add(1, 2)
    dispatching.store.take()

    await dispatching.ask(Cancel(make_job(1).id))
    await trio.testing.wait_all_tasks_blocked()

    assert dispatching.store.take()[:2] == [
        Cancel(make_job(1).id),
        Reclaim(frozenset(ids(2)), spared=frozenset(ids(1))),
    ]


async def test_a_cancelled_job_frees_its_place_for_the_next_one(start):
    dispatching = await start(workers=1)
    await dispatching.add(1, 2)

    await dispatching.ask(Cancel(make_job(1).id))
    await trio.testing.wait_all_tasks_blocked()
    await dispatching.finish(dispatching.workers[0])

    assert dispatching.at_work == ids(2)


async def test_the_next_job_does_not_wait_for_the_worker_that_has_yet_to_give_up(start):
    dispatching = await start(workers=2)
    await dispatching.add(1)
    slow = next(worker for worker in dispatching.workers if worker.job)

    await dispatching.ask(Cancel(make_job(1).id))
    await dispatching.add(2)

    # The slow one is still busy with what nobody wants any more.
    assert slow.job == make_job(1).id
    assert make_job(2).id in dispatching.at_work


async def test_cancelling_a_job_that_nobody_works_on_only_passes_it_on(start):
    dispatching = await start(workers=1)
    await dispatching.add(1)
    dispatching.store.take()

    await dispatching.ask(Cancel(make_job(9).id))
    await trio.testing.wait_all_tasks_blocked()

    assert dispatching.store.asked == [Cancel(make_job(9).id)]
    assert not dispatching.workers[0].envelope.abandoned


@pytest.mark.parametrize("message", [Cancel, Delete, CancelBatch, DeleteBatch])
@pytest.mark.parametrize("answer", ["done before", "refused"])
async def test_what_the_store_does_not_do_or_has_done_before_stops_nobody(start, message, answer):
    dispatching = await start(workers=1)
    dispatching.store.add(make_job(1, batch_id=make_job(1).id))
    await trio.testing.wait_all_tasks_blocked()
    error = DoneBefore(None) if answer == "done before" else StorageUnavailable("away")
    dispatching.store.refusal = error

    with pytest.raises(type(error)):
        await dispatching.ask(message(make_job(1).id, once=Once("a", "6e")))
    await trio.testing.wait_all_tasks_blocked()

    assert not dispatching.workers[0].envelope.abandoned
    assert dispatching.at_work == ids(1)


@pytest.mark.parametrize("message", [Cancel, Delete])
async def test_a_render_is_stopped_when_the_store_has_answered_though_nobody_listens(
    start, message
):
    dispatching = await start(workers=1)
    await dispatching.add(1)
    envelope = dispatching.workers[0].envelope
    dispatching.store.reading.cancel()
    await trio.testing.wait_all_tasks_blocked()
    async with trio.open_nursery() as clients:
        clients.start_soon(dispatching.address.ask, message(make_job(1).id))
        await trio.testing.wait_all_tasks_blocked()
        clients.cancel_scope.cancel()
    before = envelope.abandoned

    stop = await anext(dispatching.store.mailbox)
    with stop:
        stop.answer(None)
    await trio.testing.wait_all_tasks_blocked()

    assert stop.abandoned
    assert (before, envelope.abandoned) == (False, True)


async def test_a_cancel_that_the_store_has_no_room_for_changes_nothing(start, nursery):
    dispatching = await start(workers=1, capacity=1)
    await dispatching.add(1)
    dispatching.store.reading.cancel()
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(dispatching.store.address.ask, Find("1"))  # Takes the only room.
    await trio.testing.wait_all_tasks_blocked()

    with pytest.raises(MailboxFull):
        await dispatching.ask(Cancel(make_job(1).id))
    await trio.testing.wait_all_tasks_blocked()

    assert not dispatching.workers[0].envelope.abandoned


# --- Trouble --------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [HandlerCrashed("Run"), ActorStopped("worker")])
async def test_a_job_whose_worker_crashed_is_given_back_before_the_next_claim(start, trouble):
    dispatching = await start(workers=2)
    await dispatching.add(1, 2)
    dispatching.store.take()
    crashed = next(worker for worker in dispatching.workers if worker.job == make_job(1).id)

    crashed.fail(trouble)
    await trio.testing.wait_all_tasks_blocked()

    # Only what nobody holds is given back.
    assert dispatching.store.asked == [Reclaim(frozenset(ids(2))), Claim(1, 1)]


async def test_a_crash_ends_a_standing_claim_so_that_giving_back_does_not_wait(start):
    dispatching = await start(workers=2)
    await dispatching.add(1)
    standing = dispatching.store.claim
    dispatching.store.take()

    next(worker for worker in dispatching.workers if worker.job).fail(HandlerCrashed("Run"))
    await trio.testing.wait_all_tasks_blocked()

    assert standing.abandoned
    assert dispatching.store.asked == [Reclaim(frozenset()), Claim(2, 1)]


async def test_an_interrupted_job_is_given_back_at_once_and_its_attempt_spared(start):
    dispatching = await start(workers=2)
    await dispatching.add(1, 2)
    dispatching.store.take()
    worker = next(worker for worker in dispatching.workers if worker.job == make_job(1).id)

    worker.fail(JobInterrupted(make_job(1).id))
    await trio.testing.wait_all_tasks_blocked()

    # It was no fault of the job, so the attempt does not count. When it is due, the Store knows.
    assert dispatching.store.take() == [Reclaim(frozenset(ids(2)), frozenset(ids(1)))]


async def test_while_the_storage_interrupts_each_job_ever_fewer_are_begun(start, autojump_clock):
    dispatching = await start(workers=2)
    pauses = []

    for number in range(9):
        await dispatching.add(number)
        dispatching.store.take()
        worker = next(worker for worker in dispatching.workers if worker.job)
        worker.fail(JobInterrupted(worker.job))
        begun = trio.current_time()
        await dispatching.store.hears(Claim(2, 1))
        pauses.append(trio.current_time() - begun)

    assert pauses == pytest.approx([min(PAUSE * 2**n, LONGEST_PAUSE) for n in range(9)])


async def test_a_job_that_ends_shows_that_the_storage_works_again(start, autojump_clock):
    dispatching = await start(workers=1)
    (worker,) = dispatching.workers
    for number in range(5):
        await dispatching.add(number)
        await trio.sleep(LONGEST_PAUSE)
        worker.fail(JobInterrupted(worker.job))
        await trio.testing.wait_all_tasks_blocked()
    await dispatching.add(5)
    await trio.sleep(LONGEST_PAUSE)
    await dispatching.finish(worker)

    await dispatching.add(6)
    worker.fail(JobInterrupted(worker.job))
    await trio.sleep(PAUSE + 0.1)

    assert dispatching.store.standing == 1


async def test_those_that_are_interrupted_together_are_one_interruption(start, autojump_clock):
    dispatching = await start(workers=4)
    await dispatching.add(1, 2, 3, 4)

    for worker in dispatching.workers:
        worker.fail(JobInterrupted(worker.job))
    await trio.sleep(PAUSE + 0.1)

    assert dispatching.store.standing == 4


@pytest.mark.parametrize(
    ("fetching", "workers", "most"), [(None, 1, 1), (None, 5, 2), (3, 8, 3), (9, 2, 9)]
)
async def test_of_those_that_fetch_it_claims_half_the_pool_or_as_said(
    nursery, fetching, workers, most
):
    dispatching = Dispatching(nursery, workers, fetching=fetching)
    nursery.start_soon(dispatching.store.run)
    await nursery.start(dispatching.run)
    await trio.testing.wait_all_tasks_blocked()

    assert dispatching.store.asked[-1] == Claim(workers, most)


@pytest.mark.parametrize(
    "trouble", [StorageUnavailable("away"), ActorStopped("store"), HandlerCrashed("Claim")]
)
async def test_after_a_failed_claim_what_may_have_been_claimed_is_given_back(
    start, autojump_clock, trouble
):
    dispatching = await start(workers=2)
    await dispatching.add(1)
    dispatching.store.take()

    dispatching.store.fail_claim(trouble)
    await trio.testing.wait_all_tasks_blocked()
    at_once = dispatching.store.take()
    await trio.sleep(PAUSE + 0.1)

    assert at_once == []
    assert dispatching.store.take() == [Reclaim(frozenset(ids(1))), Claim(1, 1)]


async def test_giving_back_is_tried_until_it_works(start, autojump_clock):
    dispatching = await start(workers=1)
    dispatching.store.take()
    dispatching.store.broken = StorageUnavailable("away")
    dispatching.store.fail_claim(StorageUnavailable("away"))

    await trio.sleep(3.5 * PAUSE)
    while_broken = dispatching.store.take()
    dispatching.store.broken = None
    await trio.sleep(PAUSE)

    assert while_broken == 3 * [Reclaim(frozenset())]
    assert dispatching.store.take() == [Reclaim(frozenset()), Claim(1, 1)]


async def test_the_door_stays_open_while_the_store_is_in_trouble(start, autojump_clock):
    dispatching = await start(workers=1)
    dispatching.store.broken = StorageUnavailable("away")
    dispatching.store.fail_claim(StorageUnavailable("away"))

    assert await dispatching.ask(Find("7")) == make_job(7)


# --- Leaving --------------------------------------------------------------------------------------


async def test_when_its_mail_has_ended_it_waits_for_the_busy_and_then_closes_all_below(start):
    dispatching = await start(workers=2)
    await dispatching.add(1)
    busy = next(worker for worker in dispatching.workers if worker.job)

    dispatching.address.close()
    await trio.testing.wait_all_tasks_blocked()
    before = dispatching.ended.is_set(), busy.present, dispatching.store.ended.is_set()
    surveying = not dispatching.surveyor.ended.is_set()
    await dispatching.finish(busy)

    assert (*before, surveying) == (False, True, False, True)
    assert dispatching.ended.is_set()
    assert dispatching.present == 0
    assert dispatching.surveyor.ended.is_set()
    assert dispatching.store.ended.is_set()


async def test_when_its_mail_has_ended_it_claims_nothing_more(start):
    dispatching = await start(workers=1)
    await dispatching.add(1, 2)

    dispatching.address.close()
    await trio.testing.wait_all_tasks_blocked()
    await dispatching.finish(dispatching.workers[0])

    assert [job.id for job in dispatching.store.jobs] == ids(2)
    assert dispatching.store.ended.is_set()


async def test_what_is_given_up_while_draining_is_given_back_before_it_leaves(start):
    dispatching = await start(workers=2)
    await dispatching.add(1, 2)
    one, other = dispatching.workers
    await dispatching.ask(Drain())
    dispatching.store.take()

    rests = one.job
    one.fail(JobInterrupted(rests))
    dispatching.address.close()
    await trio.testing.wait_all_tasks_blocked()
    still_busy = other.job
    await dispatching.finish(other)

    assert dispatching.store.asked == [Reclaim(frozenset({still_busy}), frozenset({rests}))]
    assert dispatching.ended.is_set()


async def test_a_store_that_fails_while_draining_is_left_alone(start):
    dispatching = await start(workers=1)
    await dispatching.add(1)
    await dispatching.ask(Drain())
    dispatching.store.broken = StorageUnavailable("away")

    dispatching.workers[0].fail(HandlerCrashed("Run"))
    dispatching.address.close()
    await trio.testing.wait_all_tasks_blocked()

    assert dispatching.ended.is_set()


async def test_a_crash_closes_what_it_holds(nursery, monkeypatch):
    dispatching = Dispatching(nursery, 1)
    nursery.start_soon(dispatching.store.run)
    nursery.start_soon(dispatching.surveyor.run)
    monkeypatch.setattr(dispatching.dispatcher, "_pool", lambda: 1 // 0)
    errors = []

    async def run(*, task_status):
        try:
            await dispatching.run(task_status=task_status)
        except* ZeroDivisionError as group:
            errors.append(group)

    await nursery.start(run)

    with pytest.raises(HandlerCrashed, match="LookAtPool"):
        await dispatching.ask(LookAtPool())
    await trio.testing.wait_all_tasks_blocked()

    assert len(errors) == 1
    assert dispatching.present == 0
    assert dispatching.surveyor.ended.is_set()
    assert dispatching.store.ended.is_set()
