"""Bodies: what they may use, what happens to those that may not, and that all is given back."""

import errno
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
import trio
import trio.testing

from actors.storage.ports import StorageFull, StorageUnavailable
from tests.conftest import PATIENCE
from web.problems import Problem
from web.uploads import LEAST_PIECE, MANY_PIECES, SMALL, Upload, UploadLimits, Uploads

MAX_SIZE, MEMORY = 1000, 1500
RATE, PERIOD = 10, 30.0
Step: TypeAlias = bytes | float | Mapping[str, object]
GONE = {"type": "http.disconnect"}


class Client:
    """What a connection brings: pieces of a body, pauses in seconds, and its end."""

    def __init__(self, *script: Step, ends: bool = True) -> None:
        self._script = list(script)
        self._ends = ends

    async def receive(self):
        while self._script:
            match self._script.pop(0):
                case float(seconds):
                    await trio.sleep(seconds)
                case bytes(piece):
                    await trio.lowlevel.checkpoint()
                    return {"type": "http.request", "body": piece, "more_body": True}
                case event:
                    return event
        if self._ends:
            self._ends = False
            return {"type": "http.request", "body": b"", "more_body": False}
        return await trio.sleep_forever()


@pytest.fixture
def uploads(tmp_path):
    uploads = make_uploads(tmp_path)
    yield uploads
    assert (uploads.in_memory, uploads.on_disk) == (0, 0)
    assert uploads.turns.value == uploads.limits.spilled
    assert uploads.writers.borrowed_tokens == 0
    assert list(tmp_path.iterdir()) == []


def make_uploads(spool, **changes) -> Uploads:
    limits = {
        "max_size": MAX_SIZE,
        "memory": MEMORY,
        "spilled": 1,
        "spool": spool,
        "min_rate": RATE,
        "period": PERIOD,
        "patience": 10.0,
    }
    return Uploads(UploadLimits(**(limits | changes)))


async def receive(upload: Upload, *script: Step) -> None:
    """Take in a whole body."""
    with trio.fail_after(PATIENCE):
        assert await upload.fill(Client(*script).receive)


# --- Within the budget ----------------------------------------------------------------------------


async def test_a_body_is_read_as_it_came(uploads):
    upload = uploads.open(6)

    await receive(upload, b"one", b"", b"two")

    assert await upload.read() == b"onetwo"
    assert uploads.in_memory == 6
    upload.close()


async def test_a_body_of_nothing_takes_nothing(uploads):
    upload = uploads.open(None)

    await receive(upload)

    assert await upload.read() == b""
    upload.close()


async def test_reading_waits_for_the_end_of_the_body(uploads, autojump_clock):
    upload = uploads.open(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive, upload, b"one", 5.0, b"two")
        assert await upload.read() == b"onetwo"

    assert trio.current_time() == 5
    upload.close()


async def test_a_body_at_the_limit_is_taken(uploads):
    upload = uploads.open(MAX_SIZE)

    await receive(upload, bytes(MAX_SIZE))

    assert len(await upload.read()) == MAX_SIZE
    upload.close()


async def test_what_a_body_holds_can_be_given_back_early_and_once(uploads):
    upload, other = uploads.open(None), uploads.open(None)
    await receive(upload, bytes(500))
    await receive(other, bytes(500))
    await upload.read()

    upload.close()
    upload.close()

    assert uploads.in_memory == 500
    other.close()


async def test_a_body_that_was_handed_over_is_given_back_by_whoever_has_it(uploads):
    upload = uploads.open(None)
    await receive(upload, b"photo")

    give_back = upload.hand_over()
    upload.close()
    held = uploads.in_memory
    give_back()

    assert (held, uploads.in_memory) == (5, 0)


async def test_many_tiny_pieces_do_not_cost_more_than_they_have(tmp_path):
    uploads = make_uploads(tmp_path, max_size=3 * SMALL, memory=3 * SMALL)
    upload = uploads.open(None)

    await receive(upload, *[b"ab"] * SMALL)

    assert len(upload._pieces) <= 3
    assert await upload.read() == b"ab" * SMALL
    upload.close()


