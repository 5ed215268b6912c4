"""Traces as an OTLP receiver gets them: a request with its calls to AWS, and nothing that is secret."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.conftest import UNLIMITED
from tests.support.recordings import single_shot
from tests.support.service import PASSWORD, Service, run_service
from tests.support.waiting import eventually

PLAIN = b"#!AMR\n" + b"heard and traced " * 9000
EMAIL = "traced@example.com"
ARRIVED_SECONDS = 30


class Receiver(ThreadingHTTPServer):
    """An OTLP receiver on loopback that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Span]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        self.server.paths.add(self.path)
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(scope="module")
def secrets(moto: str, receiver: Receiver) -> list[str]:
    """Somebody registers, records, listens and mistypes; what was secret in it."""
    settings = {
        **UNLIMITED,
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with run_service(moto, **settings) as service:
        url = listen(service)
        mistyped = service.call("POST", "/api/login", json={"email": EMAIL, "password": "wrong one"})
        assert mistyped.status_code == 401
        account = service.call("POST", "/api/login", json={"email": EMAIL, "password": PASSWORD}).json()
        # The traces of a stranger's choice are not continued.
        service.call("GET", "/api/health", headers={"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"})
    eventually(
        lambda: "GET /api/health" in {span.name for span in receiver.spans()},
        lambda: [span.name for span in receiver.spans()],
    )
    return [EMAIL, PASSWORD, url.rpartition("/")[2], account["token"], account["refresh_token"]]


def listen(service: Service) -> str:
    account = service.register(EMAIL)
    service.put_object("users/traced/1", single_shot(PASSWORD, account["key_salt"], PLAIN))
    service.call("POST", "/api/audio-file", account["token"], json={"s3_key": "users/traced/1"})
    body = {"s3_key": "users/traced/1", "password": PASSWORD}
    url: str = service.call("POST", "/api/decrypt-audio", account["token"], json=body).json()["download_url"]
    assert service.call("GET", url).content == PLAIN
    return url


def attributes(span: Span) -> dict[str, str | int]:
    return {
        one.key: one.value.string_value or one.value.int_value or str(one.value.array_value.values)
        for one in span.attributes
    }


def children(receiver: Receiver, name: str) -> list[str]:
    """Return the names of the calls within the first request of that name, in their order."""
    spans = receiver.spans()
    request = next(span for span in spans if span.name == name)
    inside = [span for span in spans if span.parent_span_id == request.span_id]
    assert all(span.trace_id == request.trace_id for span in inside)
    return [span.name for span in sorted(inside, key=lambda span: span.start_time_unix_nano)]


@pytest.mark.usefixtures("secrets")
class TestSpans:
    def test_each_request_holds_its_calls(self, receiver: Receiver) -> None:
        assert receiver.paths == {"/v1/traces"}
        registering = children(receiver, "POST /api/register")
        assert registering[0] == "DynamoDB.UpdateItem"
        assert registering[-1] == "DynamoDB.TransactWriteItems"
        assert "S3.GetObject" in children(receiver, "POST /api/decrypt-audio")
        # Read while the answer is being sent, and still within its request.
        assert set(children(receiver, "GET /api/playback/<ticket>")) == {"S3.GetObject"}

    def test_a_request_says_how_it_ended(self, receiver: Receiver) -> None:
        logins = [attributes(span) for span in receiver.spans() if span.name == "POST /api/login"]
        assert [login["http.response.status_code"] for login in logins] == [401, 200]
        assert {login["http.route"] for login in logins} == {"/api/login"}
        assert all(login["panzoto.request_id"] for login in logins)

    def test_a_call_names_its_table(self, receiver: Receiver) -> None:
        claims = [span for span in receiver.spans() if "panzoto-claims" in str(attributes(span))]
        assert {span.name for span in claims} == {"DynamoDB.GetItem"}

    def test_a_request_begins_its_own_trace(self, receiver: Receiver) -> None:
        (health,) = [span for span in receiver.spans() if span.name == "GET /api/health" and span.attributes][
            -1:
        ]
        assert health.trace_id.hex() != "ab" * 16
        assert health.parent_span_id == b""


def test_nothing_secret_is_in_them(receiver: Receiver, secrets: list[str]) -> None:
    received = b"".join(receiver.bodies)
    assert b"/api/playback/<ticket>" in received
    for secret in secrets:
        assert secret.encode() not in received
