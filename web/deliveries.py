"""Routes about what is sent to a job's `callback_url`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint

from actors.messages import ListDeliveries, Redeliver
from web.replies import json_reply

if TYPE_CHECKING:
    from quart_trio.wrappers import TrioResponse as Response

    from web.answers import Answers
    from web.envoy import Envoy


def deliveries_blueprint(envoy: Envoy, answers: Answers) -> Blueprint:
    """GET /jobs/{id}/deliveries and POST /jobs/{id}/redeliver."""
    deliveries = Blueprint("deliveries", __name__, url_prefix="/jobs/<job_id>")

    @deliveries.get("/deliveries")
    async def list_deliveries(job_id: str) -> Response:
        found = await envoy.ask(ListDeliveries(job_id))
        return json_reply(answers.deliveries(found))

    @deliveries.post("/redeliver")
    async def redeliver(job_id: str) -> Response:
        delivery = await envoy.ask(Redeliver(job_id))
        location = {"Location": f"/jobs/{job_id}/deliveries"}
        return json_reply(answers.delivery(delivery), 202, location)

    return deliveries
