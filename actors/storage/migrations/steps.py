"""The steps of the schema in the order in which they are applied, and the one place that has it."""

from __future__ import annotations

from sqlite_utils import Migrations

from actors.storage.migrations.step_0001_jobs import make_jobs
from actors.storage.migrations.step_0002_spared import count_spared
from actors.storage.migrations.step_0003_outputs import keep_outputs
from actors.storage.migrations.step_0004_images import keep_images
from actors.storage.migrations.step_0005_keys import keep_keys
from actors.storage.migrations.step_0006_addresses import keep_addresses
from actors.storage.migrations.step_0007_schedule import schedule
from actors.storage.migrations.step_0008_outbox import keep_outbox
from actors.storage.migrations.step_0009_events import keep_events
from actors.storage.migrations.step_0010_idempotency import keep_repeats
from actors.storage.migrations.step_0011_audit import keep_audit
from actors.storage.migrations.step_0012_usage import keep_usage
from actors.storage.migrations.step_0013_retention import keep_for_a_while
from actors.storage.migrations.step_0014_batches import keep_batches
from actors.storage.migrations.step_0015_trace import keep_traces
from actors.storage.migrations.step_0016_twins import hold_twins_back
from actors.storage.migrations.step_0017_outbox_trace import trace_deliveries
from actors.storage.migrations.step_0018_bounds import bound_work
from actors.storage.migrations.step_0019_last_of_batch import tell_of_batches_that_are_gone

migrations = Migrations("calotype")

STEPS = {
    "0001_jobs": make_jobs,
    "0002_spared": count_spared,
    "0003_outputs": keep_outputs,
    "0004_images": keep_images,
    "0005_keys": keep_keys,
    "0006_addresses": keep_addresses,
    "0007_schedule": schedule,
    "0009_events": keep_events,
    "0008_outbox": keep_outbox,
    "0010_idempotency": keep_repeats,
    "0011_audit": keep_audit,
    "0012_usage": keep_usage,
    "0013_retention": keep_for_a_while,
    "0014_batches": keep_batches,
    "0015_trace": keep_traces,
    "0016_twins": hold_twins_back,
    "0017_outbox_trace": trace_deliveries,
    "0018_bounds": bound_work,
    "0019_last_of_batch": tell_of_batches_that_are_gone,
}

for name, step in STEPS.items():
    migrations(name=name)(step)
