"""Keys that survive: password changes, recovery and upgrade, with recordings of every generation."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.support import rows
from tests.support.recordings import decrypt, hear, single_shot, store, version_2
from tests.support.service import BUCKET, PASSWORD, Service

NEW = "another quiet walk"


def change(service: Service, token: str, password: str, new_password: str) -> requests.Response:
    body = {"password": password, "new_password": new_password}
    return service.call("POST", "/api/user/password", token, json=body)


def record_both(service: Service, account: dict[str, Any], password: str, name: str) -> dict[str, bytes]:
    """Store a single-shot and a version 2 recording; return what each must play, by file_id."""
    made = {}
    for kind in ("single", "v2"):
        s3_key = f"users/{account['user_id']}/{name}-{kind}.3gp"
        plain = f"#!AMR\n{name} {kind} ".encode() * 900
        data = (
            single_shot(password, account["key_salt"], plain, 16, hex_salt=True)
            if kind == "single"
            else version_2(account, password, s3_key, plain)
        )
        made[store(service, account, s3_key, data)] = plain
    return made


def test_every_generation_opens_with_the_newest_password_only(
    service: Service, account: dict[str, Any]
) -> None:
    passwords = [PASSWORD, *(f"walk number {n} in the rain" for n in range(3))]
    recordings: dict[str, bytes] = {}
    for number, password in enumerate(passwords):
        recordings |= record_both(service, account, password, f"generation-{number}")
        if number + 1 < len(passwords):
            answer = change(service, account["token"], password, passwords[number + 1])
            assert answer.status_code == 200, answer.text
            before, account = account, answer.json()
            assert account["key_salt"] != before["key_salt"]
            assert account["vault"]["kdf"]["salt"] != before["vault"]["kdf"]["salt"]
            assert account["vault"]["key_id"] == before["vault"]["key_id"]
    for file_id, plain in recordings.items():
        assert hear(service, account["token"], file_id, passwords[-1]) == plain
    some = next(iter(recordings))
    for earlier in passwords[:-1]:
        refused = decrypt(service, account["token"], some, earlier)
        assert (refused.status_code, refused.json()["error"]) == (401, "Invalid password")


def test_login_knows_the_new_password_only(service: Service, account: dict[str, Any]) -> None:
    assert change(service, account["token"], PASSWORD, NEW).status_code == 200
    email = account["user"]["email"]
    old = service.call("POST", "/api/login", json={"email": email, "password": PASSWORD})
    new = service.call("POST", "/api/login", json={"email": email, "password": NEW})
    assert (old.status_code, new.status_code) == (401, 200)
    assert new.json()["vault"]["key_id"] == account["vault"]["key_id"]


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"password": "not my password", "new_password": NEW}, 401, "Invalid password"),
        ({"new_password": NEW}, 400, "Password is required"),
        ({"password": PASSWORD}, 400, "New password is required"),
        ({"password": PASSWORD, "new_password": "short"}, 400, "Password must be at least 8 characters"),
        ({"password": PASSWORD, "new_password": 12345678}, 400, "This must be a text"),
    ],
)
def test_a_change_that_is_refused_changes_nothing(
    service: Service, account: dict[str, Any], body: dict[str, Any], status: int, error: str
) -> None:
    before = rows.user_row(service, account["user_id"])
    answer = service.call("POST", "/api/user/password", account["token"], json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert rows.user_row(service, account["user_id"]) == before


def test_of_two_changes_at_once_one_wins_whole(service: Service, account: dict[str, Any]) -> None:
    recordings = record_both(service, account, PASSWORD, "raced")
    answers: dict[str, requests.Response] = {}

    def race(new_password: str) -> None:
        answers[new_password] = change(service, account["token"], PASSWORD, new_password)

    threads = [threading.Thread(target=race, args=(f"{NEW} {n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # The later of two that did not overlap finds that its old password is none any more.
    winners = [password for password, answer in answers.items() if answer.status_code == 200]
    losers = [answer for answer in answers.values() if answer.status_code != 200]
    assert len(winners) == 1
    assert all(loser.status_code in (401, 409) for loser in losers)
    for file_id, plain in recordings.items():
        assert hear(service, account["token"], file_id, winners[0]) == plain


def make_recovery_key(service: Service, account: dict[str, Any], password: str = PASSWORD) -> str:
    made = service.call("POST", "/api/user/recovery-key", account["token"], json={"password": password})
    assert made.status_code == 201, made.text
    recovery_key: str = made.json()["recovery_key"]
    assert [len(group) for group in recovery_key.split("-")] == [4] * 14
    return recovery_key


def recover(service: Service, email: str, recovery_key: str, new_password: str = NEW) -> requests.Response:
    body = {"email": email, "recovery_key": recovery_key, "new_password": new_password}
    return service.call("POST", "/api/recover", json=body)


def test_recovery_opens_everything_ever_recorded(service: Service, account: dict[str, Any]) -> None:
    recordings = record_both(service, account, PASSWORD, "before")
    recovery_key = make_recovery_key(service, account)
    recordings |= record_both(service, account, PASSWORD, "after")
    changed = change(service, account["token"], PASSWORD, NEW).json()
    recordings |= record_both(service, changed, NEW, "changed")
    email = account["user"]["email"]
    forgiven = recovery_key.lower().replace("0", "o").replace("1", "l").replace("-", " ")
    recovered = recover(service, email, forgiven, "found again at last")
    assert recovered.status_code == 200, recovered.text
    assert recovered.json()["vault"]["key_id"] == account["vault"]["key_id"]
    for file_id, plain in recordings.items():
        assert hear(service, recovered.json()["token"], file_id, "found again at last") == plain
    again = recover(service, email, recovery_key, "and found once more")
    assert again.status_code == 200
    for file_id, plain in recordings.items():
        assert hear(service, again.json()["token"], file_id, "and found once more") == plain


def test_wrong_key_and_unknown_account_look_the_same(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    one, other = new_account(), new_account()
    recovery_key, foreign = make_recovery_key(service, one), make_recovery_key(service, other)
    answers = [
        recover(service, one["user"]["email"], foreign),
        recover(service, "nobody-at-all@example.com", recovery_key),
        recover(service, new_account()["user"]["email"], recovery_key),
    ]
    told = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert told[0]["code"] == "recovery_failed"
    assert told[0] == told[1] == told[2]


def test_a_slip_of_the_pen_is_told(service: Service, account: dict[str, Any]) -> None:
    recovery_key = make_recovery_key(service, account)
    for position in (0, 27, 65, len(recovery_key) - 1):
        slip = "7" if recovery_key[position] != "7" else "8"
        written = recovery_key[:position] + slip + recovery_key[position + 1 :]
        answer = recover(service, account["user"]["email"], written)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_recovery_key")
    for nonsense in ("U" * 56, recovery_key + "0", "é" * 56):
        assert recover(service, account["user"]["email"], nonsense).status_code == 400


def test_a_new_recovery_key_voids_the_old(service: Service, account: dict[str, Any]) -> None:
    old = make_recovery_key(service, account)
    new = make_recovery_key(service, account)
    email = account["user"]["email"]
    assert recover(service, email, old).status_code == 401
    assert recover(service, email, new).status_code == 200


def upgrade(service: Service, token: str, file_id: str, password: str = PASSWORD) -> requests.Response:
    return service.call("POST", f"/api/audio-file/{file_id}/upgrade", token, json={"password": password})


def keys_in_bucket(service: Service, prefix: str) -> list[str]:
    found = service.s3().list_object_versions(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in (*found.get("Versions", []), *found.get("DeleteMarkers", []))]


def test_upgrade_plays_the_same_from_one_object(service: Service, account: dict[str, Any]) -> None:
    user_id = account["user_id"]
    s3_key = f"users/{user_id}/old.3gp"
    plain = b"#!AMR\n" + bytes(range(256)) * 70_000
    file_id = store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], plain))
    answer = upgrade(service, account["token"], file_id)
    assert answer.status_code == 200, answer.text
    upgraded = answer.json()["audio_file"]
    assert upgraded["format"] == "v2"
    assert upgraded["s3_key"] != s3_key
    assert upgraded["file_id"] == file_id
    assert hear(service, account["token"], file_id, PASSWORD) == plain
    assert keys_in_bucket(service, f"users/{user_id}/") == [upgraded["s3_key"]]
    again = upgrade(service, account["token"], file_id)
    assert (again.status_code, again.json()["audio_file"]) == (200, upgraded)
    # A phone that repeats its old request meets the record that exists.
    repeated = service.call("POST", "/api/audio-file", account["token"], json={"s3_key": s3_key})
    assert repeated.json()["audio_file"]["file_id"] == file_id


def test_upgrade_refuses_what_it_cannot_open(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    account, stranger = new_account(), new_account()
    s3_key = f"users/{account['user_id']}/damaged.3gp"
    data = bytearray(single_shot(PASSWORD, account["key_salt"], b"#!AMR\nhush" * 99))
    data[500] ^= 4
    file_id = store(service, account, s3_key, bytes(data))
    assert upgrade(service, account["token"], file_id).json()["code"] == "decryption_failed"
    assert upgrade(service, account["token"], file_id, "not my password").status_code == 401
    assert upgrade(service, stranger["token"], file_id).status_code == 404
    assert keys_in_bucket(service, f"users/{account['user_id']}/") == [s3_key]


def test_upgrade_keeps_an_object_that_another_record_names(service: Service, account: dict[str, Any]) -> None:
    s3_key = f"users/{account['user_id']}/twice.3gp"
    plain = b"#!AMR\ntwice" * 500
    file_id = store(service, account, s3_key, single_shot(PASSWORD, account["key_salt"], plain))
    other = rows.put_file(service, account["user_id"], s3_key)
    assert upgrade(service, account["token"], file_id).status_code == 200
    assert hear(service, account["token"], other, PASSWORD) == plain
    assert hear(service, account["token"], file_id, PASSWORD) == plain


def test_what_an_interrupted_upgrade_left_is_cleaned(service: Service, account: dict[str, Any]) -> None:
    user_id = account["user_id"]
    plain = b"#!AMR\ninterrupted" * 500
    file_id = store(
        service, account, f"users/{user_id}/cut.3gp", single_shot(PASSWORD, account["key_salt"], plain)
    )
    copy = f"users/{user_id}/{file_id}.v2"
    service.put_object(copy, b"half a copy")
    service.s3().create_multipart_upload(Bucket=BUCKET, Key=copy)
    assert hear(service, account["token"], file_id, PASSWORD) == plain
    assert upgrade(service, account["token"], file_id).status_code == 200
    assert hear(service, account["token"], file_id, PASSWORD) == plain
    assert keys_in_bucket(service, f"users/{user_id}/") == [copy]
    # Another upgrade may be writing it, so what lies for long is left to the sweep.
    assert "Uploads" in service.s3().list_multipart_uploads(Bucket=BUCKET, Prefix=copy)


def test_a_damaged_vault_is_refused_not_obeyed(service: Service, account: dict[str, Any]) -> None:
    greedy = json.loads(json.dumps(account["vault"]))
    greedy["kdf"]["memory_cost_kib"] = 64 * 1024 * 1024
    service.dynamodb().update_item(
        TableName=rows.USERS_TABLE,
        Key={"user_id": {"S": account["user_id"]}},
        UpdateExpression="SET vault = :v",
        ExpressionAttributeValues={":v": {"S": json.dumps(greedy)}},
    )
    credentials = {"email": account["user"]["email"], "password": PASSWORD}
    answers = [
        service.call("POST", "/api/login", json=credentials),
        decrypt(service, account["token"], "any", PASSWORD),
        change(service, account["token"], PASSWORD, NEW),
    ]
    # That nobody can judge the password is none of its failures.
    answers += [service.call("POST", "/api/login", json=credentials) for _ in range(7)]
    assert [(a.status_code, a.json()["code"]) for a in answers] == [(500, "damaged_record")] * 10
