"""Traces by OpenTelemetry: the only place that knows it, imported when they are switched on.

It reads its own variables (`OTEL_…`) in the environment. Spans and attributes are named as its
semantic conventions for HTTP and for messaging say, as far as these say anything.
"""

from __future__ import annotations

import logging
import sys
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
import trio
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from actors.tracing import NO_SPAN, traced_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from contextvars import Token
    from datetime import datetime
    from types import TracebackType
    from typing import Literal, Self

    from opentelemetry.sdk.trace import ReadableSpan

    from actors import tracing
    from actors.storage.outbox import Delivery
    from actors.storage.ports import Job

log = structlog.get_logger("calotype.telemetry")

LAST_EXPORT: Final = 3.0  # seconds for what has not been exported when the service stops
W3C: Final = TraceContextTextMapPropagator()
HEADERS: Final = frozenset({b"traceparent", b"tracestate"})
NOWHERE: Final = Context()


class _Span:
    """A span of OpenTelemetry that is the present one while it is entered."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._token: Token[Context] | None = None
        self.recorded = span.is_recording()

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, name: str, value: str | float) -> None:
        self._span.set_attribute(name, value)

    def fail(self, kind: str) -> None:
        _fail(self._span, kind)

    def __enter__(self) -> Self:
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            context.detach(self._token)
        if isinstance(error, Exception):
            self.fail(type(error).__name__)
        self._span.end()


class _Place:
    """A context of OpenTelemetry."""

    def __init__(self, here: Context) -> None:
        self._here = here

    def enter(self) -> Callable[[], None]:
        return partial(context.detach, context.attach(self._here))


class Telemetry:
    """Makes spans by OpenTelemetry. The context travels as `contextvars` do, and with envelopes."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("calotype")

    def span(self, name: str) -> tracing.Span:
        """See `tracing.span`."""
        return self._within(name, SpanKind.INTERNAL)

    def ask(self, actor: str, message: object) -> tracing.Span:
        """See `tracing.ask`."""
        kind = type(message).__name__
        span = self._within(f"ask {kind}", SpanKind.INTERNAL)
        if span.recorded:
            span.note("calotype.message", kind)
            # By kind: the number of a Worker means nothing once it has gone.
            span.note("calotype.actor", actor.partition("-")[0])
        return span

    def request(self, headers: Iterable[tuple[bytes, bytes]]) -> tracing.Span:
        """See `tracing.request`. A `traceparent` against the rules, or a second one, is none."""
        return _Span(
            self._tracer.start_span("HTTP", context=_remote(headers), kind=SpanKind.SERVER)
        )

    def submission(self) -> tracing.Span:
        """See `tracing.submission`."""
        span = self._within("send jobs", SpanKind.PRODUCER)
        _note_queue(span, "send", "jobs")
        return span

    def attempt(self, job: Job) -> tracing.Span:
        """See `tracing.attempt`.

        The submission is both its parent and linked. The conventions want the link, and allow the
        parent where, as here, one message is worked on at a time.
        """
        submitted = _unpacked(job.trace)
        said = trace.get_current_span(submitted).get_span_context()
        if said.is_valid and job.attempts == 1 and job.started_at:
            since, until = _nanoseconds(job.due_since), _nanoseconds(job.started_at)
            self._tracer.start_span("queue wait", submitted, start_time=since).end(until)
        span = self._later("process jobs", submitted, SpanKind.CONSUMER)
        _note_queue(span, "process", "jobs")
        span.note("messaging.message.id", job.id)
        span.note("calotype.tenant", job.tenant)
        span.note("calotype.attempt", job.attempts)
        return span

    def delivery(self, delivery: Delivery) -> tracing.Span:
        """See `tracing.delivery`. Its parent and its link are those of an attempt at the job."""
        span = self._later("deliver webhooks", _unpacked(delivery.trace), SpanKind.CLIENT)
        _note_queue(span, "deliver", "webhooks")
        span.note("messaging.message.id", delivery.id)
        span.note("calotype.subject", delivery.subject)
        span.note("calotype.tenant", delivery.tenant)
        span.note("calotype.attempt", delivery.attempts_made)
        return span

    def failed(self, kind: str) -> None:
        """See `tracing.failed`."""
        _fail(trace.get_current_span(), kind)

    def place(self) -> tracing.Place | None:
        """See `tracing.place`."""
        here = context.get_current()
        return _Place(here) if trace.get_current_span(here).get_span_context().is_valid else None

    def carried(self) -> str | None:
        """See `tracing.carried`. It is JSON with the headers of W3C Trace Context."""
        headers: dict[str, str] = {}
        W3C.inject(headers)
        return msgspec.json.encode(headers).decode() if headers else None

    def ids(self) -> Mapping[str, str]:
        """See `tracing.ids`."""
        here = trace.get_current_span().get_span_context()
        if not here.is_valid:
            return {}
        return {
            "trace_id": trace.format_trace_id(here.trace_id),
            "span_id": trace.format_span_id(here.span_id),
        }

    def _later(self, name: str, submitted: Context, kind: SpanKind) -> _Span:
        said = trace.get_current_span(submitted).get_span_context()
        links = [trace.Link(said)] if said.is_valid else []
        return _Span(self._tracer.start_span(name, context=submitted, kind=kind, links=links))

    def _within(self, name: str, kind: SpanKind) -> tracing.Span:
        if not trace.get_current_span().is_recording():
            return NO_SPAN
        return _Span(self._tracer.start_span(name, kind=kind))


