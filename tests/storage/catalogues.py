"""What the tests of catalogues share: all that there are, their calls, and what to keep in them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from actors.storage.files import Files
from actors.storage.ports import Blobs, Catalogue, NewImage, NewInput, NewJob, Output, StorageError
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.memory.blobs import MemoryBlobs
from tests.storage.memory.catalogue import MemoryCatalogue

CATALOGUES: dict[str, Callable[[Path], Catalogue]] = {
    "sqlite": lambda directory: SqliteCatalogue(directory / "calotype.db"),
    "memory": lambda _: MemoryCatalogue(),
}
BLOBS: dict[str, Callable[[Path], Blobs]] = {
    "files": lambda directory: Files(directory / "blobs"),
    "memory": lambda _: MemoryBlobs(),
}
ANY = ("high", "normal", "low")
OUTPUT = Output(
    name="output",
    key="ab/result.png",
    media_type="image/png",
    width=2,
    height=1,
    size_bytes=9,
    sha256="5f",
)
RECEIPT = '{"pillow": "13.0"}'
URL = "https://example.org/größer.png?token=🖼"
FETCHED = NewInput(key="ab/a-1.png", size_bytes=2**40, sha256="3c")


class Each:
    """A catalogue, or one of its registers, with a transaction of its own for each call."""

    def __init__(self, catalogue: Catalogue, register: str | None = None) -> None:
        self.catalogue = catalogue
        self._register = register

    def do(self, call):
        """Return what `call` returns of the catalogue, or raise the error that it ends with."""
        (result,) = self.catalogue.batch([call])
        if isinstance(result, StorageError):
            raise result
        return result

    def __getattr__(self, name: str):
        def call(*arguments, **named):
            def in_transaction(it):
                asked = getattr(it, self._register) if self._register else it
                return getattr(asked, name)(*arguments, **named)

            return self.do(in_transaction)

        return call


def minute(number: int):
    return NOON + timedelta(minutes=number)


def new_job(  # noqa: PLR0913, PLR0917 (what a job may have)
    name: str,
    priority="normal",
    operation="resize",
    max_attempts=3,
    image=None,
    others=(),
    preset=None,
    tenant="",
    run_at=None,
) -> NewJob:
    return NewJob(
        id=name,
        priority=priority,
        operation=operation,
        preset=preset,
        recipe='{"outputs": []}',
        input=image or NewInput(key=f"ab/{name}.jpg", size_bytes=123, sha256="1a"),
        other_images=others,
        max_attempts=max_attempts,
        run_at=run_at,
        tenant=tenant,
    )


def new_image(name: str, tenant: str = "") -> NewImage:
    return NewImage(
        id=name,
        key=f"cd/{name}.gif",
        format="gif",
        width=64,
        height=48,
        frames=3,
        size_bytes=456,
        sha256="2b",
        facts='{"colour":\t"größer 🖼"}',
        tenant=tenant,
    )


def some_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def output_of(job_id: str, attempt: int, number: int) -> Output:
    return replace(OUTPUT, name=f"n{number}", key=f"ab/{job_id}-{attempt}-{number:08x}.png")


def names(jobs) -> list[str]:
    return [job.id for job in jobs]
