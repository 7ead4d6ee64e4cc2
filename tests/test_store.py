"""The Store: nothing accepted is lost, nothing is done twice, and everybody hears."""

import hashlib
import itertools
import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import PIL
import pytest
import trio
import trio.testing
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from actors import metrics
from actors.errors import ActorStopped, BacklogFull, Draining, HandlerCrashed, OutputNotFound
from actors.handlers import jobs as job_handlers
from actors.handlers.work import LONGEST_REST, LONGEST_RETRY, MOST_SPARED
from actors.imaging.facts import Facts
from actors.imaging.made import Made
from actors.imaging.operations.filters import Blur
from actors.imaging.operations.turning import Flip
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.mailbox import open_mailbox
from actors.messages import (
    Await,
    Cancel,
    Claim,
    Complete,
    Count,
    CountKeys,
    Crash,
    Delete,
    DeleteImage,
    Drain,
    Fail,
    Fetch,
    Find,
    FindImage,
    FindKey,
    FindTenant,
    Hold,
    KeepImage,
    KeepInput,
    LearnLinkSecret,
    ListDead,
    ListJobs,
    LookAtPool,
    Open,
    ReadImage,
    ReadOutput,
    Reclaim,
    Redrive,
    Retry,
    Submit,
    SubmitBatch,
    TryLater,
)
from actors.orders import Orders
from actors.patient_clock import PatientClock
from actors.rendering.protocol import contents
from actors.storage.credentials import KeyNotFound, NewKey
from actors.storage.keys import owner_of
from actors.storage.opening import open_storage
from actors.storage.ports import (
    ENDED,
    BlobDamaged,
    BlobNotFound,
    Dead,
    Elsewhere,
    ImageNotFound,
    Job,
    JobNotFound,
    Query,
    Seal,
    StaleClaim,
    StorageError,
    StorageFull,
    StorageUnavailable,
    WrongStatus,
)
from actors.storage.quarantine import Quarantined
from actors.storage.usage import Bill, QuotaExceeded
from actors.store import Store, StoreLimits
from actors.supervision import Activity, Intensity, supervise
from tests.conftest import (
    NOON,
    PATIENCE,
    THUMBNAIL,
    FragileBlobs,
    MemoryStorage,
    Ticking,
    nothing_left_of,
    places_in,
)

LIMITS = StoreLimits(backlog=100, asks=16, attempts=3)
PHOTOS = [b"photo %d" % number for number in range(20)]  # None is a twin of another.
SUBMIT = Submit(b"photo", "thumbnail", THUMBNAIL, "normal")
PICTURE = Made(name="output", data=b"a small picture", format="png", width=4, height=3)
NOWHERE = "00000000-0000-4000-8000-000000000000"
FACTS = Facts("gif", 64, 48, frames=3)


class Running:
    """A Store under supervision, and ways to ask it."""

    def __init__(self, storage, limits=LIMITS, max_crashes=5):
        self.storage = storage
        self.address, self.mailbox = open_mailbox("store", 64)
        self.activity = Activity("store", self.mailbox)
        self.threads = trio.CapacityLimiter(4)
        self.clock: Callable[[], datetime] = Ticking()
        self.orders = Orders(workers=1)
        self.limits = limits
        self.intensity = Intensity(max_crashes)
        self.ended = trio.Event()
        self.scope = trio.CancelScope()

    def make(self):
        return Store(
            *(self.mailbox, self.storage.open, self.limits, self.threads),
            *(self.orders, self.activity, PatientClock(self.clock), self.clock),
        )

    async def run(self, *, task_status):
        with self.scope:
            await supervise(self.make, self.activity, self.intensity, task_status=task_status)
        self.ended.set()

    async def ask(self, request):
        with trio.fail_after(PATIENCE):
            return await self.address.ask(request)

    async def submit(self, image=b"photo", priority="normal", recipe=THUMBNAIL, **more):
        return await self.ask(Submit(image, "thumbnail", recipe, priority, **more))

    async def keep_image(self, data=b"logo"):
        return await self.ask(KeepImage(data, FACTS, '{"opaque":true}'))

    async def claim(self, limit=1):
        return await self.ask(Claim(limit, 9))

    async def find(self, job):
        return await self.ask(Find(job.id))

    async def close(self):
        self.address.close()
        with trio.fail_after(PATIENCE):
            await self.ended.wait()

    async def crash(self):
        """Let it find a message that nobody should send it."""
        with pytest.raises(HandlerCrashed):
            await self.ask(LookAtPool())
        # The clean one answers from now on.
        await self.ask(Count())


class Asker:
    """An ask in a task of its own, and what came of it."""

    def __init__(self, nursery, store, request):
        self.answer = None
        self.error = None
        self.scope = trio.CancelScope()
        self._ended = trio.Event()
        nursery.start_soon(self._ask, store, request)

    async def _ask(self, store, request):
        with self.scope:
            try:
                self.answer = await store.address.ask(request)
            except Exception as error:  # noqa: BLE001 (the test looks at it)
                self.error = error
        self._ended.set()

    async def outcome(self):
        with trio.fail_after(PATIENCE):
            await self._ended.wait()
        return self.answer if self.error is None else type(self.error)


@pytest.fixture
def storage():
    return MemoryStorage()


@pytest.fixture
async def store(nursery, storage):
    running = Running(storage)
    await nursery.start(running.run)
    return running


def complete(job, *made):
    return Complete(job.id, job.attempts, made or (PICTURE,))


def marked_with(*image_ids):
    """Return a recipe that needs other images."""
    return Recipe((Output(operations=tuple(Watermark(image=each) for each in image_ids)),))


# --- Accepting ------------------------------------------------------------------------------------


async def test_an_accepted_job_is_in_the_catalogue_and_its_bytes_are_kept(store, photo):
    job = await store.submit(photo, "high")

    assert (job.status, job.priority, job.operation) == ("pending", "high", "thumbnail")
    assert (job.attempts, job.attempts_allowed, job.input_size) == (0, 3, len(photo))
    assert await store.find(job) == job
    assert contents(await store.ask(Open(job.input_key))) == photo


async def test_the_file_of_a_job_is_named_for_a_person_to_find(store, photo):
    jpeg, song = await store.submit(photo), await store.submit(b"no picture at all")

    assert jpeg.input_key == f"{jpeg.id[:2]}/{jpeg.id}.jpg"
    assert song.input_key == f"{song.id[:2]}/{song.id}.bin"


@pytest.fixture
async def distant(store):
    """A job whose image is elsewhere, in its first attempt."""
    await store.submit(Elsewhere("http://example.org/a.png?token=secret"))
    (job,) = await store.claim()
    return job


async def test_an_image_that_is_elsewhere_is_accepted_by_its_address_alone(store, storage):
    with capture_logs() as logs:
        job = await store.submit(Elsewhere("http://example.org/a.png?token=secret"))

    assert (job.status, job.input_key, job.input_size) == ("pending", None, None)
    assert job.image_url == "http://example.org/a.png?token=secret"
    assert storage.inputs.keys == set()
    assert "secret" not in repr(logs)


async def test_what_was_fetched_for_a_job_is_kept_as_its_input(store, distant, photo):
    await store.ask(KeepInput(distant.id, 1, photo))

    job = await store.find(distant)
    assert (job.input_size, job.input_sha256) == (len(photo), hashlib.sha256(photo).hexdigest())
    assert job.input_key.startswith(f"{job.id[:2]}/{job.id}-1-")
    assert job.input_key.endswith(".jpg")
    assert contents(await store.ask(Open(job.input_key))) == photo


async def test_what_was_fetched_too_late_leaves_no_file(store, storage, distant):
    await store.ask(Cancel(distant.id))
    with pytest.raises(StaleClaim):
        await store.ask(KeepInput(distant.id, 1, b"photo"))
    await store.ask(Delete(distant.id))
    with pytest.raises(JobNotFound):
        await store.ask(KeepInput(distant.id, 1, b"photo"))

    assert storage.inputs.keys == set()


async def test_what_was_fetched_twice_takes_no_place_of_what_is_there(store, storage, distant):
    await store.ask(KeepInput(distant.id, 1, b"first"))
    with pytest.raises(StaleClaim):
        await store.ask(KeepInput(distant.id, 1, b"second"))

    job = await store.find(distant)
    assert storage.inputs.keys == {job.input_key}
    assert contents(await store.ask(Open(job.input_key))) == b"first"


async def test_what_was_fetched_goes_with_its_job(store, storage, distant):
    await store.ask(KeepInput(distant.id, 1, b"photo"))
    await store.ask(Delete(distant.id))

    assert storage.inputs.keys == set()


async def test_a_file_that_was_fetched_but_never_noted_is_swept(nursery, store, storage, distant):
    left = f"{distant.id[:2]}/{distant.id}-1-0a0b0c0d.png"
    await store.ask(KeepInput(distant.id, 1, b"photo"))
    storage.inputs.put(left, b"photo")
    kept = (await store.find(distant)).input_key

    await store.crash()
    with trio.fail_after(PATIENCE):
        while left in storage.inputs.keys:
            await trio.testing.wait_all_tasks_blocked(0.005)

    assert storage.inputs.keys == {kept}


async def test_a_job_is_found_by_the_preset_it_was_asked_for_by(store):
    job = await store.ask(replace(SUBMIT, preset="card"))
    await store.submit()

    page = await store.ask(ListJobs(Query(limit=9, preset="card")))

    assert job.preset == "card"
    assert page.jobs == (job,)


async def test_all_times_come_from_the_clock_of_the_store(store):
    first = await store.submit()
    (begun,) = await store.claim()
    await store.ask(complete(begun))
    ended = await store.find(first)

    assert NOON < first.created_at < begun.started_at < ended.updated_at
    assert ended.updated_at < store.clock()


async def test_nothing_is_accepted_beyond_the_backlog(nursery, storage):
    store = Running(storage, replace(LIMITS, backlog=3))
    await nursery.start(store.run)
    for _ in range(3):
        await store.submit()

    with pytest.raises(BacklogFull):
        await store.submit()
    await store.claim(1)
    await store.submit()
    with pytest.raises(BacklogFull):
        await store.submit()

    assert len(storage.inputs.keys) == 4


