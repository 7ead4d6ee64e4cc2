"""The headers that routes take and give."""

from web.openapi.words import Header
from web.repeats import BARE, QUOTED

# --- Of requests. For `Accept`, `Content-Type` and `Authorization`, OpenAPI has other words. ------

REQUEST_ID = Header(
    name="X-Request-ID",
    says="Up to 64 of letters, digits, `.`, `_` and `-`, to be found again in the log. "
    "Whatever else is said here is ignored.",
    example="import-42",
)
PREFER = Header(
    name="Prefer",
    says="`wait=N`: answer when the job has ended, or after N seconds (RFC 7240), up to "
    "`MAX_WAIT`. What is not understood is ignored.",
    example="wait=30",
)
IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    says="A name for this request, of up to 255 printable ASCII characters, in quotes or not. Sent "
    "again under the same name, it is done once, and answered as the first time.",
    example="8e03978e-40d5-43dd-bc93-6894a57f9324",
    pattern=rf"^(?:{BARE.pattern}|{QUOTED.pattern})$",
)
IF_NONE_MATCH = Header(
    name="If-None-Match",
    says="ETags of what is there already: the answer is 304 if it is still that.",
    example='"c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"',
)
RANGE = Header(
    name="Range",
    says="One range of bytes. Several, or what is no such range, get the whole.",
    example="bytes=0-99",
)
IF_RANGE = Header(
    name="If-Range",
    says="An ETag: the range counts only if it is still that.",
    example='"c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"',
)

LAST_EVENT_ID = Header(
    name="Last-Event-ID",
    says="The number of the last event that was seen. It counts more than `last_event_id`.",
    example="41",
)

# --- Of answers -----------------------------------------------------------------------------------

ANSWERED_ID = Header(
    name="X-Request-ID",
    says="The request's own, if it had a good one; else one of ours.",
    example="5f2b9c1e0d3a4b67",
    always=True,
)
REPLAYED = Header(
    name="Idempotent-Replayed",
    says="`true`, if it was done before, under the same `Idempotency-Key`.",
    example="true",
)
RATE_LIMIT_POLICY = Header(
    name="RateLimit-Policy",
    says="What the caller may use, if there are limits.",
    example='"requests";q=100;w=60',
)
RATE_LIMIT = Header(
    name="RateLimit",
    says="What is left of it, and for how many seconds.",
    example='"requests";r=37;t=38',
)
OF_ALL = (ANSWERED_ID, RATE_LIMIT_POLICY, RATE_LIMIT)
LOCATION = Header(
    name="Location", says="Where it is.", example="/jobs/8c62eb38-78f3-4ae9-b9f4-1d6072429ca6"
)
CONTENT_LOCATION = Header(
    name="Content-Location",
    says="Where the same is to be had again.",
    example="/jobs/8c62eb38-78f3-4ae9-b9f4-1d6072429ca6/download",
    always=True,
)
PREFERENCE_APPLIED = Header(
    name="Preference-Applied",
    says="How long it would have been waited.",
    example="wait=30",
    always=True,
)
LINK = Header(
    name="Link",
    says='The next page, as `rel="next"`, if there is one.',
    example='</jobs?limit=2&cursor=41>; rel="next"',
)
ETAG = Header(
    name="ETag",
    says="Strong: the SHA-256 of the bytes.",
    example='"c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"',
    always=True,
)
CACHE_CONTROL = Header(
    name="Cache-Control",
    says="How long it may be kept, and by whom.",
    example="private, max-age=31536000, immutable",
    always=True,
)
NO_BUFFERING = Header(
    name="X-Accel-Buffering",
    says="That a proxy shall pass it on as it comes.",
    example="no",
    always=True,
)
ACCEPT_RANGES = Header(
    name="Accept-Ranges", says="Parts of it can be had.", example="bytes", always=True
)
CONTENT_LENGTH = Header(name="Content-Length", says="Bytes.", example="112525", always=True)
CONTENT_RANGE = Header(
    name="Content-Range",
    says="Which bytes these are, of how many.",
    example="bytes 0-99/112525",
    always=True,
)
CONTENT_DISPOSITION = Header(
    name="Content-Disposition",
    says="A file name.",
    example='inline; filename="8c62eb38-78f3-4ae9-b9f4-1d6072429ca6.jpg"',
    always=True,
)
NO_SNIFFING = Header(
    name="X-Content-Type-Options",
    says="It is what `Content-Type` says.",
    example="nosniff",
    always=True,
)
SECURITY_POLICY = Header(
    name="Content-Security-Policy",
    says="What the page may do: nothing but look as it does.",
    example="default-src 'none'",
    always=True,
)

OF_FILES = (
    ETAG,
    CACHE_CONTROL,
    ACCEPT_RANGES,
    CONTENT_LENGTH,
    CONTENT_DISPOSITION,
    NO_SNIFFING,
)

# --- Of problems, by their code. Those that ask to try again have `Retry-After` as well. ----------

RETRY_AFTER = Header(name="Retry-After", says="After how many seconds to try again.", example="1")
_CHALLENGE = Header(
    name="WWW-Authenticate",
    says="What is missing (RFC 6750).",
    example='Bearer error="insufficient_scope", scope="jobs:read"',
)
OF_PROBLEMS = {
    "unauthenticated": _CHALLENGE,
    "forbidden": _CHALLENGE,
    "range_not_satisfiable": Header(
        name="Content-Range", says="The true length.", example="bytes */112525"
    ),
}
