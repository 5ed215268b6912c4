"""An upload that is completed by many requests at once is read whole by one of them."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.faults import Before
from tests.support.service import Service
from tests.support.transcripts import Owner

WAIT_SECONDS = 60
OTHERS = 6


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(second, new_account())


def test_one_reads_it_and_the_others_come_again(owner: Owner, proxy: FaultProxy) -> None:
    body = os.urandom(1000)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    made = owner.call("POST", "/api/uploads", json={"file_size": len(body), "sha256": digest}).json()
    owner.service.put_object(made["s3_key"], body)
    has_come, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        has_come.set()
        assert may_go_on.wait(WAIT_SECONDS)

    def complete() -> requests.Response:
        return owner.call("POST", f"/api/uploads/{made['file_id']}/complete")

    reads = Fault(
        Before(hold),
        method="GET",
        where=lambda request: made["s3_key"] in request.path,
        times=1,
    )
    proxy.add(reads)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(complete)
        try:
            assert has_come.wait(WAIT_SECONDS)
            others = [complete() for _ in range(OTHERS)]
        finally:
            may_go_on.set()
        assert first.result().status_code == 200, first.result().text
    proxy.clear()
    assert {(one.status_code, one.json()["code"]) for one in others} == {(503, "busy")}
    assert all(int(one.headers["Retry-After"]) > 0 for one in others)
    assert complete().json() == first.result().json()


def test_who_could_not_read_it_keeps_nobody_from_it(owner: Owner, proxy: FaultProxy) -> None:
    body = os.urandom(1000)
    digest = base64.b64encode(hashlib.sha256(bytes(1000)).digest()).decode()
    made = owner.call("POST", "/api/uploads", json={"file_size": len(body), "sha256": digest}).json()
    for _ in range(2):
        owner.service.put_object(made["s3_key"], body)
        answer = owner.call("POST", f"/api/uploads/{made['file_id']}/complete")
        assert (answer.status_code, answer.json()["code"]) == (422, "checksum_mismatch")
