"""The account itself: profile, address, export, deletion, events."""

from __future__ import annotations

import io
import json
import os
import uuid
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import mails, rows
from tests.support.accounts import fill, interrupted, remains
from tests.support.recordings import hear, single_shot, store
from tests.support.service import PASSWORD, Service
from tests.support.waiting import eventually


def test_the_profile_counts_what_is_recorded(service: Service, account: dict[str, Any]) -> None:
    for number, size in enumerate((1000, 24, None)):
        body = {"s3_key": f"users/{account['user_id']}/{number}", "file_size": size}
        assert service.call("POST", "/api/audio-file", account["token"], json=body).status_code == 201
    # A repeated request counts once.
    service.call("POST", "/api/audio-file", account["token"], json=body)
    told = service.call("GET", "/api/user", account["token"]).json()
    assert told["email"] == account["user"]["email"]
    assert told["email_verified"] is False
    assert told["recovery_key_set"] is False
    usage = {"recordings": 3, "bytes": 1024, "quota_recordings": 100000, "quota_bytes": 50 * 1024**3}
    assert told["usage"] == usage


def test_an_older_account_is_counted_too(service: Service) -> None:
    user_id = rows.put_user(service, "counted@example.com", PASSWORD, os.urandom(32))
    rows.put_file(service, user_id, f"users/{user_id}/1")
    credentials = {"email": "counted@example.com", "password": PASSWORD}
    token = service.call("POST", "/api/login", json=credentials).json()["token"]
    body = {"s3_key": f"users/{user_id}/2", "file_size": 4}
    assert service.call("POST", "/api/audio-file", token, json=body).status_code == 201
    usage = service.call("GET", "/api/user", token).json()["usage"]
    assert (usage["recordings"], usage["bytes"]) == (2, 4100)


