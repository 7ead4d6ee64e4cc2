"""Examples of requests and answers. A test holds each against the schema of its place."""

from collections.abc import Mapping

from web.openapi.words import Json

JOB_ID = "8c62eb38-78f3-4ae9-b9f4-1d6072429ca6"
BATCH_ID = "0b6e2f0c-6a52-4f0e-9f53-5f0d8c1f4a57"
IMAGE_ID = "f18b7e13-f308-4647-b4b4-d06bb21fde50"
_INPUT = "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"
_OUTPUT = "a58f9863e35be69883b8ab2497162e4ccddbbffc4eec2cd046bd095859b80a39"
# A GIF of one pixel.
_PIXEL = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"

# --- Requests -------------------------------------------------------------------------------------

THUMBNAIL: Json = {"operation": "thumbnail", "width": 300, "height": 300}
IN_ORDER: Json = {
    "operations": [
        {"op": "crop", "aspect": "1:1", "gravity": "smart"},
        {"op": "resize", "width": 256},
    ],
    "output": {"format": "webp"},
}
MANY: Json = {
    "outputs": [
        {"name": "page", "operations": [{"op": "resize", "width": 800}], "format": "webp"},
        {"name": "icon", "operations": [{"op": "thumbnail", "width": 64, "height": 64}]},
        {"name": "facts", "format": "json"},
    ]
}
_SENT = {"image_data": _PIXEL}
UPLOADS: Mapping[str, Json] = {"pixel": {**_SENT}}
_KEPT = {"image_id": IMAGE_ID}
PLANS: Mapping[str, Json] = {
    "short": {**_SENT, **THUMBNAIL, "output_format": "webp"},
    "in_order": {**_SENT, **IN_ORDER},
    "many": {**_SENT, **MANY},
    "kept": {**_KEPT, "operation": "blur", "sigma": 5},
}
JOBS: Mapping[str, Json] = {
    **PLANS,
    "by_address": {"image_url": "https://example.org/photo.jpg", **THUMBNAIL, "priority": "low"},
    "with_webhook": {
        **_SENT,
        **THUMBNAIL,
        "callback_url": "https://example.org/hooks/calotype",
        "metadata": {"order": 4711, "customer": "c-2077", "express": True},
    },
}
BATCHES: Mapping[str, Json] = {
    "one_recipe": {
        "defaults": {**THUMBNAIL, "priority": "low"},
        "jobs": [
            {"image_url": "https://example.org/1.jpg"},
            {"image_url": "https://example.org/2.jpg", "width": 600, "height": 600},
        ],
        "callback_url": "https://example.org/hooks/batches",
        "metadata": {"album": 7},
    },
    "one_image": {"defaults": _KEPT, "jobs": [THUMBNAIL, MANY]},
}
FORMS: Mapping[str, Json] = {
    "fields": {"image": "(the file)", "operation": "thumbnail", "width": 300, "height": 300},
    "request": {"image": "(the file)", "request": IN_ORDER},
}

# --- Answers --------------------------------------------------------------------------------------

