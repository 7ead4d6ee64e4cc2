"""Routes under /batches."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import trio
from quart import Blueprint, request

from actors.errors import ActorStopped
from actors.messages import AwaitBatch, CancelBatch, DeleteBatch, FindBatch
from actors.storage.batches import BatchNotFound, ImagesNotFound
from actors.storage.ports import StorageInDoubt
from web.jobs import FATE_UNKNOWN, WaitWords
from web.members import Members
from web.problems import Problem
from web.replies import json_reply, no_content
from web.uploads import upload

if TYPE_CHECKING:
    from quart_trio.wrappers import TrioResponse as Response

    from web.answers import Answers
    from web.envoy import Envoy
    from web.kitchen import Kitchen


def batches_blueprint(
    envoy: Envoy, answers: Answers, kitchen: Kitchen, max_wait: float
) -> Blueprint:
    """Routes under /batches: submit, look, wait, cancel, delete.

    `max_wait` is the most seconds that `wait` may be.
    """
    batches = Blueprint("batches", __name__, url_prefix="/batches")

    @batches.post("")
    async def submit() -> Response:
        order = await kitchen.batch()
        try:
            batched = await envoy.ask(order.batch, upload().hand_over())
        except ImagesNotFound as error:
            raise order.without(error.image_ids) from error
        except (trio.TooSlowError, ActorStopped, StorageInDoubt) as error:
            raise Problem("storage_unavailable", FATE_UNKNOWN, retry=False) from error
        batch_id = batched.batch.id
        structlog.contextvars.bind_contextvars(batch_id=batch_id)
        location = {"Location": f"/batches/{batch_id}"}
        return json_reply(answers.batch_accepted(batched), 202, location)

    @batches.get("/<batch_id>")
    async def look(batch_id: str) -> Response:
        words = Members.of_query(request.args.items(multi=True)).only(WaitWords)
        structlog.contextvars.bind_contextvars(batch_id=batch_id)
        wait = min(words.wait, max_wait)
        batch = await envoy.watch(AwaitBatch(batch_id), FindBatch(batch_id), wait)
        return json_reply(answers.batch(batch))

    @batches.post("/<batch_id>/cancel")
    async def cancel(batch_id: str) -> Response:
        return json_reply(answers.batch(await envoy.ask(CancelBatch(batch_id))))

    @batches.delete("/<batch_id>")
    async def delete(batch_id: str) -> Response:
        is_done = await envoy.ask(DeleteBatch(batch_id))
        # Should this be cut short, the Store does the rest by and by; and it may come first.
        with suppress(BatchNotFound):
            while not is_done:
                is_done = await envoy.ask(DeleteBatch(batch_id))
        return no_content()

    return batches
