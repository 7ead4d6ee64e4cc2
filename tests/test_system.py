"""The whole of it, on a real disk and with real pictures: whatever crashes, every job ends."""

import itertools
import sys
import time

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from actors.dispatcher import Dispatcher
from actors.errors import ActorStopped, Draining, HandlerCrashed
from actors.fetcher import Fetching
from actors.handlers.jobs import JobHandlers
from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Output, Recipe
from actors.messages import (
    Await,
    Cancel,
    Count,
    Delete,
    DeleteImage,
    Drain,
    Fetch,
    Find,
    FindImage,
    Foresee,
    Keep,
    LookAtPool,
    Pool,
    Resize,
    Retry,
    Submit,
)
from actors.rendering import process
from actors.rendering.renderer import Rendering, open_renderer
from actors.storage.opening import open_storage
from actors.storage.ports import JobNotFound, Query, StorageUnavailable
from actors.storage.quarantine import REFUSED
from actors.store import StoreLimits
from actors.supervision import Intensity, TooManyCrashes
from actors.surveyor import Surveyor
from actors.system import Capacity, open_system
from actors.worker import Worker
from tests.conftest import PATIENCE, THUMBNAIL, draw, is_picture, places_in
from tests.rendering.children import paused, state, until_at_work


def capacity(workers=2, attempts=3, max_crashes=5):
    return Capacity(
        workers=workers,
        storage_calls=4,
        mail=64,
        store=StoreLimits(backlog=1_000, asks=16, attempts=attempts, retry_delay=0.05),
        fetching=Fetching(max_bytes=10**7),
        intensity=Intensity(max_crashes),
    )


class Client:
    """What asks at the front door."""

    def __init__(self, system):
        self.system = system

    async def ask(self, request):
        with trio.fail_after(PATIENCE):
            return await self.system.front_door.ask(request)

    async def submit(self, image, priority="normal", recipe=THUMBNAIL):
        return await self.ask(Submit(image, "thumbnail", recipe, priority))

    async def wait_for_end(self, job):
        """Wait as a client does: if the connection is lost, ask again."""
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    return await self.system.front_door.ask(Await(job.id))
                except (ActorStopped, HandlerCrashed):
                    await trio.sleep(0.01)

    async def wait_until(self, job, status):
        with trio.fail_after(PATIENCE):
            while (await self.ask(Find(job.id))).status != status:
                await trio.testing.wait_all_tasks_blocked(0.005)


@pytest.fixture
def opening(tmp_path, renderer):
    """Open a system in the same directory each time."""

    def open_it(*, grace=PATIENCE, renderer=renderer, **changes):
        return open_system(
            *(lambda: open_storage(places_in(tmp_path)), capacity(**changes), renderer),
            grace=lambda: grace,
        )

    return open_it


@pytest.fixture
def look(tmp_path):
    """Look at the jobs when nobody has the storage open."""

    def jobs():
        with open_storage(places_in(tmp_path)) as storage:
            return {job.id: job for job in storage.catalogue.page(Query(limit=1_000)).jobs}

    return jobs


@pytest.fixture
def files(tmp_path):
    """List the files of jobs and images."""

    def list_them():
        paths = [path for kind in ("inputs", "outputs") for path in (tmp_path / kind).glob("??/*")]
        return sorted(f"{path.parent.name}/{path.name}" for path in paths)

    return list_them


@pytest.fixture
async def held_renders(renderer, nursery):
    """Renders that wait for their turn until they are let go."""
    held = HeldRenders(renderer.places, nursery)
    yield held
    held.go_on()


class HeldRenders:
    def __init__(self, places, nursery):
        self._places = places
        self._nursery = nursery
        self._held = [object() for _ in range(int(places.total_tokens))]
        for each in self._held:
            places.acquire_on_behalf_of_nowait(each)

    @property
    def begun(self):
        return self._places.statistics().tasks_waiting

    def go_on(self):
        while self._held:
            self._places.release_on_behalf_of(self._held.pop())

    def go_on_soon(self):
        """Let go a moment after the block that the caller is in has begun to end."""
        self._nursery.start_soon(self._go_on_soon)

    async def _go_on_soon(self):
        await trio.sleep(0.1)
        self.go_on()


