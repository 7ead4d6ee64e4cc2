"""What the tests of the core share: pictures, storages and a clock."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from PIL import Image

from actors.imaging.recipe import Output as Written
from actors.imaging.recipe import Recipe, Thumbnail
from actors.storage.memory import MemoryBlobs, MemoryCatalogue
from actors.storage.opening import Places
from actors.storage.ports import Catalogue, Job, Storage, StorageError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
THUMBNAIL = Recipe(operations=(Thumbnail(width=16, height=16),), output=Written(format="png"))
# So small that a test which waits for it has found a fault, not a slow machine.
PATIENCE = 10


class Ticking:
    """A clock that is a second later at each look."""

    def __init__(self) -> None:
        self._now = NOON

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


def draw(width: int = 64, height: int = 48, kind: str = "JPEG") -> bytes:
    """Return the file of a picture with something in every part of it."""
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
        "recipe": '{"operations":[{"op":"thumbnail","width":16,"height":16}]}',
        "input_key": f"{job_id[:2]}/{job_id}.jpg",
        "input_size": 100,
        "output": None,
        "error_code": None,
        "error": None,
        "attempts": 1,
        "attempts_allowed": 3,
        "spared": 0,
        "created_at": NOON,
        "started_at": NOON,
        "updated_at": NOON,
    }
    return Job(**(values | changes))  # type: ignore[arg-type]  # The names say which is which.


class SlowCatalogue(MemoryCatalogue):
    """A catalogue in memory whose commits can be held up, and can fail after the first `spared`."""

    def __init__(self) -> None:
        super().__init__()
        self.broken: StorageError | None = None
        self.spared = 0
        self.batches: list[int] = []
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
        self.batches.append(len(calls) - 1)  # Without the last call.
        self._inside -= 1
        if self.broken and len(self.batches) > self.spared:
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
