"""A phone's own name for an upload is free again from the moment at which the recording is erased."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support.fault_proxy import Fault, FaultProxy, Refuse
from tests.support.faults import Before
from tests.support.service import Service
from tests.support.transcripts import Owner, refused


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(second, new_account())


def announce(owner: Owner, client_id: str) -> requests.Response:
    return owner.call("POST", "/api/uploads", json={"file_size": 5, "client_id": client_id})


def erase(owner: Owner, file_id: str) -> requests.Response:
    return owner.call("DELETE", f"/api/audio-file/{file_id}", params={"permanent": "true"})


@pytest.fixture
def client_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def former(owner: Owner, proxy: FaultProxy, client_id: str) -> str:
    """A recording whose erasure was interrupted, because the bucket was away."""
    file_id: str = announce(owner, client_id).json()["file_id"]
    proxy.add(Fault(Refuse(), where=lambda request: request.operation is None))
    refused(erase(owner, file_id), 503, "unavailable")
    proxy.clear()
    return file_id


def test_it_is_free_before_the_erasure_is_through(owner: Owner, former: str, client_id: str) -> None:
    first = announce(owner, client_id)
    assert first.status_code == 201, first.text
    file_id = first.json()["file_id"]
    assert file_id != former
    for _ in range(2):
        again = announce(owner, client_id)
        assert (again.status_code, again.json()["file_id"]) == (200, file_id)
        # What goes on with the erasure leaves the name to who has it now.
        erase(owner, former)


def test_of_two_that_take_it_at_once_one_has_it(
    owner: Owner, service: Service, proxy: FaultProxy, former: str, client_id: str
) -> None:
    beside: list[requests.Response] = []

    def take() -> None:
        beside.append(announce(Owner(service, owner.account), client_id))

    late = proxy.add(Fault(Before(take), operation="TransactWriteItems", times=1))
    answer = announce(owner, client_id)
    proxy.clear()
    assert late.applied == 1
    assert [one.status_code for one in beside] == [201]
    assert (answer.status_code, answer.json()["file_id"]) == (200, beside[0].json()["file_id"])
    assert answer.json()["file_id"] != former