class _Reporting(SpanExporter):
    """Says once when an exporter begins to fail, and once when it is well again."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self.failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export, and see how it goes."""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.failed:
            log.warning("traces_lost")
        elif self.failed and not failed:
            log.info("traces_exported_again")
        self.failed = failed
        return result

    def shutdown(self) -> None:
        """See `SpanExporter.shutdown`."""
        self._exporter.shutdown()


@asynccontextmanager
async def open_telemetry(
    exporter: Literal["otlp", "console"], left: Callable[[], float]
) -> AsyncIterator[None]:
    """Trace what happens in the block.

    What has not been exported at its end is exported then, if that can be done soon, and in the
    seconds that `left` says.
    """
    # What it has to say of a collector that is away, it says for each batch; `_Reporting` does not.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    exports = _Reporting(
        OTLPSpanExporter() if exporter == "otlp" else ConsoleSpanExporter(out=sys.stdout)
    )
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: "calotype"}).merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exports))
    try:
        with traced_by(Telemetry(provider)):
            yield
    finally:
        if exports.failed:
            exports.shutdown()
        with trio.move_on_after(min(LAST_EXPORT, left()), shield=True) as scope:
            # Its threads are daemons: one that is given up ends with the process.
            await trio.to_thread.run_sync(provider.shutdown, abandon_on_cancel=True)
        if scope.cancelled_caught:
            exports.shutdown()
            log.warning("traces_lost")


def _fail(span: trace.Span, kind: str) -> None:
    # Without a description: what errors say may hold what is not to be told.
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", kind)


def _remote(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return the context that these headers name, if they do so by the rules."""
    said: dict[str, list[str]] = {}
    for name, value in headers:
        if name in HEADERS:
            said.setdefault(name.decode(), []).append(value.decode("latin-1"))
    if len(said.get("traceparent", ())) != 1:
        return NOWHERE
    return W3C.extract(said, NOWHERE)


def _unpacked(carried: str | None) -> Context:
    if carried is None:
        return NOWHERE
    return W3C.extract(msgspec.json.decode(carried, type=dict[str, str]), NOWHERE)


def _note_queue(span: tracing.Span, operation: str, queue: str) -> None:
    span.note("messaging.system", "calotype")
    span.note("messaging.operation.name", operation)
    span.note("messaging.operation.type", operation)
    span.note("messaging.destination.name", queue)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000
