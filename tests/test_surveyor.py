"""The Surveyor looks at images, and never at more of them at once than it may."""

import hashlib
import json
import os
import signal
import threading

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

import actors.surveyor
from actors.errors import ActorStopped, HandlerCrashed
from actors.imaging.errors import (
    ImageTooLarge,
    ImagingCrashed,
    ImpossibleRecipe,
    NotAnImage,
    UnsupportedFormat,
)
from actors.imaging.facts import Limits
from actors.imaging.inspect import inspect
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Output, Recipe
from actors.mailbox import open_mailbox
from actors.messages import Count, FindImage, Foresee, Keep, KeepImage, Open
from actors.priority import NICENESS
from actors.storage.ports import (
    BlobNotFound,
    ImageNotFound,
    ImageRecord,
    StorageFull,
    StorageUnavailable,
)
from actors.supervision import Activity, Intensity, supervise
from actors.surveyor import Surveyor
from tests.conftest import NOON, PATIENCE, THUMBNAIL, FakeStore, draw, nothing_left_of
from tests.rendering.children import paused, send_all, until_at_work

IMAGE = ImageRecord(
    id="5e",
    key="5e/5e.jpg",
    format="jpeg",
    width=64,
    height=48,
    frames=1,
    size_bytes=9,
    sha256="2b",
    facts="{}",
    created_at=NOON,
)


class Surveying:
    """A Surveyor under supervision with a fake Store, and ways to ask it."""

    def __init__(self, nursery, image, limits, renderer):
        self._nursery = nursery
        self.store = FakeStore({KeepImage: [IMAGE], FindImage: [IMAGE], Open: [image]})
        self.address, self.mailbox = open_mailbox("surveyor", 8)
        self.activity = Activity("surveyor", self.mailbox)
        self.renderer = renderer
        self.limits = limits
        self.ended = trio.Event()
        self.scope = trio.CancelScope()

    def make(self):
        # A clone, because one that crashes closes what it holds.
        store = self.store.address.clone()
        return Surveyor(self.mailbox, store, self.renderer, self.limits, self.activity)

    async def run(self, *, task_status):
        with self.scope, self.store.address:
            await supervise(self.make, self.activity, Intensity(), task_status=task_status)
        self.ended.set()

    def read_mail_of_store(self):
        self._nursery.start_soon(self.store.run)

    async def ask(self, request):
        with trio.fail_after(PATIENCE):
            return await self.address.ask(request)

    async def begin(self, request, *, till_idle=True):
        """Ask in a task of its own, and return when that goes no further, nor its render."""
        asking = Asking(self, request)
        self._nursery.start_soon(asking.run)
        await trio.testing.wait_all_tasks_blocked()
        if till_idle:
            await self.settle()
        return asking

    async def settle(self):
        """Wait until no render is under way."""
        with trio.fail_after(PATIENCE):
            while self.renderer.places.borrowed_tokens:
                await trio.testing.wait_all_tasks_blocked(0.005)


class Asking:
    """An ask, and what came of it."""

    def __init__(self, surveying, request):
        self._surveying = surveying
        self._request = request
        self._outcome = None
        self._ended = trio.Event()
        self.scope = trio.CancelScope()

    async def run(self):
        with self.scope:
            try:
                self._outcome = await self._surveying.address.ask(self._request)
            except Exception as error:  # noqa: BLE001 (the test looks at it)
                self._outcome = type(error)
        self._ended.set()

    async def outcome(self):
        with trio.fail_after(PATIENCE):
            await self._ended.wait()
        return self._outcome


@pytest.fixture
def start(nursery, photo, renderer):
    async def start_one(limits=renderer.limits, *, store_reads=True):
        surveying = Surveying(nursery, photo, limits, renderer)
        if store_reads:
            surveying.read_mail_of_store()
        await nursery.start(surveying.run)
        return surveying

    return start_one


SONG = b"la la la"
BAD_IMAGES = pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (SONG, Limits(), NotAnImage),
        (b"8BPS\0\1" + bytes(100), Limits(), UnsupportedFormat),
        (draw(100, 100), Limits(max_pixels=9_999), ImageTooLarge),
        (draw(), Limits(formats=frozenset({"png"})), UnsupportedFormat),
    ],
    ids=["song", "photoshop", "large", "unwanted"],
)


# --- Keeping --------------------------------------------------------------------------------------


async def test_an_image_is_kept_with_what_can_be_told_of_it(start, photo):
    surveying = await start()

    answer = await surveying.ask(Keep(photo))

    assert answer == IMAGE
    (kept,) = surveying.store.asked
    assert kept.data == photo
    assert (kept.facts.format, kept.facts.width, kept.facts.height) == ("jpeg", 64, 48)
    described = json.loads(kept.described)
    assert (described["format"], described["width"], described["height"]) == ("jpeg", 64, 48)
    assert described["sha256"] == hashlib.sha256(photo).hexdigest()


