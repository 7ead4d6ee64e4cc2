"""Traces: one tree of spans for a request and all that comes of it, and nothing that is secret."""

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanKind, StatusCode
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response
from structlog.testing import capture_logs

from actors import tracing
from actors.errors import ActorStopped
from actors.fetcher import Fetching
from actors.imaging.facts import Limits
from actors.mailbox import Mailbox, Request, open_mailbox
from actors.messages import Await, Delete, Find, ListDeliveries, OfJob, Submit
from actors.storage.opening import open_storage
from actors.storage.ports import Elsewhere, JobNotFound
from actors.store import StoreLimits
from actors.system import Capacity, System, open_system
from tests.conftest import PATIENCE, THUMBNAIL, draw, make_job, places_in
from tests.web import inside
from tests.web.running import ROOT
from web import telemetry
from web.app import create_app
from web.telemetry import Telemetry, open_telemetry
from web.uploads import UploadLimits, Uploads

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{PARENT}-01".encode()
TRACEPARENT = (b"traceparent", SAMPLED)
EVERYTHING = Telemetry(TracerProvider(ALWAYS_ON, shutdown_on_exit=False))


class Spans:
    """What was exported."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    @property
    def all(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        (found,) = [span for span in self.all if span.name == name]
        return found

    def tree(self) -> list[str]:
        """The path to each span from the first one of ours, in order of these."""
        by_id = {span.context.span_id: span for span in self.all}

        def path(span: ReadableSpan) -> str:
            above = span.parent and by_id.get(span.parent.span_id)
            return f"{path(above)} > {span.name}" if above else span.name

        return sorted(map(path, self.all))


@contextmanager
def recording(sampler: Sampler | None = None):
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.traced_by(Telemetry(provider)):
        yield Spans(exporter)


@pytest.fixture
def spans():
    with recording() as spans:
        yield spans


@asynccontextmanager
async def open_actors(directory: Path):
    """Run the actors; when they have left, all of their spans have ended."""
    capacity = Capacity(
        workers=1,
        renders=1,
        storage_calls=2,
        mail=8,
        store=StoreLimits(backlog=10, asks=8, attempts=3),
        images=Limits(),
        fetching=Fetching(max_bytes=10**6),
    )
    with trio.fail_after(PATIENCE):
        async with open_system(
            lambda: open_storage(places_in(directory)), capacity, grace=lambda: PATIENCE
        ) as system:
            yield system


async def run_job(system: System, image: bytes | Elsewhere | None = None, url: str | None = None):
    """Have a job done, and return its record."""
    submit = Submit(
        *(image or draw(), "thumbnail", THUMBNAIL, "normal"), tenant="acme", callback_url=url
    )
    job = await system.front_door.ask(submit)
    return await system.front_door.ask(Await(job.id, tenant="acme"))


async def test_a_request_and_the_job_that_comes_of_it_are_one_tree(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        with tracing.request([TRACEPARENT]):
            job = await run_job(system)

    attempt = "HTTP > ask Submit > send jobs > process jobs"
    assert spans.tree() == [
        "HTTP",
        "HTTP > ask Await",
        "HTTP > ask Submit",
        "HTTP > ask Submit > send jobs",
        "HTTP > ask Submit > send jobs > blob put",
        "HTTP > ask Submit > send jobs > catalogue commit",
        attempt,
        f"{attempt} > ask Complete",
        f"{attempt} > ask Complete > blob put",
        f"{attempt} > ask Complete > catalogue commit",
        f"{attempt} > ask Load",
        f"{attempt} > ask Load > blob get",
        f"{attempt} > ask Reuse",
        f"{attempt} > ask Reuse > catalogue commit",
        f"{attempt} > render",
        "HTTP > ask Submit > send jobs > queue wait",
    ]
    assert {span.context.trace_id for span in spans.all} == {int(TRACE, 16)}
    assert spans.one("HTTP").parent.span_id == int(PARENT, 16)
    assert dict(spans.one("process jobs").attributes) == {
        "messaging.system": "calotype",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "jobs",
        "messaging.message.id": job.id,
        "calotype.tenant": "acme",
        "calotype.attempt": 1,
    }
    (link,) = spans.one("process jobs").links
    assert link.context.span_id == spans.one("send jobs").context.span_id
    assert spans.one("ask Load").attributes["calotype.actor"] == "store"


async def test_the_wait_in_the_queue_is_a_span_as_long_as_it_was(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        with tracing.request([]):
            job = await run_job(system)

    wait = spans.one("queue wait")
    assert wait.end_time - wait.start_time == pytest.approx(
        1e9 * (job.started_at - job.due_since).total_seconds(), abs=1_000
    )


async def test_a_fetch_is_a_span_without_its_address(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        with tracing.request([]):
            job = await run_job(system, Elsewhere("http://127.0.0.1:9/secret.jpg"))

    assert job.error_code == "source_forbidden"
    assert spans.one("process jobs").attributes["error.type"] == "source_forbidden"
    assert spans.one("process jobs").status.status_code is StatusCode.ERROR
    fetch = spans.one("fetch")
    assert dict(fetch.attributes) == {"calotype.outcome": "forbidden"}
    assert "secret" not in "".join(span.to_json() for span in spans.all)


async def test_a_webhook_is_a_span_beside_the_attempt_at_its_job(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        with tracing.request([]):
            job = await run_job(system, url="http://127.0.0.1:9/secret")
        while True:
            (sent,) = await system.front_door.ask(ListDeliveries(OfJob(job.id), tenant="acme"))
            if sent.fate == "dead":
                break
            await trio.sleep(0.005)

    span, attempt = spans.one("deliver webhooks"), spans.one("process jobs")
    assert span.parent.span_id == attempt.parent.span_id
    assert span.context.trace_id == attempt.context.trace_id
    (link,), (same,) = span.links, attempt.links
    assert link.context == same.context
    assert span.kind is SpanKind.CLIENT
    assert dict(span.attributes) == {
        "messaging.system": "calotype",
        "messaging.operation.name": "deliver",
        "messaging.operation.type": "deliver",
        "messaging.destination.name": "webhooks",
        "messaging.message.id": sent.id,
        "calotype.subject": job.id,
        "calotype.tenant": "acme",
        "calotype.attempt": 1,
        "error.type": "SourceForbidden",
    }
    assert span.status.status_code is StatusCode.ERROR
    assert "secret" not in "".join(span.to_json() for span in spans.all)


async def test_what_nobody_has_asked_for_is_in_no_trace(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        job = await run_job(system)
        await system.front_door.ask(Delete(job.id, tenant="acme"))

    # The job begins one of its own, since it came with none.
    assert {path.partition(" > ")[0] for path in spans.tree()} == {"process jobs"}
    assert not spans.one("process jobs").links


async def test_an_error_is_told_by_its_name_alone(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        with tracing.request([]), pytest.raises(JobNotFound):
            await system.front_door.ask(Find("secret"))

    span = spans.one("ask Find")
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert span.attributes["error.type"] == "JobNotFound"
    assert not span.events


@pytest.mark.parametrize(
    "sampler", [ALWAYS_OFF, ParentBased(ALWAYS_OFF)], ids=["always off", "parent"]
)
async def test_of_what_is_not_sampled_no_span_is_made_but_the_trace_goes_on(tmp_path, sampler):
    not_sampled = f"00-{TRACE}-{PARENT}-00".encode()

    with recording(sampler) as spans:
        async with open_actors(tmp_path) as system:
            with tracing.request([(b"traceparent", not_sampled)]):
                assert tracing.span("anything") is tracing.NO_SPAN
                job = await run_job(system)

    assert not spans.all
    assert f'"00-{TRACE}-' in job.trace
    assert '-00"' in job.trace


async def test_the_state_of_other_vendors_goes_with_the_job(spans, tmp_path):
    async with open_actors(tmp_path) as system:
        with tracing.request([TRACEPARENT, (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]):
            job = await run_job(system)

    assert '"tracestate":"a=1,b=2"' in job.trace
    assert spans.one("render").context.trace_state.to_header() == "a=1,b=2"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"traceparent", b"")],
        [(b"traceparent", b"\xff\x00" * 300)],
        [(b"traceparent", SAMPLED.upper())],
        [(b"traceparent", SAMPLED + b"-what-the-future-may-bring")],
        [(b"traceparent", SAMPLED + b",00")],
        [(b"traceparent", b"ff" + SAMPLED[2:])],
        [(b"traceparent", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01")],
        [(b"traceparent", f"00-{TRACE}-0000000000000000-01".encode())],
        [(b"traceparent", SAMPLED[:-1])],
        [(b"traceparent", SAMPLED.replace(b"-", b"_"))],
        [TRACEPARENT, (b"traceparent", SAMPLED.replace(b"7", b"8"))],
        [(b"tracestate", b"a=1")],
    ],
)
def test_a_traceparent_against_the_rules_is_none(spans, headers):
    with tracing.request(headers):
        pass

    assert spans.one("HTTP").parent is None
    assert not spans.one("HTTP").context.trace_state


@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"tracestate"]), st.binary())))
def test_whatever_comes_in_a_trace_goes_out(headers):
    with EVERYTHING.request(headers):
        carried = EVERYTHING.carried()

    assert carried is not None
    assert re.match(r'{"traceparent":"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]"', carried)


def test_a_traceparent_of_a_later_version_counts_as_far_as_it_is_known(spans):
    later = b"cc" + SAMPLED[2:] + b"-what-the-future-may-bring"

    with tracing.request([(b"traceparent", later)]):
        pass

    assert spans.one("HTTP").context.trace_id == int(TRACE, 16)


@pytest.mark.parametrize("state", [b"a" * 600 + b"=1", b"=", b"a=1," * 40, b"\x00=\xff"])
def test_a_tracestate_against_the_rules_does_no_harm(spans, state):
    with tracing.request([TRACEPARENT, (b"tracestate", state)]):
        carried = tracing.carried()

    assert spans.one("HTTP").context.trace_id == int(TRACE, 16)
    assert carried is not None
    assert len(carried) < 700


class Look(Request[str | None]):
    """The answer is where its handler was."""


async def test_who_takes_a_place_for_an_envelope_is_in_no_trace_after_that(spans, nursery):
    address, mailbox = open_mailbox("somebody", 1)
    outside: list[str | None] = []

    async def run(mailbox: Mailbox) -> None:
        places = trio.Semaphore(1)
        async for envelope in mailbox:
            await envelope.take_place(places)
            outside.append(tracing.carried())
            with envelope:
                envelope.answer(tracing.carried())
            outside.append(tracing.carried())

    nursery.start_soon(run, mailbox)
    with tracing.request([TRACEPARENT]):
        heard = await address.ask(Look())
    address.close()

    assert heard is not None
    assert TRACE in heard
    assert outside == [None, None]


async def test_an_ask_that_nobody_answers_is_a_span_that_went_wrong(spans):
    address, mailbox = open_mailbox("worker-7", 1)
    mailbox.close()

    with tracing.request([]), pytest.raises(ActorStopped):
        await address.ask(Look())

    span = spans.one("ask Look")
    assert dict(span.attributes) == {
        "calotype.message": "Look",
        "calotype.actor": "worker",
        "error.type": "ActorStopped",
    }


@pytest.fixture
def app(tmp_path):
    routes = Blueprint("routes", __name__)

    @routes.get("/jobs/<job_id>/download")
    async def download(job_id: str) -> Response:
        return Response(f"{tracing.carried()}")

    @routes.get("/broken")
    async def broken() -> Response:
        raise ZeroDivisionError("secret")

    uploads = Uploads(UploadLimits(1000, 1000, 1, tmp_path, 1, 60, 10))
    return create_app([routes], uploads, inside.OPEN_GATE)


async def test_a_request_says_what_the_conventions_for_http_ask_for(spans, app):
    answer = await inside.ask(
        *(app, "GET", "/jobs/7/download?signature=secret"),
        {"traceparent": SAMPLED.decode(), "X-Request-ID": "mine"},
    )

    assert TRACE in answer.body.decode()
    span = spans.one("GET /jobs/<job_id>/download")
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "http.route": "/jobs/<job_id>/download",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/jobs/7/download",
        "network.protocol.version": "1.1",
        "calotype.request_id": "mine",
    }
    assert span.status.status_code is StatusCode.UNSET


async def test_a_request_that_no_route_and_no_method_fits_has_a_name_all_the_same(spans, app):
    await inside.ask(app, "BREW", "/pot", {})

    span = spans.one("HTTP")
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.response.status_code"] == 404
    assert span.status.status_code is StatusCode.UNSET


async def test_a_request_that_crashes_is_an_error_that_does_not_say_why(spans, app):
    await inside.ask(app, "GET", "/broken", {})

    span = spans.one("GET /broken")
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "500"
    assert "secret" not in span.to_json()


class Collector(SpanExporter):
    """One that may be away."""

    def __init__(self) -> None:
        self.away = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        return SpanExportResult.FAILURE if self.away else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def test_a_collector_that_is_away_is_a_line_in_the_log_and_one_when_it_is_back():
    collector = Collector()
    reporting = telemetry._Reporting(collector)

    with capture_logs() as lines:
        for collector.away in (False, True, True, True, False, False):
            reporting.export([])

    assert [line["event"] for line in lines] == ["traces_lost", "traces_exported_again"]


async def test_a_collector_that_never_answers_does_not_hold_up_the_stop(monkeypatch, capfd):
    monkeypatch.setattr(telemetry, "LAST_EXPORT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", f"{10 * PATIENCE}")

        with capture_logs() as lines:
            async with open_telemetry("otlp", lambda: 30):
                with tracing.request([]):
                    pass
                begun = time.monotonic()
            took = time.monotonic() - begun

    assert took < PATIENCE
    assert [line["event"] for line in lines] == ["traces_lost"]
    await ended(threads_of_the_exporter())
    assert "Traceback" not in capfd.readouterr().err


async def test_nothing_is_left_running_and_nothing_lost_at_the_end(capfd):
    async with open_telemetry("console", lambda: 30):
        with tracing.request([TRACEPARENT]):
            pass

    assert not threads_of_the_exporter()
    assert TRACE in capfd.readouterr().out
    assert tracing.request([TRACEPARENT]) is tracing.NO_SPAN


def threads_of_the_exporter() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("Otel")]


async def ended(threads: list[threading.Thread]) -> None:
    for thread in threads:
        await trio.to_thread.run_sync(thread.join, PATIENCE)
        assert not thread.is_alive()


def test_while_they_are_off_there_is_one_span_for_everything_and_no_place():
    assert tracing.span("one") is tracing.NO_SPAN
    assert tracing.ask("store", Look()) is tracing.NO_SPAN
    assert tracing.request([TRACEPARENT]) is tracing.NO_SPAN
    assert tracing.submission() is tracing.NO_SPAN
    assert tracing.attempt(make_job()) is tracing.NO_SPAN
    assert tracing.place() is None
    assert tracing.carried() is None
    assert tracing.ids() == {}


def test_while_they_are_off_nothing_of_opentelemetry_is_imported():
    code = (
        "import sys, web.serve, web.cli; "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