def test_the_address_moves_with_its_claim(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    account, other = new_account(), new_account()
    old, taken = account["user"]["email"], other["user"]["email"]
    fresh = f"{uuid.uuid4().hex}@example.com"

    def move(email: str, password: str = PASSWORD) -> Any:
        body = {"password": password, "email": email}
        return service.call("POST", "/api/user/email", account["token"], json=body)

    assert move(fresh, "not my password").status_code == 401
    assert (move(taken).status_code, move(taken).json()["error"]) == (409, "User already exists")
    assert move("no address").status_code == 400
    asked = move(f" {fresh.upper()} ")
    assert (asked.status_code, asked.json()["user"]["email"]) == (200, old)
    code = mails.code_in(mails.wait_for(service, fresh, "email-changed"))
    assert service.call("POST", "/api/verify-email", json={"code": code}).status_code == 204
    asked = move(fresh)
    assert (asked.status_code, asked.json()["user"]["email"]) == (200, fresh)
    sign_in = {"email": fresh, "password": PASSWORD}
    assert service.call("POST", "/api/login", json=sign_in).status_code == 200
    assert service.call("POST", "/api/login", json={**sign_in, "email": old}).status_code == 401


def test_an_export_opens_without_the_service(service: Service, account: dict[str, Any]) -> None:
    user_id, plain = account["user_id"], b"#!AMR\nkept" * 70_000
    s3_key = f"users/{user_id}/Besuch – äöü.3gp"
    data = single_shot(PASSWORD, account["key_salt"], plain)
    file_id = store(service, account, s3_key, data)
    gone = {"s3_key": f"users/{user_id}/never-came"}
    missing = service.call("POST", "/api/audio-file", account["token"], json=gone).json()["audio_file"]
    answer = service.call("GET", "/api/user/export", account["token"])
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/zip")
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    assert archive.read(f"objects/{file_id}") == data
    records = [json.loads(line) for line in archive.read("recordings.jsonl").splitlines()]
    assert {record["file_id"]: record["s3_key"] for record in records} == {
        file_id: s3_key,
        missing["file_id"]: missing["s3_key"],
    }
    told = json.loads(archive.read("account.json"))
    assert told["vault"] == account["vault"]
    assert told["key_salt"] == account["key_salt"]
    assert "password_hash" not in told
    assert json.loads(archive.read("missing.json")) == {"file_ids": [missing["file_id"]]}
    assert "not_opened_yet.json" not in archive.namelist()
    assert b"panzoto/v2/vault" in archive.read("README.txt")


def test_an_export_is_noted_when_it_leaves_and_not_when_only_its_headers_do(
    service: Service, account: dict[str, Any]
) -> None:
    def noted() -> int:
        answer = service.call("GET", "/api/user/events", account["token"])
        return [event["type"] for event in answer.json()["events"]].count("exported")

    asked = service.call("HEAD", "/api/user/export", account["token"])
    assert (asked.status_code, asked.headers["Content-Type"], noted()) == (200, "application/zip", 0)
    assert service.call("GET", "/api/user/export", account["token"]).status_code == 200
    assert noted() == 1


def test_events_are_told_newest_first_page_by_page(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    account, stranger = new_account(), new_account()
    credentials = {"email": account["user"]["email"], "password": PASSWORD}
    service.call("POST", "/api/login", json={**credentials, "password": "not my password"})
    service.call("POST", "/api/login", json={**credentials, "device_name": "kitchen tablet"})
    service.call("POST", "/api/user/recovery-key", account["token"], json={"password": PASSWORD})
    told: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 3}
    while query.get("cursor", "") is not None:
        page = service.call("GET", "/api/user/events", account["token"], params=query).json()
        told += page["events"]
        query["cursor"] = page["next_cursor"]
    assert [event["type"] for event in told] == [
        "recovery_key_made",
        "signed_in",
        "sign_in_failed",
        "registered",
    ]
    assert told[1]["detail"] == {"device_name": "kitchen tablet"}
    assert all(event["address"] == "127.0.0.1" for event in told)
    first = service.call("GET", "/api/user/events", account["token"], params={"limit": 1}).json()
    cursor = first["next_cursor"]
    slip = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for token, wrong in ((stranger["token"], cursor), (account["token"], slip)):
        answer = service.call("GET", "/api/user/events", token, params={"cursor": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")


def test_deleting_leaves_nothing(service: Service, new_account: Callable[..., dict[str, Any]]) -> None:
    account, neighbour = new_account(), new_account()
    email, user_id = account["user"]["email"], account["user_id"]
    fill(service, account, 20)
    plain = b"#!AMR\nneighbour" * 50
    kept = store(
        service,
        neighbour,
        f"users/{neighbour['user_id']}/kept",
        single_shot(PASSWORD, neighbour["key_salt"], plain),
    )
    refused = service.call("DELETE", "/api/user", account["token"], json={"password": "not my password"})
    assert refused.status_code == 401
    begun = service.call("DELETE", "/api/user", account["token"], json={"password": PASSWORD})
    assert begun.status_code == 202, begun.text
    assert begun.json()["deletion"]["started_at"].endswith("Z")
    assert service.call("GET", "/api/user", account["token"]).status_code == 401
    sign_in = {"email": email, "password": PASSWORD}
    assert service.call("POST", "/api/login", json=sign_in).status_code == 401
    eventually(lambda: remains(service, user_id, email) == [], lambda: remains(service, user_id, email))
    assert service.register(email)["user_id"] != user_id
    assert hear(service, neighbour["token"], kept, PASSWORD) == plain


def test_a_deletion_killed_anywhere_goes_on(service: Service, account: dict[str, Any]) -> None:
    email, user_id = account["user"]["email"], account["user_id"]
    fill(service, account, 30)
    finished = interrupted(service, user_id, kills=5, apart=40, seed=11)
    assert "1 deletions finished" in finished
    assert remains(service, user_id, email) == []


@pytest.mark.parametrize("body", [{}, {"password": ""}, {"password": 7}])
def test_a_deletion_without_the_password_is_refused(
    service: Service, account: dict[str, Any], body: dict[str, Any]
) -> None:
    assert service.call("DELETE", "/api/user", account["token"], json=body).status_code == 400
    assert service.call("GET", "/api/user", account["token"]).status_code == 200
