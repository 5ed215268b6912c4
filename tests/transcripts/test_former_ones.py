"""A large transcript that was replaced or deleted goes with its recording if it was left in the bucket."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fault_proxy import Answer, Fault, FaultProxy, LoseReply
from tests.support.rows import FILES_TABLE
from tests.support.service import BUCKET, Service
from tests.support.transcripts import Owner, path, refused


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(second, new_account())


def large(owner: Owner, file_id: str) -> str:
    return owner.seal_bytes(file_id, b"\x00" + os.urandom(400_000))


def replaced_by_a_large_one(owner: Owner, file_id: str) -> Any:
    return owner.put(file_id, large(owner, file_id))


def replaced_by_a_small_one(owner: Owner, file_id: str) -> Any:
    return owner.put(file_id, owner.seal(file_id, "said"))


def deleted(owner: Owner, file_id: str) -> Any:
    return owner.call("DELETE", path(file_id))


CHANGES = (replaced_by_a_large_one, replaced_by_a_small_one, deleted)


def losing(owner: Owner, proxy: FaultProxy, change: Callable[[Owner, str], Any], file_id: str) -> None:
    """Make a change that is written and whose answer is lost, so that what it replaces stays."""
    lost = proxy.add(Fault(LoseReply(), operation="TransactWriteItems", times=2))
    refused(change(owner, file_id), 503, "unavailable")
    proxy.clear()
    assert lost.applied == 2


@pytest.mark.parametrize("change", CHANGES)
def test_they_go_with_the_recording(
    owner: Owner, proxy: FaultProxy, change: Callable[[Owner, str], Any]
) -> None:
    file_id, other = owner.record(), owner.record()
    for one in (file_id, other):
        assert owner.put(one, large(owner, one)).status_code == 200
    (kept,) = [s3_key for s3_key in owner.objects() if other in s3_key]
    (former,) = [s3_key for s3_key in owner.objects() if file_id in s3_key]
    losing(owner, proxy, change, file_id)
    assert former in owner.objects()
    # What comes later forgets nothing of it.
    assert owner.put(file_id, owner.seal(file_id, "said again")).status_code == 200
    assert owner.call("DELETE", f"/api/audio-file/{file_id}?permanent=true").status_code == 204
    assert owner.objects() == [kept]


def test_what_the_bucket_keeps_of_them_waits(owner: Owner, proxy: FaultProxy) -> None:
    file_id = owner.record()
    assert owner.put(file_id, large(owner, file_id)).status_code == 200
    kept = owner.objects()
    proxy.add(Fault(Answer.s3(403, "AccessDenied"), method="DELETE", path="/transcripts/"))
    erasing = f"/api/audio-file/{file_id}?permanent=true"
    owner.call("DELETE", erasing)
    (erasure,) = owner.call("GET", "/api/user/erasures").json()["erasures"]
    assert (erasure["erased_at"], erasure["objects_waiting"]) == (None, 1)
    assert owner.objects() == kept
    row = owner.service.dynamodb().get_item(TableName=FILES_TABLE, Key={"file_id": {"S": file_id}})
    assert row["Item"]["status"]["S"] == "erasing"
    proxy.clear()


def test_what_lies_beside_them_and_is_none_stays(owner: Owner) -> None:
    file_id = owner.record()
    assert owner.put(file_id, large(owner, file_id)).status_code == 200
    beside = f"transcripts/{owner.user_id}/{file_id}/notes.txt"
    owner.service.s3().put_object(Bucket=BUCKET, Key=beside, Body=b"somebody's")
    assert owner.call("DELETE", f"/api/audio-file/{file_id}?permanent=true").status_code == 204
    assert owner.objects() == [beside]


def test_without_one_the_bucket_is_not_asked_for_any(owner: Owner, proxy: FaultProxy) -> None:
    file_id = owner.record()
    owner.write(file_id, "said")
    proxy.forget()
    assert owner.call("DELETE", f"/api/audio-file/{file_id}?permanent=true").status_code == 204
    assert [record.query for record in proxy.requests if "transcripts" in record.query] == []
