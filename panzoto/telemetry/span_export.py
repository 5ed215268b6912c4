"""Sends spans to an OTLP receiver; `panzoto.telemetry.tracing` loads this only where there is one, as it is
large.
"""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

SERVICE_NAME = "panzoto"


def tracer(endpoint: str, version: str) -> Tracer:
    """Return what makes spans and sends them, in batches and from a thread of its own, to `endpoint`."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": SERVICE_NAME, "service.version": version})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    return provider.get_tracer(SERVICE_NAME, version)
