"""Two releases on the same tables: this one reads what 1.0 wrote, and 1.0 can read what this one writes.

`vectors/rows-1.0.json` holds rows and objects as release 1.0.0 wrote them, and
what its models expect of each attribute: the type by which DynamoDB keeps it,
and whether a row may be without it. What 1.0 does not know, it leaves alone.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import UNLIMITED
from tests.support.aws import start_moto
from tests.support.commands import done
from tests.support.recordings import decrypt, hear, store, version_2
from tests.support.service import BUCKET, PASSWORD, ROOT, Service, run_service

WRITTEN = json.loads((ROOT / "tests/vectors/rows-1.0.json").read_text())
SOUND = b"#!AMR\nsound of 1.0 "


@pytest.fixture(scope="module")
def upgraded() -> Iterator[Service]:
    """This release on the tables and the bucket that 1.0 has left."""
    settings = UNLIMITED | {"SECRET_KEY": WRITTEN["secret_key"]}
    with start_moto() as url, run_service(url, **settings) as running:
        for table, items in WRITTEN["rows"].items():
            for item in items:
                running.dynamodb().put_item(TableName=table, Item=item)
        for s3_key, content in WRITTEN["objects"].items():
            running.put_object(s3_key, base64.b64decode(content))
        yield running


@pytest.fixture(scope="module")
def token(upgraded: Service) -> str:
    answer = upgraded.call(
        "POST", "/api/login", json={"email": "release-1.0@example.com", "password": PASSWORD}
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["user_id"] == WRITTEN["account"]
    return str(answer.json()["token"])


class TestThisReleaseReadsTheRowsOfTheOneBefore:
    def test_its_recordings(self, upgraded: Service, token: str) -> None:
        listed = upgraded.call("GET", "/api/user/audio-files", token).json()["audio_files"]
        assert [(one["file_id"], one["format"]) for one in listed] == [(WRITTEN["listed"], "v2")]
        assert hear(upgraded, token, WRITTEN["listed"], PASSWORD) == SOUND
        trash = upgraded.call("GET", "/api/user/trash", token).json()["audio_files"]
        assert [one["file_id"] for one in trash] == [WRITTEN["in_trash"]]
        restored = upgraded.call("POST", f"/api/audio-file/{WRITTEN['in_trash']}/restore", token)
        assert restored.status_code == 200
        assert hear(upgraded, token, WRITTEN["in_trash"], PASSWORD) == SOUND

    def test_its_history(self, upgraded: Service, token: str) -> None:
        changes = upgraded.call("GET", "/api/user/changes", token).json()["changes"]
        kinds = {one["file_id"]: one["type"] for one in changes}
        assert kinds[WRITTEN["erased"]] == "delete"
        assert kinds[WRITTEN["listed"]] == "upsert"
        erasures = upgraded.call("GET", "/api/user/erasures", token).json()["erasures"]
        assert [one["file_id"] for one in erasures] == [WRITTEN["erased"]]
        events = upgraded.call("GET", "/api/user/events?limit=100", token).json()["events"]
        assert {"registered", "recording_decrypted", "recording_deleted"} <= {one["type"] for one in events}
        sessions = upgraded.call("GET", "/api/user/sessions", token).json()["sessions"]
        assert len(sessions) == 2


def test_the_release_before_can_read_what_this_one_writes(upgraded: Service) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    account = upgraded.register(email)
    token, user_id = account["token"], account["user_id"]
    for number in range(3):
        s3_key = f"users/{user_id}/audio-{number}.3gp"
        file_id = store(upgraded, account, s3_key, version_2(account, PASSWORD, s3_key, SOUND))
        assert decrypt(upgraded, token, file_id, PASSWORD).status_code == 200
        for path in ("", "?permanent=true")[:number]:
            assert upgraded.call("DELETE", f"/api/audio-file/{file_id}{path}", token).ok
    assert upgraded.call("POST", "/api/user/recovery-key", token, json={"password": PASSWORD}).ok
    changed = {"password": PASSWORD, "new_password": "another quiet walk"}
    assert upgraded.call("POST", "/api/user/password", token, json=changed).ok
    done(upgraded, "support", "accounts", "lock", email)
    done(upgraded, "support", "accounts", "unlock", email)
    unreadable: list[str] = []
    seen: dict[str, int] = {}
    for table, attributes in WRITTEN["attributes"].items():
        for item in upgraded.dynamodb().scan(TableName=table)["Items"]:
            seen[table] = seen.get(table, 0) + 1
            unreadable += misread(table, attributes, item)
    assert unreadable == []
    assert seen.keys() == WRITTEN["attributes"].keys()
    objects = upgraded.s3().list_objects_v2(Bucket=BUCKET, Prefix=f"users/{user_id}/")
    assert objects["KeyCount"] == 2


def misread(table: str, attributes: dict[str, Any], item: dict[str, Any]) -> list[str]:
    """Return what of a row the models of 1.0 could not read."""
    wrong = [
        f"{table}: {name} is {next(iter(value))}"
        for name, value in item.items()
        if name in attributes and next(iter(value)) != attributes[name]["type"]
    ]
    missing = [name for name, known in attributes.items() if known["required"] and name not in item]
    return wrong + [f"{table}: without {name}" for name in missing]
