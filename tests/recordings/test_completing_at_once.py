"""An upload that is completed by many requests at once is read whole by one of them."""

from __future__ import annotations

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, cast

import pytest
import requests

from panzoto.errors import Busy
from panzoto.recordings import checksums
from panzoto.storage import ObjectVersion, Storage
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.faults import Before
from tests.support.service import Service
from tests.support.transcripts import Owner
from tests.support.waiting import eventually

WAIT_SECONDS = 60
OTHERS = 6


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(second, new_account())


@pytest.fixture
def upload(owner: Owner) -> dict[str, Any]:
    """An upload whose bytes have come, and which nobody has completed."""
    body = os.urandom(1000)
    digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
    made: dict[str, Any] = owner.call(
        "POST", "/api/uploads", json={"file_size": len(body), "sha256": digest}
    ).json()
    owner.service.put_object(made["s3_key"], body)
    return made


class Held:
    """Keeps who reads the object of an upload first waiting, as long as the block runs."""

    def __init__(self, proxy: FaultProxy, upload: dict[str, Any]) -> None:
        self._proxy, self._path = proxy, upload["s3_key"]
        self.has_come, self.may_go_on = threading.Event(), threading.Event()

    def __enter__(self) -> Self:
        self._proxy.forget()
        self._proxy.add(
            Fault(Before(self._hold), method="GET", where=lambda request: self._path in request.path, times=1)
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.may_go_on.set()
        self._proxy.clear()

    def _hold(self) -> None:
        self.has_come.set()
        assert self.may_go_on.wait(WAIT_SECONDS)

    def asked(self, method: str) -> int:
        """Return how often the object was asked for."""
        requests = list(self._proxy.requests)
        return sum(one.method == method and self._path in one.path for one in requests)


def complete(owner: Owner, upload: dict[str, Any]) -> requests.Response:
    return owner.call("POST", f"/api/uploads/{upload['file_id']}/complete")


def test_one_reads_it_and_the_others_wait_for_what_that_finds_out(
    owner: Owner, proxy: FaultProxy, upload: dict[str, Any]
) -> None:
    with ThreadPoolExecutor(1 + OTHERS) as pool, Held(proxy, upload) as held:
        first = pool.submit(complete, owner, upload)
        assert held.has_come.wait(WAIT_SECONDS)
        others = [pool.submit(complete, owner, upload) for _ in range(OTHERS)]
        # Each looks at the object before it wants to read it.
        eventually(lambda: held.asked("HEAD") == 1 + OTHERS, lambda: f"{held.asked('HEAD')} have come")
        held.may_go_on.set()
        answers = [one.result() for one in (first, *others)]
        assert held.asked("GET") < OTHERS
    assert [answer.status_code for answer in answers] == [200] * (1 + OTHERS)
    assert all(answer.json() == answers[0].json() for answer in answers)


class Slow:
    """An object whose bytes do not come before `may_come` is set."""

    def __init__(self) -> None:
        self.asked, self.may_come = threading.Event(), threading.Event()

    def pinned(self, _: ObjectVersion) -> Slow:
        return self

    def pieces(self, start: int, stop: int, _: int) -> Iterator[bytes]:
        self.asked.set()
        assert self.may_come.wait(WAIT_SECONDS)
        yield bytes(stop - start)


def test_who_would_wait_for_too_long_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "PATIENCE_SECONDS", 0.05)
    slow, version = Slow(), ObjectVersion("users/somebody/long", "etag", 10)
    reading = checksums.Checksums(cast("Storage", slow))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(reading.sha256, version)
        assert slow.asked.wait(WAIT_SECONDS)
        with pytest.raises(Busy):
            reading.sha256(version)
        slow.may_come.set()
        assert first.result() == base64.b64encode(hashlib.sha256(bytes(10)).digest()).decode()
    assert reading.sha256(version) == first.result()


def test_who_could_not_read_it_keeps_nobody_from_it(owner: Owner, proxy: FaultProxy) -> None:
    body = os.urandom(1000)
    digest = base64.b64encode(hashlib.sha256(bytes(1000)).digest()).decode()
    made = owner.call("POST", "/api/uploads", json={"file_size": len(body), "sha256": digest}).json()
    for _ in range(2):
        owner.service.put_object(made["s3_key"], body)
        answer = owner.call("POST", f"/api/uploads/{made['file_id']}/complete")
        assert (answer.status_code, answer.json()["code"]) == (422, "checksum_mismatch")
