"""What is in the bucket counts, however it came there: by an old address, or with no size told."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.conftest import UNLIMITED
from tests.support import uploading
from tests.support.service import BUCKET, Service, run_service

MIB = 1024 * 1024
QUOTA = 10 * MIB
TTL_SECONDS = 600
_serial = itertools.count()


@pytest.fixture(scope="module")
def narrow(moto: str) -> Iterator[Service]:
    """A service whose accounts may hold ten MiB, and whose addresses are good for ten minutes."""
    settings = {"QUOTA_BYTES": str(QUOTA), "TICKET_TTL": str(TTL_SECONDS), "SINGLE_UPLOAD_MAX": str(64 * MIB)}
    with run_service(moto, **UNLIMITED, **settings) as running:
        yield running


@pytest.fixture
def person(narrow: Service) -> dict[str, Any]:
    return narrow.register(f"quota-{next(_serial)}@example.com")


def announce(service: Service, person: dict[str, Any], size: int) -> requests.Response:
    return service.call("POST", "/api/uploads", person["token"], json={"file_size": size})


def used(service: Service, person: dict[str, Any]) -> int:
    usage: int = service.call("GET", "/api/user", person["token"]).json()["usage"]["bytes"]
    return usage


def put(upload: dict[str, Any], body: bytes) -> None:
    answer = requests.put(upload["url"], data=body, headers=upload["headers"], timeout=60)
    assert answer.status_code == 200, answer.text


def is_there(service: Service, s3_key: str) -> bool:
    return service.s3().list_objects_v2(Bucket=BUCKET, Prefix=s3_key)["KeyCount"] == 1


def stays_reserved_while_its_address_is_good(service: Service, person: dict[str, Any]) -> None:
    """Six MiB of the ten stay reserved as long as the address is good for them, and no longer."""
    assert announce(service, person, 6 * MIB).json()["code"] == "quota_exceeded"
    uploading.let_time_pass(service, TTL_SECONDS - 120)
    assert announce(service, person, 6 * MIB).json()["code"] == "quota_exceeded"
    uploading.let_time_pass(service, 125)
    assert announce(service, person, 6 * MIB).status_code == 201


class TestAnUploadThatWasGivenUp:
    def test_keeps_its_bytes_reserved_until_its_address_ends(
        self, narrow: Service, person: dict[str, Any]
    ) -> None:
        first = announce(narrow, person, 6 * MIB).json()
        assert announce(narrow, person, 6 * MIB).json()["code"] == "quota_exceeded"
        given_up = narrow.call("DELETE", f"/api/uploads/{first['file_id']}", person["token"])
        assert given_up.status_code == 204
        stays_reserved_while_its_address_is_good(narrow, person)

    def test_is_nobodys_secret_store(self, narrow: Service, person: dict[str, Any]) -> None:
        made = announce(narrow, person, MIB).json()
        narrow.call("DELETE", f"/api/uploads/{made['file_id']}", person["token"])
        put(made["upload"], bytes(MIB))
        assert is_there(narrow, made["s3_key"])
        uploading.let_time_pass(narrow, TTL_SECONDS + 5)
        uploading.sweep(narrow, "--apply")
        assert not is_there(narrow, made["s3_key"])
        assert narrow.call("GET", f"/api/audio-file/{made['file_id']}", person["token"]).status_code == 404

    def test_is_counted_in_full_when_it_is_recorded(self, narrow: Service, person: dict[str, Any]) -> None:
        made = announce(narrow, person, MIB).json()
        narrow.call("DELETE", f"/api/uploads/{made['file_id']}", person["token"])
        put(made["upload"], bytes(MIB))
        body = {"s3_key": made["s3_key"], "file_size": 0}
        recorded = narrow.call("POST", "/api/audio-file", person["token"], json=body)
        assert recorded.status_code == 201
        assert recorded.json()["audio_file"]["file_size"] == MIB
        assert used(narrow, person) == MIB
        # What the sweep removes is not what was recorded since.
        uploading.let_time_pass(narrow, TTL_SECONDS + 5)
        uploading.sweep(narrow, "--apply")
        assert is_there(narrow, made["s3_key"])

    def test_lets_its_phone_begin_anew_under_the_same_name(
        self, narrow: Service, person: dict[str, Any]
    ) -> None:
        body = {"file_size": 1000, "client_id": "clip-1"}
        first = narrow.call("POST", "/api/uploads", person["token"], json=body).json()
        narrow.call("DELETE", f"/api/uploads/{first['file_id']}", person["token"])
        second = narrow.call("POST", "/api/uploads", person["token"], json=body)
        assert second.status_code == 201
        uploading.let_time_pass(narrow, TTL_SECONDS + 5)
        uploading.sweep(narrow, "--apply")
        again = narrow.call("POST", "/api/uploads", person["token"], json=body)
        assert (again.status_code, again.json()["file_id"]) == (200, second.json()["file_id"])


class TestARecordingThatWasErased:
    """Its address may still bring an object, however far it came before it was erased."""

    def erase(self, service: Service, person: dict[str, Any], file_id: str) -> None:
        path = f"/api/audio-file/{file_id}?permanent=true"
        assert service.call("DELETE", path, person["token"]).status_code == 204

    def erased(self, service: Service, person: dict[str, Any], how_far: str, size: int) -> dict[str, Any]:
        """Announce an upload, bring it so far and erase it; return what the announcement was answered."""
        body = {"file_size": size, "client_id": "clip-1"}
        made: dict[str, Any] = service.call("POST", "/api/uploads", person["token"], json=body).json()
        if how_far != "announced":
            put(made["upload"], bytes(size))
        if how_far in ("complete", "in the trash"):
            path = f"/api/uploads/{made['file_id']}/complete"
            assert service.call("POST", path, person["token"], json={}).status_code == 200
        if how_far == "in the trash":
            path = f"/api/audio-file/{made['file_id']}"
            assert service.call("DELETE", path, person["token"]).status_code == 200
        self.erase(service, person, made["file_id"])
        assert not is_there(service, made["s3_key"])
        return made

    @pytest.mark.parametrize("how_far", ["announced", "put", "complete", "in the trash"])
    def test_keeps_its_bytes_reserved_until_its_address_ends(
        self, narrow: Service, person: dict[str, Any], how_far: str
    ) -> None:
        made = self.erased(narrow, person, how_far, 6 * MIB)
        assert used(narrow, person) == 0
        put(made["upload"], bytes(6 * MIB))
        stays_reserved_while_its_address_is_good(narrow, person)
        uploading.sweep(narrow, "--apply")
        assert not is_there(narrow, made["s3_key"])

    def test_may_be_announced_anew_at_once_and_is_told_of_once(
        self, narrow: Service, person: dict[str, Any]
    ) -> None:
        made = self.erased(narrow, person, "complete", 1000)
        again = announce(narrow, person, 1000)
        assert again.status_code == 201
        body = {"file_size": 1000, "client_id": "clip-1"}
        named = narrow.call("POST", "/api/uploads", person["token"], json=body)
        assert (named.status_code, named.json()["file_id"] != made["file_id"]) == (201, True)
        before = narrow.call("GET", "/api/user/erasures", person["token"]).json()["erasures"]
        assert [(one["file_id"], one["objects_removed"]) for one in before] == [(made["file_id"], 1)]
        # An account that has nothing else tells when the address has ended.
        uploading.let_time_pass(narrow, TTL_SECONDS + 5)
        uploading.sweep(narrow, "--apply")
        assert narrow.call("GET", "/api/user/erasures", person["token"]).json()["erasures"] == before


@pytest.fixture(scope="module")
def in_parts(moto: str) -> Iterator[Service]:
    """A service to which more than a MiB is uploaded in parts."""
    with run_service(moto, **UNLIMITED, SINGLE_UPLOAD_MAX=str(MIB)) as running:
        yield running


def test_the_length_of_every_part_is_signed(in_parts: Service) -> None:
    somebody = in_parts.register(f"parts-{next(_serial)}@example.com")
    upload = announce(in_parts, somebody, 40 * MIB).json()["upload"]
    assert len(upload["parts"]) > 1
    for part in upload["parts"]:
        assert "content-length" in part["url"].lower().split("x-amz-signedheaders=")[1].split("&")[0]


def test_an_upload_in_parts_that_is_given_up_leaves_none_of_them(in_parts: Service) -> None:
    somebody = in_parts.register(f"parts-{next(_serial)}@example.com")
    made = announce(in_parts, somebody, 40 * MIB).json()
    first = made["upload"]["parts"][0]
    sent = requests.put(first["url"], data=bytes(made["upload"]["part_size"]), timeout=60)
    assert sent.status_code == 200, sent.text
    assert made["s3_key"] in unfinished(in_parts)
    path = f"/api/uploads/{made['file_id']}"
    assert in_parts.call("DELETE", path, somebody["token"]).status_code == 204
    assert made["s3_key"] not in unfinished(in_parts)


def unfinished(service: Service) -> list[str]:
    listed = service.s3().list_multipart_uploads(Bucket=BUCKET)
    return [upload["Key"] for upload in listed.get("Uploads", [])]
