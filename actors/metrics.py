"""What is counted and timed inside the service, for Prometheus."""

from prometheus_client import Counter, Histogram

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
BYTES = (1e3, 1e4, 1e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 5e7)

JOBS = Counter("calotype_jobs", "Jobs that ended, by how they ended.", ["status"])
REFUSALS = Counter("calotype_refusals", "Refusals by a limit or a quota, by which.", ["policy"])
EXPIRED = Counter("calotype_jobs_expired", "Jobs whose files were given up by retention.")
REUSED = Counter("calotype_jobs_reused", "Jobs that ended with the results of a twin.")
BLOBS_DAMAGED = Counter(
    "calotype_blobs_damaged", "Files found missing, of another size, or with other bytes.", ["how"]
)
CRASHES = Counter("calotype_actor_crashes", "Actors replaced after a crash.", ["actor"])
DEATHS = Counter("calotype_render_deaths", "Render processes that ended in the middle of a render.")
RETRIES = Counter(
    "calotype_retries", "Attempts that came to nothing and will be made again.", ["error_code"]
)
QUEUE_WAIT = Histogram(
    "calotype_queue_wait_seconds",
    "From when a job may be begun to the beginning of its first attempt.",
    buckets=SECONDS,
)
RENDER = Histogram("calotype_render_seconds", "Time of a render.", buckets=SECONDS)
FETCHES = Counter("calotype_fetches", "Fetches that ended, by how they ended.", ["outcome"])
FETCHED = Counter("calotype_fetched_bytes", "Bytes of the images that were fetched.")
FETCH = Histogram(
    "calotype_fetch_seconds",
    "Time of a fetch, with all that was tried again and the wait for a place.",
    buckets=SECONDS,
)
DELIVERIES = Counter(
    "calotype_deliveries",
    "Attempts to deliver a webhook that ended, by how they ended.",
    ["outcome"],
)
DELIVERY = Histogram(
    "calotype_delivery_seconds", "Time of an attempt to deliver a webhook.", buckets=SECONDS
)
INPUT_SIZE = Histogram("calotype_input_bytes", "Size of the images that came in.", buckets=BYTES)
OUTPUT_SIZE = Histogram(
    "calotype_output_bytes", "Size of the images that were made.", buckets=BYTES
)
