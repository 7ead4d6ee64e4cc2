"""The description of every route."""

from collections.abc import Mapping

from web.openapi import batches, deliveries, events, examples, images, jobs, queue, service
from web.openapi.words import Route

# In the order in which the document has them.
ROUTES: Mapping[str, Route] = {
    **jobs.ROUTES,
    **batches.ROUTES,
    **events.ROUTES,
    **deliveries.ROUTES,
    **images.ROUTES,
    **queue.ROUTES,
    **service.ROUTES,
}
TAGS: Mapping[str, str] = {
    "jobs": "Images in, images out.",
    "batches": "Many jobs that are accepted, counted and given up together.",
    "events": "What becomes of jobs, as it happens.",
    "webhooks": "What is sent to the `callback_url` of a job.",
    "images": "Sent once, used in many jobs; and what would be made of one.",
    "service": "What the service says of itself.",
}
# What stands in a path.
IDS: Mapping[str, tuple[str, str]] = {
    "job_id": ("The id of a job.", examples.JOB_ID),
    "batch_id": ("The id of a batch.", examples.BATCH_ID),
    "image_id": ("The id of an image.", examples.IMAGE_ID),
    "code": ("The code of a problem.", "gone"),
}