async def test_the_backlog_is_exact_though_many_submit_at_once(nursery, storage):
    store = Running(storage, replace(LIMITS, backlog=5))
    await nursery.start(store.run)

    askers = [Asker(nursery, store, SUBMIT) for _ in range(20)]
    outcomes = [await asker.outcome() for asker in askers]

    assert outcomes.count(BacklogFull) == 15
    assert (await store.ask(Count())).count("pending") == 5


async def test_what_a_batch_says_is_written_out_in_a_thread(store, monkeypatch):
    writers = set()

    def write(recipe):
        writers.add(threading.current_thread())
        return encode_recipe(recipe)

    monkeypatch.setattr(job_handlers, "encode_recipe", write)
    image = await store.keep_image()

    batched = await store.ask(SubmitBatch(3 * (Submit(image.id, "thumbnail", THUMBNAIL, "low"),)))

    assert len(batched.job_ids) == 3
    assert writers
    assert threading.current_thread() not in writers


async def test_the_backlog_is_exact_though_many_retry_at_once(nursery, storage):
    store = Running(storage, replace(LIMITS, backlog=6))
    await nursery.start(store.run)
    jobs = [await store.submit() for _ in range(6)]
    for job in jobs:
        await store.ask(Cancel(job.id))
    for _ in range(4):
        await store.submit()

    askers = [Asker(nursery, store, Retry(job.id)) for job in jobs]
    outcomes = [await asker.outcome() for asker in askers]

    assert outcomes.count(BacklogFull) == 4
    assert (await store.ask(Count())).count("pending") == 6


async def test_what_was_pending_before_the_start_counts_from_the_first_submit_on(nursery, storage):
    first = Running(storage)
    await nursery.start(first.run)
    for _ in range(3):
        await first.submit()
    await first.close()
    second = Running(storage, replace(LIMITS, backlog=4))
    await nursery.start(second.run)

    askers = [Asker(nursery, second, SUBMIT) for _ in range(3)]
    outcomes = [await asker.outcome() for asker in askers]

    assert outcomes.count(BacklogFull) == 2


# --- Claiming -------------------------------------------------------------------------------------


async def test_a_claim_is_answered_at_once_if_there_are_jobs_and_with_no_more_than_asked(store):
    jobs = [await store.submit(photo) for photo in PHOTOS[:3]]

    claimed = await store.claim(2)

    assert [job.id for job in claimed] == [job.id for job in jobs[:2]]
    assert [(job.status, job.attempts) for job in claimed] == 2 * [("processing", 1)]
    assert (await store.find(jobs[2])).status == "pending"


async def test_a_standing_claim_is_answered_by_the_next_submit(nursery, store):
    asker = Asker(nursery, store, Claim(4, 9))
    await trio.testing.wait_all_tasks_blocked()

    job = await store.submit()
    (claimed,) = await asker.outcome()

    assert claimed.id == job.id
    assert job.status == "pending"


async def test_a_new_job_is_claimed_in_the_transaction_that_accepts_it(nursery, store, storage):
    asker = Asker(nursery, store, Claim(1, 9))
    await store.ask(Count())
    before = len(storage.catalogue.sizes)

    await store.submit()
    await asker.outcome()

    assert len(storage.catalogue.sizes) == before + 1


async def test_a_standing_claim_is_answered_by_a_retry(nursery, store):
    job = await store.submit()
    await store.ask(Cancel(job.id))
    asker = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked()

    await store.ask(Retry(job.id))

    assert [claimed.id for claimed in await asker.outcome()] == [job.id]


async def test_a_new_claim_ends_the_one_before(nursery, store):
    first = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked()
    second = Asker(nursery, store, Claim(1, 9))
    ended = await first.outcome()

    job = await store.submit()

    assert ended is ActorStopped
    assert [claimed.id for claimed in await second.outcome()] == [job.id]


async def test_nothing_is_claimed_for_an_asker_that_has_gone(nursery, store):
    asker = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked()
    asker.scope.cancel()

    job = await store.submit()

    assert (await store.find(job)).status == "pending"


async def leave_during_the_commit(nursery, store, storage) -> str:
    """Have a job claimed for an asker that leaves before it is told; return the job's id."""
    asker = Asker(nursery, store, Claim(1, 9))
    await store.ask(Count())
    storage.catalogue.hold()
    submitting = Asker(nursery, store, SUBMIT)
    await trio.testing.wait_all_tasks_blocked(0.01)  # Its transaction is in the thread.
    asker.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    storage.catalogue.go_on()
    return str((await submitting.outcome()).id)


async def test_a_claim_whose_asker_leaves_during_the_commit_is_undone(nursery, store, storage):
    job_id = await leave_during_the_commit(nursery, store, storage)

    await store.ask(Count())  # In whose transaction it is undone at the latest.
    job = await store.ask(Find(job_id))
    (claimed,) = await store.claim()

    assert (job.status, job.attempts) == ("pending", 0)
    assert (claimed.id, claimed.attempts) == (job_id, 1)


async def test_a_claim_that_is_to_be_undone_is_undone_though_a_commit_fails_first(
    nursery, store, storage
):
    # Of the next two transactions, the first claims and the second, which should undo it, fails.
    storage.catalogue.broken = StorageUnavailable("away")
    storage.catalogue.spared = len(storage.catalogue.sizes) + 2
    job_id = await leave_during_the_commit(nursery, store, storage)
    await trio.testing.wait_all_tasks_blocked(0.01)
    failed = len(storage.catalogue.sizes) > storage.catalogue.spared
    storage.catalogue.broken = None

    await store.ask(Count())
    job = await store.ask(Find(job_id))

    assert failed
    assert (job.status, job.attempts) == ("pending", 0)


async def test_a_claim_that_replaces_another_during_the_commit_gets_no_more_than_it_asked_for(
    nursery, store, storage
):
    first = Asker(nursery, store, Claim(3, 9))
    await store.ask(Count())
    storage.catalogue.hold()
    for _ in range(3):
        Asker(nursery, store, SUBMIT)
    await trio.testing.wait_all_tasks_blocked(0.02)
    second = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked(0.02)
    storage.catalogue.go_on()

    claimed = await second.outcome()
    await store.ask(Count())
    tally = await store.ask(Count())

    assert await first.outcome() is ActorStopped
    assert len(claimed) == 1
    assert tally.count("processing") == 1


async def test_a_claim_that_nobody_hears_in_the_last_moment_is_undone_before_the_end(
    nursery, store, storage
):
    await store.submit()
    storage.catalogue.hold()
    asker = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked(0.01)  # Its transaction is in the thread.
    asker.scope.cancel()
    store.address.close()
    await trio.testing.wait_all_tasks_blocked(0.01)
    storage.catalogue.go_on()
    await store.close()

    (job,) = storage.catalogue.page(Query(limit=9)).jobs

    assert (job.status, job.attempts) == ("pending", 0)


async def test_no_priority_is_starved(store):
    for priority in ("low", "normal", "high"):
        for photo in PHOTOS:
            await store.submit(photo + priority.encode(), priority)

    first_ten = [(await store.claim())[0].priority for _ in range(10)]
    next_ten = [job.priority for job in await store.claim(10)]

    assert (first_ten.count("high"), first_ten.count("normal"), first_ten.count("low")) == (8, 1, 1)
    assert next_ten == first_ten


async def test_within_a_priority_jobs_are_handed_out_in_the_order_they_came(store):
    jobs = [await store.submit(photo) for photo in PHOTOS[:5]]

    claimed = [(await store.claim())[0].id for _ in range(5)]

    assert claimed == [job.id for job in jobs]


# --- Ending ---------------------------------------------------------------------------------------


async def test_a_completed_job_has_its_picture(store):
    job = await store.submit()
    (claimed,) = await store.claim()

    await store.ask(complete(claimed))
    fetched = await store.ask(Fetch(job.id, 1_000))

    assert (fetched.job.status, fetched.data) == ("completed", PICTURE.data)
    output = fetched.output
    assert fetched.job.outputs == (output,)
    assert (output.media_type, output.width, output.height) == ("image/png", 4, 3)
    assert (output.size_bytes, len(output.sha256)) == (len(PICTURE.data), 64)


async def test_a_picture_can_be_read_in_parts(store):
    job = await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed))

    beginning = await store.ask(Fetch(job.id, 7))
    nothing = await store.ask(Fetch(job.id, 0))
    output = beginning.output
    middle = await store.ask(ReadOutput(output.key, 2, 5, output.seal))

    assert (beginning.data, nothing.data, middle) == (b"a small", b"", b"small")


@pytest.fixture
async def kept(store):
    """An output that is in the storage."""
    await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed))
    (output,) = (await store.find(claimed)).outputs
    return output


DAMAGES = {
    "shorter": (PICTURE.data[:-1], "size"),
    "longer": (PICTURE.data + b"!", "size"),
    "other": (PICTURE.data[:-1] + b"!", "digest"),
}


def damages(how):
    return REGISTRY.get_sample_value("calotype_blobs_damaged_total", {"how": how}) or 0


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_picture_that_was_damaged_is_not_handed_out_and_the_operator_hears(
    store, storage, kept, damage
):
    data, how = DAMAGES[damage]
    storage.outputs.put(kept.key, data)
    counted = damages(how)

    with capture_logs() as logs, pytest.raises(BlobDamaged):
        await store.ask(Fetch(str(owner_of(kept.key)), 1_000))

    told = {"event": "blob_damaged", "file": f"memory:{kept.key}", "how": how, "log_level": "error"}
    assert logs == [told]
    assert damages(how) == counted + 1


@pytest.mark.parametrize("damage", ["shorter", "longer"])
async def test_of_a_part_of_a_picture_the_size_is_looked_at(store, storage, kept, damage):
    storage.outputs.put(kept.key, DAMAGES[damage][0])

    with pytest.raises(BlobDamaged):
        await store.ask(ReadOutput(kept.key, 2, 5, kept.seal))


