"""Traces of the real service, as a collector sees them."""

import json
import signal

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.service.asking import close_gate, end_of, open_api
from tests.service.collector import open_collector
from tests.web.running import free_port

pytestmark = pytest.mark.service

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture
def collector():
    with open_collector() as collector:
        yield collector


def settings(url, **more):
    return {
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20not-to-be-logged",
        "OTEL_SERVICE_NAME": "pictures",
        "OTEL_RESOURCE_ATTRIBUTES": "life=first",
        "LOG_FORMAT": "json",
        **more,
    }


def lines_of(server):
    return [json.loads(line) for line in server.log.read_text().splitlines() if line[0] == "{"]


async def test_a_job_is_rendered_in_the_trace_of_its_request_by_the_next_process(
    start_server, collector, rocket
):
    with start_server(**settings(collector.url, WORKER_POOL_SIZE=1)) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            job_id = await api.submit(rocket, headers=TRACEPARENT)
        server.process.send_signal(signal.SIGTERM)
        gate.open()
        assert await end_of(server.process) == 0

        server.environment["OTEL_RESOURCE_ATTRIBUTES"] = "life=second"
        server.start()
        async with open_api(server) as api:
            assert (await api.ended(job_id))["status"] == "completed"
        server.stop()

    trace = {each.span.name: each for each in collector.of(TRACE)}
    trace.pop("ask CountKeys", None)  # The gate asks once a second.
    assert {name: each.resource["life"] for name, each in trace.items()} == {
        "POST /jobs": "first",
        "ask Submit": "first",
        "send jobs": "first",
        "blob put": "second",
        "catalogue commit": "second",
        "queue wait": "second",
        "process jobs": "second",
        "ask Reuse": "second",
        "ask Open": "second",
        "blob open": "second",
        "render": "second",
        "ask Complete": "second",
    }
    kinds = {name: trace[name].span.kind for name in ("POST /jobs", "send jobs", "process jobs")}
    assert kinds == {
        "POST /jobs": Span.SPAN_KIND_SERVER,
        "send jobs": Span.SPAN_KIND_PRODUCER,
        "process jobs": Span.SPAN_KIND_CONSUMER,
    }
    assert trace["POST /jobs"].span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert trace["process jobs"].span.parent_span_id == trace["send jobs"].span.span_id
    assert trace["process jobs"].attributes["messaging.message.id"] == job_id
    assert {each.resource["service.name"] for each in collector.collected} == {"pictures"}
    assert set(collector.authorized) == {"Bearer not-to-be-logged"}
    assert "not-to-be-logged" not in server.log.read_text()


async def test_each_line_in_the_log_says_in_which_trace(start_server, collector, rocket):
    with start_server(**settings(collector.url)) as server:
        async with open_api(server) as api:
            await api.ended(await api.submit(rocket, headers=TRACEPARENT))
        server.stop()

    told = {line["event"] for line in lines_of(server) if line.get("trace_id") == TRACE}
    assert told - {"render_process_started"} == {"request", "job_accepted", "job_ended"}


async def test_what_is_not_sampled_is_not_exported(start_server, collector, rocket):
    with start_server(**settings(collector.url, OTEL_TRACES_SAMPLER="always_off")) as server:
        async with open_api(server) as api:
            job = await api.ended(await api.submit(rocket, headers=TRACEPARENT))
        server.stop()

    assert job["status"] == "completed"
    assert not collector.collected


async def test_a_collector_that_is_away_costs_one_line(start_server, rocket):
    nobody = f"http://127.0.0.1:{free_port()}"
    with start_server(
        **settings(nobody, OTEL_BSP_SCHEDULE_DELAY=10, OTEL_EXPORTER_OTLP_TIMEOUT=0.5)
    ) as server:
        async with open_api(server) as api:
            for _ in range(3):
                assert (await api.ended(await api.submit(rocket)))["status"] == "completed"
        server.stop()

    lines = lines_of(server)
    assert [line["level"] for line in lines if line["event"] == "traces_lost"] == ["warning"]
    assert (
        len(lines)
        == len(server.log.read_text().splitlines()) - server.log.read_text().count("\n  ") - 2
    )


async def test_they_can_be_disabled_whatever_else_is_said(start_server, collector, rocket):
    with start_server(**settings(collector.url, OTEL_SDK_DISABLED="true")) as server:
        async with open_api(server) as api:
            await api.ended(await api.submit(rocket, headers=TRACEPARENT))
        server.stop()

    assert not collector.collected
    assert "trace_id" not in server.log.read_text()