async def test_a_body_in_nothing_but_crumbs_is_cut(tmp_path):
    uploads = make_uploads(tmp_path, max_size=10**6, memory=10**6)
    upload = uploads.open(None)

    await receive(upload, *[bytes(LEAST_PIECE - 1)] * (MANY_PIECES + 1))

    with pytest.raises(Problem, match="pieces of 64 bytes on average") as raised:
        await upload.read()
    assert raised.value.code == "malformed"
    upload.close()
    assert uploads.in_memory == 0


async def test_many_pieces_are_no_crumbs_if_they_are_large_enough_on_average(tmp_path):
    uploads = make_uploads(tmp_path, max_size=10**6, memory=10**6)
    upload = uploads.open(None)

    await receive(
        upload, *[b"a"] * MANY_PIECES, bytes(LEAST_PIECE * (MANY_PIECES + 200)), *[b"b"] * 100
    )

    assert (await upload.read()).endswith(bytes(1) + b"b" * 100)
    upload.close()


# --- Too large, too slow, gone --------------------------------------------------------------------


async def test_a_body_that_says_it_is_too_large_is_not_taken_in(uploads):
    upload = uploads.open(MAX_SIZE + 1)

    await receive(upload, b"a")

    with pytest.raises(Problem, match="too_large"):
        await upload.read()
    assert uploads.in_memory == 0
    upload.close()


@pytest.mark.parametrize("pieces", [[bytes(MAX_SIZE + 1)], [bytes(MAX_SIZE), b"a"], [b"a"] * 1001])
async def test_a_body_that_turns_out_too_large_is_cut(uploads, pieces):
    upload = uploads.open(None)

    await receive(upload, *pieces)

    with pytest.raises(Problem, match="too_large"):
        await upload.read()
    assert uploads.in_memory <= MAX_SIZE
    upload.close()


@pytest.mark.parametrize(
    ("script", "seconds"),
    [
        ((), 30),
        ((b"a" * 299,), 30),
        ((b"a", 29.0, b"a", 29.0, b"a"), 30),
        ((b"a" * 300, 31.0, b"a"), 60),
    ],
)
async def test_a_body_that_is_slower_than_the_floor_is_cut(
    uploads, autojump_clock, script, seconds
):
    upload = uploads.open(None)

    assert await upload.fill(Client(*script, ends=False).receive)

    assert trio.current_time() == seconds
    with pytest.raises(Problem, match="too_slow"):
        await upload.read()
    upload.close()


async def test_a_body_just_above_the_floor_may_take_its_time(uploads, autojump_clock):
    upload = uploads.open(None)

    assert await upload.fill(Client(*90 * (b"a" * 11, 1.0)).receive)

    assert len(await upload.read()) == 990
    upload.close()


async def test_the_time_that_we_take_does_not_count_against_a_client(uploads, autojump_clock):
    upload = uploads.open(None)
    keep = upload._keep

    async def keep_slowly(piece: bytes) -> None:
        await trio.sleep(2 * PERIOD)
        await keep(piece)

    upload._keep = keep_slowly
    assert await upload.fill(Client(b"a", b"b", b"c").receive)

    assert await upload.read() == b"abc"
    upload.close()


async def test_a_client_that_goes_leaves_nothing(uploads):
    upload = uploads.open(None)

    assert not await upload.fill(Client(bytes(700), GONE).receive)

    assert uploads.in_memory == 700
    upload.close()


@pytest.mark.parametrize("size", [700, MAX_SIZE])
async def test_a_cancelled_body_leaves_nothing(uploads, size):
    first = uploads.open(None)
    await receive(first, bytes(MEMORY - 900))
    upload = uploads.open(None)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(upload.fill, Client(bytes(size), ends=False).receive)
        nursery.start_soon(upload.read)
        await trio.testing.wait_all_tasks_blocked()
        if size > 900:
            await until(lambda: uploads.on_disk == size)
        nursery.cancel_scope.cancel()

    upload.close()
    first.close()


async def until(condition) -> None:
    with trio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it happens in a thread
            await trio.sleep(0.001)


