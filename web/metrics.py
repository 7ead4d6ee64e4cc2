"""What is counted and timed at the edge, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

from actors.metrics import SECONDS

REQUESTS = Counter("calotype_requests", "Answers sent.", ["method", "route", "status"])
REQUEST = Histogram(
    "calotype_request_seconds",
    "From the head of a request to its answer.",
    ["route"],
    buckets=SECONDS,
)
PRESENT = Gauge("calotype_jobs_present", "Jobs in the catalogue.", ["status", "priority"])
WAITING = Gauge("calotype_jobs_waiting", "Pending jobs that are not due yet.", ["priority"])
PAUSED = Gauge("calotype_queue_paused", "1 while the queue is paused, else 0.")
OLDEST = Gauge("calotype_oldest_pending_seconds", "For how long the oldest job that is due waits.")
STORED = Gauge("calotype_stored_bytes", "Bytes of all files that are kept.")
DELIVERIES_PRESENT = Gauge(
    "calotype_deliveries_present", "Webhooks in the outbox, by what became of them.", ["status"]
)
MAIL = Gauge("calotype_mailbox_messages", "Messages that wait in a mailbox.", ["actor"])
LIMITER_USED = Gauge("calotype_limiter_used", "Tokens of a limiter in use.", ["limiter"])
LIMITER_TOTAL = Gauge("calotype_limiter_total", "Tokens of a limiter.", ["limiter"])
WORKERS = Gauge("calotype_workers", "Workers, by what they do.", ["state"])
BODIES = Gauge("calotype_body_bytes", "Bytes of request bodies that are held.", ["place"])
CONNECTIONS = Gauge("calotype_connections", "Open connections.")
STREAMS = Gauge("calotype_event_streams", "Open streams of events.")
EVENTS_SENT = Counter("calotype_events_sent", "Events sent to those who follow them.")
LOOP_DELAY = Histogram(
    "calotype_loop_delay_seconds",
    "By how much the event loop is late, looked at ten times a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
)
TASKS = Gauge("calotype_tasks", "Tasks of the event loop.")
GIVEN_UP = Counter("calotype_answers_given_up", "Answers given up, since nobody took them.")
