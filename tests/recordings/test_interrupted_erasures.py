"""An erasure that ends half way, because the bucket is away, goes on when the phone asks again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fault_proxy import Fault, FaultProxy, Refuse
from tests.support.service import Service
from tests.support.transcripts import Owner, refused


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(second, new_account())


def erase(owner: Owner, file_id: str) -> Any:
    return owner.call("DELETE", f"/api/audio-file/{file_id}", params={"permanent": "true"})


def interrupted(owner: Owner, proxy: FaultProxy) -> tuple[str, str]:
    """Return a recording, and its key, whose erasure was interrupted."""
    s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
    owner.service.put_object(s3_key, b"sound")
    recorded = owner.call("POST", "/api/audio-file", json={"s3_key": s3_key})
    file_id = recorded.json()["audio_file"]["file_id"]
    away = proxy.add(Fault(Refuse(), where=lambda request: request.operation is None))
    refused(erase(owner, file_id), 503, "unavailable")
    assert away.applied
    proxy.clear()
    refused(owner.call("GET", f"/api/audio-file/{file_id}"), 404, "audio_file_not_found")
    return file_id, s3_key


def test_it_goes_on_when_it_is_asked_for_again(owner: Owner, proxy: FaultProxy) -> None:
    file_id, s3_key = interrupted(owner, proxy)
    assert erase(owner, file_id).status_code == 204
    (erasure,) = owner.call("GET", "/api/user/erasures").json()["erasures"]
    assert (erasure["file_id"], erasure["objects_removed"], erasure["objects_waiting"]) == (file_id, 1, 0)
    events = owner.call("GET", "/api/user/events").json()["events"]
    assert [event["type"] for event in events].count("recording_deleted") == 1
    refused(erase(owner, file_id), 404, "audio_file_not_found")
    owner.service.put_object(s3_key, b"sound anew")
    anew = owner.call("POST", "/api/audio-file", json={"s3_key": s3_key})
    assert anew.status_code == 201, anew.text
    assert anew.json()["audio_file"]["file_id"] != file_id


def test_nobody_else_goes_on_with_it(
    owner: Owner, proxy: FaultProxy, second: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    file_id, _ = interrupted(owner, proxy)
    refused(erase(Owner(second, new_account()), file_id), 404, "audio_file_not_found")
    assert erase(owner, file_id).status_code == 204


def test_of_an_upload_that_was_erased_nothing_is_left_to_go_on_with(owner: Owner) -> None:
    """Its row stays for as long as its address is good, and is nobody's any more."""
    made = owner.call("POST", "/api/uploads", json={"file_size": 5}).json()
    owner.service.put_object(made["s3_key"], b"hello")
    assert owner.call("POST", f"/api/uploads/{made['file_id']}/complete").status_code == 200
    assert erase(owner, made["file_id"]).status_code == 204
    refused(erase(owner, made["file_id"]), 404, "audio_file_not_found")
