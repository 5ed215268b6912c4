"""Sealed transcripts: the vectors open or fail as they say, and what is sealed here opens by other means."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from panzoto.crypto import transcripts
from panzoto.errors import DecryptionFailed

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "transcripts.json").read_text("utf-8"))
PRIVATE_KEY = bytes.fromhex(VECTORS["transcripts_private_key"])
PUBLIC_KEY = base64.b64decode(VECTORS["transcripts_public_key"])
# What these seal is no document, which HPKE cannot know.
NO_DOCUMENTS = {"unknown-encoding", "not-json", "bad-deflate", "deflates-to-64-mib"}


def open_vector(case: dict[str, Any]) -> bytes:
    sealed = base64.b64decode(case["sealed"])
    return transcripts.open_sealed(sealed, PRIVATE_KEY, case["user_id"], case["file_id"])


def test_the_keys_come_from_the_vault() -> None:
    private_key = transcripts.private_key_of(bytes.fromhex(VECTORS["vault_key"]))
    assert private_key == PRIVATE_KEY
    assert transcripts.public_key_of(private_key) == PUBLIC_KEY
    assert transcripts.is_pair(PRIVATE_KEY, PUBLIC_KEY)
    assert not transcripts.is_pair(bytes(31) + b"\x01", PUBLIC_KEY)


@pytest.mark.parametrize("case", VECTORS["transcripts"], ids=lambda case: case["name"])
def test_vectors(case: dict[str, Any]) -> None:
    if case["expect"] == "opens" or case["name"] in NO_DOCUMENTS:
        assert len(open_vector(case)) > 0
    else:
        with pytest.raises(DecryptionFailed):
            open_vector(case)


def test_what_is_sealed_opens_for_its_recording_alone() -> None:
    sealed = transcripts.seal(b"spoken", PUBLIC_KEY, "an-account", "a-recording")
    assert transcripts.open_sealed(sealed, PRIVATE_KEY, "an-account", "a-recording") == b"spoken"
    for user_id, file_id in (
        ("an-account", "another"),
        ("another", "a-recording"),
        ("an-accounta", "-recording"),
    ):
        with pytest.raises(DecryptionFailed):
            transcripts.open_sealed(sealed, PRIVATE_KEY, user_id, file_id)


def test_a_public_key_from_elsewhere_is_told_from_the_vaults_own() -> None:
    vault_key, key_id = bytes.fromhex(VECTORS["vault_key"]), bytes(16)
    before = transcripts.Voucher("an earlier secret of thirty-two bytes", ())
    now = transcripts.Voucher(
        "another secret of thirty-two bytes.", ("an earlier secret of thirty-two bytes",)
    )
    vouched = before.vouch("an-account", key_id, vault_key)
    assert vouched.public_key == PUBLIC_KEY
    assert now.knows("an-account", key_id, vouched)
    other = transcripts.VouchedKey(transcripts.public_key_of(bytes(31) + b"\x02"), vouched.mark)
    for user_id, of_vault, known in (
        ("another", key_id, vouched),
        ("an-account", bytes([1]) * 16, vouched),
        ("an-account", key_id, other),
        ("an-account", key_id, None),
    ):
        assert not now.knows(user_id, of_vault, known)