# --- On the disk ----------------------------------------------------------------------------------


@pytest.fixture
async def crowded(uploads):
    """Uploads whose memory is taken, but for ten bytes."""
    other = uploads.open(None)
    await receive(other, bytes(MAX_SIZE))
    another = uploads.open(None)
    await receive(another, bytes(MEMORY - MAX_SIZE - 10))
    yield uploads
    other.close()
    another.close()


async def test_what_does_not_fit_into_memory_waits_on_the_disk(crowded):
    upload = crowded.open(None)

    await receive(upload, b"1234567", b"89012345", b"6")

    assert (crowded.in_memory, crowded.on_disk) == (MEMORY - 10, 16)
    assert await upload.read() == b"1234567890123456"
    upload.close()


@pytest.fixture
def no_thread(monkeypatch):
    """What has the system give no thread from then on."""

    def none(*_args, **_kwargs):
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(trio.to_thread, "run_sync", none)


@pytest.mark.parametrize("comes_first", [False, True])
async def test_without_a_thread_the_disk_is_unavailable(crowded, no_thread, comes_first):
    upload = crowded.open(None)
    if comes_first:
        await receive(upload, bytes(16))
    no_thread()
    if not comes_first:
        await receive(upload, bytes(16))

    with pytest.raises(StorageUnavailable, match="no thread"):
        await upload.read()

    upload.close()


async def test_a_body_just_fits(crowded):
    upload = crowded.open(None)

    await receive(upload, bytes(10))

    assert (crowded.in_memory, crowded.on_disk) == (MEMORY, 0)
    upload.close()


async def test_a_body_that_is_too_large_on_the_disk_gives_back_what_it_has(crowded):
    upload = crowded.open(None)

    await receive(upload, bytes(MAX_SIZE), b"a")

    with pytest.raises(Problem, match="too_large"):
        await upload.read()
    assert crowded.on_disk == MAX_SIZE
    upload.close()
    assert crowded.on_disk == 0


async def test_bodies_come_back_from_the_disk_one_after_another(crowded):
    first, second = crowded.open(None), crowded.open(None)
    await receive(first, b"a" * 100)
    await receive(second, b"b" * 100)
    read: list[bytes] = []

    async def read_second() -> None:
        read.append(await second.read())

    async with trio.open_nursery() as nursery:
        assert await first.read() == b"a" * 100
        nursery.start_soon(read_second)
        await trio.testing.wait_all_tasks_blocked()
        assert read == []
        first.close()

    assert read == [b"b" * 100]
    second.close()


async def test_whoever_waits_too_long_for_a_turn_is_told_so(tmp_path, autojump_clock):
    uploads = make_uploads(tmp_path)
    await uploads.turns.acquire()
    upload = uploads.open(None)
    upload._file = (tmp_path / "spilled").open("w+b")
    upload._done.set()

    with pytest.raises(trio.TooSlowError):
        await upload.read()

    assert trio.current_time() == uploads.limits.patience
    upload.close()
    assert uploads.turns.value == 0


async def test_a_spilled_body_loses_nothing_at_the_end_of_a_period(tmp_path):
    # The last piece waits longer for the disk than its period lasts.
    uploads = make_uploads(tmp_path, memory=1, period=0.05, min_rate=1)
    upload = uploads.open(None)
    for _ in range(4):
        uploads.writers.acquire_on_behalf_of_nowait(object())
    last = {"type": "http.request", "body": b"last", "more_body": False}

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive, upload, last)
        await trio.sleep(0.1)
        uploads.writers.total_tokens += 1

    with trio.fail_after(PATIENCE):
        assert await upload.read() == b"last"
    upload.close()


FULL = Path("/dev/full")


@pytest.fixture
def full_disk(tmp_path, monkeypatch):
    """Let what is spilled go to a device on which there is no room."""

    def open_it(*, dir: object, buffering: int = -1) -> object:  # noqa: A002
        return FULL.open("r+b", buffering)

    if not FULL.exists():
        pytest.skip("no such device")
    monkeypatch.setattr("tempfile.TemporaryFile", open_it)


