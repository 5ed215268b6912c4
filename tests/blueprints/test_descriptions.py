"""What a phone says of a recording: its media type and its moment, wherever they come in."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from panzoto.blueprints import moments
from panzoto.media import content_type
from tests.support.service import Service

READABLE = [
    "audio/3gpp",
    "audio/ogg; codecs=opus; rate=16000",
    "audio/L16;rate=16000;channels=1",
    'video/webm;codecs="vp8,opus"',
    "audio/webm ;codecs=opus",
    "audio/webm\t;\tcodecs=opus",
    "AUDIO/MPEG",
    "audio/ogg;",
    "audio/ogg;;codecs=opus; ",
    'audio/ogg; title="a \\"quoted\\" name; with = signs"',
    'audio/ogg; title=""',
    'audio/ogg; title="Grüße"',
    "audio/vnd.3gpp.iufp",
    "x!#$%&'*+-.^_`|~/y;a=b",
    "text/html",
    "audio/" + "x" * 300,
]
UNREADABLE: list[Any] = [
    "",
    "audio",
    "audio/",
    "/ogg",
    "audio/ogg/opus",
    "audio /ogg",
    "audio/ ogg",
    "audio/ogg codecs=opus",
    "audio/ogg; codecs",
    "audio/ogg; codecs=",
    "audio/ogg; =opus",
    "audio/ogg; codecs =opus",
    "audio/ogg; codecs= opus",
    'audio/ogg; codecs="opus',
    'audio/ogg; codecs="op"us',
    "audio/ogg, audio/mpeg",
    "audio/3gpp\r\nX: y",
    "audio/3gpp\n",
    "audío/ogg",
    "audio/ogg; a=\ud800",
    "audio/" + "x" * 5000,
    "audio/ogg" + ";  " * 300 + "x",
    7,
    True,
    ["audio/ogg"],
    {"type": "audio/ogg"},
]


@pytest.mark.parametrize("value", READABLE)
def test_a_media_type_that_can_be_read_is_kept_as_it_was_sent(value: str) -> None:
    found = content_type.read(value)
    assert found is not None
    assert found.written == value


@pytest.mark.parametrize("value", UNREADABLE, ids=lambda value: ascii(value)[:40])
def test_one_that_cannot_is_none(value: Any) -> None:
    assert content_type.read(value) is None


def announced(service: Service, account: dict[str, Any], **more: Any) -> Any:
    return service.call("POST", "/api/uploads", account["token"], json={"file_size": 4, **more})


def recorded(service: Service, account: dict[str, Any], **more: Any) -> Any:
    body = {"s3_key": f"users/{account['user_id']}/{uuid.uuid4()}", **more}
    return service.call("POST", "/api/audio-file", account["token"], json=body)


def shown(service: Service, account: dict[str, Any], file_id: str) -> dict[str, Any]:
    answer: dict[str, Any] = service.call("GET", f"/api/audio-file/{file_id}", account["token"]).json()
    return answer["audio_file"]


@pytest.mark.parametrize(
    "value", [*READABLE[1:6], *UNREADABLE[::5], None], ids=lambda value: ascii(value)[:40]
)
def test_no_recording_is_refused_for_its_media_type(
    service: Service, account: dict[str, Any], value: Any
) -> None:
    expected = value if value in READABLE else None
    for answer in (
        announced(service, account, content_type=value),
        recorded(service, account, content_type=value),
    ):
        assert answer.status_code == 201, answer.text
        made = answer.json()
        file_id = made.get("file_id") or made["audio_file"]["file_id"]
        assert shown(service, account, file_id)["content_type"] == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2026-05-01t10:00:00z", "2026-05-01T10:00:00Z"),
        ("2026-05-01T12:00:00.250+02:00", "2026-05-01T10:00:00.250000Z"),
    ],
)
def test_a_moment_is_taken_wherever_it_comes_in(
    service: Service, account: dict[str, Any], value: str, expected: str
) -> None:
    token = account["token"]
    file_id = recorded(service, account, recorded_at=value).json()["audio_file"]["file_id"]
    assert shown(service, account, file_id)["recorded_at"] == expected
    upload = announced(service, account, recorded_at=value).json()["file_id"]
    assert shown(service, account, upload)["recorded_at"] == expected
    service.call("PATCH", f"/api/audio-file/{file_id}", token, json={"recorded_at": None})
    changed = service.call("PATCH", f"/api/audio-file/{file_id}", token, json={"recorded_at": value})
    assert changed.json()["audio_file"]["recorded_at"] == expected
    between = {"order": "recorded_at", "from": value, "to": value}
    listed = service.call("GET", "/api/user/audio-files", token, params=between).json()["audio_files"]
    assert [one["file_id"] for one in listed] == [file_id]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("1969-12-31T23:59:59Z", moments.TOO_EARLY),
        ("2026-05-01T10:00:00.Z", moments.MALFORMED),
        ("2026-05-01 10:00:00Z", moments.MALFORMED),
        ("2026-02-30T10:00:00Z", moments.NO_SUCH),
    ],
)
def test_one_that_is_refused_is_told_the_true_reason(
    service: Service, account: dict[str, Any], value: str, reason: str
) -> None:
    token = account["token"]
    file_id = recorded(service, account).json()["audio_file"]["file_id"]
    edit = service.call("PATCH", f"/api/audio-file/{file_id}", token, json={"recorded_at": value})
    first = service.call("GET", "/api/user/audio-files", token, params={"from": value})
    last = service.call("GET", "/api/user/audio-files", token, params={"to": value})
    answers = {
        "recorded_at": [
            edit,
            announced(service, account, recorded_at=value),
            recorded(service, account, recorded_at=value),
        ],
        "from": [first],
        "to": [last],
    }
    for name, refused in answers.items():
        for answer in refused:
            assert answer.status_code == 400
            assert answer.json()["error"] == reason
            assert answer.json()["fields"] == {name: reason}


@pytest.mark.parametrize("value", [[None, None], "at once", 7, True], ids=["list", "text", "number", "true"])
def test_a_wish_that_is_no_object_is_refused_and_costs_no_recording(
    service: Service, account: dict[str, Any], value: Any
) -> None:
    refused = recorded(service, account, transcribe=value)
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert set(refused.json()["fields"]) == {"transcribe"}
    file_id = recorded(service, account).json()["audio_file"]["file_id"]
    path = f"/api/uploads/{file_id}/complete"
    assert service.call("POST", path, account["token"], json={"transcribe": value}).status_code == 400
