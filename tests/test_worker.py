"""A Worker ends each job it is given, or says that it could not."""

import io
import signal
from dataclasses import replace
from hashlib import sha256

import pytest
import trio
import trio.testing
from PIL import Image
from structlog.testing import capture_logs

from actors import metrics
from actors.errors import ActorStopped, HandlerCrashed, JobInterrupted
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.mailbox import open_mailbox
from actors.messages import (
    Complete,
    Count,
    Crash,
    Download,
    Fail,
    KeepInput,
    Open,
    Reuse,
    Run,
    TryLater,
)
from actors.outside.breaker import HostBusy, HostResting
from actors.outside.errors import SourceForbidden, SourceTooLarge, SourceUnreachable
from actors.storage.ports import (
    BlobDamaged,
    BlobNotFound,
    JobNotFound,
    Seal,
    StaleClaim,
    StorageFull,
    StorageUnavailable,
)
from actors.storage.quarantine import REFUSED, Quarantined
from actors.supervision import Activity
from actors.worker import Worker
from tests.conftest import PATIENCE, FakeStore, draw, is_picture, make_job
from tests.imaging.pictures import png
from tests.rendering.children import paused, send_all, until_at_work


async def for_ever() -> None:
    """Sleep, so that mypy does not take what follows a cancelled block for unreachable."""
    await trio.sleep_forever()


class Working:
    """A Worker with a fake Store, and a way to give it jobs."""

    def __init__(self, image, renderer):
        answers = {Open: [image], KeepInput: [None], Complete: [None], Fail: [None]}
        answers |= {Reuse: [False]}
        self.store = FakeStore({**answers, TryLater: [None], Crash: [None]})
        self.fetcher = FakeStore({Download: [image]})
        self.address, self.mailbox = open_mailbox("worker", 0)
        self.activity = Activity("worker", self.mailbox)
        self.worker = Worker(
            *(self.mailbox, self.store.address, self.fetcher.address),
            *(renderer, renderer.limits, self.activity),
        )
        self.ended = trio.Event()

    async def run(self, *, task_status):
        await self.worker.run(task_status=task_status)
        self.ended.set()

    async def work(self, job):
        with trio.fail_after(PATIENCE):
            return await self.address.ask(Run(job))


@pytest.fixture
def start(nursery, photo, renderer):
    async def start_one(image=photo, limited=renderer):
        working = Working(image, limited)
        nursery.start_soon(working.store.run)
        nursery.start_soon(working.fetcher.run)
        await nursery.start(working.run)
        return working

    return start_one


async def test_a_job_is_rendered_and_completed(start, photo):
    working = await start()
    job = make_job(1, attempts=2)

    await working.work(job)

    load, complete = working.store.asked
    assert load == Open(job.input_key or "", Seal(100, None))
    assert (complete.job_id, complete.attempt) == (job.id, 2)
    (made,) = complete.made
    assert (made.name, made.format, made.width, made.height) == ("output", "png", 16, 12)
    assert is_picture(made.data, (16, 12))


async def test_all_outputs_of_a_job_are_made_of_one_original(start):
    working = await start()
    sizes = {"large": 32, "small": 8, "medium": 16}
    recipe = Recipe(
        tuple(
            Output(name=name, operations=(Thumbnail(size, size),)) for name, size in sizes.items()
        )
    )

    await working.work(make_job(1, recipe=encode_recipe(recipe)))

    assert len(working.store.asked_for(Open)) == 1
    (complete,) = working.store.asked_for(Complete)
    assert [(made.name, made.width) for made in complete.made] == list(sizes.items())
    assert all(is_picture(made.data, (made.width, made.height)) for made in complete.made)


KEY = make_job(1).input_key or ""
MARKED = encode_recipe(Recipe((Output(operations=(Watermark(image="mark"),), format="png"),)))


async def test_the_other_images_of_a_job_are_loaded_as_well(start, photo):
    working = await start()
    working.store.answers[Open] = [photo, draw(400, 400, "PNG", color="red")]

    await working.work(make_job(1, recipe=MARKED, others={"mark": "5e/mark.png"}))

    assert working.store.asked_for(Open) == [Open(KEY, Seal(100, None)), Open("5e/mark.png")]
    ((made,),) = [complete.made for complete in working.store.asked_for(Complete)]
    with Image.open(io.BytesIO(made.data)) as picture:
        assert picture.getpixel((32, 24)) == (255, 0, 0)


URL = "http://example.org/a.png?token=secret"


def make_distant_job(**changes):
    nothing = {"input_key": None, "input_size": None, "input_sha256": None}
    return make_job(1, **nothing, image_url=URL, **changes)


async def test_an_image_that_is_elsewhere_is_fetched_and_kept_before_it_is_rendered(start, photo):
    working = await start()
    job = make_distant_job(attempts=2)

    await working.work(job)

    keep, reuse, complete = working.store.asked
    assert reuse == Reuse(job.id, 2)
    assert working.fetcher.asked == [Download(URL, job.id)]
    assert keep == KeepInput(job.id, 2, photo, pixels=64 * 48)
    assert (complete.job_id, complete.attempt) == (job.id, 2)
    assert is_picture(complete.made[0].data, (16, 12))