@BAD_IMAGES
async def test_what_is_no_image_that_may_be_read_is_refused_and_not_kept(
    start, data, limits, error
):
    surveying = await start(limits)

    with pytest.raises(error, match=r"\.$"):
        await surveying.ask(Keep(data))

    assert surveying.store.asked == []


async def test_a_broken_image_is_refused_though_its_header_is_whole(start):
    surveying = await start()

    with pytest.raises(NotAnImage):
        await surveying.ask(Keep(draw()[:-300]))

    assert surveying.store.asked == []


@pytest.mark.parametrize("data", [SONG * 1_000, draw()[:-300]], ids=["song", "truncated"])
async def test_what_is_refused_leaves_nothing_in_memory(start, data):
    surveying = await start()
    data = bytes(bytearray(data))  # The parameter is held by pytest as well.

    with nothing_left_of(data):
        with pytest.raises(NotAnImage):
            await surveying.ask(Keep(data))
        await trio.testing.wait_all_tasks_blocked(0.01)


async def test_what_there_is_no_plan_for_leaves_nothing_in_memory(start):
    surveying = await start()
    song = SONG * 1_000

    with nothing_left_of(song):
        with pytest.raises(NotAnImage):
            await surveying.ask(Foresee(song, THUMBNAIL))
        await trio.testing.wait_all_tasks_blocked(0.01)


async def test_what_was_kept_is_not_held_until_the_next_image_comes(start):
    surveying = await start()
    picture = draw(20, 20)

    with nothing_left_of(picture):
        await surveying.ask(Keep(picture))
        surveying.store.asked.clear()
        # The fake Store has its last message in hand until the next one.
        await surveying.store.address.ask(FindImage("5e"))


@pytest.mark.parametrize(
    ("trouble", "heard"),
    [
        (StorageFull("no room"), StorageFull),
        (StorageUnavailable("away"), StorageUnavailable),
        (ActorStopped, ActorStopped),
        (HandlerCrashed("KeepImage"), HandlerCrashed),
    ],
    ids=["full", "away", "stopped", "crashed"],
)
async def test_a_store_that_cannot_keep_it_is_told_to_the_asker_and_is_no_crash(
    start, photo, trouble, heard
):
    surveying = await start()
    surveying.store.answers[KeepImage] = [trouble, IMAGE]

    with pytest.raises(heard):
        await surveying.ask(Keep(photo))

    assert await surveying.ask(Keep(photo)) == IMAGE
    assert surveying.activity.crashed == 0


# --- Foreseeing -----------------------------------------------------------------------------------


async def test_a_plan_is_told_of_bytes_and_asks_nobody(start, photo):
    surveying = await start()

    plan = await surveying.ask(Foresee(photo, THUMBNAIL))

    assert (plan.facts.format, plan.facts.width, plan.facts.height) == ("jpeg", 64, 48)
    assert [(each.format, each.width, each.height) for each in plan.outputs] == [("png", 16, 12)]
    assert surveying.store.asked == []


async def test_a_plan_is_told_of_an_image_by_its_id(start, photo):
    surveying = await start()

    plan = await surveying.ask(Foresee("5e", THUMBNAIL))

    assert plan == await surveying.ask(Foresee(photo, THUMBNAIL))
    assert surveying.store.asked == [FindImage("5e"), Open("5e/5e.jpg")]


async def test_no_plan_is_told_of_a_recipe_that_names_an_image_that_is_not_there(start, photo):
    surveying = await start()
    surveying.store.answers[FindImage] = [ImageNotFound("5e")]
    marked = Recipe((Output(operations=(Watermark(image="5e"),)),))

    with pytest.raises(ImageNotFound):
        await surveying.ask(Foresee(photo, marked))


@BAD_IMAGES
async def test_no_plan_is_told_of_what_may_not_be_read(start, data, limits, error):
    surveying = await start(limits)

    with pytest.raises(error):
        await surveying.ask(Foresee(data, THUMBNAIL))


async def test_a_recipe_that_does_not_fit_the_image_is_told_with_the_step(start, photo):
    surveying = await start()
    beyond = Recipe((Output(operations=(Crop(x=60, y=0, width=10, height=10),)),))

    with pytest.raises(ImpossibleRecipe, match="Step 1"):
        await surveying.ask(Foresee(photo, beyond))