async def test_a_full_disk_is_told_and_leaves_nothing(full_disk, crowded):
    upload = crowded.open(None)

    await receive(upload, b"a" * 11)

    with pytest.raises(StorageFull):
        await upload.read()
    assert crowded.on_disk == 0
    upload.close()


async def test_a_disk_that_is_full_in_the_middle_is_told_and_leaves_nothing(crowded, monkeypatch):
    upload = crowded.open(None)
    client = Client(b"a" * 11, b"b" * 11)
    await receive(upload, b"a" * 11)
    assert crowded.on_disk == 11

    def write(_: object) -> int:
        raise OSError(errno.ENOSPC, "no room")

    class Full:
        """A file as before, on a disk that is full by now."""

        def __init__(self, file) -> None:
            self.write, self.close = write, file.close

    upload._file = Full(upload._file)
    with trio.fail_after(PATIENCE):
        assert await upload.fill(client.receive)

    with pytest.raises(StorageFull):
        await upload.read()
    upload.close()


async def test_a_disk_that_takes_less_than_it_is_given_is_given_the_rest(crowded):
    upload = crowded.open(None)
    await receive(upload, b"a" * 11)

    class Slow:
        """A file that takes one byte at a time."""

        def __init__(self, file) -> None:
            self._file = file
            self.seek, self.read, self.close = file.seek, file.read, file.close

        def write(self, data: bytes) -> int:
            return int(self._file.write(data[:1]))

    upload._file = Slow(upload._file)
    await receive(upload, b"b" * 11)

    assert await upload.read() == b"a" * 11 + b"b" * 11
    upload.close()


async def test_a_spool_that_is_not_there_is_no_full_disk(tmp_path):
    uploads = make_uploads(tmp_path / "nowhere", memory=1)
    upload = uploads.open(None)

    await receive(upload, b"abc")

    with pytest.raises(StorageUnavailable):
        await upload.read()
    upload.close()
    assert uploads.on_disk == 0


# --- Who pays -------------------------------------------------------------------------------------


class Payer:
    """Somebody who may send so many bytes."""

    def __init__(self, may: int) -> None:
        self.left = may

    def count_bytes(self, size: int) -> None:
        if size > self.left:
            raise Problem("rate_limited", "Too much.")
        self.left -= size

    def give_bytes_back(self, size: int) -> None:
        self.left += size


async def test_a_declared_body_is_paid_for_before_any_of_it_comes(uploads):
    payer, upload = Payer(100), uploads.open(60)

    upload.admit(payer)
    assert payer.left == 40
    await receive(upload, bytes(60))

    assert await upload.read() == bytes(60)
    upload.close()
    assert payer.left == 40


def test_a_declared_body_that_is_too_much_is_not_admitted_and_costs_nothing(uploads):
    payer, upload = Payer(100), uploads.open(101)

    with pytest.raises(Problem, match="rate_limited"):
        upload.admit(payer)
    upload.close()

    assert not upload.admitted.is_set()
    assert payer.left == 100


@pytest.mark.parametrize("came", [0, 25])
async def test_what_was_declared_and_did_not_come_is_given_back_once(uploads, came):
    payer, upload = Payer(100), uploads.open(60)
    upload.admit(payer)

    await upload.fill(Client(*([bytes(came)] if came else []), GONE).receive)
    upload.close()
    upload.close()

    assert payer.left == 100 - came


async def test_a_body_of_unknown_size_is_paid_for_as_it_comes_and_cut_when_that_is_too_much(
    uploads,
):
    payer, upload = Payer(100), uploads.open(None)
    upload.admit(payer)

    await receive(upload, bytes(60), bytes(41), bytes(1000))

    with pytest.raises(Problem, match="rate_limited"):
        await upload.read()
    upload.close()
    assert payer.left == 40


async def test_a_body_that_is_too_large_is_told_so_whoever_pays(uploads):
    payer, upload = Payer(100), uploads.open(MAX_SIZE + 1)

    upload.admit(payer)
    await receive(upload)

    with pytest.raises(Problem, match="too_large"):
        await upload.read()
    upload.close()
    assert payer.left == 100
