"""The queue with many pending jobs."""

from __future__ import annotations

import io
import tempfile
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from PIL import Image

from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.recipe import Output, Recipe, encode_recipe
from actors.storage.keys import key_of
from actors.storage.opening import Places, open_storage
from actors.storage.ports import PRIORITIES, Catalogue, NewImage, NewJob

CHUNK = 1_000
CLAIMS = 1_000


def fill(place: Path, pending: int) -> None:
    """Fill the storage at `place` with pending jobs, each of them slow: a large PNG."""
    if not pending:
        return
    image_id = str(uuid.uuid4())
    slow = io.BytesIO()
    Image.effect_noise((4000, 4000), 60).save(slow, "PNG", compress_level=1)
    key = key_of(image_id, ".png")
    with open_storage(Places(place / "data/jobs.db", place / "uploads", place / "outputs")) as it:
        image = NewImage(
            id=image_id,
            key=key,
            format="png",
            width=4000,
            height=4000,
            frames=1,
            size_bytes=slow.tell(),
            sha256=it.inputs.put(key, slow.getvalue()),
            facts="{}",
        )
        it.catalogue.batch([lambda records: records.add_image(image, datetime.now(UTC))])
        for _ in range(0, pending, CHUNK):
            it.catalogue.batch([partial(_add, image_id) for _ in range(CHUNK)])


def _add(image_id: str, records: Catalogue) -> None:
    new = NewJob(
        id=str(uuid.uuid4()),
        priority="normal",
        operation="thumbnail",
        recipe=encode_recipe(Recipe((Output(operations=(Thumbnail(300, 300),)),))),
        input=image_id,
        max_attempts=3,
    )
    records.add(new, datetime.now(UTC))


def claims(pending: int) -> None:
    """How long a durable claim takes with many jobs pending."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        place = Path(folder)
        fill(place, pending)
        taken = []
        with open_storage(
            Places(place / "data/jobs.db", place / "uploads", place / "outputs")
        ) as it:
            for _ in range(CLAIMS):
                begun = time.perf_counter()
                it.catalogue.batch([lambda records: records.claim([PRIORITIES], datetime.now(UTC))])
                taken.append((time.perf_counter() - begun) * 1e3)
    taken.sort()
    print(
        f"\nclaims with {pending} pending: p50 {taken[CLAIMS // 2]:.2f} ms, "
        f"p99 {taken[CLAIMS * 99 // 100]:.2f} ms (each its own transaction and fsync)"
    )