def crash_once(monkeypatch, kind, method):
    """Put a bug into an actor that strikes at the next call, and never again."""
    whole = getattr(kind, method)
    calls = itertools.count()

    def crash(*arguments):
        if next(calls) == 0:
            raise ZeroDivisionError
        return whole(*arguments)

    monkeypatch.setattr(kind, method, crash)


# --- Work -----------------------------------------------------------------------------------------


async def test_many_jobs_at_once_all_end_with_their_pictures(opening):
    originals = [draw(40 + number, 30, ("JPEG", "PNG")[number % 2]) for number in range(24)]
    pictures = {}

    async def have_one_made(client, number):
        job = await client.wait_for_end(await client.submit(originals[number]))
        fetched = await client.ask(Fetch(job.id, 1_000_000))
        pictures[number] = (
            job.status,
            is_picture(fetched.data, (fetched.output.width, fetched.output.height)),
        )

    async with opening() as system, trio.open_nursery() as nursery:
        for number in range(24):
            nursery.start_soon(have_one_made, Client(system), number)

    assert pictures == dict.fromkeys(range(24), ("completed", True))


async def test_a_job_may_have_several_outputs(opening, photo):
    sizes = {"large": 32, "small": 8}
    recipe = Recipe(
        tuple(
            Output(name=name, operations=(Thumbnail(size, size),)) for name, size in sizes.items()
        )
    )
    async with opening() as system:
        client = Client(system)
        job = await client.wait_for_end(await client.submit(photo, recipe=recipe))
        fetched = {name: await client.ask(Fetch(job.id, 1_000_000, name)) for name in sizes}

    assert [output.name for output in job.outputs] == ["large", "small"]
    assert is_picture(fetched["large"].data, (32, 24))
    assert is_picture(fetched["small"].data, (8, 6))


async def test_an_image_is_sent_once_and_used_in_many_jobs(opening, photo, files):
    logo = draw(8, 8, "PNG", color="red")
    async with opening() as system:
        client = Client(system)
        image, mark = [await client.ask(Keep(data)) for data in (photo, logo)]
        recipe = Recipe((Output(operations=(Watermark(image=mark.id),), format="png"),))
        plan = await client.ask(Foresee(image.id, recipe))
        jobs = [await client.submit(image.id, recipe=recipe) for _ in range(3)]
        for kept in (image, mark):
            await client.ask(DeleteImage(kept.id))
        ended = [await client.wait_for_end(job) for job in jobs]
        (picture,) = {(await client.ask(Fetch(job.id, 1_000_000))).data for job in jobs}
        still_there = {image.key, mark.key} <= {*files()}
        for job in jobs:
            await client.ask(Delete(job.id))

    assert [(job.status, job.image_id) for job in ended] == 3 * [("completed", image.id)]
    assert is_picture(picture, (plan.outputs[0].width, plan.outputs[0].height))
    assert still_there
    assert files() == []


async def test_a_song_fails_and_spoils_nothing(opening, photo):
    async with opening() as system:
        client = Client(system)
        song, picture = await client.submit(b"la la la"), await client.submit(photo)
        ended = [await client.wait_for_end(job) for job in (song, picture)]

    assert [job.status for job in ended] == ["failed", "completed"]
    assert ended[0].error_code == "not_an_image"
    assert ended[0].attempts == 1


async def test_a_job_can_be_cancelled_while_it_is_rendered(opening, photo, held_renders):
    async with opening(workers=1) as system:
        client = Client(system)
        first, second = await client.submit(photo), await client.submit(photo)
        await client.wait_until(first, "processing")

        cancelled = await client.ask(Cancel(first.id))
        held_renders.go_on()
        completed = await client.wait_for_end(second)
        after = await client.ask(Find(first.id))

    assert (cancelled.status, completed.status) == ("cancelled", "completed")
    assert after == cancelled
    assert completed.attempts == 1