@pytest.mark.parametrize(
    ("message", "trouble"),
    [
        (FindImage, ImageNotFound("5e")),
        (Open, BlobNotFound("5e/5e.jpg")),
        (FindImage, StorageUnavailable("away")),
        (Open, HandlerCrashed("Open")),
    ],
    ids=["unknown", "gone", "away", "crashed"],
)
async def test_an_image_that_cannot_be_had_is_told_to_the_asker(start, message, trouble):
    surveying = await start()
    surveying.store.answers[message] = [trouble]

    with pytest.raises(type(trouble)):
        await surveying.ask(Foresee("5e", THUMBNAIL))

    assert surveying.activity.crashed == 0


# --- How much at once -----------------------------------------------------------------------------


async def test_no_more_images_are_in_hand_at_once_than_there_are_renders(start, photo):
    surveying = await start(store_reads=False)
    asking = [await surveying.begin(Keep(photo)) for _ in range(5)]
    in_hand = surveying.store.mailbox.statistics().waiting
    begun = surveying.activity.handled

    surveying.read_mail_of_store()

    assert in_hand == 2
    assert begun == 3  # The third waits for its turn.
    assert [await each.outcome() for each in asking] == 5 * [IMAGE]


@pytest.mark.parametrize("message", [Keep(draw()), Foresee(draw(), THUMBNAIL)])
async def test_it_shares_the_processors_with_the_renders(start, message):
    surveying = await start()

    renders = [object(), object()]
    for each in renders:
        surveying.renderer.places.acquire_on_behalf_of_nowait(each)
    waiting = Asking(surveying, message)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiting.run)
        await trio.testing.wait_all_tasks_blocked()
        tasks_waiting = surveying.renderer.places.statistics().tasks_waiting
        waiting.scope.cancel()
    surveying.scope.cancel()
    for each in renders:
        surveying.renderer.places.release_on_behalf_of(each)

    assert tasks_waiting == 1


@pytest.mark.parametrize(
    ("work", "message"), [("inspect", Keep(b"")), ("foresee", Foresee(b"", THUMBNAIL))]
)
async def test_its_threads_give_way_to_all_others(start, monkeypatch, work, message):
    def look(*_):
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        raise NotAnImage

    niceness: list[int] = []
    monkeypatch.setattr(actors.surveyor, work, look)
    surveying = await start()

    with pytest.raises(NotAnImage):
        await surveying.ask(message)

    assert niceness[0] >= NICENESS


async def test_what_nobody_waits_for_any_more_is_not_begun(start, photo):
    surveying = await start(store_reads=False)
    in_hand = [await surveying.begin(Keep(photo)) for _ in range(2)]
    leaving = await surveying.begin(Keep(draw(20, 20)))

    leaving.scope.cancel()
    surveying.read_mail_of_store()
    for each in in_hand:
        await each.outcome()
    await surveying.ask(Foresee("5e", THUMBNAIL))

    assert [kept.data for kept in surveying.store.asked_for(KeepImage)] == [photo, photo]


async def test_a_look_that_nobody_waits_for_any_more_is_given_up(start, photo):
    surveying = await start()
    await surveying.ask(Keep(photo))
    with paused():
        leaving = await surveying.begin(Keep(photo), till_idle=False)
        await until_at_work(surveying.renderer)
        leaving.scope.cancel()
        await surveying.settle()

    assert await surveying.ask(Keep(photo)) == IMAGE
    assert len(surveying.store.asked) == 2
    assert surveying.activity.crashed == 0


async def test_an_image_whose_id_nobody_would_know_is_not_kept(start, monkeypatch, photo):
    def look(*arguments):
        gate.wait(PATIENCE)
        return inspect(*arguments)

    gate = threading.Event()
    monkeypatch.setattr(actors.surveyor, "inspect", look)
    surveying = await start()
    leaving = await surveying.begin(Keep(photo), till_idle=False)

    leaving.scope.cancel()
    gate.set()
    await surveying.ask(Foresee("5e", THUMBNAIL))
    await surveying.settle()

    assert surveying.store.asked_for(KeepImage) == []


async def test_a_look_whose_process_dies_costs_its_own_request(start, photo):
    surveying = await start()
    await surveying.ask(Keep(photo))
    with capture_logs() as logs, paused():
        asking = await surveying.begin(Keep(photo), till_idle=False)
        await until_at_work(surveying.renderer)
        send_all(signal.SIGKILL)
        heard = await asking.outcome()

    assert heard is UnsupportedFormat
    assert "survey_died" in [each["event"] for each in logs]
    assert await surveying.ask(Keep(photo)) == IMAGE
    assert surveying.activity.crashed == 0


async def test_a_bug_in_a_process_is_logged_with_where_it_is(start, photo, monkeypatch):
    surveying = await start()
    monkeypatch.setattr(actors.surveyor, "FACTS", "{")

    with capture_logs() as logs:
        heard = await (await surveying.begin(Keep(photo))).outcome()

    assert heard is ImagingCrashed
    (bug,) = [each["bug"] for each in logs if each["event"] == "survey_crashed"]
    assert "Traceback" in bug
    assert "DecodeError" in bug


