"""A Worker ends each job it is given, or says that it could not."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import trio
import trio.testing

from actors import metrics
from actors.errors import ActorStopped, HandlerCrashed, JobInterrupted
from actors.imaging.facts import Limits
from actors.mailbox import open_mailbox
from actors.messages import Complete, Count, Fail, Load, Run
from actors.storage.ports import (
    BlobNotFound,
    JobNotFound,
    StaleClaim,
    StorageFull,
    StorageUnavailable,
)
from actors.supervision import Activity
from actors.worker import NICENESS, Worker, _give_way
from tests.conftest import PATIENCE, draw, is_picture, make_job


class FakeStore:
    """Answers a Worker as the test says, and remembers what it was asked."""

    def __init__(self, image):
        self.address, self._mailbox = open_mailbox("store", 4)
        self.asked = []
        self.reading = trio.CancelScope()
        # What each kind of message is answered with, the last answer for ever.
        self.answers = {Load: [image], Complete: [None], Fail: [None]}
        self.before_answering = lambda _: None

    async def run(self):
        with self.reading, self._mailbox:
            await self._read()

    async def _read(self):
        async for envelope in self._mailbox:
            with envelope:
                self.asked.append(envelope.message)
                self.before_answering(envelope.message)
                answers = self.answers[type(envelope.message)]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(answer, Exception):
                    envelope.fail(answer)
                elif answer is not ActorStopped:
                    envelope.answer(answer)

    def asked_for(self, kind):
        return [message for message in self.asked if isinstance(message, kind)]


class Working:
    """A Worker with a fake Store, and a way to give it jobs."""

    def __init__(self, image, limits):
        self.store = FakeStore(image)
        self.address, self.mailbox = open_mailbox("worker", 0)
        self.activity = Activity("worker", self.mailbox)
        self.worker = Worker(
            *(self.mailbox, self.store.address, trio.CapacityLimiter(1), limits, self.activity)
        )
        self.ended = trio.Event()

    async def run(self, *, task_status):
        await self.worker.run(task_status=task_status)
        self.ended.set()

    async def work(self, job):
        with trio.fail_after(PATIENCE):
            return await self.address.ask(Run(job))


@pytest.fixture
def start(nursery, photo):
    async def start_one(image=photo, limits=None):
        working = Working(image, limits or Limits())
        nursery.start_soon(working.store.run)
        await nursery.start(working.run)
        return working

    return start_one


async def test_a_job_is_rendered_and_completed(start, photo):
    working = await start()
    job = make_job(1, attempts=2)

    await working.work(job)

    load, complete = working.store.asked
    assert load == Load(job.input_key)
    assert (complete.job_id, complete.attempt) == (job.id, 2)
    assert (complete.rendered.format, complete.rendered.width, complete.rendered.height) == (
        *("jpeg", 16),
        12,
    )
    assert is_picture(complete.rendered.data, (16, 12))


async def test_one_job_after_another(start):
    working = await start()

    for number in range(3):
        await working.work(make_job(number))

    assert [message.job_id for message in working.store.asked_for(Complete)] == [
        make_job(number).id for number in range(3)
    ]
    assert working.activity.handled == 3


async def test_what_it_does_can_be_seen(start):
    working = await start()
    job = make_job(1)
    seen = []
    working.store.before_answering = lambda _: seen.append(working.activity.doing)

    await working.work(job)
    await trio.testing.wait_all_tasks_blocked()

    assert seen == 2 * [f"job {job.id}"]
    assert working.activity.doing == "idle"


@pytest.mark.parametrize(
    ("image", "limits", "code"),
    [
        (b"la la la", Limits(), "not_an_image"),
        (draw()[:-300], Limits(), "not_an_image"),
        (b"8BPS\0\1" + bytes(100), Limits(), "unsupported_format"),
        (draw(100, 100), Limits(max_pixels=9_999), "image_too_large"),
    ],
    ids=["song", "truncated", "photoshop", "large"],
)
async def test_a_fault_of_the_image_ends_the_job_with_its_code(start, image, limits, code):
    working = await start(image, limits)
    job = make_job(1, attempts=3)

    await working.work(job)

    (failed,) = working.store.asked_for(Fail)
    assert (failed.job_id, failed.attempt, failed.code) == (job.id, 3, code)
    assert failed.error
    assert working.store.asked_for(Complete) == []


async def test_a_recipe_that_does_not_fit_the_image_ends_the_job(start):
    working = await start(limits=Limits(max_pixels=5_000))
    recipe = '{"operations":[{"op":"resize","width":100,"height":100}]}'

    await working.work(make_job(1, recipe=recipe))

    assert [failed.code for failed in working.store.asked_for(Fail)] == ["impossible_recipe"]


async def test_a_job_whose_image_is_gone_ends(start):
    working = await start(BlobNotFound("3f/a.jpg"))

    await working.work(make_job(1))

    assert [failed.code for failed in working.store.asked_for(Fail)] == ["crashed"]


async def test_a_job_whose_result_finds_no_room_ends(start):
    working = await start()
    working.store.answers[Complete] = [StorageFull("no room")]

    await working.work(make_job(1))

    assert [failed.code for failed in working.store.asked_for(Fail)] == ["out_of_space"]


@pytest.mark.parametrize("error", [StaleClaim("1"), JobNotFound("1")])
@pytest.mark.parametrize("image", [draw(), b"la la la"], ids=["photo", "song"])
async def test_a_result_that_is_refused_ends_the_work_all_the_same(start, image, error):
    working = await start(image)
    working.store.answers[Complete] = working.store.answers[Fail] = [error]

    answer = await working.work(make_job(1))

    assert answer is None


@pytest.mark.parametrize("message", [Load, Complete, Fail])
@pytest.mark.parametrize(
    "trouble",
    [StorageUnavailable("away"), ActorStopped, HandlerCrashed("Load")],
    ids=["away", "stopped", "crashed"],
)
async def test_a_job_that_can_neither_be_completed_nor_failed_is_interrupted(
    start, photo, message, trouble
):
    working = await start(b"la la la" if message is Fail else photo)
    fine = working.store.answers[message]
    working.store.answers[message] = [trouble, *fine]
    job = make_job(1)

    with pytest.raises(JobInterrupted, match=job.id):
        await working.work(job)

    assert await working.work(make_job(2)) is None  # It is ready for the next one.


async def test_a_disk_too_full_to_note_a_failure_interrupts_the_job(start):
    working = await start()
    working.store.answers[Complete] = working.store.answers[Fail] = [StorageFull("no room")]

    with pytest.raises(JobInterrupted):
        await working.work(make_job(1))


async def test_a_store_that_has_gone_for_good_interrupts_the_job(start):
    working = await start()
    working.store.reading.cancel()

    with pytest.raises(JobInterrupted):
        await working.work(make_job(1))


async def test_a_job_that_nobody_waits_for_any_more_is_not_begun(nursery, photo):
    working = Working(photo, Limits())
    nursery.start_soon(working.store.run)
    address, working.worker._mailbox = open_mailbox("worker", 1)
    with trio.move_on_after(0.01):
        await address.ask(Run(make_job(1)))

    await nursery.start(working.run)
    await trio.testing.wait_all_tasks_blocked()

    assert working.store.asked == []


async def test_a_render_that_nobody_waits_for_any_more_is_given_up(start):
    working = await start()
    scope = trio.CancelScope()
    # As when the job is cancelled while its bytes are on their way.
    working.store.before_answering = lambda _: scope.cancel()

    with scope:
        await working.work(make_job(1))
    working.store.before_answering = lambda _: None
    await working.work(make_job(2))

    assert [message.job_id for message in working.store.asked_for(Complete)] == [make_job(2).id]


async def test_a_recipe_that_cannot_be_read_is_a_bug(nursery, photo):
    working = Working(photo, Limits())
    nursery.start_soon(working.store.run)
    errors = []

    async def run(*, task_status):
        try:
            await working.worker.run(task_status=task_status)
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            errors.append(error)

    await nursery.start(run)

    with pytest.raises(HandlerCrashed, match="Run"):
        await working.work(make_job(1, recipe="{"))

    await trio.testing.wait_all_tasks_blocked()
    assert len(errors) == 1


async def test_no_more_renders_at_once_than_the_limiter_allows(nursery, photo):
    cpu = trio.CapacityLimiter(1)
    first, second = Working(photo, Limits()), Working(photo, Limits())
    for working in (first, second):
        working.worker._cpu = cpu
        nursery.start_soon(working.store.run)
        await nursery.start(working.run)

    async with cpu, trio.open_nursery() as asking:
        asking.start_soon(first.work, make_job(1))
        asking.start_soon(second.work, make_job(2))
        await trio.testing.wait_all_tasks_blocked()
        waiting = cpu.statistics().tasks_waiting
        asking.cancel_scope.cancel()

    assert waiting == 2


async def test_a_worker_whose_mail_has_ended_leaves_and_closes_the_door_below_it(start):
    working = await start()
    await working.work(make_job(1))

    working.address.close()
    with trio.fail_after(PATIENCE):
        await working.ended.wait()

    with pytest.raises(ActorStopped):
        await working.store.address.ask(Count())


async def test_a_worker_finishes_its_job_before_it_leaves(start):
    working = await start()
    outcome = []

    async def work():
        outcome.append(await working.work(make_job(1)))

    async with trio.open_nursery() as nursery:
        working.store.before_answering = lambda _: working.address.close()
        nursery.start_soon(work)

    with trio.fail_after(PATIENCE):
        await working.ended.wait()
    assert outcome == [None]
    assert len(working.store.asked_for(Complete)) == 1


async def test_the_first_attempt_tells_how_long_the_job_has_waited(start):
    def waited():
        (family,) = metrics.QUEUE_WAIT.collect()
        return next(s.value for s in family.samples if s.name.endswith("_count"))

    working = await start()
    before = waited()

    await working.work(make_job(1))
    await working.work(replace(make_job(2), attempts=2))

    assert waited() == before + 1


@pytest.mark.parametrize("niceness", [0, NICENESS, NICENESS + 5])
def test_a_render_has_a_low_priority_whatever_the_service_was_started_with(niceness):
    script = (
        "import os, sys, threading\n"
        "from actors.worker import _give_way\n"
        "def give_way():\n"
        "    _give_way()\n"
        "    print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))\n"
        "thread = threading.Thread(target=give_way)\n"
        "thread.start()\n"
        "thread.join()\n"
        "print(os.getpriority(os.PRIO_PROCESS, 0))\n"
    )

    told = subprocess.run(
        ["nice", "-n", str(niceness), sys.executable, "-c", script],
        capture_output=True, text=True, check=True, timeout=PATIENCE,
    )  # fmt: skip

    assert [int(line) for line in told.stdout.split()] == [max(NICENESS, niceness), niceness]


def test_a_sandbox_that_forbids_to_lower_the_priority_stops_no_render(monkeypatch):
    def forbid(*_):
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbid)
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)

    _give_way()
