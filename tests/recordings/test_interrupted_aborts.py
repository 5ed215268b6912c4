"""An upload whose giving up ends half way, because the bucket is away, is gone all the same in the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.commands import done
from tests.support.fault_proxy import Fault, FaultProxy, Refuse
from tests.support.rows import FILES_TABLE
from tests.support.service import BUCKET, Service
from tests.support.transcripts import Owner, refused

SINGLE = 5
IN_PARTS = 70 * 1024 * 1024


@pytest.fixture
def owner(second: Service, new_account: Callable[..., dict[str, Any]]) -> Owner:
    return Owner(second, new_account())


def announce(owner: Owner, size: int) -> dict[str, Any]:
    answer = owner.call("POST", "/api/uploads", json={"file_size": size, "client_id": "phone's own"})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def give_up(owner: Owner, file_id: str) -> Any:
    return owner.call("DELETE", f"/api/uploads/{file_id}")


def row_of(owner: Owner, file_id: str) -> dict[str, Any] | None:
    key = {"file_id": {"S": file_id}}
    found = owner.service.dynamodb().get_item(TableName=FILES_TABLE, Key=key, ConsistentRead=True)
    item: dict[str, Any] | None = found.get("Item")
    return item


def interrupted(owner: Owner, proxy: FaultProxy, size: int) -> dict[str, Any]:
    """Return an upload, with what has come of it, whose giving up was interrupted."""
    made = announce(owner, size)
    row = row_of(owner, made["file_id"])
    assert row is not None
    if "upload_id" in row:
        part = {"UploadId": row["upload_id"]["S"], "PartNumber": 1, "Body": b"a part"}
        owner.service.s3().upload_part(Bucket=BUCKET, Key=made["s3_key"], **part)
    # What was joined by a process that died before it could commit lies there like any other object.
    owner.service.put_object(made["s3_key"], b"hello")
    away = proxy.add(Fault(Refuse(), where=lambda request: request.operation is None))
    refused(give_up(owner, made["file_id"]), 503, "unavailable")
    assert away.applied
    proxy.clear()
    refused(owner.call("GET", f"/api/uploads/{made['file_id']}"), 404, "audio_file_not_found")
    return made


def lies_in_bucket(owner: Owner, s3_key: str) -> list[str]:
    s3 = owner.service.s3()
    versions = s3.list_object_versions(Bucket=BUCKET, Prefix=s3_key)
    uploads = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=s3_key)
    lists = (versions.get("Versions", []), versions.get("DeleteMarkers", []), uploads.get("Uploads", []))
    return [entry["Key"] for some in lists for entry in some]


@pytest.mark.parametrize("size", [SINGLE, IN_PARTS], ids=["single", "in parts"])
def test_it_goes_on_when_it_is_asked_for_again(owner: Owner, proxy: FaultProxy, size: int) -> None:
    made = interrupted(owner, proxy, size)
    assert lies_in_bucket(owner, made["s3_key"])
    assert give_up(owner, made["file_id"]).status_code == 204
    assert not lies_in_bucket(owner, made["s3_key"])
    refused(give_up(owner, made["file_id"]), 404, "audio_file_not_found")
    # As long as an address of the single PUT is good, its row tells what to remove then.
    assert (row_of(owner, made["file_id"]) is None) == (size == IN_PARTS)


def test_it_goes_on_by_itself(owner: Owner, proxy: FaultProxy) -> None:
    made = interrupted(owner, proxy, IN_PARTS)
    done(owner.service, "chores", "chores", "run")
    assert not lies_in_bucket(owner, made["s3_key"])
    assert row_of(owner, made["file_id"]) is None
    refused(give_up(owner, made["file_id"]), 404, "audio_file_not_found")


def test_meanwhile_it_counts_no_more_and_its_phone_may_begin_anew(owner: Owner, proxy: FaultProxy) -> None:
    made = interrupted(owner, proxy, IN_PARTS)
    assert owner.call("GET", "/api/user").json()["usage"]["bytes"] == 0
    changes = owner.call("GET", "/api/user/changes").json()["changes"]
    assert [(change["type"], change["file_id"]) for change in changes] == [("delete", made["file_id"])]
    anew = announce(owner, SINGLE)
    assert give_up(owner, made["file_id"]).status_code == 204
    assert owner.call("GET", f"/api/uploads/{anew['file_id']}").status_code == 200


def test_nobody_else_goes_on_with_it(
    owner: Owner, proxy: FaultProxy, second: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    made = interrupted(owner, proxy, IN_PARTS)
    refused(give_up(Owner(second, new_account()), made["file_id"]), 404, "audio_file_not_found")
    assert lies_in_bucket(owner, made["s3_key"])
    assert give_up(owner, made["file_id"]).status_code == 204
