"""Traces, in OpenTelemetry's form: a request, and the job that it became, whichever machine makes it, are one trace.

Nothing is sent anywhere unless `OTEL_EXPORTER_OTLP_ENDPOINT` says where; the exporter reads OpenTelemetry's other
variables by itself. Spans hold ids, models and sizes; prompts are never in them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.propagate import extract, inject

from kinemark import __version__
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

    from kinemark.settings import Settings

TRACER: Final = trace.get_tracer("kinemark", __version__)
#: Where a job's facts hold what its trace is.
TRACE: Final = "trace"


def start_tracing(settings: Settings, name: str) -> None:
    """Send spans to where the settings say, if they do.

    Args:
        settings: of this installation.
        name: of the service in the traces, unless OTEL_SERVICE_NAME gives one.

    Raises:
        RequestError: they do, and what sends them is not installed.
    """
    if not settings.traces:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise RequestError(
            f"traces are to go to {settings.traces}, and {error.name} is not installed; install it: "
            "pip install 'kinemark[traces]'"
        ) from error
    told = Resource({"service.name": name, "service.version": __version__})
    provider = TracerProvider(resource=told.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def here() -> dict[str, str]:
    """The trace that goes on here, to be given to whoever goes on with it; empty where nobody traces."""
    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier


def of_job(facts: Mapping[str, Any]) -> Context:
    """The trace that a job belongs to."""
    return extract(facts.get(TRACE, {}))


def of_request(headers: Mapping[str, str]) -> Context:
    """The trace that a request belongs to (W3C's traceparent)."""
    return extract(headers)
