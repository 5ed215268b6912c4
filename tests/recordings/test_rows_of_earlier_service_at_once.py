"""Many write to rows of the earlier service at once, while other processes write to the account as well."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support import rows
from tests.support.aws import start_moto
from tests.support.fault_proxy import Answer, Fault, FaultProxy
from tests.support.faults import Delay
from tests.support.service import Service, run_service

WRITERS = 9


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with start_moto() as aws, FaultProxy(aws) as between:
        yield between


@pytest.fixture(scope="module")
def service(proxy: FaultProxy) -> Iterator[Service]:
    with run_service(proxy.url, **UNLIMITED) as running:
        yield running


def test_none_is_refused_while_others_are_faster(
    service: Service, proxy: FaultProxy, account: dict[str, Any]
) -> None:
    user_id = account["user_id"]
    file_ids = [
        rows.put_file(service, user_id, f"users/{user_id}/{number}", 1_700_000_000 + number)
        for number in range(WRITERS)
    ]

    def describe(file_id: str) -> int:
        path, sent = f"/api/audio-file/{file_id}", {"duration_ms": 1}
        return service.call("PATCH", path, account["token"], json=sent).status_code

    # While the first numbers its row the others come; what they write together then is refused some times.
    proxy.add(Fault(Delay(1.2), operation="TransactWriteItems", times=1))
    refused = Answer.transaction_canceled("ConditionalCheckFailed")
    others = Fault(refused, operation="TransactWriteItems", skip=2, times=4)
    proxy.add(others)
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            answers = list(pool.map(describe, file_ids))
    finally:
        proxy.clear()
    assert others.applied == 4
    assert answers == [200] * WRITERS
