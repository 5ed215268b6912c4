"""An upload that is not what was announced is removed, and nothing that came in its place."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.fault_proxy import FaultProxy
from tests.support.faults import Before, Fault, Request
from tests.support.service import BUCKET, Service, run_service


def complete(service: Service, token: str, file_id: str) -> requests.Response:
    return service.call("POST", f"/api/uploads/{file_id}/complete", token)


def lists_versions(request: Request) -> bool:
    return request.method == "GET" and "versions" in request.query


@pytest.mark.parametrize("wrong", [os.urandom(1000), os.urandom(999)], ids=["checksum", "size"])
def test_what_was_put_and_committed_meanwhile_is_kept(
    service: Service,
    second: Service,
    proxy: FaultProxy,
    new_account: Callable[..., dict[str, Any]],
    wrong: bytes,
) -> None:
    token, right = new_account()["token"], os.urandom(1000)
    digest = base64.b64encode(hashlib.sha256(right).digest()).decode()
    answer = service.call("POST", "/api/uploads", token, json={"file_size": 1000, "sha256": digest})
    made = answer.json()
    service.put_object(made["s3_key"], wrong)

    def put_right() -> None:
        # Another request was told first, and its phone has sent the recording once more.
        assert complete(service, token, made["file_id"]).status_code == 422
        service.put_object(made["s3_key"], right)
        assert complete(service, token, made["file_id"]).status_code == 200

    late = proxy.add(Fault(Before(put_right), where=lists_versions, times=1))
    try:
        assert complete(second, token, made["file_id"]).status_code == 422
    finally:
        proxy.clear()
    assert late.applied == 1
    kept = service.s3().get_object(Bucket=BUCKET, Key=made["s3_key"])["Body"].read()
    assert kept == right


def test_without_versions_it_stays_too() -> None:
    """There a key alone says what is removed, and S3 compares what lies under it."""
    right = os.urandom(1000)
    with (
        start_moto() as moto,
        FaultProxy(moto) as proxy,
        run_service(proxy.url, create_at=moto, **UNLIMITED) as service,
    ):
        service.s3().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
        token = service.register(f"{uuid.uuid4()}@example.com")["token"]
        made = service.call("POST", "/api/uploads", token, json={"file_size": 1000}).json()
        service.put_object(made["s3_key"], os.urandom(999))

        def put_right() -> None:
            assert complete(service, token, made["file_id"]).status_code == 422
            service.put_object(made["s3_key"], right)
            assert complete(service, token, made["file_id"]).status_code == 200

        late = proxy.add(Fault(Before(put_right), method="DELETE", times=1))
        assert complete(service, token, made["file_id"]).status_code == 422
        assert late.applied == 1
        assert service.s3().get_object(Bucket=BUCKET, Key=made["s3_key"])["Body"].read() == right


def test_all_that_came_before_goes_too(service: Service, account: dict[str, Any]) -> None:
    made = service.call("POST", "/api/uploads", account["token"], json={"file_size": 1000}).json()
    for size in (10, 20):
        service.put_object(made["s3_key"], os.urandom(size))
    assert complete(service, account["token"], made["file_id"]).status_code == 422
    listed = service.s3().list_object_versions(Bucket=BUCKET, Prefix=made["s3_key"])
    assert "Versions" not in listed
