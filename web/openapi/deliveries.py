"""What the routes about webhooks take and give."""

from __future__ import annotations

from collections.abc import Mapping

from web import answers
from web.openapi import examples, headers
from web.openapi.words import Answer, Route, json_of

ROUTES: Mapping[str, Route] = {
    "GET /jobs/<job_id>/deliveries": Route(
        tag="webhooks",
        name="list_deliveries",
        summary="Look at what was or is to be sent about a job",
        answers={
            200: Answer(
                "Its deliveries, the newest first; none if it named no `callback_url`, or has not "
                "ended.",
                json_of(answers.Deliveries, deliveries=examples.DELIVERIES),
            )
        },
        problems=("not_found",),
    ),
    "POST /jobs/<job_id>/redeliver": Route(
        tag="webhooks",
        name="redeliver",
        summary="Send the newest delivery about a job again",
        says="Whatever became of it: it is due at once, under the same `webhook-id`, and has all "
        "its attempts before it. One that is being sent at this moment is left to itself.",
        answers={
            202: Answer(
                "It will be sent.",
                json_of(answers.Delivery, pending=examples.REDELIVERED),
                (headers.LOCATION,),
            )
        },
        problems=("not_found", "conflict"),
    ),
    "GET /batches/<batch_id>/deliveries": Route(
        tag="webhooks",
        name="list_batch_deliveries",
        summary="Look at what was or is to be sent about a batch",
        says="What is sent to the `callback_url` of the batch itself, and not to those of its "
        "jobs.",
        answers={
            200: Answer(
                "Its deliveries, the newest first; none if it named no `callback_url`, or has not "
                "ended.",
                json_of(answers.Deliveries, deliveries=examples.BATCH_DELIVERIES),
            )
        },
        problems=("not_found",),
    ),
    "POST /batches/<batch_id>/redeliver": Route(
        tag="webhooks",
        name="redeliver_batch",
        summary="Send the newest delivery about a batch again",
        says="As it is with one about a job.",
        answers={
            202: Answer(
                "It will be sent.",
                json_of(answers.Delivery, pending=examples.BATCH_REDELIVERED),
                (headers.LOCATION,),
            )
        },
        problems=("not_found", "conflict"),
    ),
}