async def test_a_cancelled_job_can_be_retried(opening, photo, held_renders):
    async with opening(workers=1) as system:
        client = Client(system)
        job = await client.submit(photo)
        await client.wait_until(job, "processing")
        await client.ask(Cancel(job.id))
        await client.ask(Retry(job.id))
        held_renders.go_on()

        ended = await client.wait_for_end(job)

    assert (ended.status, ended.attempts) == ("completed", 2)


async def test_a_job_can_be_deleted_while_it_is_rendered(opening, photo, held_renders, files):
    async with opening(workers=1) as system:
        client = Client(system)
        job = await client.submit(photo)
        await client.wait_until(job, "processing")

        await client.ask(Delete(job.id))
        held_renders.go_on()
        with pytest.raises(JobNotFound):
            await client.ask(Await(job.id))

    assert files() == []


async def test_the_pool_grows_and_shrinks_while_it_works(opening, photo):
    async with opening(workers=1) as system:
        client = Client(system)
        jobs = [await client.submit(photo) for _ in range(6)]
        await client.ask(Resize(4))
        jobs += [await client.submit(photo) for _ in range(6)]
        await client.ask(Resize(2))
        ended = [await client.wait_for_end(job) for job in jobs]
        with trio.fail_after(PATIENCE):
            while await client.ask(LookAtPool()) != Pool(wanted=2, present=2, busy=0):
                await trio.testing.wait_all_tasks_blocked(0.005)
        names = [each.name for each in system.statistics()]

    assert {(job.status, job.attempts) for job in ended} == {("completed", 1)}
    assert len(names) == 7


async def test_statistics_show_every_actor(opening, photo):
    async with opening(workers=2) as system:
        client = Client(system)
        await client.wait_for_end(await client.submit(photo))
        await client.ask(Keep(photo))
        figures = {each.name: each for each in system.statistics()}

    assert set(figures) == {
        *("store", "fetcher", "courier", "surveyor"),
        *("dispatcher", "worker-1", "worker-2"),
    }
    assert figures["dispatcher"].handled == 3
    assert figures["surveyor"].handled == 1
    assert figures["store"].handled > 3
    assert {each.crashed for each in figures.values()} == {0}


# --- Crashes --------------------------------------------------------------------------------------


async def test_a_store_that_crashes_loses_no_job(opening, photo, monkeypatch):
    crash_once(monkeypatch, JobHandlers, "_count")
    async with opening() as system:
        client = Client(system)
        before = [await client.submit(photo) for _ in range(6)]

        with pytest.raises(HandlerCrashed, match="Count"):
            await client.ask(Count())
        after = [await client.submit(photo) for _ in range(3)]
        ended = [await client.wait_for_end(job) for job in before + after]
        figures = {each.name: each.crashed for each in system.statistics()}

    assert {job.status for job in ended} == {"completed"}
    assert figures["store"] == 1


async def test_an_idle_system_goes_on_after_its_store_crashed(opening, photo, monkeypatch):
    crash_once(monkeypatch, JobHandlers, "_count")
    async with opening() as system:
        client = Client(system)
        await trio.testing.wait_all_tasks_blocked(0.05)  # The Dispatcher's claim stands.
        with pytest.raises(HandlerCrashed):
            await client.ask(Count())

        ended = await client.wait_for_end(await client.submit(photo))

    assert (ended.status, ended.attempts) == ("completed", 1)


async def test_a_worker_that_crashes_loses_no_job(opening, photo, monkeypatch):
    async with opening(workers=1) as system:
        client = Client(system)
        crash_once(monkeypatch, Worker, "_end")

        jobs = [await client.submit(photo) for _ in range(3)]
        ended = [await client.wait_for_end(job) for job in jobs]
        figures = {each.name: each.crashed for each in system.statistics()}

    assert [job.status for job in ended] == 3 * ["completed"]
    assert [job.attempts for job in ended] == [2, 1, 1]
    assert figures["worker-1"] == 1