async def test_of_a_part_of_a_picture_all_bytes_are_looked_at_if_it_comes_whole(
    store, storage, kept
):
    part = ReadOutput(kept.key, 2, 5, kept.seal)
    storage.outputs.put(kept.key, DAMAGES["other"][0])

    assert await store.ask(part) == b"small"
    with pytest.raises(BlobDamaged):
        await store.ask(replace(part, whole=True))


async def test_a_picture_that_is_missing_is_noted_and_one_that_was_deleted_is_not(
    store, storage, kept
):
    part = ReadOutput(kept.key, 0, 9, kept.seal)
    storage.outputs.delete(kept.key)

    with capture_logs() as missing, pytest.raises(BlobNotFound):
        await store.ask(part)
    await store.ask(Delete(str(owner_of(kept.key))))
    with capture_logs() as deleted, pytest.raises(BlobNotFound):
        await store.ask(part)

    assert [(each["event"], each["how"]) for each in missing] == [("blob_damaged", "missing")]
    assert deleted == []


async def test_a_job_that_is_not_completed_has_no_picture_to_fetch(store):
    job = await store.submit()

    fetched = await store.ask(Fetch(job.id, 1_000))

    assert (fetched.job, fetched.output, fetched.data) == (job, None, b"")


SEVERAL = (
    replace(PICTURE, name="large", format="jpeg", width=40, operations=(Flip(), Blur(sigma=2))),
    replace(PICTURE, name="small", data=b"another", format="webp", quality=71, ssim=0.9876543),
    replace(PICTURE, name="facts", data=b"{}", format="json"),
)


async def test_a_job_may_have_several_outputs_in_the_order_of_its_recipe(store, storage):
    await store.submit()
    (claimed,) = await store.claim()

    await store.ask(complete(claimed, *SEVERAL))

    outputs = (await store.find(claimed)).outputs
    assert [(each.name, each.media_type, each.width) for each in outputs] == [
        ("large", "image/jpeg", 40),
        ("small", "image/webp", 4),
        ("facts", "application/json", 4),
    ]
    assert [each.size_bytes for each in outputs] == [len(made.data) for made in SEVERAL]
    assert [Path(each.key).suffix for each in outputs] == [".jpg", ".webp", ".json"]
    assert {each.key for each in outputs} == storage.outputs.keys


async def test_an_output_is_fetched_by_its_name_and_without_one_the_first(store):
    await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed, *SEVERAL))
    job = await store.find(claimed)

    fetched = [await store.ask(Fetch(job.id, 99, name)) for name in ("large", "small", "facts")]

    assert [(each.output, each.data) for each in fetched] == [
        (output, made.data) for output, made in zip(job.outputs, SEVERAL, strict=True)
    ]
    assert await store.ask(Fetch(job.id, 99)) == fetched[0]
    with pytest.raises(OutputNotFound, match="huge"):
        await store.ask(Fetch(job.id, 99, "huge"))


async def test_what_an_output_was_made_with_and_how_is_told_as_json(store):
    await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed, *SEVERAL))

    job = await store.find(claimed)

    versions = json.loads(job.receipt)["versions"]
    assert versions["pillow"] == PIL.__version__
    assert {"libjpeg_turbo", "webp"} <= versions.keys()
    large, small, _ = [json.loads(output.details) for output in job.outputs]
    assert [step["op"] for step in large["operations"]] == ["flip", "blur"]
    assert (large["operations"][1]["sigma"], large["frames"]) == (2, 1)
    assert (small["quality"], small["ssim"]) == (71, 0.98765)
    assert "quality" not in large


async def test_all_files_of_a_job_are_kept_before_its_row_says_so(nursery, store, storage):
    job = await store.submit()
    (claimed,) = await store.claim()
    storage.catalogue.hold()
    completing = Asker(nursery, store, complete(claimed, *SEVERAL))
    await trio.testing.wait_all_tasks_blocked(0.02)  # Its transaction is in the thread.
    kept, status = len(storage.outputs.keys), storage.catalogue.find(job.id).status

    storage.catalogue.go_on()
    await completing.outcome()

    assert (kept, status) == (3, "processing")
    assert (await store.find(job)).status == "completed"


