"""Two upgrades of one recording at once, as of a phone that asks again: none takes from the other."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from panzoto import object_keys
from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.fault_proxy import Action, Answer, Fault, FaultProxy, Request
from tests.support.faults import Control, Meanwhile
from tests.support.recordings import hear, single_shot, store
from tests.support.service import BUCKET, PASSWORD, Service, run_service

SHORT = b"a sound that is upgraded twice at once"
# Longer than what is read of an object at once.
LONG = SHORT * 8000
WAIT_SECONDS = 60


class Gate(Action):
    """Holds a request back until it may go on, and tells that it has come."""

    def __init__(self) -> None:
        self.has_come, self.may_go_on = threading.Event(), threading.Event()

    def before_forwarding(self, request: Request, control: Control) -> Answer | None:  # noqa: ARG002
        self.has_come.set()
        assert self.may_go_on.wait(WAIT_SECONDS)
        return None


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultProxy]:
    with start_moto() as aws, FaultProxy(aws) as between:
        yield between


@pytest.fixture(scope="module")
def service(proxy: FaultProxy) -> Iterator[Service]:
    with run_service(proxy.url, **UNLIMITED) as running:
        yield running


def made(service: Service, account: dict[str, Any], plain: bytes) -> tuple[str, str]:
    """Record something as an earlier app does; return its id and key."""
    s3_key = f"users/{account['user_id']}/{uuid.uuid4()}.3gp"
    return store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], plain)), s3_key


def upgrade(service: Service, account: dict[str, Any], file_id: str) -> int:
    path = f"/api/audio-file/{file_id}/upgrade"
    return service.call("POST", path, account["token"], json={"password": PASSWORD}).status_code


@pytest.mark.parametrize("plain", [SHORT, LONG], ids=["short", "long"])
def test_one_that_begins_as_another_ends_loses_nothing(
    service: Service, proxy: FaultProxy, account: dict[str, Any], plain: bytes
) -> None:
    file_id, _ = made(service, account, plain)
    # What an upgrade may note about a recording is known, so that its first transaction is the switch.
    assert hear(service, account["token"], file_id, PASSWORD) == plain
    switching, writing = Gate(), Gate()
    proxy.add(Fault(switching, operation="TransactWriteItems", times=1))
    begins = Fault(writing, method="POST", path=r"\.v2$", where=lambda one: one.query == "uploads", times=2)
    try:
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(upgrade, service, account, file_id)
            assert switching.has_come.wait(WAIT_SECONDS)
            proxy.add(begins)
            second = pool.submit(upgrade, service, account, file_id)
            assert writing.has_come.wait(WAIT_SECONDS)
            switching.may_go_on.set()
            assert first.result() == 200
            writing.may_go_on.set()
            assert second.result() != 200
    finally:
        for gate in (switching, writing):
            gate.may_go_on.set()
        proxy.clear()
    assert hear(service, account["token"], file_id, PASSWORD) == plain


@pytest.mark.parametrize("plain", [SHORT, LONG], ids=["short", "long"])
def test_one_that_was_overtaken_after_it_had_read_loses_nothing(
    service: Service, proxy: FaultProxy, account: dict[str, Any], plain: bytes
) -> None:
    file_id, s3_key = made(service, account, plain)
    others: list[int] = []

    def overtake(_: Request) -> None:
        others.append(upgrade(service, account, file_id))

    proxy.add(Fault(Meanwhile(overtake), method="GET", path=re.escape(s3_key), times=1))
    try:
        told = upgrade(service, account, file_id)
    finally:
        proxy.clear()
    assert hear(service, account["token"], file_id, PASSWORD) == plain
    assert others == [200]
    assert told != 200


@pytest.mark.parametrize("is_named", [False, True])
def test_the_copy_of_one_that_was_interrupted_is_erased_with_its_recording(
    service: Service, account: dict[str, Any], is_named: bool
) -> None:
    file_id, _ = made(service, account, SHORT)
    assert hear(service, account["token"], file_id, PASSWORD) == SHORT
    copy = object_keys.upgraded_key(account["user_id"], file_id)
    if is_named:
        # As a phone may call what it records.
        store(service, account, copy, b"another sound")
    else:
        service.put_object(copy, b"what was written of it")
    path = f"/api/audio-file/{file_id}?permanent=true"
    assert service.call("DELETE", path, account["token"]).status_code == 204
    assert service.s3().list_objects_v2(Bucket=BUCKET, Prefix=copy)["KeyCount"] == is_named
