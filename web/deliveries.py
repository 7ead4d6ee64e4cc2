"""Routes about what is sent to the `callback_url` of a job or a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint

from actors.messages import ListDeliveries, OfBatch, OfJob, Redeliver
from web.replies import json_reply

if TYPE_CHECKING:
    from quart_trio.wrappers import TrioResponse as Response

    from web.answers import Answers
    from web.envoy import Envoy


def deliveries_blueprint(envoy: Envoy, answers: Answers) -> Blueprint:
    """GET …/deliveries and POST …/redeliver, below a job and below a batch."""
    deliveries = Blueprint("deliveries", __name__)

    @deliveries.get("/jobs/<job_id>/deliveries")
    async def list_of_job(job_id: str) -> Response:
        return await listed(OfJob(job_id))

    @deliveries.get("/batches/<batch_id>/deliveries")
    async def list_of_batch(batch_id: str) -> Response:
        return await listed(OfBatch(batch_id))

    @deliveries.post("/jobs/<job_id>/redeliver")
    async def redeliver_of_job(job_id: str) -> Response:
        return await redelivered(OfJob(job_id), f"/jobs/{job_id}/deliveries")

    @deliveries.post("/batches/<batch_id>/redeliver")
    async def redeliver_of_batch(batch_id: str) -> Response:
        return await redelivered(OfBatch(batch_id), f"/batches/{batch_id}/deliveries")

    async def listed(subject: OfJob | OfBatch) -> Response:
        found = await envoy.ask(ListDeliveries(subject))
        return json_reply(answers.deliveries(found))

    async def redelivered(subject: OfJob | OfBatch, listing: str) -> Response:
        delivery = await envoy.ask(Redeliver(subject))
        return json_reply(answers.delivery(delivery), 202, {"Location": listing})

    return deliveries
