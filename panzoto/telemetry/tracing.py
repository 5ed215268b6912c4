"""OpenTelemetry traces, when an endpoint is configured: a span for each request and each call to AWS in it.

Spans are made here and not by the ready instrumentations, which write down addresses: a playback
address holds a ticket, and an object's key its owner's id. A span has the rule of the route, the
name of the AWS operation, the table, and how it ended. Traces of strangers are not continued.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from contextvars import Token
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

SPAN = "panzoto_span"

_tracer: Tracer | None = None


def init(endpoint: str | None, version: str) -> None:
    """Send traces to the OTLP receiver at `endpoint` (http), or none without one; once in each process.

    Sampling is set by `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`, as for every OpenTelemetry SDK.
    """
    global _tracer  # noqa: PLW0603 - one process has one exporter
    if endpoint is None:
        return
    # What sends them takes no memory where there is nowhere to send them.
    _tracer = importlib.import_module("panzoto.telemetry.span_export").tracer(endpoint, version)


class RequestSpan:
    """The span of one request; within it, calls to AWS made by this thread are its children."""

    def __init__(self, span: Span, token: Token[Context]) -> None:
        self._span = span
        self._token = token

    def end(self, line: Mapping[str, Any]) -> None:
        """End the span with what the request's log line says."""
        self._span.update_name(f"{line['method']} {line['route'] or 'unknown'}")
        self._span.set_attributes(
            {
                "http.request.method": line["method"],
                "http.route": line["route"],
                "http.response.status_code": line["status"],
                "panzoto.request_id": line["request_id"],
                "enduser.id": line["user_id"],
            }
        )
        if line["status"] >= 500:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
        context.detach(self._token)


def begin_request() -> RequestSpan | None:
    """Begin a trace, or return None when there is nowhere to send it."""
    if _tracer is None:
        return None
    span = _tracer.start_span("request", Context(), SpanKind.SERVER)
    return RequestSpan(span, context.attach(trace.set_span_in_context(span, Context())))


def watch(client: Any) -> None:
    """Let every call of a botocore client be a span of its own, if there are traces at all."""
    if _tracer is not None:
        calls = _Calls(_tracer)
        client.meta.events.register("before-call", calls.begin)
        client.meta.events.register("after-call", calls.end)
        client.meta.events.register("after-call-error", calls.fail)


class _Calls:
    """The spans of a client's calls. botocore passes the arguments by name."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        service = str(model.service_model.service_id)
        span = self._tracer.start_span(f"{service}.{model.name}", kind=SpanKind.CLIENT)
        if span.is_recording():
            span.set_attributes({"rpc.system": "aws-api", "rpc.service": service, "rpc.method": model.name})
            if service == "DynamoDB" and (table := json.loads(params["body"]).get("TableName")):
                span.set_attribute("aws.dynamodb.table_names", [table])
        context[SPAN] = span

    def end(self, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        span = context.pop(SPAN, None)
        if span is None:
            return
        code = parsed.get("Error", {}).get("Code")
        if code:
            span.set_attribute("error.type", str(code))
            span.set_status(StatusCode.ERROR)
        span.end()

    def fail(self, exception: Exception, context: dict[str, Any], **_: Any) -> None:
        # The exception's text may hold an address; its type says enough.
        self.end({"Error": {"Code": type(exception).__name__}}, context)