async def test_a_job_that_crashes_every_worker_ends_as_crashed(opening, photo, monkeypatch):
    whole = Worker._end

    async def crash_on_songs(self, job, abandoned):
        if job.input_size == 8:
            raise ZeroDivisionError
        await whole(self, job, abandoned)

    monkeypatch.setattr(Worker, "_end", crash_on_songs)
    async with opening(workers=2, attempts=3) as system:
        client = Client(system)
        song, picture = await client.submit(b"la la la"), await client.submit(photo)
        ended = [await client.wait_for_end(job) for job in (song, picture)]

    assert [job.status for job in ended] == ["failed", "completed"]
    assert (ended[0].error_code, ended[0].attempts) == ("crashed", 3)


# A render process whom every image kills.
FRAGILE = """
import os, sys
from actors.rendering import child
child.RenderProcess._fulfilled = lambda *_: os.abort()
child.main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
"""


async def test_a_job_that_kills_every_process_ends_as_crashed(opening, photo, monkeypatch):
    async with (
        open_renderer(Rendering(renders=1)) as fragile,
        opening(workers=1, attempts=3, renderer=fragile) as system,
    ):
        client = Client(system)
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(process, "COMMAND", (sys.executable, "-c", FRAGILE))
            ended = await client.wait_for_end(await client.submit(photo))
        after = await client.wait_for_end(await client.submit(draw(50, 50)))
        figures = {each.name: each.crashed for each in system.statistics()}

    assert (ended.status, ended.error_code, ended.attempts) == ("failed", "crashed", 3)
    assert ended.error == "The process that rendered it has ended."
    assert [each["event"] for each in logs].count("render_died") == 3
    assert after.status == "completed"
    assert set(figures.values()) == {0}


async def test_what_has_killed_too_many_processes_kills_no_more_of_them(
    opening, photo, monkeypatch
):
    async with (
        open_renderer(Rendering(renders=1)) as fragile,
        opening(workers=1, attempts=2, renderer=fragile) as system,
    ):
        client = Client(system)
        with monkeypatch.context() as patch, capture_logs() as logs:
            patch.setattr(process, "COMMAND", (sys.executable, "-c", FRAGILE))
            await client.wait_for_end(await client.submit(photo))
            refused = await client.wait_for_end(
                await client.submit(photo, recipe=Recipe((Output(format="webp"),)))
            )

    assert (refused.status, refused.error_code, refused.attempts) == ("failed", "crashed", 1)
    assert refused.error == REFUSED
    assert [each["event"] for each in logs].count("render_died") == 2


async def test_a_job_that_is_cancelled_stops_at_work_within_a_second(opening, photo, renderer):
    async with opening(workers=1) as system:
        client = Client(system)
        await client.wait_for_end(await client.submit(photo))
        with paused() as pids:
            job = await client.submit(draw(50, 50))
            await client.wait_until(job, "processing")
            await until_at_work(renderer)
            begun = time.monotonic()
            await client.ask(Cancel(job.id))
            with trio.fail_after(PATIENCE):
                while renderer.places.borrowed_tokens:
                    await trio.testing.wait_all_tasks_blocked(0.005)
            seconds = time.monotonic() - begun
        again = await client.wait_for_end(await client.submit(photo))

    assert seconds < PATIENCE
    assert [state(pid) for pid in pids].count("") == 1
    assert again.status == "completed"


async def test_a_surveyor_that_crashes_spoils_no_job_and_is_replaced(opening, photo, monkeypatch):
    crash_once(monkeypatch, Surveyor, "_keep")
    async with opening() as system:
        client = Client(system)
        job = await client.submit(photo)

        with pytest.raises(HandlerCrashed, match="Keep"):
            await client.ask(Keep(photo))
        image = await client.ask(Keep(photo))
        ended = [await client.wait_for_end(each) for each in (job, await client.submit(image.id))]
        figures = {each.name: each.crashed for each in system.statistics()}

    assert [(job.status, job.attempts) for job in ended] == 2 * [("completed", 1)]
    assert (figures["surveyor"], figures["store"], figures["dispatcher"]) == (1, 0, 0)


async def test_a_dispatcher_that_crashes_leaves_the_surveyor_alone(opening, photo, monkeypatch):
    async with opening() as system:
        client = Client(system)
        crash_once(monkeypatch, Dispatcher, "_pool")
        with pytest.raises(HandlerCrashed):
            await client.ask(LookAtPool())

        image = await client.ask(Keep(photo))
        figures = {each.name: each.crashed for each in system.statistics()}

    assert (image.width, image.height) == (64, 48)
    assert (figures["dispatcher"], figures["surveyor"]) == (1, 0)


