"""Writers of one account that go together write no more at once than DynamoDB takes in a transaction."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from panzoto.transcripts.records import LARGEST_IN_ROW
from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.fault_proxy import Fault, FaultProxy, Request
from tests.support.faults import Delay
from tests.support.service import Service, run_service
from tests.support.transcripts import Owner

WRITERS = 20
# So long the first writer is held up, while the others come; DynamoDB may take 1.5 s to answer.
SECONDS = 1.2
# The limit of a transaction (DynamoDB Developer Guide, "Transaction quotas").
MOST_BYTES = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with start_moto() as aws, FaultProxy(aws) as between:
        yield between


@pytest.fixture(scope="module")
def service(proxy: FaultProxy) -> Iterator[Service]:
    with run_service(proxy.url, **UNLIMITED) as running:
        yield running


@pytest.fixture
def owner(service: Service) -> Owner:
    return Owner(service, service.register(f"{uuid.uuid4()}@example.com"))


def test_recordings_with_transcripts_are_erased_at_once(proxy: FaultProxy, owner: Owner) -> None:
    file_ids = [owner.record() for _ in range(WRITERS)]
    for file_id in file_ids:
        owner.write(file_id, "what was said")
    proxy.add(Fault(Delay(SECONDS), operation="TransactWriteItems", times=1))
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            paths = [f"/api/audio-file/{file_id}?permanent=true" for file_id in file_ids]
            answers = list(pool.map(lambda path: owner.call("DELETE", path).status_code, paths))
    finally:
        proxy.clear()
    assert answers == [204] * WRITERS


def test_long_transcripts_are_written_at_once(proxy: FaultProxy, owner: Owner) -> None:
    file_ids = [owner.record() for _ in range(WRITERS)]
    sealed = [owner.seal_bytes(file_id, bytes(LARGEST_IN_ROW - 1000)) for file_id in file_ids]
    sizes: list[int] = []

    def is_noted(request: Request) -> bool:
        # In JSON bytes are base64.
        sizes.append(len(request.body) * 3 // 4)
        return len(sizes) == 1

    proxy.add(Fault(Delay(SECONDS), operation="TransactWriteItems", where=is_noted))
    try:
        with ThreadPoolExecutor(WRITERS) as pool:
            answers = list(
                pool.map(lambda one: owner.put(*one).status_code, zip(file_ids, sealed, strict=True))
            )
    finally:
        proxy.clear()
    assert max(sizes) <= MOST_BYTES, sizes
    assert answers == [200] * WRITERS
