"""Whoever reads what AWS logs sees which release of the service has asked."""

from __future__ import annotations

import uuid

from panzoto.version import VERSION
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.faults import Meanwhile, Request
from tests.support.service import Service


def test_every_request_says_that_it_is_the_services(second: Service, proxy: FaultProxy) -> None:
    seen: list[Request] = []
    proxy.add(Fault(Meanwhile(seen.append)))
    try:
        second.register(f"{uuid.uuid4()}@example.com")
        assert second.call("GET", "/api/health/ready").status_code == 200
    finally:
        proxy.clear()
    # DynamoDB's calls, and S3's.
    assert {one.operation is None for one in seen} == {True, False}
    assert {one.headers["user-agent"].split()[0] for one in seen} == {f"Panzoto/{VERSION}"}
