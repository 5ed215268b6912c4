"""What is looked for in requests is found, in whatever way it is spelled, and nowhere else."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from panzoto.crypto import recovery_key as recovery
from tests.support import overheard
from tests.support.recording_proxy import Sent
from tests.support.service import PASSWORD, Service

TITLE = 'The "orchard" behind Müllers mill'
SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "hex": lambda secret: secret.hex().encode(),
    "HEX": lambda secret: secret.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "within other base64": lambda secret: base64.b64encode(b"1" + secret + b"22"),
    "deeper within other base64": lambda secret: base64.urlsafe_b64encode(b"12" + secret + b"3"),
    "an address": lambda secret: quote(secret).encode(),
}


def sent(method: str = "PUT", path: str = "/api/x", body: bytes = b"", **headers: str) -> Sent:
    return Sent(method, f"http://127.0.0.1:5000{path}", tuple(headers.items()), body)


@pytest.fixture(params=SPELLINGS)
def spelled(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return SPELLINGS[request.param]


def test_keys_are_found(service: Service, spelled: Callable[[bytes], bytes]) -> None:
    overheard.listen()
    made = service.register(f"overheard-{uuid.uuid4()}@example.com")
    keys = overheard._keys(json.dumps(made, sort_keys=True), PASSWORD)
    assert len(keys) >= 5
    requests = [sent(body=b"before" + spelled(key) + b"after") for key in keys.values()]
    assert {told.split(" in ")[0] for told in overheard.judge(requests)} == set(keys)


def test_texts_are_found_in_bodies_headers_and_addresses(spelled: Callable[[bytes], bytes]) -> None:
    told = spelled(TITLE.encode())
    bodies = [sent(body=b"{" + told + b"}"), sent(body=json.dumps({"title": TITLE}).encode())]
    heads = [] if told == TITLE.encode() else [sent(path=f"/?{told.decode()}"), sent(note=told.decode())]
    for one in bodies + heads:
        overheard.listen()
        overheard.texts([TITLE])
        assert overheard.judge([one, sent()]) == [f"a text in PUT {one.path}"]


def test_what_is_typed_and_what_is_spoken_is_looked_for() -> None:
    overheard.listen()
    overheard.typed("chestnuts", "search")
    document: dict[str, Any] = {"segments": [{"text": "ripening early"}]}
    overheard.transcript(b"\0" + json.dumps(document).encode())
    requests = [sent(path="/api/search?q=chestnuts"), sent(path="/api/y", body=b"ripening early")]
    assert sorted(overheard.judge(requests)) == ["a text in PUT /api/search", "a text in PUT /api/y"]


def test_a_password_goes_to_the_calls_that_ask_for_it_in_their_bodies_alone() -> None:
    body = json.dumps({"password": PASSWORD}).encode()
    for one, found in (
        (sent("POST", "/api/login", body), []),
        (sent("DELETE", "/api/user", body), []),
        (sent("POST", "/api/uploads", body), ["a password in POST /api/uploads"]),
        (sent("POST", f"/api/login?{quote(PASSWORD)}", body), ["a password in POST /api/login"]),
    ):
        overheard.listen()
        overheard.typed(PASSWORD, "password")
        assert overheard.judge([one]) == found


def test_a_recovery_key_goes_to_the_calls_that_ask_for_it() -> None:
    key = recovery.write(bytes(range(32)))
    for one, found in (
        (sent("POST", "/api/recover", key.encode()), []),
        (sent("POST", "/api/verify-email", key.encode()), ["a recovery key in POST /api/verify-email"]),
    ):
        overheard.listen()
        overheard.typed(key, "text")
        assert overheard.judge([one]) == found


@pytest.mark.parametrize("code", ["aB3" * 29, "-".join(["aB3d"] * 17), "aB3d" * 14 + "-" + "aB3d" * 7])
def test_a_code_of_a_letter_is_no_recovery_key_whatever_its_characters(code: str) -> None:
    overheard.listen()
    overheard.typed(code, "text")
    assert overheard.judge([sent("POST", "/api/verify-email", code.encode())]) == []


def test_nothing_is_remembered_from_one_test_to_the_next() -> None:
    overheard.listen()
    overheard.texts([TITLE])
    assert overheard.judge([]) == []
    assert overheard.judge([sent(body=TITLE.encode())]) == []
