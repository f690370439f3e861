"""A request and the job that it became are one trace, over processes; nothing is sent where nobody asks for it."""

import http.server
import os
import subprocess
import sys
import threading
import time

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from databases import free_port
from kinemark.server.tracing import TRACE, here, of_job, start_tracing
from kinemark.settings import Settings, load_settings


@pytest.fixture
def collector():
    """An OTLP receiver: (its address, the spans that came, by the service that sent them)."""
    spans = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            for resource in sent.resource_spans:
                told = {one.key: one.value.string_value for one in resource.resource.attributes}
                spans.extend((told["service.name"], span) for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_one_trace_from_request_to_clip(collector, tmp_path):
    address, spans = collector
    port = free_port()
    command = [sys.executable, "-m", "kinemark", "serve", "--port", str(port)]
    more = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "200"}
    trace = "ab" * 16
    with subprocess.Popen(command, env=os.environ | more, stderr=subprocess.DEVNULL) as serving:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": "Bearer any"}) as client:
                wait_for(lambda: _ready(client))
                asked = {"prompt": "a red boat", "seconds": "1", "size": "128x128"}
                made = client.post("/v1/videos", json=asked, headers={"traceparent": f"00-{trace}-{'cd' * 8}-01"})
                id_ = made.json()["id"]
                wait_for(lambda: client.get(f"/v1/videos/{id_}").json()["status"] == "completed")
                wait_for(lambda: "job" in {span.name for _, span in spans})
        finally:
            serving.terminate()
    ours = {span.name: (service, span) for service, span in spans if span.trace_id.hex() == trace}
    assert set(ours) == {"POST /v1/videos", "job", "load", "make", "keep"}
    assert ours["POST /v1/videos"][0] == "kinemark-server"
    assert {ours[name][0] for name in ("job", "load", "make", "keep")} == {"kinemark-worker"}
    assert ours["POST /v1/videos"][1].parent_span_id.hex() == "cd" * 8
    assert ours["job"][1].parent_span_id == ours["POST /v1/videos"][1].span_id
    assert ours["make"][1].parent_span_id == ours["job"][1].span_id
    told = {one.key: one.value.string_value for one in ours["job"][1].attributes}
    assert told["job"] == id_
    assert "a red boat" not in str(spans)


def _ready(client):
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition):
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_nothing_is_traced_where_nobody_asks(monkeypatch):
    assert load_settings().traces == ""
    start_tracing(Settings(home=load_settings().home), "kinemark-server")
    assert here() == {}
    assert of_job({}) == of_job({TRACE: {}})