async def test_what_was_fetched_once_is_not_fetched_again(start):
    working = await start()

    await working.work(make_job(1, image_url=URL, attempts=2))

    assert working.fetcher.asked == []
    assert working.store.asked_for(Open) != []
    assert working.store.asked_for(Complete) != []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SourceForbidden("This address leads inside."), "source_forbidden"),
        (SourceTooLarge(1000), "image_too_large"),
        (SourceUnreachable("It answered 404.", may_pass=False), "source_unreachable"),
    ],
)
async def test_a_job_whose_image_cannot_be_fetched_fails(start, error, code):
    working = await start()
    working.fetcher.answers[Download] = [error]

    await working.work(make_distant_job())

    (failed,) = working.store.asked
    assert isinstance(failed, Fail)
    assert (failed.code, failed.attempt) == (code, 1)
    assert failed.error == f"The image could not be fetched. {error}"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (SourceUnreachable("It answered 503.", status=503, retry_after=90.0), 90.0),
        (SourceUnreachable("It has fallen silent."), 0.0),
        (HostResting(5), 5.0),
    ],
)
async def test_a_job_whose_source_may_be_there_later_is_given_up_until_then(start, error, seconds):
    working = await start()
    working.fetcher.answers[Download] = [error]

    await working.work(make_distant_job(attempts=2))

    told = f"The image could not be fetched. {error}"
    assert working.store.asked == [
        TryLater(make_job(1).id, 2, "source_unreachable", told, at_least=seconds)
    ]


async def test_a_job_whose_source_is_too_busy_is_put_off_and_that_counts_as_no_try(start):
    working = await start()
    error = HostBusy("As many as may be.")
    working.fetcher.answers[Download] = [error]

    await working.work(make_distant_job(attempts=2))

    told = f"The image could not be fetched. {error}"
    assert working.store.asked == [
        TryLater(make_job(1).id, 2, "source_unreachable", told, spare=True)
    ]


async def test_what_was_fetched_and_is_no_image_is_kept_and_its_job_fails(start):
    working = await start(b"<!doctype html>")

    await working.work(make_distant_job())

    assert [type(each) for each in working.store.asked] == [KeepInput, Reuse, Fail]
    assert working.store.asked[-1].code == "not_an_image"


async def test_a_job_fails_if_there_is_no_room_for_what_was_fetched(start):
    working = await start()
    working.store.answers[KeepInput] = [StorageFull("no room")]

    await working.work(make_distant_job())

    assert [failed.code for failed in working.store.asked_for(Fail)] == ["out_of_space"]


@pytest.mark.parametrize("error", [StaleClaim("1"), JobNotFound("1")])
async def test_what_was_fetched_too_late_is_not_rendered(start, error):
    working = await start()
    working.store.answers[KeepInput] = [error]

    await working.work(make_distant_job())

    assert [type(each) for each in working.store.asked] == [KeepInput]


@pytest.mark.parametrize("error", [ActorStopped, HandlerCrashed("Download")])
async def test_a_job_is_given_up_if_the_fetcher_crashes(start, error):
    working = await start()
    working.fetcher.answers[Download] = [error]

    with pytest.raises(JobInterrupted):
        await working.work(make_distant_job())

    assert working.store.asked == []


async def test_a_fetch_for_a_job_that_is_cancelled_ends_at_once(nursery, start):
    working = await start()
    abandoned = trio.Event()

    async def hang():
        async for envelope in working.fetcher.mailbox:
            with envelope, envelope.while_wanted():
                await for_ever()
            abandoned.set()

    working.fetcher.reading.cancel()
    await trio.testing.wait_all_tasks_blocked()
    address, working.fetcher.mailbox = open_mailbox("fetcher", 1)
    working.worker._fetcher = address
    nursery.start_soon(hang)

    with trio.move_on_after(0.1):
        await working.address.ask(Run(make_distant_job()))
    with trio.fail_after(PATIENCE):
        await abandoned.wait()
        await working.work(make_job(2))

    assert [each.job_id for each in working.store.asked_for(Complete)] == [make_job(2).id]
    address.close()


async def test_a_job_that_lacks_one_of_its_other_images_ends(start, photo):
    working = await start()
    working.store.answers[Open] = [photo, BlobNotFound("5e/mark.png")]

    await working.work(make_job(1, recipe=MARKED, others={"mark": "5e/mark.png"}))

    assert [failed.code for failed in working.store.asked_for(Fail)] == ["crashed"]
    assert working.store.asked_for(Complete) == []


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
    ("image", "code"),
    [
        (b"la la la", "not_an_image"),
        (draw()[:-300], "not_an_image"),
        (b"8BPS\0\1" + bytes(100), "unsupported_format"),
        (png(60_000, 60_000, b""), "image_too_large"),
    ],
    ids=["song", "truncated", "photoshop", "large"],
)
async def test_a_fault_of_the_image_ends_the_job_with_its_code(start, image, code):
    working = await start(image)
    job = make_job(1, attempts=3)

    await working.work(job)

    (failed,) = working.store.asked_for(Fail)
    assert (failed.job_id, failed.attempt, failed.code) == (job.id, 3, code)
    assert failed.error
    assert working.store.asked_for(Complete) == []