class Filling(FragileBlobs):
    """Blobs with room for so many and no more."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def put(self, key, data):
        if not self.room:
            raise StorageFull("no room")
        self.room -= 1
        return super().put(key, data)


@pytest.mark.parametrize("room", [0, 1, 2])
async def test_when_one_output_cannot_be_kept_none_stays(nursery, storage, room):
    storage.outputs = Filling(room)
    store = Running(storage)
    await nursery.start(store.run)
    job = await store.submit()
    (claimed,) = await store.claim()

    with pytest.raises(StorageFull):
        await store.ask(complete(claimed, *SEVERAL))

    assert storage.outputs.keys == set()
    assert await store.find(job) == claimed


@pytest.mark.parametrize("trouble", ["blobs", "catalogue", "stale"])
async def test_a_result_that_is_refused_leaves_nothing_of_its_pictures_in_memory(
    nursery, storage, trouble
):
    storage.outputs = Filling(1 if trouble == "blobs" else 9)
    store = Running(storage)
    await nursery.start(store.run)
    await store.submit()
    (claimed,) = await store.claim()
    if trouble == "catalogue":
        storage.catalogue.broken = StorageUnavailable("away")
    if trouble == "stale":
        await store.ask(Cancel(claimed.id))
    picture = bytes(1_000)

    with nothing_left_of(picture):
        with pytest.raises(StorageError):
            await store.ask(complete(claimed, *[replace(PICTURE, data=picture)] * 3))
        storage.catalogue.broken = None
        await store.ask(Count())  # The last message is held until the next one.


async def test_what_a_catalogue_on_disk_refuses_leaves_nothing_in_memory(nursery, tmp_path):
    store = Running(OnDisk(tmp_path))
    await nursery.start(store.run)
    job = await store.submit()
    await store.claim()
    await store.ask(Cancel(job.id))
    picture = bytes(1_000)

    with nothing_left_of(picture):
        with pytest.raises(StaleClaim):
            await store.ask(Complete(job.id, 1, (replace(PICTURE, data=picture),)))
        with pytest.raises(ImageNotFound):
            await store.submit(picture, recipe=marked_with(NOWHERE))
        await store.ask(Count())  # The last message is held until the next one.


@pytest.mark.parametrize(
    "request_",
    [
        Find("x"),
        Await("x"),
        Cancel("x"),
        Retry("x"),
        Delete("x"),
        Fetch("x", 9),
        Fail("x", 1, "", ""),
    ],
    ids=lambda request: type(request).__name__,
)
async def test_an_unknown_job_is_named(store, request_):
    with pytest.raises(JobNotFound, match="x"):
        await store.ask(request_)


async def test_unknown_bytes_are_named(store):
    with pytest.raises(BlobNotFound):
        contents(await store.ask(Open("3f/nowhere")))
    with pytest.raises(BlobNotFound):
        await store.ask(ReadOutput("3f/nowhere", 0, 9, Seal(9, None)))


async def test_a_failed_job_says_why(store):
    job = await store.submit()
    (claimed,) = await store.claim()

    await store.ask(Fail(job.id, claimed.attempts, "not_an_image", "It is a song."))

    failed = await store.find(job)
    assert (failed.status, failed.error_code, failed.error) == (
        *("failed", "not_an_image"),
        "It is a song.",
    )


async def test_a_result_of_an_old_attempt_is_refused_and_leaves_no_file(store, storage):
    job = await store.submit()
    (first,) = await store.claim()
    await store.ask(Reclaim(frozenset()))
    (second,) = await store.claim()

    with pytest.raises(StaleClaim):
        await store.ask(complete(first, *SEVERAL))
    with pytest.raises(StaleClaim):
        await store.ask(Fail(job.id, first.attempts, "code", "error"))

    assert storage.outputs.keys == set()
    assert await store.find(job) == second


async def test_a_result_that_comes_twice_does_not_take_the_picture_away(store, storage):
    job = await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed))

    with pytest.raises(StaleClaim):
        await store.ask(complete(claimed, replace(PICTURE, data=b"another one")))

    assert (await store.ask(Fetch(job.id, 99))).data == PICTURE.data
    assert len(storage.outputs.keys) == 1


async def test_the_result_of_a_cancelled_job_is_never_seen(store, storage):
    job = await store.submit()
    (claimed,) = await store.claim()

    cancelled = await store.ask(Cancel(job.id))
    with pytest.raises(StaleClaim):
        await store.ask(complete(claimed))

    assert (await store.find(job)).status == cancelled.status == "cancelled"
    assert storage.outputs.keys == set()


async def test_the_result_of_a_deleted_job_leaves_no_file(store, storage):
    job = await store.submit()
    (claimed,) = await store.claim()

    await store.ask(Delete(job.id))
    with pytest.raises(JobNotFound):
        await store.ask(complete(claimed))

    assert storage.inputs.keys == storage.outputs.keys == set()


async def test_a_completed_job_is_deleted_with_its_files(store, storage):
    job = await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed, *SEVERAL))

    await store.ask(Delete(job.id))

    assert storage.inputs.keys == storage.outputs.keys == set()
    with pytest.raises(JobNotFound):
        await store.find(job)


async def test_a_job_that_has_ended_well_is_neither_cancelled_nor_retried(store):
    job = await store.submit()
    (claimed,) = await store.claim()
    await store.ask(complete(claimed))

    for request in (Cancel(job.id), Retry(job.id)):
        with pytest.raises(WrongStatus) as caught:
            await store.ask(request)
        assert caught.value.status == "completed"


async def test_a_retried_job_may_be_begun_as_often_as_a_new_one(nursery, storage):
    store = Running(storage, replace(LIMITS, attempts=2))
    await nursery.start(store.run)
    job = await store.submit()
    for _ in range(2):
        await store.claim()
        await store.ask(Reclaim(frozenset()))
    crashed = await store.find(job)

    await store.ask(Retry(job.id))
    statuses = []
    for _ in range(2):
        await store.claim()
        await store.ask(Reclaim(frozenset()))
        statuses.append((await store.find(job)).status)

    assert (crashed.status, crashed.error_code) == ("failed", "crashed")
    assert statuses == ["pending", "failed"]


async def test_reclaiming_gives_back_what_nobody_holds(store):
    held, lost = await store.submit(), await store.submit(b"other")
    await store.claim(2)

    await store.ask(Reclaim(frozenset({held.id})))
    again = await store.claim()

    assert (await store.find(held)).attempts == 1
    assert [(job.id, job.attempts) for job in again] == [(lost.id, 2)]


async def test_attempts_that_are_spared_do_not_count_but_have_an_end(nursery, storage):
    store = Running(storage, replace(LIMITS, attempts=1))
    store.clock = Ticking(seconds=LONGEST_REST)
    await nursery.start(store.run)
    job = await store.submit()
    statuses = []

    for _ in range(2):  # As often again after a retry.
        for _ in range(MOST_SPARED + 1):
            await store.claim()
            await store.ask(Reclaim(frozenset(), spared=frozenset({job.id})))
            statuses.append((await store.find(job)).status)
        await store.ask(Retry(job.id))

    assert statuses == 2 * (["pending"] * MOST_SPARED + ["failed"])


@pytest.mark.parametrize("message", [Cancel, Delete])
async def test_what_nobody_waits_for_any_more_is_not_begun(nursery, storage, message):
    store = Running(storage)
    await nursery.start(store.run)
    job = await store.submit()
    storage.catalogue.hold()
    places = [Asker(nursery, store, Find(job.id)) for _ in range(LIMITS.asks)]
    await trio.testing.wait_all_tasks_blocked(0.01)
    asker = Asker(nursery, store, message(job.id))
    await trio.testing.wait_all_tasks_blocked(0.01)

    asker.scope.cancel()
    await trio.testing.wait_all_tasks_blocked(0.01)
    storage.catalogue.go_on()
    for place in places:
        await place.outcome()
    await trio.testing.wait_all_tasks_blocked(0.01)

    assert await store.find(job) == job


@pytest.mark.parametrize("trouble", ["blobs", "catalogue", "backlog", "mark", "quota"])
async def test_a_submit_that_is_refused_leaves_nothing_of_its_picture_in_memory(
    nursery, storage, trouble
):
    store = Running(storage, replace(LIMITS, backlog=0 if trouble == "backlog" else 9))
    await nursery.start(store.run)
    if trouble == "blobs":
        storage.inputs.broken = StorageFull("full")
    if trouble == "catalogue":
        storage.catalogue.broken = StorageUnavailable("away")
    picture = bytes(1_000)

    with nothing_left_of(picture):
        bill = Bill("key 1", jobs=0) if trouble == "quota" else None
        recipe = marked_with(NOWHERE) if trouble == "mark" else THUMBNAIL
        with pytest.raises((StorageError, BacklogFull)):
            await store.submit(picture, recipe=recipe, bill=bill)
        storage.inputs.broken = storage.catalogue.broken = None
        await store.ask(Count())  # The last message is held until the next one.


# --- Quotas ---------------------------------------------------------------------------------------


async def test_a_submit_beyond_a_quota_leaves_no_job_and_no_file(store, storage):
    bill = Bill("key 1", jobs=1, pixels=100)
    await store.submit(b"photo", bill=bill, pixels=60)
    kept = [*storage.inputs.shards()]

    for more in (bill, Bill("key 1", pixels=100)):
        with pytest.raises(QuotaExceeded):
            await store.submit(b"another", bill=more, pixels=41)

    assert (await store.ask(Count())).count("pending") == 1
    assert [*storage.inputs.shards()] == kept


async def test_of_an_image_that_is_kept_its_own_pixels_count(store):
    image = await store.keep_image()
    pixels = image.width * image.height * image.frames
    bill = Bill("key 1", pixels=2 * pixels)

    await store.submit(image.id, bill=bill)
    await store.submit(image.id, bill=bill)

    with pytest.raises(QuotaExceeded):
        await store.submit(image.id, bill=bill)


async def test_a_retry_beyond_a_quota_leaves_the_job_as_it_is(store):
    bill = Bill("key 1", jobs=1)
    first = await store.submit(bill=bill)
    await store.ask(Cancel(first.id))
    await store.submit(bill=bill)

    with pytest.raises(QuotaExceeded):
        await store.ask(Retry(first.id, bill=bill))

    assert (await store.find(first)).status == "cancelled"


async def test_what_was_fetched_beyond_a_quota_is_not_kept(store, storage):
    bill = Bill("key 1", pixels=100)
    job = await store.submit(Elsewhere("https://example.org/"), bill=bill)
    await store.claim()

    with pytest.raises(QuotaExceeded):
        await store.ask(KeepInput(job.id, 1, b"photo", pixels=101))
    assert (await store.find(job)).input_key is None
    assert [*storage.inputs.shards()] == []

    await store.ask(KeepInput(job.id, 1, b"photo", pixels=100))
    assert (await store.find(job)).input_key is not None


async def test_counting_and_listing_show_what_there_is(store):
    jobs = [await store.submit(b"photo", priority) for priority in ("high", "low", "low")]
    await store.claim()

    tally = await store.ask(Count())
    page = await store.ask(ListJobs(Query(limit=2, status="pending")))

    assert tally.counts["processing", "high"] == 1
    assert tally.counts["pending", "low"] == 2
    assert tally.oldest_pending == jobs[1].created_at
    assert [job.id for job in page.jobs] == [jobs[2].id, jobs[1].id]


# --- Images ---------------------------------------------------------------------------------------


async def test_an_image_is_kept_with_what_is_known_of_it(store, storage):
    image = await store.keep_image(b"logo")

    assert (image.format, image.width, image.height, image.frames) == ("gif", 64, 48, 3)
    assert (image.size_bytes, image.sha256) == (4, hashlib.sha256(b"logo").hexdigest())
    assert (image.facts, image.key) == ('{"opaque":true}', f"{image.id[:2]}/{image.id}.gif")
    assert image.created_at > NOON
    assert await store.ask(FindImage(image.id)) == image
    assert storage.inputs.keys == {image.key}


async def test_an_image_can_be_read_in_parts(store):
    image = await store.keep_image(b"a small picture")

    parts = [await store.ask(ReadImage(image.key, offset, 7, image.seal)) for offset in (0, 7, 14)]

    assert parts == [b"a small", b" pictur", b"e"]


async def test_an_image_that_is_not_there_is_named(store):
    for request in (FindImage("x"), DeleteImage("x")):
        with pytest.raises(ImageNotFound, match="x"):
            await store.ask(request)
    with pytest.raises(BlobNotFound):
        await store.ask(ReadImage("3f/nowhere", 0, 9, Seal(9, None)))


@pytest.mark.parametrize("part", ["inputs", "catalogue"])
async def test_an_image_that_cannot_be_kept_leaves_nothing(store, storage, part):
    getattr(storage, part).broken = StorageFull("no room")

    with pytest.raises(StorageFull):
        await store.keep_image()

    assert storage.inputs.keys == set()


async def test_a_job_of_an_image_writes_no_file_and_has_those_bytes(store, storage):
    image = await store.keep_image(b"logo")

    jobs = [await store.submit(image.id) for _ in range(2)]

    assert storage.inputs.keys == {image.key}
    assert [(job.image_id, job.input_key, job.input_size) for job in jobs] == 2 * [
        (image.id, image.key, 4)
    ]
    assert {job.input_sha256 for job in jobs} == {image.sha256}
    assert contents(await store.ask(Open(jobs[0].input_key))) == b"logo"


async def test_what_comes_in_is_measured_once_though_many_jobs_use_it(store):
    def measured():
        (family,) = metrics.INPUT_SIZE.collect()
        return next(s.value for s in family.samples if s.name.endswith("_count"))

    before = measured()
    image = await store.keep_image()
    await store.submit(b"photo")
    for _ in range(3):
        await store.submit(image.id)

    assert measured() == before + 2


@pytest.mark.parametrize("gone", [False, True], ids=["unknown", "deleted"])
@pytest.mark.parametrize("as_", ["input", "mark", "second mark"])
async def test_a_job_of_an_image_that_is_not_there_is_refused_and_leaves_no_file(
    nursery, storage, as_, gone
):
    store = Running(storage, replace(LIMITS, backlog=1))
    await nursery.start(store.run)
    image_id = NOWHERE
    if gone:
        image_id = (await store.keep_image()).id
        await store.ask(DeleteImage(image_id))
    other = await store.keep_image()
    image, recipe = {
        "input": (image_id, THUMBNAIL),
        "mark": (other.id, marked_with(image_id)),
        "second mark": (b"photo", marked_with(other.id, image_id)),
    }[as_]

    with pytest.raises(ImageNotFound, match=image_id):
        await store.submit(image, recipe=recipe)

    assert storage.inputs.keys == {other.key}
    assert (await store.ask(Count())).count("pending") == 0
    await store.submit()  # The place in the backlog is free again.


async def test_a_worker_is_told_where_the_other_images_of_a_recipe_are(store):
    first, second = await store.keep_image(), await store.keep_image()

    await store.submit(recipe=marked_with(first.id, second.id, first.id))
    (claimed,) = await store.claim()

    assert claimed.others == {first.id: first.key, second.id: second.key}


async def test_deleting_a_job_never_takes_the_image_of_another(store, storage):
    image = await store.keep_image()
    uses = [await store.submit(image.id), await store.submit(recipe=marked_with(image.id))]
    stays = await store.submit()

    for job in uses:
        await store.ask(Delete(job.id))

    assert storage.inputs.keys == {image.key, stays.input_key}
    assert await store.ask(FindImage(image.id)) == image


async def test_the_file_of_a_deleted_image_stays_until_the_last_job_that_needs_it_goes(
    store, storage
):
    image = await store.keep_image(b"logo")
    made_of_it = await store.submit(image.id)
    marked = await store.submit(b"photo", recipe=marked_with(image.id))

    await store.ask(DeleteImage(image.id))
    with pytest.raises(ImageNotFound):
        await store.ask(FindImage(image.id))
    claimed = await store.claim(2)
    loaded = [
        contents(await store.ask(Open(claimed[0].input_key))),
        contents(await store.ask(Open(claimed[1].others[image.id]))),
    ]
    await store.ask(Delete(made_of_it.id))
    after_first = storage.inputs.keys
    await store.ask(Delete(marked.id))

    assert loaded == [b"logo", b"logo"]
    assert after_first == {image.key, marked.input_key}
    assert storage.inputs.keys == set()


async def test_an_image_that_nobody_needs_is_deleted_with_its_file(store, storage):
    image, other = await store.keep_image(), await store.keep_image()

    await store.ask(DeleteImage(image.id))

    assert storage.inputs.keys == {other.key}


async def test_what_becomes_of_an_image_is_logged(store):
    with capture_logs() as logs:
        image = await store.keep_image(b"logo")
        await store.ask(DeleteImage(image.id))

    assert [(entry["event"], entry["image_id"]) for entry in logs] == [
        ("image_kept", image.id),
        ("image_deleted", image.id),
    ]


# --- Waiting for the end --------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "crashed"])
async def test_who_waits_for_a_job_hears_of_its_end_however_it_ends(nursery, storage, end):
    store = Running(storage, replace(LIMITS, attempts=1))
    await nursery.start(store.run)
    job, other = await store.submit(), await store.submit()
    waiting = [Asker(nursery, store, Await(job.id)) for _ in range(3)]
    elsewhere = Asker(nursery, store, Await(other.id))
    await trio.testing.wait_all_tasks_blocked()
    (claimed,) = await store.claim()

    match end:
        case "completed":
            await store.ask(complete(claimed))
        case "failed":
            await store.ask(Fail(job.id, 1, "code", "error"))
        case "cancelled":
            await store.ask(Cancel(job.id))
        case _:
            await store.ask(Reclaim(frozenset()))

    heard = [await asker.outcome() for asker in waiting]
    assert heard == 3 * [await store.find(job)]
    assert {each.status for each in heard} == {"failed" if end == "crashed" else end}
    assert elsewhere.answer is elsewhere.error is None


async def test_who_waits_for_a_job_that_has_ended_hears_at_once(store):
    job = await store.submit()
    cancelled = await store.ask(Cancel(job.id))

    assert await store.ask(Await(job.id)) == cancelled


async def test_who_waits_for_a_job_that_is_deleted_hears_of_it(nursery, store):
    job = await store.submit()
    waiting = Asker(nursery, store, Await(job.id))
    await trio.testing.wait_all_tasks_blocked()

    await store.ask(Delete(job.id))

    assert await waiting.outcome() is JobNotFound


async def test_any_number_may_wait_and_none_of_them_takes_a_place_from_the_others(nursery, store):
    job = await store.submit()
    waiting = [Asker(nursery, store, Await(job.id)) for _ in range(5 * LIMITS.asks)]
    await trio.testing.wait_all_tasks_blocked(0.01)

    cancelled = await store.ask(Cancel(job.id))

    assert all([await asker.outcome() == cancelled for asker in waiting])


async def test_draining_lets_nobody_wait(nursery, store):
    job = await store.submit()
    early = Asker(nursery, store, Await(job.id))
    await trio.testing.wait_all_tasks_blocked(0.01)

    store.orders.draining.set()
    await store.ask(Drain())
    late = Asker(nursery, store, Await(job.id))

    assert await early.outcome() is Draining
    assert await late.outcome() is Draining


# --- Crashes --------------------------------------------------------------------------------------


async def test_a_crash_loses_no_job_and_a_clean_store_goes_on(store, photo):
    pending, processing = await store.submit(photo), await store.submit()
    await store.claim()

    await store.crash()
    await store.ask(Reclaim(frozenset()))
    claimed = await store.claim(2)

    assert {job.id for job in claimed} == {pending.id, processing.id}
    assert contents(await store.ask(Open(pending.input_key))) == photo
    assert store.activity.crashed == 1


async def test_a_crash_releases_all_who_wait(nursery, store):
    job = await store.submit()
    waiting = Asker(nursery, store, Await(job.id))
    await store.claim()
    claiming = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked(0.01)

    await store.crash()

    assert await waiting.outcome() is ActorStopped
    assert await claiming.outcome() is ActorStopped


async def test_nothing_is_kept_for_a_client_that_left_before_its_turn(nursery, storage):
    store = Running(storage, replace(LIMITS, asks=1))
    await nursery.start(store.run)
    storage.catalogue.hold()
    counting = Asker(nursery, store, Count())
    await trio.testing.wait_all_tasks_blocked(0.01)
    leaving = Asker(nursery, store, Submit(b"photo", "thumbnail", THUMBNAIL, "high"))
    await trio.testing.wait_all_tasks_blocked(0.01)

    leaving.scope.cancel()
    storage.catalogue.go_on()

    assert sum((await counting.outcome()).counts.values()) == 0
    assert (await store.ask(ListJobs(Query(limit=1)))).jobs == ()


async def test_a_crash_releases_those_whose_message_is_being_worked_on(nursery, storage):
    store = Running(storage, replace(LIMITS, asks=2))
    await nursery.start(store.run)
    storage.catalogue.hold()
    counting = Asker(nursery, store, Count())
    await trio.testing.wait_all_tasks_blocked(0.01)
    bug = Asker(nursery, store, LookAtPool())
    await trio.testing.wait_all_tasks_blocked(0.01)

    storage.catalogue.go_on()

    assert await bug.outcome() is HandlerCrashed
    assert await counting.outcome() is ActorStopped
    assert await store.ask(Count())


async def test_a_crash_releases_the_one_that_waits_for_a_place(nursery, storage):
    store = Running(storage, replace(LIMITS, asks=1))
    await nursery.start(store.run)
    storage.catalogue.hold()

    storage.catalogue.processing = lambda: 1 // 0
    reclaiming = Asker(nursery, store, Reclaim(frozenset()))
    await trio.testing.wait_all_tasks_blocked(0.01)
    waits_for_a_place = Asker(nursery, store, ListJobs(Query(limit=1)))
    await trio.testing.wait_all_tasks_blocked(0.01)
    behind = Asker(nursery, store, ListJobs(Query(limit=2)))
    await trio.testing.wait_all_tasks_blocked(0.01)

    storage.catalogue.go_on()

    assert await reclaiming.outcome() is ActorStopped
    assert await waits_for_a_place.outcome() is ActorStopped
    assert (await behind.outcome()).jobs == ()


async def test_a_storage_that_does_not_open_fails_the_start_by_name(nursery, tmp_path):
    class Locked(MemoryStorage):
        def open(self):
            return open_storage(places_in(tmp_path))

    with open_storage(places_in(tmp_path)), pytest.raises(StorageUnavailable):
        await nursery.start(Running(Locked()).run)


async def test_closing_finishes_what_is_in_hand_and_then_closes_the_storage(
    nursery, store, storage
):
    storage.catalogue.hold()
    submitting = [Asker(nursery, store, SUBMIT) for _ in range(3 * LIMITS.asks)]
    await trio.testing.wait_all_tasks_blocked(0.02)
    waiting = Asker(nursery, store, Await("?"))
    await trio.testing.wait_all_tasks_blocked(0.02)
    store.address.close()
    await trio.testing.wait_all_tasks_blocked(0.02)
    open_before = storage.is_open

    storage.catalogue.go_on()
    jobs = [await asker.outcome() for asker in submitting]
    await store.close()

    assert open_before
    assert not storage.is_open
    assert {storage.catalogue.find(job.id).status for job in jobs} == {"pending"}
    assert await waiting.outcome() is JobNotFound


async def test_closing_releases_those_who_still_wait(nursery, store):
    job = await store.submit()
    waiting = Asker(nursery, store, Await(job.id))
    claiming = Asker(nursery, store, Claim(1, 9))
    await claiming.outcome()
    claiming = Asker(nursery, store, Claim(1, 9))
    await trio.testing.wait_all_tasks_blocked(0.01)

    await store.close()

    assert await waiting.outcome() is ActorStopped
    assert await claiming.outcome() is ActorStopped


# --- A storage that fails -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StorageFull("no room"), StorageUnavailable("away")])
async def test_a_submit_whose_bytes_cannot_be_kept_leaves_no_job(store, storage, error):
    storage.inputs.broken = error

    with pytest.raises(type(error), match=str(error)):
        await store.submit()
    storage.inputs.broken = None

    assert (await store.ask(Count())).count("pending") == 0
    assert storage.inputs.keys == set()


@pytest.mark.parametrize("error", [StorageFull("no room"), StorageUnavailable("away")])
async def test_a_submit_whose_row_cannot_be_kept_leaves_no_file(store, storage, error):
    storage.catalogue.broken = error

    with pytest.raises(type(error), match=str(error)):
        await store.submit()
    storage.catalogue.broken = None

    assert (await store.ask(Count())).count("pending") == 0
    assert storage.inputs.keys == set()


async def test_a_refused_place_in_the_backlog_is_free_again_after_a_failure(nursery, storage):
    store = Running(storage, replace(LIMITS, backlog=1))
    await nursery.start(store.run)
    storage.inputs.broken = StorageFull("no room")
    with pytest.raises(StorageFull):
        await store.submit()
    storage.inputs.broken = None

    job = await store.submit()

    assert job.status == "pending"


@pytest.mark.parametrize("part", ["outputs", "catalogue"])
async def test_a_result_that_cannot_be_kept_leaves_the_job_as_it_was(store, storage, part):
    job = await store.submit()
    (claimed,) = await store.claim()
    getattr(storage, part).broken = StorageFull("no room")

    with pytest.raises(StorageFull):
        await store.ask(complete(claimed))
    getattr(storage, part).broken = None

    assert await store.find(job) == claimed
    assert storage.outputs.keys == set()
    await store.ask(complete(claimed))


async def test_a_file_that_cannot_be_deleted_is_left_to_the_next_start(store, storage):
    job = await store.submit()
    storage.inputs.broken = StorageUnavailable("away")

    with capture_logs() as logs:
        await store.ask(Delete(job.id))

    assert [entry["file"] for entry in logs if entry["event"] == "file_left_behind"] == [
        f"memory:{job.input_key}"
    ]
    with pytest.raises(JobNotFound):
        await store.find(job)


async def test_a_failing_storage_is_no_crash(store, storage):
    storage.catalogue.broken = StorageUnavailable("away")
    for request in (Count(), ListJobs(Query(limit=1)), Reclaim(frozenset()), Await("1"), Find("1")):
        with pytest.raises(StorageUnavailable):
            await store.ask(request)
    storage.catalogue.broken = None

    assert (await store.ask(Count())).count("pending") == 0
    assert store.activity.crashed == 0


async def test_who_claims_hears_of_a_lost_transaction_and_may_claim_again(nursery, store, storage):
    claiming = Asker(nursery, store, Claim(1, 9))
    await store.ask(Count())
    storage.catalogue.broken = StorageFull("no room")
    with pytest.raises(StorageFull):
        await store.submit()
    storage.catalogue.broken = None

    job = await store.submit()

    assert await claiming.outcome() is StorageFull
    assert [claimed.id for claimed in await store.ask(Claim(1, 9))] == [job.id]


# --- Files that no job refers to ------------------------------------------------------------------


class OnDisk:
    """The real storage in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.places = places_in(directory)

    def open(self):
        return open_storage(self.places)

    def clear(self):
        """Forget everything. The directories stay, because there are many of them."""
        for path in (
            *self.directory.glob("calotype.db*"),
            *self.directory.glob("*/.calotype"),
            *self.paths("inputs"),
            *self.paths("outputs"),
        ):
            Path(path).unlink()

    def paths(self, kind):
        return [str(self.directory / kind / key) for key in self.keys(kind)]

    def keys(self, kind):
        root = self.directory / kind
        return {f"{path.parent.name}/{path.name}" for path in root.glob("[0-9a-f][0-9a-f]/*")}