ACCEPTED: Json = {
    "job_id": JOB_ID,
    "status": "pending",
    "message": "Image processing job submitted",
}
BATCH_ACCEPTED: Json = {"batch_id": BATCH_ID, "status": "running", "job_ids": [JOB_ID]}
BATCH_RUNNING: Json = {
    "id": BATCH_ID,
    "status": "running",
    "jobs": 1000,
    "counts": {"pending": 396, "processing": 4, "completed": 597, "failed": 3, "cancelled": 0},
    "created_at": "2026-03-01T12:00:00.999858Z",
}
BATCH_ENDED: Json = {
    **BATCH_RUNNING,
    "status": "ended",
    "counts": {"pending": 0, "processing": 0, "completed": 997, "failed": 3, "cancelled": 0},
}
PENDING: Json = {
    "id": JOB_ID,
    "status": "pending",
    "input_path": f"uploads/8c/{JOB_ID}.jpg",
    "output_path": None,
    "priority": "normal",
    "attempts": 0,
    "max_attempts": 3,
    "created_at": "2026-03-01T12:00:00.999858Z",
    "updated_at": "2026-03-01T12:00:00.999858Z",
    "operation": "thumbnail",
    "width": 300,
    "height": 300,
}
COMPLETED: Json = {
    **PENDING,
    "status": "completed",
    "output_path": f"outputs/8c/{JOB_ID}-1-580e296c.webp",
    "attempts": 1,
    "max_attempts": 3,
    "updated_at": "2026-03-01T12:00:01.031995Z",
    "started_at": "2026-03-01T12:00:01.000462Z",
    "outputs": [
        {
            "name": "output",
            "path": f"outputs/8c/{JOB_ID}-1-580e296c.webp",
            "media_type": "image/webp",
            "width": 300,
            "height": 200,
            "frames": 1,
            "size_bytes": 10796,
            "sha256": _OUTPUT,
            "operations": [{"op": "resize", "width": 300, "height": 200}],
            "quality": 90,
        }
    ],
    "receipt": {
        "input_sha256": _INPUT,
        "images": {},
        "recipe": {
            "outputs": [
                {
                    "name": "output",
                    "operations": [{"op": "resize", "width": 300, "height": 200}],
                    "format": "webp",
                    "quality": 90,
                }
            ]
        },
        "versions": {"calotype": "0.1.0", "pillow": "13.0.0", "webp": "1.6.0"},
    },
}
FAILED: Json = {
    **PENDING,
    "status": "failed",
    "attempts": 1,
    "max_attempts": 3,
    "started_at": "2026-03-01T12:00:01.000462Z",
    "error": "The bytes are no image.",
    "error_code": "not_an_image",
}
CANCELLED: Json = {**PENDING, "status": "cancelled"}
PAGE: Json = {"jobs": [COMPLETED], "next": "41"}
DELIVERED: Json = {
    "id": "msg_2f1c6a9be0d34e7a9c55d2f0f6a1b3c4",
    "type": "job.completed",
    "status": "delivered",
    "attempts": 2,
    "created_at": "2026-03-01T12:00:01.031995Z",
    "last_attempt_at": "2026-03-01T12:00:19.207113Z",
    "last_status": 204,
}
DELIVERIES: Json = {"deliveries": [DELIVERED]}
REDELIVERED: Json = {
    **DELIVERED,
    "status": "pending",
    "next_attempt_at": "2026-03-01T13:00:00.000000Z",
}
BATCH_DELIVERED: Json = {**DELIVERED, "type": "batch.completed"}
BATCH_DELIVERIES: Json = {"deliveries": [BATCH_DELIVERED]}
BATCH_REDELIVERED: Json = {**REDELIVERED, "type": "batch.completed"}
LINK: Json = {
    "url": f"/jobs/{JOB_ID}/download?expires=1772370000&signature={_OUTPUT}",
    "expires_at": "2026-03-01T13:00:00.000000Z",
}
FACTS: Json = {
    "format": "jpeg",
    "size_bytes": 112525,
    "sha256": _INPUT,
    "width": 640,
    "height": 427,
    "frames": 1,
    "mode": "RGB",
    "depth": 8,
    "exif": {},
    "icc_profile": "Adobe RGB (1998)",
    "opaque": True,
    "dominant_color": "#1b3558",
    "mean_color": "#2a3a52",
    "palette": [{"color": "#1b3558", "share": 0.4041}, {"color": "#0b1c33", "share": 0.242}],
    "blurhash": "L86uI;%i9ZWB0hNG-Sj[#NnNNekC",
    "thumbhash": "D9cFHYQsd2ZweZd1h4eIdnZwbQfX",
    "dhash": "e0c0c0d0909090d1",
}
IMAGE: Json = {"image_id": IMAGE_ID, **FACTS, "created_at": "2026-03-01T12:00:00.999858Z"}
PLAN: Json = {
    "facts": {
        "format": "jpeg",
        "width": 640,
        "height": 427,
        "frames": 1,
        "orientation": 1,
        "scans": 1,
        "depth": 8,
        "loops": 1,
    },
    "predicted": {"memory_bytes": 2500000, "cpu_seconds": 0.012},
    "outputs": [
        {
            "name": "output",
            "format": "jpeg",
            "width": 427,
            "height": 427,
            "frames": 1,
            "operations": [{"op": "crop", "width": 427, "height": 427, "x": 0, "y": 0}],
        }
    ],
}
POOL: Json = {"wanted": 4, "present": 10, "busy": 0}
