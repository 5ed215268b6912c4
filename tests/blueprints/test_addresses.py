"""What a playback address says: how long it lives, what a tab may do with it, how its file is called."""

from __future__ import annotations

import re
import time
import uuid
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.support import clips
from tests.support.recordings import decrypt, single_shot, store, version_2
from tests.support.service import PASSWORD, Service

TTL = 900
# What the test and the service need between two looks at the clock.
MARGIN = 60


def kept(service: Service, account: dict[str, Any], plain: bytes, name: str = "", **more: Any) -> str:
    s3_key = f"users/{account['user_id']}/{name or uuid.uuid4()}"
    return store(service, account, s3_key, version_2(account, PASSWORD, s3_key, plain), **more)


def life(answer: requests.Response) -> float:
    assert answer.status_code == 200, answer.text
    return datetime.fromisoformat(answer.json()["expires_at"]).timestamp() - time.time()


def test_it_lives_as_long_as_the_recording_lasts(service: Service, account: dict[str, Any]) -> None:
    notes = b"Notes of the day " * 3000
    minute = b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50 * 600
    cases = [
        (kept(service, account, minute, duration_ms=5000), 600),
        (kept(service, account, notes, duration_ms=3_600_000), 3600),
        (kept(service, account, notes), len(notes) / 1500),
        (kept(service, account, notes, duration_ms=7 * 86400 * 1000), 12 * 3600),
    ]
    for file_id, seconds in cases:
        lives = life(decrypt(service, account["token"], file_id, PASSWORD))
        assert seconds + TTL - MARGIN <= lives <= seconds + TTL + 1
    body = {"password": PASSWORD, "file_ids": [cases[0][0]]}
    sitting = service.call("POST", "/api/decrypt-audio", account["token"], json=body)
    assert 600 + TTL - MARGIN <= life(sitting) <= 600 + TTL + 1


def test_a_tab_may_play_it_and_nothing_else(service: Service, account: dict[str, Any]) -> None:
    plain = clips.encoded("ipod", "aac", 16000, 1, 400)
    answer = decrypt(service, account["token"], kept(service, account, plain, "walk.m4a"), PASSWORD)
    heard = requests.get(answer.json()["download_url"], timeout=60)
    policy = dict(
        part.strip().partition(" ")[::2] for part in heard.headers["Content-Security-Policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["media-src"] == "'self'"
    assert "script-src" not in policy
    assert heard.headers["Content-Type"] == "audio/mp4"
    assert heard.headers["Content-Disposition"] == 'inline; filename="walk.m4a"'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("audio-9.3gp", "audio-9.3gp"),
        ("audio_4c2f_1700000000000_1234.3gp_encrypted", "audio_4c2f_1700000000000_1234.3gp"),
        ("x" * 700 + ".3gp", "x" * 80 + ".3gp"),
        ('a"; filename="evil.html', "a___filename__evil.html.bin"),
    ],
)
def test_its_file_is_called_after_the_key(
    service: Service, account: dict[str, Any], name: str, expected: str
) -> None:
    s3_key = f"users/{account['user_id']}/{name}"
    data = single_shot(PASSWORD, account["key_salt"], b"Notes of the day")
    answer = decrypt(service, account["token"], store(service, account, s3_key, data), PASSWORD)
    heard = requests.head(answer.json()["download_url"], timeout=60)
    found = re.fullmatch(r'inline; filename="([^"]+)"', heard.headers["Content-Disposition"])
    assert found is not None
    assert found[1] == expected


def test_what_was_announced_is_served_where_the_bytes_say_nothing(
    service: Service, account: dict[str, Any]
) -> None:
    for declared, served in (
        ("audio/L16;rate=16000;channels=1", "audio/L16;rate=16000;channels=1"),
        ("text/html", "application/octet-stream"),
    ):
        file_id = kept(service, account, bytes(range(256)) * 9, content_type=declared)
        url = decrypt(service, account["token"], file_id, PASSWORD).json()["download_url"]
        heard = requests.head(url, timeout=60)
        assert heard.headers["Content-Type"] == served
        assert heard.headers["X-Content-Type-Options"] == "nosniff"
