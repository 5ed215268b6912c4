"""The life of a recording: announced, uploaded, completed, listed, changed, binned, erased."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from panzoto import create_app
from panzoto.config import Settings
from panzoto.recordings.bucket_events import keys_in
from panzoto.recordings.uploads import Uploads
from tests.support import rows
from tests.support.recordings import hear, single_shot
from tests.support.service import BUCKET, PASSWORD, Service


@pytest.fixture(scope="session")
def service(service_on_stand_in: Service) -> Service:
    """What is signed and streamed here, is so against the very stand-in of `make run`."""
    return service_on_stand_in


MIB = 1024 * 1024


def announce(service: Service, token: str, **body: Any) -> requests.Response:
    return service.call("POST", "/api/uploads", token, json=body)


def put(upload: dict[str, Any], data: bytes) -> requests.Response:
    return requests.put(upload["url"], data=data, headers=upload["headers"], timeout=60)


def complete(service: Service, token: str, file_id: str) -> requests.Response:
    return service.call("POST", f"/api/uploads/{file_id}/complete", token, json={})


def listed(service: Service, token: str, **query: Any) -> list[str]:
    answer = service.call("GET", "/api/user/audio-files", token, params=query)
    assert answer.status_code == 200, answer.text
    return [audio_file["file_id"] for audio_file in answer.json()["audio_files"]]


def uploaded(service: Service, account: dict[str, Any], data: bytes, **more: Any) -> str:
    """Upload `data` the whole way and return its file_id."""
    token = account["token"]
    made = announce(service, token, file_size=len(data), **more).json()
    assert put(made["upload"], data).ok
    answer = complete(service, token, made["file_id"])
    assert answer.status_code == 200, answer.text
    file_id: str = made["file_id"]
    return file_id


def changes(service: Service, token: str, since: str | None = None) -> tuple[list[dict[str, Any]], str]:
    told: list[dict[str, Any]] = []
    while True:
        query = {"limit": 2} | ({"since": since} if since else {})
        page = service.call("GET", "/api/user/changes", token, params=query).json()
        told += page["changes"]
        since = page["next"]
        if not page["more"]:
            return told, since


def usage(service: Service, token: str) -> tuple[int, int]:
    told = service.call("GET", "/api/user", token).json()["usage"]
    return told["recordings"], told["bytes"]


def test_a_single_upload_from_announcement_to_playback(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]
    plain = b"#!AMR\nhello" * 300
    data = single_shot(PASSWORD, account["key_salt"], plain)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    answer = announce(
        service,
        token,
        file_size=len(data),
        sha256=digest,
        content_type="audio/3gpp",
        recorded_at="2026-05-01T12:00:00+02:00",
        duration_ms=61_000,
        client_id="phone-7",
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["s3_key"] == f"users/{account['user_id']}/{made['file_id']}"
    assert (made["upload"]["type"], made["upload"]["method"]) == ("single", "PUT")
    assert "content-type" not in {name.lower() for name in made["upload"]["headers"]}
    again = announce(service, token, file_size=len(data), client_id="phone-7")
    assert (again.status_code, again.json()["file_id"]) == (200, made["file_id"])
    assert listed(service, token) == []
    early = complete(service, token, made["file_id"])
    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    assert put(made["upload"], data).ok
    assert put(again.json()["upload"], b"x" * len(data)).status_code == 412
    done = complete(service, token, made["file_id"])
    assert done.status_code == 200, done.text
    assert complete(service, token, made["file_id"]).json() == done.json()
    told = done.json()["audio_file"]
    assert (told["status"], told["recorded_at"]) == ("stored", "2026-05-01T10:00:00Z")
    assert (told["duration_ms"], told["content_type"], told["file_size"]) == (61_000, "audio/3gpp", len(data))
    assert listed(service, token) == [made["file_id"]]
    assert usage(service, token) == (1, len(data))
    assert hear(service, token, made["file_id"], PASSWORD) == plain
    state = service.call("GET", f"/api/uploads/{made['file_id']}", token).json()
    assert (state["status"], state["upload"], state["stored_parts"]) == ("stored", None, [])
    assert service.call("DELETE", f"/api/uploads/{made['file_id']}", token).status_code == 409


def test_what_does_not_match_is_refused_and_can_be_sent_again(
    service: Service, account: dict[str, Any]
) -> None:
    token, data = account["token"], os.urandom(1000)
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    made = announce(service, token, file_size=1000, sha256=digest).json()
    for wrong, code in ((os.urandom(999), "size_mismatch"), (os.urandom(1000), "checksum_mismatch")):
        service.put_object(made["s3_key"], wrong)
        refused = complete(service, token, made["file_id"])
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    fresh = service.call("GET", f"/api/uploads/{made['file_id']}", token).json()
    assert put(fresh["upload"], data).ok
    assert complete(service, token, made["file_id"]).status_code == 200


def test_a_multipart_upload_goes_on_where_it_stopped(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]
    data = os.urandom(MIB) * 70
    made = announce(service, token, file_size=len(data)).json()
    upload = made["upload"]
    size = upload["part_size"]
    assert upload["type"] == "multipart"
    assert [part["part_number"] for part in upload["parts"]] == [1, 2, 3, 4, 5]
    for part in (upload["parts"][0], upload["parts"][3]):
        start = (part["part_number"] - 1) * size
        assert requests.put(part["url"], data=data[start : start + size], timeout=60).ok
    refused = complete(service, token, made["file_id"])
    assert (refused.status_code, refused.json()["missing_parts"]) == (409, [2, 3, 5])
    state = service.call("GET", f"/api/uploads/{made['file_id']}", token).json()
    assert [part["part_number"] for part in state["stored_parts"]] == [1, 4]
    assert [part["part_number"] for part in state["upload"]["parts"]] == [2, 3, 5]
    for part in state["upload"]["parts"]:
        start = (part["part_number"] - 1) * size
        assert requests.put(part["url"], data=data[start : start + size], timeout=60).ok
    done = complete(service, token, made["file_id"])
    assert done.status_code == 200, done.text
    link = service.call("GET", f"/api/audio-file/{made['file_id']}/download", token).json()
    assert link["size"] == len(data)
    assert requests.get(link["url"], timeout=60).content == data


def test_an_upload_given_up_leaves_nothing(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]
    for size in (1000, 70 * MIB):
        made = announce(service, token, file_size=size, client_id="same").json()
        assert usage(service, token) == (1, size)
        assert service.call("DELETE", f"/api/uploads/{made['file_id']}", token).status_code == 204
        assert service.call("DELETE", f"/api/uploads/{made['file_id']}", token).status_code == 404
        assert service.call("GET", f"/api/uploads/{made['file_id']}", token).status_code == 404
        assert usage(service, token) == (0, 0)
    found = service.s3().list_object_versions(Bucket=BUCKET, Prefix=f"users/{account['user_id']}/")
    assert "Versions" not in found
    uploads = service.s3().list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    assert not [upload for upload in uploads if account["user_id"] in upload["Key"]]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({}, "file_size"),
        ({"file_size": -1}, "file_size"),
        ({"file_size": "9"}, "file_size"),
        ({"file_size": 1, "sha256": "abc"}, "sha256"),
        ({"file_size": 1, "recorded_at": "yesterday"}, "recorded_at"),
        ({"file_size": 1, "recorded_at": "2026-05-01T10:00:00"}, "recorded_at"),
        ({"file_size": 1, "duration_ms": 1.5}, "duration_ms"),
        ({"file_size": 1, "recorded_at": "1969-12-31T23:59:59Z"}, "recorded_at"),
        ({"file_size": 1, "client_id": ""}, None),
    ],
)
def test_a_malformed_announcement(
    service: Service, account: dict[str, Any], body: dict[str, Any], name: str | None
) -> None:
    answer = announce(service, account["token"], **body)
    assert answer.status_code == 400
    if name is not None:
        assert name in answer.json()["fields"]


def test_the_same_client_id_at_once_is_one_upload(service: Service, account: dict[str, Any]) -> None:
    answers: list[requests.Response] = []

    def race() -> None:
        answers.append(announce(service, account["token"], file_size=10, client_id="raced"))

    threads = [threading.Thread(target=race) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 200, 201]
    assert len({answer.json()["file_id"] for answer in answers}) == 1
    assert usage(service, account["token"]) == (1, 10)


def test_old_call_commits_a_new_upload(service: Service, account: dict[str, Any]) -> None:
    token, data = account["token"], b"x" * 50
    made = announce(service, token, file_size=50).json()
    body = {"s3_key": made["s3_key"], "file_size": 50}
    assert service.call("POST", "/api/audio-file", token, json=body).status_code == 409
    assert put(made["upload"], data).ok
    answer = service.call("POST", "/api/audio-file", token, json=body)
    assert (answer.status_code, answer.json()["audio_file"]["status"]) == (201, "stored")
    assert answer.json()["audio_file"]["file_id"] == made["file_id"]


def test_lists_page_without_repeat_or_gap(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]
    made = []
    for number in range(7):
        body = {
            "s3_key": f"users/{account['user_id']}/{number}",
            "recorded_at": f"2026-05-0{7 - number}T10:00:00Z",
        }
        made.append(service.call("POST", "/api/audio-file", token, json=body).json()["audio_file"]["file_id"])
    for order, expected in (("uploaded_at", made[::-1]), ("recorded_at", made)):
        told: list[str] = []
        query: dict[str, Any] = {"limit": 3, "order": order}
        while query.get("cursor", "") is not None:
            page = service.call("GET", "/api/user/audio-files", token, params=query).json()
            told += [audio_file["file_id"] for audio_file in page["audio_files"]]
            query["cursor"] = page["next_cursor"]
            # A recording made while somebody pages is newer than every page that is still to come.
            body = {"s3_key": f"users/{account['user_id']}/while-{order}-{len(told)}"}
            body["recorded_at"] = "2026-06-01T00:00:00Z"
            service.call("POST", "/api/audio-file", token, json=body)
        assert [file_id for file_id in told if file_id in made] == expected
        assert len(told) == len(set(told))
    between = {"order": "recorded_at", "from": "2026-05-02T10:00:00Z", "to": "2026-05-04T10:00:00Z"}
    assert listed(service, token, **between) == made[3:6]
    wrong = service.call("GET", "/api/user/audio-files", token, params={"cursor": "AAAA"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_cursor")
    first = service.call("GET", "/api/user/audio-files", token, params={"limit": 1}).json()["next_cursor"]
    other_query = {"cursor": first, "order": "recorded_at"}
    assert service.call("GET", "/api/user/audio-files", token, params=other_query).status_code == 400


def test_describe_bin_restore_erase(service: Service, account: dict[str, Any]) -> None:
    token, user_id = account["token"], account["user_id"]
    file_id = uploaded(service, account, b"x" * 100)
    path = f"/api/audio-file/{file_id}"
    title = base64.b64encode(os.urandom(4096)).decode()
    edited = service.call("PATCH", path, token, json={"title": title, "duration_ms": 5})
    assert (edited.status_code, edited.json()["audio_file"]["title"]) == (200, title)
    assert service.call("PATCH", path, token, json={"title": None}).json()["audio_file"]["title"] is None
    too_long = base64.b64encode(bytes(4097)).decode()
    assert service.call("PATCH", path, token, json={"note": too_long}).status_code == 400
    binned = service.call("DELETE", path, token)
    assert binned.json()["audio_file"]["deleted_at"] is not None
    assert listed(service, token) == []
    assert usage(service, token) == (0, 0)
    trash = service.call("GET", "/api/user/trash", token).json()["audio_files"]
    assert [audio_file["file_id"] for audio_file in trash] == [file_id]
    restored = service.call("POST", path + "/restore", token)
    assert restored.json()["audio_file"]["deleted_at"] is None
    assert (listed(service, token), usage(service, token)) == ([file_id], (1, 100))
    assert service.call("DELETE", path + "?permanent=true", token).status_code == 204
    assert service.call("GET", path, token).status_code == 404
    assert service.call("DELETE", path, token).status_code == 404
    erasures = service.call("GET", "/api/user/erasures", token).json()["erasures"]
    assert [(e["file_id"], e["objects_removed"], e["objects_waiting"]) for e in erasures] == [(file_id, 1, 0)]
    assert erasures[0]["erased_at"].endswith("Z")
    assert "Versions" not in service.s3().list_object_versions(Bucket=BUCKET, Prefix=f"users/{user_id}/")
    assert usage(service, token) == (0, 0)


def test_strangers_find_nothing(service: Service, new_account: Callable[..., dict[str, Any]]) -> None:
    account, stranger = new_account(), new_account()
    file_id = uploaded(service, account, b"x" * 10)
    for method, path in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("DELETE", "?permanent=true"),
        ("POST", "/restore"),
        ("GET", "/download"),
    ):
        body = {"json": {}} if method == "PATCH" else {}
        answer = service.call(method, f"/api/audio-file/{file_id}{path}", stranger["token"], **body)
        assert (answer.status_code, answer.json()["code"]) == (404, "audio_file_not_found"), path
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/complete")):
        assert service.call(method, f"/api/uploads/{file_id}{path}", stranger["token"]).status_code == 404
    assert listed(service, account["token"]) == [file_id]


def test_a_key_of_the_earlier_service_is_its_owners_without_a_claim(
    service: Service, account: dict[str, Any]
) -> None:
    """A stranger who records it first would otherwise read its object, and could erase it."""
    victim = rows.put_user(service, "victim@example.com", PASSWORD, os.urandom(32))
    s3_key = "users/a-phone-of-old/audio-1.3gp"
    file_id = rows.put_file(service, victim, s3_key)
    service.put_object(s3_key, b"sealed")
    taken = service.call("POST", "/api/audio-file", account["token"], json={"s3_key": s3_key})
    assert (taken.status_code, taken.json()["code"]) == (409, "key_taken")
    credentials = {"email": "victim@example.com", "password": PASSWORD}
    token = service.call("POST", "/api/login", json=credentials).json()["token"]
    own = service.call("POST", "/api/audio-file", token, json={"s3_key": s3_key})
    assert (own.status_code, own.json()["audio_file"]["file_id"]) == (201, file_id)


def test_changes_rebuild_what_the_list_shows(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]
    ids = [uploaded(service, account, b"x" * 10) for _ in range(4)]
    told, point = changes(service, token)
    assert [change["file_id"] for change in told] == ids
    assert all(change["type"] == "upsert" for change in told)
    service.call("PATCH", f"/api/audio-file/{ids[1]}", token, json={"duration_ms": 7})
    service.call("DELETE", f"/api/audio-file/{ids[0]}", token)
    service.call("DELETE", f"/api/audio-file/{ids[2]}?permanent=true", token)
    later, end = changes(service, token, point)
    assert [(change["file_id"], change["type"]) for change in later] == [
        (ids[1], "upsert"),
        (ids[0], "delete"),
        (ids[2], "delete"),
    ]
    assert changes(service, token, end)[0] == []
    for start in (None, point):
        known = {change["file_id"]: change["audio_file"] for change in told if start is not None}
        for change in changes(service, token, start)[0]:
            known[change["file_id"]] = change["audio_file"]
        shown = service.call("GET", "/api/user/audio-files", token).json()["audio_files"]
        there = {file_id: audio_file for file_id, audio_file in known.items() if audio_file is not None}
        assert there == {audio_file["file_id"]: audio_file for audio_file in shown}


def test_changes_at_once_leave_no_gap(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]

    def write(number: int) -> None:
        body = {"s3_key": f"users/{account['user_id']}/at-once-{number}"}
        answer = service.call("POST", "/api/audio-file", token, json=body)
        assert answer.status_code == 201, answer.text

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    told: dict[str, dict[str, Any]] = {}
    point: str | None = None
    while any(thread.is_alive() for thread in threads):
        found, point = changes(service, token, point)
        told |= {change["file_id"]: change for change in found}
    found, _ = changes(service, token, point)
    told |= {change["file_id"]: change for change in found}
    assert set(told) == set(listed(service, token, limit=100))
    assert len(told) == 8
    assert usage(service, token)[0] == 8


def test_sittings(service: Service, account: dict[str, Any]) -> None:
    token = account["token"]
    starts = ("10:00:00", "10:01:10", "10:02:39", "14:00:00", "14:00:20")
    ids = []
    for number, start in enumerate(starts):
        body = {
            "s3_key": f"users/{account['user_id']}/clip-{number}",
            "recorded_at": f"2026-05-01T{start}Z",
            "duration_ms": 60_000,
        }
        ids.append(service.call("POST", "/api/audio-file", token, json=body).json()["audio_file"]["file_id"])
    told: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 1}
    while query.get("cursor", "") is not None:
        page = service.call("GET", "/api/user/timeline", token, params=query).json()
        told += page["sittings"]
        query["cursor"] = page["next_cursor"]
    assert [sitting["file_ids"] for sitting in told] == [ids[3:], ids[:3]]
    assert told[1]["started_at"] == "2026-05-01T10:00:00Z"
    assert told[1]["ended_at"] == "2026-05-01T10:03:39Z"
    assert told[1]["duration_ms"] == 180_000
    apart = service.call("GET", "/api/user/timeline", token, params={"gap": 28}).json()["sittings"]
    assert [sitting["file_ids"] for sitting in apart] == [ids[3:], ids[2:3], ids[:2]]


@pytest.fixture(scope="module")
def here(service: Service) -> Iterator[Uploads]:
    """The events worker's own part, in this process and on the same tables and bucket."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in service.environment.items():
            patch.setenv(name, value)
        yield create_app(Settings.from_environment()).extensions["panzoto"].uploads


def event_body(s3_key: str) -> str:
    record = {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": s3_key.replace("/", "%2F")}}}
    return json.dumps({"Records": [record]})


ACTIONS = ("put", "event", "commit", "delete")


@pytest.mark.parametrize("order", list(itertools.permutations(ACTIONS)), ids="-".join)
def test_every_order_ends_in_the_same_state(
    service: Service, account: dict[str, Any], here: Uploads, order: tuple[str, ...]
) -> None:
    """Whatever comes first and however often, in the end the upload was given up or the recording binned."""
    token = account["token"]
    made = announce(service, token, file_size=4).json()
    file_id = made["file_id"]
    for action in (*order, *order):
        if action == "put":
            put(made["upload"], b"abcd")
        elif action == "event":
            for s3_key in keys_in(event_body(made["s3_key"])):
                here.arrived(s3_key)
        elif action == "commit":
            complete(service, token, file_id)
        elif service.call("DELETE", f"/api/uploads/{file_id}", token).status_code == 409:
            service.call("DELETE", f"/api/audio-file/{file_id}?permanent=true", token)
    assert listed(service, token) == []
    assert usage(service, token) == (0, 0)
    assert service.call("GET", f"/api/audio-file/{file_id}", token).status_code == 404
