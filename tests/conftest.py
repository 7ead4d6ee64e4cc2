"""What the tests of the core share: pictures, storages, a fake Store and a clock."""

import gc
import io
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
import trio
from PIL import Image

from actors.errors import ActorStopped
from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.mailbox import open_mailbox
from actors.messages import Open
from actors.rendering.protocol import in_memory
from actors.rendering.renderer import Renderer, Rendering
from actors.storage.opening import Places
from actors.storage.ports import Catalogue, Job, Storage, StorageError
from tests.storage.memory.blobs import MemoryBlobs
from tests.storage.memory.catalogue import MemoryCatalogue

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
THUMBNAIL = Recipe((Output(operations=(Thumbnail(16, 16),), format="png"),))
# So small that a test which waits for it has found a fault, not a slow machine.
PATIENCE = 10


class Ticking:
    """A clock that is so many seconds later at each look."""

    def __init__(self, seconds: float = 1) -> None:
        self._now = NOON
        self._step = timedelta(seconds=seconds)

    def __call__(self) -> datetime:
        self._now += self._step
        return self._now


def draw(width: int = 64, height: int = 48, kind: str = "JPEG", color: str | None = None) -> bytes:
    """Return the file of a picture of one color, or with something in every part of it."""
    if color:
        image = Image.new("RGB", (width, height), color)
    else:
        image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def is_picture(data: bytes, size: tuple[int, int]) -> bool:
    """Whether `data` is a whole picture of this size."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size == size


def make_job(number: int = 1, **changes: object) -> Job:
    """Return the record of a job that is in its first attempt."""
    job_id = f"{number:08x}-0000-4000-8000-000000000000"
    values: dict[str, object] = {
        "id": job_id,
        "status": "processing",
        "priority": "normal",
        "operation": "thumbnail",
        "preset": None,
        "recipe": encode_recipe(THUMBNAIL),
        "input_key": f"{job_id[:2]}/{job_id}.jpg",
        "input_size": 100,
        "input_sha256": None,
        "image_id": None,
        "others": {},
        "outputs": (),
        "receipt": None,
        "error_code": None,
        "error": None,
        "attempts": 1,
        "attempts_allowed": 3,
        "max_attempts": 3,
        "spared": 0,
        "created_at": NOON,
        "started_at": NOON,
        "updated_at": NOON,
    }
    return Job(**(values | changes))  # type: ignore[arg-type]  # The names say which is which.


@contextmanager
def nothing_left_of(data: bytes) -> Iterator[None]:
    """Check that at the end of the block nobody holds `data` who did not hold it before."""
    gc.collect()
    gc.disable()  # What hangs on a cycle would stay until the next collection.
    held = sys.getrefcount(data)
    try:
        yield
        # A thread lets go of what it has worked on a moment after its result is heard.
        deadline = time.monotonic() + 1
        while sys.getrefcount(data) > held and time.monotonic() < deadline:
            time.sleep(0.001)
        assert sys.getrefcount(data) == held
    finally:
        gc.enable()


class FakeStore:
    """Answers the actors above it as the test says, and remembers what it was asked.

    `answers` are those to each kind of message, the last of them for ever: values, errors to fail
    with, or `ActorStopped` for none. Who wants to `Open` bytes has them as a file.
    """

    def __init__(self, answers: dict[type, list[object]]) -> None:
        self.address, self.mailbox = open_mailbox("store", 4)
        self.asked: list[object] = []
        self.reading = trio.CancelScope()
        self.answers = answers
        self.before_answering: Callable[[object], object] = lambda _: None

    async def run(self) -> None:
        """Answer until nobody can ask any more."""
        with self.reading, self.mailbox:
            await self._read()

    async def _read(self) -> None:
        async for envelope in self.mailbox:
            with envelope:
                self.asked.append(envelope.message)
                self.before_answering(envelope.message)
                answers = self.answers[type(envelope.message)]
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                if isinstance(envelope.message, Open) and isinstance(answer, bytes):
                    answer = in_memory(answer)
                if isinstance(answer, Exception):
                    envelope.fail(answer)
                elif answer is not ActorStopped:
                    envelope.answer(answer)

    def asked_for(self, kind: type) -> list[object]:
        """Return the messages of this kind that it was asked."""
        return [message for message in self.asked if isinstance(message, kind)]


class SlowCatalogue(MemoryCatalogue):
    """A catalogue in memory whose commits can be held up, and can fail after the first `spared`."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: StorageError | None = None
        self.spared = 0
        self.sizes: list[int] = []
        self.at_once = 0
        self._inside = 0
        self._gate = threading.Event()
        self._gate.set()

    def hold(self) -> None:
        """Let no commit end from now on."""
        self._gate.clear()

    def go_on(self) -> None:
        """Let the commits end."""
        self._gate.set()

    def batch(self, calls: Sequence[Callable[[Catalogue], object]]) -> list[object]:
        """See `Catalogue.batch`."""
        self._inside += 1
        self.at_once = max(self.at_once, self._inside)
        self._gate.wait(PATIENCE)
        self.sizes.append(len(calls) - 1)  # Without the last call.
        self._inside -= 1
        if self.broken and len(self.sizes) > self.spared:
            raise self.broken
        return super().batch(calls)


class FragileBlobs(MemoryBlobs):
    """Blobs in memory that can fail; it shows what it keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: StorageError | None = None

    def put(self, key: str, data: bytes) -> str:
        """See `Blobs.put`."""
        if self.broken:
            raise self.broken
        return super().put(key, data)

    def delete(self, key: str) -> None:
        """See `Blobs.delete`."""
        if self.broken:
            raise self.broken
        super().delete(key)

    @property
    def keys(self) -> set[str]:
        """The keys of all that is kept."""
        return set(self._blobs)


class MemoryStorage:
    """The same storage in memory at each opening; tests can look into it."""

    def __init__(self) -> None:
        self.catalogue = SlowCatalogue()
        self.inputs = FragileBlobs()
        self.outputs = FragileBlobs()
        self.is_open = False

    @contextmanager
    def open(self) -> Iterator[Storage]:
        """Open it, as `actors.storage.opening` would."""
        self.is_open = True
        yield Storage(self.catalogue, self.inputs, self.outputs)
        self.is_open = False


def places_in(directory: Path) -> Places:
    """Return where a storage below `directory` is."""
    return Places(directory / "calotype.db", directory / "inputs", directory / "outputs")


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """Keep the log out of the reports; `structlog.testing.capture_logs` still sees it."""

    def drop(*_: object) -> dict[str, object]:
        raise structlog.DropEvent

    structlog.configure(processors=[drop])


@pytest.fixture(scope="session")
def photo() -> bytes:
    """A small JPEG."""
    return draw()


@pytest.fixture(scope="session")
def renderer() -> Iterator[Renderer]:
    """Two warm processes, which the tests share: nothing in them belongs to one run of trio."""
    renderer = Renderer(Rendering(renders=2))
    yield renderer
    trio.run(renderer.close)