async def test_a_start_deletes_exactly_the_files_that_nobody_needs(nursery, tmp_path):
    disk = OnDisk(tmp_path)
    first = Running(disk)
    await nursery.start(first.run)
    image, deleted = await first.keep_image(), await first.keep_image()
    pending, other = await first.submit(recipe=marked_with(deleted.id)), await first.submit()
    await first.ask(DeleteImage(deleted.id))
    (claimed,) = await first.claim()
    await first.ask(complete(claimed))
    completed = await first.find(claimed)
    await first.close()
    orphans = {
        "inputs": f"{pending.id[:2]}/{NOWHERE}.jpg",
        "outputs": f"{pending.id[:2]}/{pending.id}-1-0a1b2c3d.png",
    }
    for kind, key in orphans.items():
        (tmp_path / kind / key).write_bytes(b"left by a crash")
    foreign = tmp_path / "inputs" / "00" / os.fsdecode(b"holiday \xe9t\xe9.jpg")
    foreign.write_bytes(b"of somebody else")

    second = Running(disk)
    await nursery.start(second.run)
    with trio.fail_after(PATIENCE):
        while any((tmp_path / kind / key).exists() for kind, key in orphans.items()):
            await trio.testing.wait_all_tasks_blocked(0.005)
    # The last thing to be swept is the last shard of the outputs.
    await trio.testing.wait_all_tasks_blocked(0.05)

    assert disk.keys("inputs") == {
        *(pending.input_key, other.input_key, image.key, deleted.key),
        str(foreign.relative_to(tmp_path / "inputs")),
    }
    assert disk.keys("outputs") == {output.key for output in completed.outputs}


