"""A collector of traces, as small as the protocol allows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Collected:
    """A span, and what the process said of itself that sent it."""

    span: Span
    resource: dict[str, str]

    @property
    def attributes(self) -> dict[str, str]:
        """Those that are text."""
        return {each.key: each.value.string_value for each in self.span.attributes}


class Collector:
    """What has come in. `authorized` are the `Authorization` of each request."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.collected: list[Collected] = []
        self.authorized: list[str | None] = []

    def take(self, body: bytes) -> None:
        """Take what was sent to /v1/traces."""
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            resource = {each.key: each.value.string_value for each in group.resource.attributes}
            self.collected += [
                Collected(span, resource) for scope in group.scope_spans for span in scope.spans
            ]

    def of(self, trace_id: str) -> list[Collected]:
        """Return the spans of one trace."""
        return [each for each in self.collected if each.span.trace_id.hex() == trace_id]


@contextmanager
def open_collector() -> Iterator[Collector]:
    """Collect for the time of the block, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.authorized.append(self.headers["Authorization"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            collector.take(body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
