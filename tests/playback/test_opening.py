"""decrypt-audio and playback over the wire, driven by the vectors."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests

from tests.support import rows
from tests.support.service import Service
from tests.support.vectors import (
    ACCOUNT,
    CASES,
    FAILING,
    KEY_SALT,
    OPENING,
    PASSWORD,
    USER_ID,
    content,
    name_of,
)


@pytest.fixture(scope="session")
def service(service_on_stand_in: Service) -> Service:
    """What is signed and streamed here, is so against the very stand-in of `make run`."""
    return service_on_stand_in


EMAIL = "vectors@example.com"
FORMAT_OF = {
    "single-iv16-counter-wraps": "single-iv16-raw-salt",
}


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    """The access token of the vectors' account, whose row, records and objects are all in place."""
    rows.put_user(service, EMAIL, PASSWORD, KEY_SALT, USER_ID, vault={"S": json.dumps(ACCOUNT["vault"])})
    for case in CASES:
        rows.put_file(service, USER_ID, case["s3_key"])
    signed_in = service.call("POST", "/api/login", json={"email": EMAIL, "password": PASSWORD})
    assert signed_in.status_code == 200, signed_in.text
    answer: str = signed_in.json()["token"]
    return answer


def decrypt(service: Service, token: str, case: dict[str, Any]) -> requests.Response:
    service.put_object(case["s3_key"], content(case))
    return service.call(
        "POST", "/api/decrypt-audio", token, json={"password": PASSWORD, "s3_key": case["s3_key"]}
    )


@pytest.mark.parametrize("case", OPENING, ids=name_of)
def test_what_opens_is_heard_to_the_byte(service: Service, token: str, case: dict[str, Any]) -> None:
    answer = decrypt(service, token, case)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "ready_for_transcription"
    expected = FORMAT_OF.get(case["name"], case["name"] if case["format"] == "single" else "v2")
    assert body["file_info"]["format"] == expected
    heard = requests.get(body["download_url"], timeout=30)
    assert heard.status_code == 200
    assert len(heard.content) == case["plain_length"]
    assert hashlib.sha256(heard.content).hexdigest() == case["plain_sha256"]


@pytest.mark.parametrize("case", FAILING, ids=name_of)
def test_what_fails_is_422_and_gives_no_byte(service: Service, token: str, case: dict[str, Any]) -> None:
    answer = decrypt(service, token, case)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("decryption_failed", "unsupported_format")
    assert "download_url" not in answer.json()


@pytest.fixture(scope="module", params=["single-iv16-raw-salt", "v2-three-segments"])
def opened(request: pytest.FixtureRequest, service: Service, token: str) -> tuple[str, bytes]:
    """A download_url of each format and what it must play."""
    case = next(case for case in CASES if case["name"] == request.param)
    url = decrypt(service, token, case).json()["download_url"]
    return url, requests.get(url, timeout=30).content


@pytest.mark.parametrize(
    ("wanted", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, None),
        ("bytes=70000-70099", 70000, 70100),
        ("bytes=99990-", 99990, None),
        ("bytes=-1", -1, None),
        ("bytes=-70000", -70000, None),
        ("bytes=-999999999", 0, None),
        ("bytes=5-999999999", 5, None),
        ("Bytes=3-4", 3, 5),
    ],
)
def test_one_range(opened: tuple[str, bytes], wanted: str, start: int, stop: int | None) -> None:
    url, plain = opened
    part = requests.get(url, headers={"Range": wanted}, timeout=30)
    assert part.status_code == 206
    assert part.content == plain[start:stop]
    first = start if start >= 0 else len(plain) + start
    assert part.headers["Content-Range"] == f"bytes {first}-{first + len(part.content) - 1}/{len(plain)}"
    assert part.headers["Content-Length"] == str(len(part.content))


@pytest.mark.parametrize("wanted", ["bytes=999999999-", "bytes=-0"])
def test_a_range_outside_is_416(opened: tuple[str, bytes], wanted: str) -> None:
    url, plain = opened
    refused = requests.get(url, headers={"Range": wanted}, timeout=30)
    assert refused.status_code == 416
    assert refused.headers["Content-Range"] == f"bytes */{len(plain)}"
    assert refused.json()["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("wanted", ["bytes=5-2", "bytes=a-b", "seconds=0-1", "bytes=0-1,5-6", "bytes", ""])
def test_a_range_that_is_none_plays_the_whole(opened: tuple[str, bytes], wanted: str) -> None:
    url, plain = opened
    whole = requests.get(url, headers={"Range": wanted}, timeout=30)
    assert whole.status_code == 200
    assert whole.content == plain


def test_if_range(opened: tuple[str, bytes]) -> None:
    url, plain = opened
    etag = requests.head(url, timeout=30).headers["ETag"]
    matching = {"Range": "bytes=1-2", "If-Range": etag}
    assert requests.get(url, headers=matching, timeout=30).content == plain[1:3]
    for other in ('"another"', f"W/{etag}", "Sat, 21 Nov 2026 10:00:00 GMT"):
        answer = requests.get(url, headers={"Range": "bytes=1-2", "If-Range": other}, timeout=30)
        assert (answer.status_code, answer.content) == (200, plain)


def test_head_tells_what_get_would_give(opened: tuple[str, bytes]) -> None:
    url, plain = opened
    told = requests.head(url, timeout=30)
    assert told.status_code == 200
    assert told.content == b""
    assert told.headers["Content-Length"] == str(len(plain))
    assert told.headers["Accept-Ranges"] == "bytes"
    assert told.headers["Cache-Control"] == "no-store"
    assert told.headers["Content-Type"] == requests.get(url, timeout=30).headers["Content-Type"]