async def test_a_dispatcher_that_crashes_loses_no_job(opening, photo, monkeypatch, held_renders):
    async with opening(workers=2) as system:
        client = Client(system)
        jobs = [await client.submit(photo, priority) for priority in ("high", "normal")]
        jobs += [await client.submit(photo + b"other", priority) for priority in ("high", "normal")]
        await client.wait_until(jobs[2], "processing")
        crash_once(monkeypatch, Dispatcher, "_pool")

        with pytest.raises(HandlerCrashed, match="LookAtPool"):
            await client.ask(LookAtPool())
        held_renders.go_on()
        ended = [await client.wait_for_end(job) for job in jobs]
        pool = await client.ask(LookAtPool())

    assert {job.status for job in ended} == {"completed"}
    assert (pool.wanted, pool.present) == (2, 2)


async def test_a_dispatcher_that_crashes_keeps_to_its_orders(opening, photo, monkeypatch):
    async with opening(workers=1) as system:
        client = Client(system)
        await client.ask(Resize(3))
        await client.ask(Drain())
        crash_once(monkeypatch, Dispatcher, "_pool")

        with pytest.raises(HandlerCrashed):
            await client.ask(LookAtPool())
        pool = await client.ask(LookAtPool())
        with pytest.raises(Draining):
            await client.submit(photo)

    assert (pool.wanted, pool.present) == (3, 3)


async def test_a_store_that_crashes_keeps_to_its_orders(opening, photo, monkeypatch, held_renders):
    crash_once(monkeypatch, JobHandlers, "_count")
    async with opening(workers=1) as system:
        client = Client(system)
        job = await client.submit(photo)
        await client.ask(Drain())

        with pytest.raises(HandlerCrashed):
            await client.ask(Count())
        with pytest.raises(Draining):
            await client.ask(Await(job.id))
        held_renders.go_on()