async def test_a_recipe_that_does_not_fit_the_image_ends_the_job(start):
    working = await start()
    recipe = Recipe((Output(operations=(Crop(x=60, y=0, width=10, height=10),)),))

    await working.work(make_job(1, recipe=encode_recipe(recipe)))

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


@pytest.mark.parametrize("message", [Open, Complete, Fail])
@pytest.mark.parametrize(
    "trouble",
    [StorageUnavailable("away"), ActorStopped, HandlerCrashed("Open")],
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


async def test_a_job_that_nobody_waits_for_any_more_is_not_begun(nursery, photo, renderer):
    working = Working(photo, renderer)
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


async def test_a_recipe_that_cannot_be_read_costs_its_job_and_nothing_else(start):
    working = await start()

    with capture_logs() as logs:
        for number in range(20):
            await working.work(make_job(number, recipe="{"))
    await working.work(make_job(20))

    failed = working.store.asked_for(Fail)
    assert [(each.job_id, each.code) for each in failed] == [
        (make_job(number).id, "crashed") for number in range(20)
    ]
    assert "DecodeError" not in failed[0].error
    assert [message.job_id for message in working.store.asked_for(Complete)] == [make_job(20).id]
    crashes = [entry for entry in logs if entry["event"] == "render_crashed"]
    assert [entry["job_id"] for entry in crashes] == [make_job(number).id for number in range(20)]
    assert all("DecodeError" in entry["bug"] for entry in crashes)


async def test_a_render_whose_process_dies_is_tried_later(start, renderer):
    working = await start()
    job = make_job(1, attempts=2)
    await working.work(job)
    working.store.asked.clear()

    with capture_logs() as logs, paused():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(working.work, job)
            await until_at_work(renderer)
            send_all(signal.SIGKILL)

    assert working.store.asked_for(Crash) == [Crash(job.id, 2)]
    told = [each for each in logs if each["event"] == "render_died"]
    assert [(each["job_id"], each["attempt"]) for each in told] == [(job.id, 2)]
    await working.work(make_job(3))
    assert [each.job_id for each in working.store.asked_for(Complete)] == [make_job(3).id]


async def test_an_image_that_is_as_it_was_sent_is_rendered(start, photo):
    working = await start()

    await working.work(make_job(1, input_sha256=sha256(photo).hexdigest()))

    assert len(working.store.asked_for(Complete)) == 1


async def test_nothing_is_made_of_an_image_that_is_not_as_it_was_sent(start, photo):
    working = await start()
    job = make_job(1, input_size=len(photo), input_sha256=sha256(b"another").hexdigest())

    with capture_logs() as logs:
        await working.work(job)

    (failed,) = working.store.asked_for(Fail)
    assert (failed.code, failed.error) == ("crashed", "The image is not as it was sent.")
    assert [each["how"] for each in logs if each["event"] == "blob_damaged"] == ["digest"]
    assert working.store.asked[0].seal == Seal(len(photo), job.input_sha256)


async def test_a_job_fails_whose_image_is_shorter_than_it_was(start):
    working = await start()
    working.store.answers[Open] = [BlobDamaged("3f/a.jpg", "size")]

    await working.work(make_job(1))

    (failed,) = working.store.asked_for(Fail)
    assert (failed.code, failed.error) == ("crashed", "The image is not as it was sent.")


async def test_a_job_whose_image_is_in_quarantine_fails_and_nothing_is_opened(start):
    working = await start()

    await working.work(make_job(1, quarantined=True))

    (failed,) = working.store.asked
    assert (failed.code, failed.error) == ("crashed", REFUSED)


async def test_a_job_fails_whose_fetched_image_is_in_quarantine(start):
    working = await start()
    working.store.answers[KeepInput] = [Quarantined("5e")]

    await working.work(make_job(1, input_key=None, image_url="http://example.org/a.png"))

    (failed,) = working.store.asked_for(Fail)
    assert (failed.code, failed.error) == ("crashed", REFUSED)


async def test_no_more_renders_at_once_than_there_are_places(nursery, photo, renderer):
    first, second = Working(photo, renderer), Working(photo, renderer)
    for working in (first, second):
        nursery.start_soon(working.store.run)
        nursery.start_soon(working.fetcher.run)
        await nursery.start(working.run)

    all_of_them = [object() for _ in range(int(renderer.places.total_tokens))]
    for each in all_of_them:
        renderer.places.acquire_on_behalf_of_nowait(each)
    async with trio.open_nursery() as asking:
        asking.start_soon(first.work, make_job(1))
        asking.start_soon(second.work, make_job(2))
        await trio.testing.wait_all_tasks_blocked()
        waiting = renderer.places.statistics().tasks_waiting
        asking.cancel_scope.cancel()
    for each in all_of_them:
        renderer.places.release_on_behalf_of(each)

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
