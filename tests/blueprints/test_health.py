"""Health over the wire: alive is answered by the process alone, ready asks DynamoDB and S3."""

from __future__ import annotations

import http.client
import re

from panzoto.version import VERSION
from tests.support.service import Service


def test_the_answer_of_the_contract(service: Service) -> None:
    answer = service.call("GET", "/api/health")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {
        "status": "healthy",
        "service": "panzoto-backend",
        "database": "dynamodb",
        "version": VERSION,
    }
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


def test_nobody_needs_a_token_and_a_bad_one_does_not_matter(service: Service) -> None:
    for token in (None, "bad"):
        assert service.call("GET", "/api/health", token).status_code == 200
        assert service.call("GET", "/api/health/ready", token).status_code == 200


def test_head_answers_load_balancers(service: Service) -> None:
    for path in ("/api/health", "/api/health/ready"):
        answer = service.call("HEAD", path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_ready_says_so(service: Service) -> None:
    answer = service.call("GET", "/api/health/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})


def test_answers_carry_the_security_headers(service: Service) -> None:
    headers = service.call("GET", "/api/health").headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert re.fullmatch("[A-Za-z0-9._-]{8,64}", headers["X-Request-ID"])


def test_a_connection_is_kept_for_the_next_request(service: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(service.url.rpartition(":")[2]), timeout=30)
    connection.connect()
    first = connection.sock
    for _ in range(3):
        connection.request("GET", "/api/health")
        assert connection.getresponse().read()
        assert connection.sock is first
    connection.close()