async def test_too_many_crashes_take_the_system_down(opening, monkeypatch):
    monkeypatch.setattr(JobHandlers, "_count", lambda *_: 1 // 0)
    heard = []

    with pytest.RaisesGroup(TooManyCrashes, flatten_subgroups=True):
        async with opening(max_crashes=2) as system:
            for _ in range(3):
                try:
                    await system.front_door.ask(Count())
                except HandlerCrashed as error:
                    heard.append(error)
            await trio.sleep_forever()

    assert len(heard) == 3


async def test_a_storage_in_other_hands_fails_the_start(opening):
    async with opening():
        with pytest.RaisesGroup(StorageUnavailable, flatten_subgroups=True):
            async with opening():
                pass


# --- Stopping and starting ------------------------------------------------------------------------


async def test_leaving_finishes_the_jobs_in_hand_and_leaves_the_others(
    opening, photo, held_renders, look
):
    async with opening(workers=1) as system:
        client = Client(system)
        in_hand, pending = await client.submit(photo), await client.submit(photo)
        await client.wait_until(in_hand, "processing")
        held_renders.go_on_soon()

    jobs = look()

    assert (jobs[in_hand.id].status, jobs[in_hand.id].attempts) == ("completed", 1)
    assert (jobs[pending.id].status, jobs[pending.id].attempts) == ("pending", 0)


async def begin_to_keep(nursery, system, photo, held):
    """Ask for an image to be kept; return the list for the outcome once it is looked at."""
    outcome = []

    async def keep():
        try:
            outcome.append(await system.front_door.ask(Keep(photo)))
        except ActorStopped as error:
            outcome.append(error)

    nursery.start_soon(keep)
    with trio.fail_after(PATIENCE):
        while not held.begun:
            await trio.testing.wait_all_tasks_blocked(0.005)
    return outcome


async def test_leaving_finishes_the_images_in_hand(opening, photo, held_renders):
    async with trio.open_nursery() as nursery, opening() as system:
        outcome = await begin_to_keep(nursery, system, photo, held_renders)
        held_renders.go_on_soon()

    async with opening() as system:
        assert await Client(system).ask(FindImage(outcome[0].id)) == outcome[0]


async def test_while_draining_no_image_is_kept_but_those_in_hand_are(opening, photo, held_renders):
    async with opening() as system, trio.open_nursery() as nursery:
        client = Client(system)
        outcome = await begin_to_keep(nursery, system, photo, held_renders)
        await client.ask(Drain())

        with pytest.raises(Draining):
            await client.ask(Keep(photo))
        held_renders.go_on()
        plan = await client.ask(Foresee(photo, THUMBNAIL))

    assert plan.outputs[0].width == 16
    assert outcome[0].width == 64


async def test_grace_bounds_the_images_in_hand_as_well(opening, photo, held_renders, files):
    async with trio.open_nursery() as nursery, opening(grace=0.2) as system:
        outcome = await begin_to_keep(nursery, system, photo, held_renders)
        left = time.monotonic()

    assert 0.15 < time.monotonic() - left < 3
    assert isinstance(outcome[0], ActorStopped)
    assert files() == []


async def test_leaving_idle_is_quick(opening):
    async with opening():
        pass
    async with opening() as system:
        assert (await Client(system).ask(LookAtPool())).present == 2
        left = time.monotonic()

    assert time.monotonic() - left < 2


async def test_what_was_left_is_done_at_the_next_start(opening, photo, held_renders):
    async with opening(workers=1) as system:
        client = Client(system)
        jobs = [await client.submit(photo) for _ in range(5)]
        await client.wait_until(jobs[0], "processing")
        held_renders.go_on_soon()

    async with opening(workers=1) as system:
        ended = [await Client(system).wait_for_end(job) for job in jobs]

    assert {(job.status, job.attempts) for job in ended} == {("completed", 1)}


async def test_what_was_processing_when_everything_was_cancelled_is_done_again(
    opening, photo, held_renders, look
):
    with trio.CancelScope() as scope:
        async with opening(workers=1) as system:
            client = Client(system)
            job = await client.submit(photo)
            await client.wait_until(job, "processing")
            held_renders.go_on_soon()
            scope.cancel()
            await trio.sleep_forever()
    left = look()[job.id]

    async with opening(workers=1) as system:
        ended = await Client(system).wait_for_end(job)

    assert (left.status, left.attempts) == ("processing", 1)
    assert (ended.status, ended.attempts) == ("completed", 2)


async def test_a_job_that_brings_everything_down_again_and_again_ends_as_crashed(
    opening, photo, monkeypatch
):
    async def hang(*_):
        await trio.sleep_forever()

    monkeypatch.setattr(Worker, "_end", hang)
    job = None
    for attempt in (1, 2):
        with trio.CancelScope() as scope:
            async with opening(workers=1, attempts=2) as system:
                client = Client(system)
                job = job or await client.submit(photo)
                with trio.fail_after(PATIENCE):
                    while (await client.ask(Find(job.id))).attempts < attempt:
                        await trio.testing.wait_all_tasks_blocked(0.005)
                scope.cancel()
                await trio.sleep_forever()

    async with opening(workers=1, attempts=2) as system:
        ended = await Client(system).wait_for_end(job)

    assert (ended.status, ended.error_code) == ("failed", "crashed")


async def test_grace_bounds_the_stop(opening, photo, monkeypatch, look):
    async def hang(*_):
        await trio.sleep_forever()

    monkeypatch.setattr(Worker, "_end", hang)
    async with opening(grace=0.2) as system:
        client = Client(system)
        job = await client.submit(photo)
        await client.wait_until(job, "processing")
        left = time.monotonic()

    assert 0.15 < time.monotonic() - left < 3
    assert look()[job.id].status == "processing"


async def test_an_error_in_the_block_stops_the_system_and_loses_no_job(opening, photo):
    with pytest.RaisesGroup(ZeroDivisionError):
        async with opening() as system:
            job = await Client(system).submit(photo)
            raise ZeroDivisionError

    async with opening() as system:
        assert (await Client(system).wait_for_end(job)).status == "completed"
