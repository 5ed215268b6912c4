"""A recording's own key opens it in place of the password; nothing else does, or opens by it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Any

import pytest
import requests

from panzoto.crypto import header
from tests.support.phone import Keys
from tests.support.recordings import single_shot, store, version_2
from tests.support.service import PASSWORD, Service

SOUND = b"#!AMR\n" + bytes([0x3C, *bytes(31)]) * 40
WRONG = base64.b64encode(bytes(32)).decode()


@pytest.fixture
def keys(account: dict[str, Any]) -> Keys:
    return Keys(account, PASSWORD)


def recorded(service: Service, account: dict[str, Any], keys: Keys, s3_key: str = "") -> tuple[str, str]:
    """Record something as version 2; return its file_id and its file key."""
    s3_key = s3_key or f"users/{account['user_id']}/{os.urandom(8).hex()}"
    data = version_2(account, PASSWORD, s3_key, SOUND)
    file_key = header.open_file_key(data[: header.HEADER_BYTES], keys.vault_key)
    return store(service, account, s3_key, data), base64.b64encode(file_key).decode()


def ask(service: Service, account: dict[str, Any], **body: Any) -> requests.Response:
    return service.call("POST", "/api/decrypt-audio", account["token"], json=body)


def refused(answer: requests.Response, status: int, code: str, *fields: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert set(fields) <= set(answer.json().get("fields", {})), answer.text


def test_it_opens(service: Service, account: dict[str, Any], keys: Keys) -> None:
    file_id, key = recorded(service, account, keys)
    opened = ask(service, account, file_id=file_id, file_key=key)
    assert opened.status_code == 200, opened.text
    assert requests.get(opened.json()["download_url"], timeout=30).content == SOUND
    by_key = ask(service, account, s3_key=opened.json()["file_info"]["s3_key"], file_key=key)
    assert by_key.json()["file_info"]["format"] == "v2"


def test_several_open_as_one_each_by_its_own(service: Service, account: dict[str, Any], keys: Keys) -> None:
    two = [recorded(service, account, keys) for _ in range(2)]
    file_ids, file_keys = [one for one, _ in two], dict(two)
    opened = ask(service, account, file_ids=file_ids, file_keys={**file_keys, "not asked for": 7})
    assert opened.status_code == 200, opened.text
    assert requests.get(opened.json()["download_url"], timeout=30).content == SOUND + SOUND[6:]
    swapped = dict(zip(file_ids, reversed(file_keys.values()), strict=True))
    refused(ask(service, account, file_ids=file_ids, file_keys=swapped), 422, "decryption_failed")


def test_another_key_opens_nothing(service: Service, account: dict[str, Any], keys: Keys) -> None:
    file_id, _ = recorded(service, account, keys)
    _, other = recorded(service, account, keys)
    for wrong in (WRONG, other):
        refused(ask(service, account, file_id=file_id, file_key=wrong), 422, "decryption_failed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"file_key": WRONG, "password": PASSWORD}, "file_key"),
        ({"file_key": WRONG[:-4]}, "file_key"),
        ({"file_key": "no base64"}, "file_key"),
        ({"file_key": 7}, "file_key"),
        ({"file_key": [WRONG]}, "file_key"),
        ({"file_keys": {"x": WRONG}}, "file_keys"),
        ({}, "password"),
        ({"password": ""}, "password"),
        ({"file_ids": ["x", "y"], "file_id": None, "file_key": WRONG}, "file_key"),
        ({"file_ids": ["x", "y"], "file_id": None, "file_keys": {"x": WRONG}}, "file_keys"),
        ({"file_ids": ["x", "y"], "file_id": None, "file_keys": {"x": WRONG, "y": "short"}}, "file_keys"),
        ({"file_ids": ["x", "y"], "file_id": None, "file_keys": [WRONG, WRONG]}, "file_keys"),
        (
            {
                "file_ids": ["x", "y"],
                "file_id": None,
                "file_keys": {"x": WRONG, "y": WRONG},
                "password": "p" * 8,
            },
            "file_keys",
        ),
    ],
)
def test_what_does_not_go_together_is_said(
    service: Service, account: dict[str, Any], body: dict[str, Any], field: str
) -> None:
    refused(ask(service, account, **{"file_id": "x", **body}), 400, "invalid_request", field)


def test_a_recording_of_the_earlier_formats_needs_the_password(
    service: Service, account: dict[str, Any], keys: Keys
) -> None:
    data = single_shot(PASSWORD, account["key_salt"], SOUND)
    old = store(service, account, f"users/{account['user_id']}/old.3gp", data)
    refused(ask(service, account, file_id=old, file_key=WRONG), 400, "invalid_request", "file_key")
    new, key = recorded(service, account, keys)
    sitting = ask(service, account, file_ids=[new, old], file_keys={new: key, old: WRONG})
    refused(sitting, 400, "invalid_request", "file_keys", old)
    assert ask(service, account, file_id=old, password=PASSWORD).status_code == 200


def test_no_key_makes_somebody_elses_recording_ones_own(
    service: Service, new_account: Callable[..., dict[str, Any]]
) -> None:
    """Outside one's own folder a file key that leaked is not enough: the header names whose vault it is."""
    owner, stranger = new_account(), new_account()
    s3_key = f"shared/{os.urandom(8).hex()}"
    _, key = recorded(service, owner, Keys(owner, PASSWORD), s3_key)
    refused(ask(service, stranger, s3_key=s3_key, file_key=key), 404, "audio_file_not_found")
    assert ask(service, owner, s3_key=s3_key, file_key=key).status_code == 200


def test_a_version_2_recording_is_replaced_by_nothing_older(
    service: Service, account: dict[str, Any], keys: Keys
) -> None:
    file_id, key = recorded(service, account, keys)
    opened = ask(service, account, file_id=file_id, file_key=key).json()["file_info"]
    service.put_object(opened["s3_key"], single_shot(PASSWORD, account["key_salt"], SOUND))
    refused(ask(service, account, file_id=file_id, file_key=key), 422, "decryption_failed")


def test_it_costs_no_attempt_of_the_password(service: Service, account: dict[str, Any], keys: Keys) -> None:
    file_id, key = recorded(service, account, keys)
    for _ in range(12):
        refused(ask(service, account, file_id=file_id, file_key=WRONG), 422, "decryption_failed")
    assert ask(service, account, file_id=file_id, file_key=key).status_code == 200
    assert ask(service, account, file_id=file_id, password=PASSWORD).status_code == 200


def test_a_body_may_hold_the_keys_of_five_hundred(service: Service, account: dict[str, Any]) -> None:
    file_ids = [f"{number:036d}" for number in range(500)]
    body = {"file_ids": file_ids, "file_keys": dict.fromkeys(file_ids, WRONG), "padding": "x" * 100_000}
    refused(ask(service, account, **body), 404, "audio_file_not_found")
    refused(ask(service, account, **{**body, "padding": "x" * 256 * 1024}), 413, "payload_too_large")
