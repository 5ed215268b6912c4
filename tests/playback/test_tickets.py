"""What a playback address holds: readable across releases, and shown to nobody by accident."""

from __future__ import annotations

from typing import Any

import pytest

from panzoto.auth.caller import Identity
from panzoto.playback.tickets import Clip, TicketContent
from panzoto.storage import ObjectVersion

# As release 1.0.0 sealed it.
EARLIER: dict[str, Any] = {
    "user": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "session": "4f1b2c9e-52d4-4c0f-9d4b-0d5c9f4a7b11",
    "issued": 1795000000,
    "object": "users/0f8fad5b-d9cb-469f-a165-70867728950e/audio-1.3gp",
    "etag": '"9bb58f26192e4ba00f01e2e7b136bbd8"',
    "size": 4096,
    "format": "single-iv12-raw-salt",
    "type": "audio/3gpp",
    "key": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "preamble": "AAECAwQFBgcICQoL",
}
CONTENT = TicketContent(
    Identity(EARLIER["user"], EARLIER["issued"], EARLIER["session"]),
    Clip(
        ObjectVersion(EARLIER["object"], EARLIER["etag"], EARLIER["size"]),
        "single-iv12-raw-salt",
        bytes(range(32)),
        bytes(range(12)),
    ),
    "audio/3gpp",
)


def test_a_ticket_of_an_earlier_release_is_read() -> None:
    assert TicketContent.from_json(EARLIER) == CONTENT
    assert CONTENT.to_json() == EARLIER


@pytest.mark.parametrize("missing", ["type"])
def test_what_a_sitting_does_not_tell_is_empty(missing: str) -> None:
    values = {name: value for name, value in EARLIER.items() if name != missing}
    assert TicketContent.from_json(values).content_type == ""


def test_a_key_is_not_printed() -> None:
    assert repr(bytes(range(32))) not in repr(CONTENT)
    assert "preamble=" not in repr(CONTENT)