def break_down(*_):
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    ("work", "message"), [("inspect", Keep(draw())), ("foresee", Foresee(draw(), THUMBNAIL))]
)
async def test_a_bug_that_an_image_meets_costs_its_own_request_and_no_other(
    start, monkeypatch, photo, work, message
):
    surveying = await start(store_reads=False)
    in_hand = await surveying.begin(Keep(photo))
    with monkeypatch.context() as bug, capture_logs() as logs:
        bug.setattr(actors.surveyor, work, break_down)
        heard = [await (await surveying.begin(message)).outcome() for _ in range(20)]
    surveying.read_mail_of_store()

    assert heard == 20 * [ImagingCrashed]
    assert await in_hand.outcome() == IMAGE
    assert surveying.activity.crashed == 0
    assert [entry["event"] for entry in logs] == 20 * ["survey_crashed"]
    (cause,) = {type(entry["exc_info"].__cause__) for entry in logs}
    assert cause is ZeroDivisionError


@pytest.mark.parametrize(
    ("work", "message"), [("inspect", Keep), ("foresee", lambda data: Foresee(data, THUMBNAIL))]
)
async def test_a_bug_that_an_image_meets_leaves_nothing_in_memory(
    start, monkeypatch, work, message
):
    surveying = await start()
    picture = draw(20, 20)
    monkeypatch.setattr(actors.surveyor, work, break_down)

    with nothing_left_of(picture):
        with pytest.raises(ImagingCrashed):
            await surveying.ask(message(picture))
        await trio.testing.wait_all_tasks_blocked(0.01)


async def test_what_it_does_can_be_seen(start, photo):
    surveying = await start()
    await surveying.ask(Foresee(photo, THUMBNAIL))

    assert (surveying.activity.doing, surveying.activity.handled) == ("serving", 1)


# --- The end --------------------------------------------------------------------------------------


async def test_when_its_mail_has_ended_it_finishes_what_it_has_and_closes_the_door_below(
    start, photo
):
    surveying = await start(store_reads=False)
    asking = [await surveying.begin(Keep(photo)) for _ in range(4)]

    surveying.address.close()
    await trio.testing.wait_all_tasks_blocked()
    before = surveying.ended.is_set()
    surveying.read_mail_of_store()
    outcomes = [await each.outcome() for each in asking]
    with trio.fail_after(PATIENCE):
        await surveying.ended.wait()

    assert not before
    assert outcomes == 4 * [IMAGE]
    with pytest.raises(ActorStopped):
        await surveying.store.address.ask(Count())


async def test_a_crash_releases_those_in_hand_and_a_clean_one_goes_on(start, photo):
    surveying = await start(store_reads=False)
    in_hand = await surveying.begin(Keep(photo))

    bug = await surveying.begin(Count())  # Which nobody should send it.
    surveying.read_mail_of_store()

    assert await bug.outcome() is HandlerCrashed
    assert await in_hand.outcome() is ActorStopped
    assert await surveying.ask(Keep(photo)) == IMAGE
    assert surveying.activity.crashed == 1


async def test_a_crash_releases_the_one_that_waits_for_its_turn_and_none_behind(
    start, photo, monkeypatch
):
    def crash(*_):
        gate.wait(PATIENCE)
        raise ZeroDivisionError

    gate = threading.Event()
    surveying = await start()
    with monkeypatch.context() as bug:
        bug.setattr(actors.surveyor, "_foresee", crash)
        messages = [*3 * [Foresee(b"", THUMBNAIL)], Keep(photo)]
        asking = [await surveying.begin(each, till_idle=False) for each in messages]
        gate.set()

        outcomes = [await each.outcome() for each in asking]

    assert outcomes == [HandlerCrashed, HandlerCrashed, ActorStopped, IMAGE]


async def test_when_it_is_cancelled_all_who_wait_are_released(start, photo):
    surveying = await start(store_reads=False)
    asking = [await surveying.begin(Keep(photo)) for _ in range(5)]

    surveying.scope.cancel()

    assert [await each.outcome() for each in asking] == 5 * [ActorStopped]


# --- Tenants --------------------------------------------------------------------------------------


async def test_images_are_kept_and_looked_for_on_behalf_of_who_asks(start, photo):
    surveying = await start()
    marked = Recipe((Output(operations=(Watermark(image="7a"),), format="png"),))

    await surveying.ask(Keep(photo, tenant="acme"))
    await surveying.ask(Foresee("5e", marked, tenant="zenith"))

    assert [each.tenant for each in surveying.store.asked_for(KeepImage)] == ["acme"]
    assert surveying.store.asked_for(FindImage) == [
        FindImage("7a", tenant="zenith"),
        FindImage("5e", tenant="zenith"),
    ]