async def test_a_sweep_that_fails_is_no_crash(nursery, storage):
    class Unreadable(FragileBlobs):
        def shards(self):
            asked.append(1)
            raise StorageUnavailable("away")

    asked: list[int] = []
    storage.inputs = Unreadable()
    store = Running(storage)

    await nursery.start(store.run)
    await trio.testing.wait_all_tasks_blocked(0.01)

    assert await store.submit()
    assert asked == [1]
    assert store.activity.crashed == 0


# --- The promise ----------------------------------------------------------------------------------

OPERATIONS = (
    *3 * ("submit", "use images", "claim", "complete"),
    *2 * ("delete", "delete image"),
    *("fail", "cancel", "retry", "reclaim", "crash", "crash amid work", "leave", "wait"),
    "keep image",
)
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 40)), min_size=4, max_size=30
)


# What can be done to a job, in which statuses it may be, and which one it has then.
CHANGES: dict[str, tuple[Callable[[str], object], set[str], str | None]] = {
    "cancel": (Cancel, {"pending", "processing", "cancelled"}, "cancelled"),
    "retry": (Retry, {"failed", "cancelled"}, "pending"),
    "delete": (Delete, {*ENDED, "pending", "processing"}, None),
}


class Life:
    """What happens to a Store on a real disk, with what must be true written down beside it."""

    def __init__(self, disk, nursery):
        self.disk = disk
        self.nursery = nursery
        self.statuses: dict[str, str] = {}
        self.allowed: dict[str, int] = {}
        # Every claim that was ever heard, and the pictures that each job was completed with.
        self.claims: list[tuple[str, int]] = []
        self.pictures: dict[str, tuple[Made, ...]] = {}
        # The images that clients can see, and the bytes of all that there ever were.
        self.images: list[str] = []
        self.bytes: dict[str, bytes] = {}
        # The photos of jobs that were told of before the next crash.
        self.photos: dict[str, bytes] = {}
        self.waiting: list[Asker] = []
        self.store: Running
        self._photos = itertools.count()

    def another_photo(self):
        """Bytes of which no other job is made: a twin would wait for it."""
        return b"photo %d" % next(self._photos)

    async def start(self):
        self.store = Running(self.disk, StoreLimits(backlog=1_000, asks=4, attempts=2))
        await self.nursery.start(self.store.run)

    async def crash(self):
        """Abandon the Store as it stands, and open the storage anew."""
        self.store.scope.cancel()
        await self.store.ended.wait()
        await self.start()
        # There may be a claim that nobody heard of, and that was not undone any more.
        await self.reclaim(frozenset(self.statuses) - {*self.jobs_that_are("pending")})

    def some_job(self, number):
        jobs = list(self.statuses)
        return jobs[-1 - number % min(len(jobs), 6)] if jobs else NOWHERE

    def some_image(self, number):
        """A recent image, perhaps one that was deleted."""
        images = list(self.bytes)
        return images[-1 - number % min(len(images), 4)] if images else NOWHERE

    def some_claim(self, number):
        """A recent claim, perhaps a stale one."""
        return self.claims[-1 - number % min(len(self.claims), 5)] if self.claims else (NOWHERE, 1)

    def is_current(self, job_id, attempt):
        latest = max((n for name, n in self.claims if name == job_id), default=0)
        return self.statuses.get(job_id) == "processing" and attempt == latest

    async def step(self, operation, number):
        match operation:
            case "submit":
                await self.submit(("high", "normal", "low")[number % 3])
            case "claim":
                await self.claim(1 + number % 3)
            case "keep image" | "use images" | "delete image":
                await self.step_with_images(operation, number)
            case "complete" | "fail":
                await self.end(operation, *self.some_claim(number))
            case "cancel" | "retry" | "delete":
                await self.change(operation, self.some_job(number))
            case "reclaim":
                await self.reclaim(frozenset({self.some_job(number)} if number % 2 else ()))
            case "crash":
                await self.crash()
            case "crash amid work":
                await self.crash_amid_work(number)
            case "leave":
                await self.claim_and_leave(number)
            case "wait":
                self.waiting.append(Asker(self.nursery, self.store, Await(self.some_job(number))))

    async def step_with_images(self, operation, number):
        match operation:
            case "keep image":
                await self.keep_image(f"image {number}".encode())
            case "use images":
                await self.use_images(self.some_image(number), self.some_image(number // 4))
            case _:
                await self.delete_image(self.some_image(number))

    async def submit(self, priority):
        photo = self.another_photo()
        job = await self.store.submit(photo, priority)
        self.statuses[job.id] = "pending"
        self.photos[job.id] = photo

    async def keep_image(self, data):
        image = await self.store.keep_image(data)
        self.images.append(image.id)
        self.bytes[image.id] = data

    async def use_images(self, image_id, mark_id):
        are_there = {image_id, mark_id} <= {*self.images}
        try:
            # A mark of another opacity each time, so that no job is the twin of another.
            marks = Watermark(image=mark_id, opacity=1 / (1 + next(self._photos)))
            recipe = Recipe((Output(operations=(marks,)),))
            job = await self.store.submit(image_id, recipe=recipe)
        except ImageNotFound:
            assert not are_there
        else:
            assert are_there
            assert (job.image_id, [*job.others]) == (image_id, [mark_id])
            self.statuses[job.id] = "pending"

    async def delete_image(self, image_id):
        try:
            await self.store.ask(DeleteImage(image_id))
        except ImageNotFound:
            assert image_id not in self.images
        else:
            self.images.remove(image_id)

    def note(self, jobs):
        for job in jobs:
            assert self.statuses[job.id] == "pending"
            assert all(job.attempts > n for name, n in self.claims if name == job.id)
            self.statuses[job.id] = "processing"
            self.claims.append((job.id, job.attempts))

    async def claim(self, limit):
        if "pending" in self.statuses.values():
            jobs = await self.store.claim(limit)
            assert 1 <= len(jobs) <= limit
            self.note(jobs)

    async def claim_and_leave(self, ticks):
        asker = Asker(self.nursery, self.store, Claim(2, 9))
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        asker.scope.cancel()
        self.note(await asker.outcome() or ())

    def pictures_of(self, job_id, attempt):
        return tuple(
            replace(PICTURE, name=name, data=f"{name} {job_id} {attempt}".encode())
            for name in ("large", "small")
        )

    async def end(self, operation, job_id, attempt):
        current = self.is_current(job_id, attempt)
        pictures = self.pictures_of(job_id, attempt)
        request = (
            Complete(job_id, attempt, pictures)
            if operation == "complete"
            else Fail(job_id, attempt, "code", "error")
        )
        try:
            await self.store.ask(request)
        except (StaleClaim, JobNotFound):
            assert not current
        else:
            assert current
            if operation == "complete":
                self.completed(job_id, pictures)
            else:
                self.statuses[job_id] = "failed"

    def completed(self, job_id, pictures):
        assert job_id not in self.pictures, "completed twice"
        self.pictures[job_id] = pictures
        self.statuses[job_id] = "completed"

    async def change(self, operation, job_id):
        status = self.statuses.get(job_id)
        kind, possible, becomes = CHANGES[operation]
        try:
            await self.store.ask(kind(job_id))
        except JobNotFound:
            assert status is None
        except WrongStatus:
            assert status not in possible
        else:
            assert status in possible
            if becomes is None:
                del self.statuses[job_id]
                self.pictures.pop(job_id, None)
            else:
                self.statuses[job_id] = becomes

    def jobs_that_are(self, status):
        return [job_id for job_id, each in self.statuses.items() if each == status]

    async def reclaim(self, held):
        await self.store.ask(Reclaim(held))
        for job_id in [*self.jobs_that_are("pending"), *self.jobs_that_are("processing")]:
            if job_id not in held:
                job = await self.store.ask(Find(job_id))
                if job.status == "failed":
                    assert job.error_code == "crashed"
                    assert job.attempts >= job.attempts_allowed
                else:
                    assert job.status == "pending"
                self.statuses[job_id] = job.status

    async def crash_amid_work(self, ticks):
        """Crash amid an acceptance, a completion and a deletion; each of them may have been."""
        job_id, attempt = self.some_claim(ticks)
        pictures = self.pictures_of(job_id, attempt)
        current = self.is_current(job_id, attempt)
        image_id = self.some_image(ticks)
        submission = replace(SUBMIT, image=self.another_photo())
        submitting = Asker(self.nursery, self.store, submission)
        completing = Asker(self.nursery, self.store, Complete(job_id, attempt, pictures))
        deleting = Asker(self.nursery, self.store, DeleteImage(image_id))
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        await self.crash()

        accepted, ended = await submitting.outcome(), await completing.outcome()
        jobs = (await self.store.ask(ListJobs(Query(limit=1_000)))).jobs
        statuses = {job.id: job.status for job in jobs}
        new = statuses.keys() - self.statuses.keys()
        assert len(new) <= 1
        if accepted is not ActorStopped:
            assert new == {accepted.id}
        for each in new:
            self.statuses[each] = "pending"
        if statuses.get(job_id) == "completed" and job_id not in self.pictures:
            assert current
            self.completed(job_id, pictures)
        else:
            assert ended in {ActorStopped, StaleClaim, JobNotFound}
        await self.note_deletion(image_id, await deleting.outcome())

    async def note_deletion(self, image_id, outcome):
        """Note whether an image was deleted before a crash."""
        if outcome is ImageNotFound:
            assert image_id not in self.images
        elif await Asker(self.nursery, self.store, FindImage(image_id)).outcome() is ImageNotFound:
            self.images = [each for each in self.images if each != image_id]
        else:
            assert outcome is ActorStopped

    async def check(self):
        """Compare all that can be seen with what must be true."""
        jobs = (await self.store.ask(ListJobs(Query(limit=1_000)))).jobs
        # A claim that nobody heard may be undone only by the next transaction.
        jobs = (await self.store.ask(ListJobs(Query(limit=1_000)))).jobs
        assert {job.id: job.status for job in jobs} == self.statuses
        for job in jobs:
            pictures = self.pictures.get(job.id, ())
            assert [output.name for output in job.outputs] == [made.name for made in pictures]
            assert (job.receipt is not None) == (job.status == "completed") == bool(pictures)
            for made in pictures:
                assert (await self.store.ask(Fetch(job.id, 99, made.name))).data == made.data
            data = contents(await self.store.ask(Open(job.input_key)))
            sent = self.bytes[job.image_id] if job.image_id else self.photos.get(job.id, data)
            assert data == sent
            assert hashlib.sha256(data).hexdigest() == job.input_sha256
            for image_id, key in job.others.items():
                assert contents(await self.store.ask(Open(key))) == self.bytes[image_id]
        for image_id in self.images:
            image = await self.store.ask(FindImage(image_id))
            assert (
                await self.store.ask(ReadImage(image.key, 0, 99, image.seal))
                == self.bytes[image_id]
            )

    async def drain(self):
        """Work on all there is until every job has ended."""
        await self.reclaim(frozenset())
        while "pending" in self.statuses.values():
            await self.claim(3)
            for job_id, attempt in self.claims:
                if self.is_current(job_id, attempt):
                    await self.end("complete", job_id, attempt)
        await self.check()
        assert set(self.statuses.values()) <= ENDED
        heard = [await asker.outcome() for asker in self.waiting]
        for outcome in heard:
            assert outcome in (ActorStopped, JobNotFound) or outcome.status in ENDED

    async def sweep(self):
        """Open it once more: then there are the files that are needed, and no others."""
        await self.crash()
        jobs = (await self.store.ask(ListJobs(Query(limit=1_000)))).jobs
        images = [await self.store.ask(FindImage(image_id)) for image_id in self.images]
        inputs = {key for job in jobs for key in (job.input_key, *job.others.values())}
        inputs |= {image.key for image in images}
        outputs = {output.key for job in jobs for output in job.outputs}
        with trio.fail_after(PATIENCE):
            while (self.disk.keys("inputs"), self.disk.keys("outputs")) != (inputs, outputs):
                await trio.testing.wait_all_tasks_blocked(0.002)
        await self.store.close()


def test_no_accepted_job_is_lost_or_done_twice_whatever_happens(tmp_path):
    disk = OnDisk(tmp_path)

    async def live(program):
        disk.clear()
        async with trio.open_nursery() as nursery:
            life = Life(disk, nursery)
            await life.start()
            await life.keep_image(b"image")
            for operation, number in program:
                await life.step(operation, number)
            await life.check()
            await life.drain()
            await life.sweep()

    @settings(max_examples=50, deadline=None, derandomize=True, phases=[Phase.generate])
    @given(program=PROGRAMS)
    def holds(program):
        trio.run(live, program)

    holds()


# --- Times, turns and pauses ----------------------------------------------------------------------


@pytest.fixture
async def timely(nursery, storage):
    """A Store whose clock goes as fast as everybody's."""
    running = Running(storage, replace(LIMITS, attempts=2, retry_delay=0.05))
    begun = trio.current_time()
    running.clock = lambda: NOON + timedelta(seconds=trio.current_time() - begun)
    await nursery.start(running.run)
    return running


def delayed(seconds, **changes):
    return replace(SUBMIT, start=timedelta(seconds=seconds), **changes)


async def test_a_job_that_becomes_due_is_handed_out_though_nothing_else_happens(nursery, timely):
    asker = Asker(nursery, timely, Claim(1, 9))
    job = await timely.ask(delayed(0.1))
    other = await timely.ask(replace(SUBMIT, start=NOON + timedelta(days=1)))

    (claimed,) = await asker.outcome()

    assert job.run_at == job.created_at + timedelta(seconds=0.1)
    assert claimed.id == job.id
    assert claimed.started_at >= job.run_at
    assert (await timely.find(other)).status == "pending"


async def test_what_was_put_off_before_a_crash_is_handed_out_after_it(nursery, timely):
    job = await timely.ask(delayed(0.2))
    await timely.crash()

    (claimed,) = await Asker(nursery, timely, Claim(1, 9)).outcome()

    assert claimed.id == job.id


async def test_many_that_become_due_at_once_are_all_handed_out(timely, monkeypatch):
    monkeypatch.setattr("actors.store.WOKEN_AT_ONCE", 3)
    jobs = [await timely.ask(replace(delayed(0.05), image=photo)) for photo in PHOTOS[:10]]
    claimed: list[Job] = []

    while len(claimed) < len(jobs):
        claimed += await timely.claim(10)

    assert [job.id for job in claimed] == [job.id for job in jobs]


@pytest.mark.parametrize(("asked", "allowed"), [(None, 3), (1, 1), (3, 3), (9, 3)])
async def test_a_job_is_begun_as_often_as_its_client_wants_but_no_more_than_allowed(
    store, asked, allowed
):
    job = await store.ask(replace(SUBMIT, max_attempts=asked))

    assert (job.max_attempts, job.attempts_allowed) == (allowed, allowed)


async def test_a_job_that_is_to_be_tried_later_is_so_and_in_the_end_has_failed(nursery, timely):
    await timely.submit()
    (first,) = await timely.claim()
    why = "source_unreachable", "It slept."

    await timely.ask(TryLater(first.id, 1, *why, at_least=0.1))
    waiting = await timely.find(first)
    (second,) = await timely.claim()
    awaiting = Asker(nursery, timely, Await(first.id))
    await trio.testing.wait_all_tasks_blocked()
    await timely.ask(TryLater(first.id, 2, *why))

    assert (waiting.status, waiting.error_code, waiting.error) == ("pending", *why)
    assert waiting.run_at - waiting.updated_at >= timedelta(seconds=0.1)
    assert second.started_at >= waiting.run_at
    failed = await awaiting.outcome()
    assert (failed.status, failed.error_code, failed.attempts) == ("failed", why[0], 2)


async def test_a_job_that_is_put_off_as_no_try_has_all_its_tries_left(timely):
    job = await timely.submit()

    for attempt in range(1, 8):
        await timely.claim()
        await timely.ask(TryLater(job.id, attempt, "code", "why", spare=True))

    waiting = await timely.find(job)
    assert (waiting.status, waiting.attempts, waiting.spared) == ("pending", 7, 7)


@pytest.mark.parametrize(("asked", "waited"), [(0.0, 0.05), (90.0, 90.0), (1e9, LONGEST_RETRY)])
async def test_what_a_source_asks_for_is_heard_within_bounds(timely, asked, waited):
    await timely.submit()
    (job,) = await timely.claim()

    await timely.ask(TryLater(job.id, 1, "code", "why", at_least=asked))

    waiting = await timely.find(job)
    seconds = (waiting.run_at - waiting.updated_at).total_seconds()
    assert seconds == waited if asked else 0 <= seconds <= waited


async def kill(store, deaths, image=b"photo", **more):
    """Have a job of this image end so many processes; return it."""
    job = await store.submit(image, **more)
    for attempt in range(1, deaths + 1):
        await store.claim()
        await store.ask(Crash(job.id, attempt))
    return await store.find(job)


async def test_a_job_whose_process_ends_is_tried_later_and_in_the_end_has_failed(timely):
    waiting = await kill(timely, 1)
    await timely.claim()
    await timely.ask(Crash(waiting.id, 2))

    failed = await timely.find(waiting)
    why = "crashed", "The process that rendered it has ended."
    assert (waiting.status, waiting.error_code, waiting.error) == ("pending", *why)
    assert (failed.status, failed.error_code, failed.error) == ("failed", *why)


async def test_an_image_that_has_ended_processes_too_often_is_in_quarantine_in_any_job(timely):
    await kill(timely, 2)
    await timely.submit(recipe=Recipe((Output(format="webp"),)))
    await timely.submit(b"another")

    same, other = await timely.claim(2)

    assert (same.quarantined, other.quarantined) == (True, False)


async def test_deaths_are_counted_over_all_jobs_of_an_image(timely):
    await timely.ask(Cancel((await kill(timely, 1)).id))
    await timely.submit()

    (suspected,) = await timely.claim()
    await timely.ask(Crash(suspected.id, 1))
    (held,) = await timely.claim()

    assert (suspected.quarantined, held.quarantined) == (False, True)


async def test_what_an_image_does_to_one_tenant_is_none_of_anothers_business(timely):
    await kill(timely, 2)
    await timely.ask(replace(SUBMIT, tenant="other"))

    (job,) = await timely.claim()

    assert not job.quarantined


async def test_an_image_that_is_fetched_is_in_quarantine_as_well(timely):
    await kill(timely, 2)
    job = await timely.submit(Elsewhere("http://example.org/a.png"))
    await timely.claim()

    with pytest.raises(Quarantined):
        await timely.ask(KeepInput(job.id, 1, b"photo"))

    assert (await timely.find(job)).input_key is None


async def test_a_death_of_an_old_attempt_counts_for_nothing(timely):
    job = await timely.submit()
    await timely.claim()
    await timely.ask(Reclaim(frozenset()))

    for _ in range(3):
        with pytest.raises(StaleClaim):
            await timely.ask(Crash(job.id, 1))

    (again,) = await timely.claim()
    assert not again.quarantined


async def test_a_result_of_an_old_attempt_puts_nothing_off(store):
    await store.submit()
    (job,) = await store.claim()
    await store.ask(Reclaim(frozenset()))

    with pytest.raises(StaleClaim):
        await store.ask(TryLater(job.id, 1, "code", "why"))


async def test_of_a_paused_queue_nothing_is_handed_out_until_it_is_resumed(nursery, store):
    paused = await store.ask(Hold(paused=True))
    asker = Asker(nursery, store, Claim(1, 9))
    job = await store.submit()
    await store.crash()
    asker = Asker(nursery, store, Claim(1, 9))
    await store.ask(Count())
    before = (await store.find(job)).status

    resumed = await store.ask(Hold(paused=False))

    assert (paused, resumed, before) == (True, False, "pending")
    assert [claimed.id for claimed in await asker.outcome()] == [job.id]


async def test_no_more_are_handed_out_that_have_to_be_fetched_than_the_claim_allows(store, photo):
    distant = [await store.submit(Elsewhere("http://example.org/")) for _ in range(3)]
    here = await store.submit()

    claimed = await store.ask(Claim(9, 1))
    await store.ask(KeepInput(distant[0].id, 1, photo))
    after = await store.ask(Claim(9, 1))

    assert [job.id for job in claimed] == [distant[0].id, here.id]
    assert [job.id for job in after] == [distant[1].id]


async def test_failed_jobs_of_all_tenants_are_tried_again_as_far_as_there_is_room(nursery, storage):
    store = Running(storage, replace(LIMITS, backlog=2))
    await nursery.start(store.run)
    for tenant in ("acme", "zenith", ""):
        job = await store.ask(replace(SUBMIT, tenant=tenant, max_attempts=1))
        await store.claim()
        await store.ask(Fail(job.id, 1, "code", "why"))
    which = Dead(limit=9)

    listed = await store.ask(ListDead(which))
    retried = await store.ask(Redrive(which))
    with pytest.raises(BacklogFull):
        await store.ask(Redrive(which))
    claimed = await store.claim(9)

    assert [job.tenant for _, job in listed] == ["acme", "zenith", ""]
    assert retried == 2
    assert [job.tenant for job in claimed] == ["acme", "zenith"]
    assert {job.attempts_allowed for job in claimed} == {2}


# --- Tenants --------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", ["", "zenith"])
async def test_to_another_tenant_a_job_is_as_if_it_were_not_there(store, photo, other):
    job = await store.ask(Submit(photo, "thumbnail", THUMBNAIL, "normal", tenant="acme"))
    messages = [
        *(kind(job.id, tenant=other) for kind in (Find, Await, Cancel, Retry, Delete)),
        Fetch(job.id, 100, tenant=other),
    ]

    for message in messages:
        with pytest.raises(JobNotFound) as foreign:
            await store.ask(message)
        with pytest.raises(JobNotFound) as unknown:
            await store.ask(replace(message, job_id=NOWHERE))
        assert foreign.value.args == (job.id,)
        assert unknown.value.args == (NOWHERE,)

    assert await store.ask(Find(job.id, tenant="acme")) == job
    assert job.tenant == "acme"


async def test_a_retry_or_a_delete_by_another_tenant_changes_nothing(store, storage, photo):
    job = await store.ask(Submit(photo, "thumbnail", THUMBNAIL, "normal", tenant="acme"))
    cancelled = await store.ask(Cancel(job.id, tenant="acme"))

    for message in (Retry, Delete):
        with pytest.raises(JobNotFound):
            await store.ask(message(job.id, tenant="zenith"))

    assert await store.ask(Find(job.id, tenant="acme")) == cancelled
    assert storage.inputs.keys == {job.input_key}


async def test_who_waits_for_another_tenants_job_hears_that_there_is_none(nursery, store, photo):
    job = await store.ask(Submit(photo, "thumbnail", THUMBNAIL, "normal", tenant="acme"))
    own = Asker(nursery, store, Await(job.id, tenant="acme"))
    await trio.testing.wait_all_tasks_blocked()
    other = Asker(nursery, store, Await(job.id, tenant="zenith"))

    assert await other.outcome() is JobNotFound
    assert own.answer is None
    cancelled = await store.ask(Cancel(job.id, tenant="acme"))
    assert await own.outcome() == cancelled


async def test_a_list_is_of_the_tenant_who_asks_whatever_the_query_says(store, photo):
    job = await store.ask(Submit(photo, "thumbnail", THUMBNAIL, "normal", tenant="acme"))

    own = await store.ask(ListJobs(Query(limit=9, tenant="zenith"), tenant="acme"))
    other = await store.ask(ListJobs(Query(limit=9, tenant="acme"), tenant="zenith"))

    assert (own.jobs, other.jobs) == ((job,), ())


async def test_to_another_tenant_an_image_is_as_if_it_were_not_there(store, storage, photo):
    image = await store.ask(KeepImage(photo, FACTS, "{}", tenant="acme"))
    marked = marked_with(image.id)

    for message in (
        FindImage(image.id, tenant="zenith"),
        DeleteImage(image.id, tenant="zenith"),
        Submit(image.id, "thumbnail", THUMBNAIL, "normal", tenant="zenith"),
        Submit(photo, "", marked, "normal", tenant="zenith"),
    ):
        with pytest.raises(ImageNotFound, match=image.id):
            await store.ask(message)

    assert storage.inputs.keys == {image.key}
    assert await store.ask(FindImage(image.id, tenant="acme")) == image
    job = await store.ask(Submit(image.id, "", marked, "normal", tenant="acme"))
    assert job.images == (image.id,)


async def test_whose_a_job_is_can_be_told_to_who_may_have_it_anyway(store, photo):
    job = await store.ask(Submit(photo, "thumbnail", THUMBNAIL, "normal", tenant="acme"))

    assert await store.ask(FindTenant(job.id)) == "acme"
    with pytest.raises(JobNotFound):
        await store.ask(FindTenant(NOWHERE))


# --- Keys -----------------------------------------------------------------------------------------


async def test_keys_are_found_and_counted_also_those_that_others_add(store, storage):
    assert await store.ask(CountKeys()) == 0
    new = NewKey(id="k", digest="5f", tenant="acme", scopes=("admin",))
    key = storage.catalogue.keys.add(new, NOON)

    assert await store.ask(CountKeys()) == 1
    assert await store.ask(FindKey("k")) == key
    with pytest.raises(KeyNotFound):
        await store.ask(FindKey("another"))


async def test_the_secret_of_links_is_made_once_and_anew_when_it_is_forgotten(store, storage):
    first = await store.ask(LearnLinkSecret())
    again = await store.ask(LearnLinkSecret())
    storage.catalogue.keys.forget_link_secret()
    other = await store.ask(LearnLinkSecret())

    assert first == again != other
    assert len(first) == len(other) == 64
