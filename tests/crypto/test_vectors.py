"""Every vector opens to the byte or fails for the reason its name says."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from panzoto.crypto import header, single_shot, vault
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.segments import PREAMBLE, SegmentedRecording, encrypted_size
from panzoto.crypto.single_shot import SingleShotRecording
from panzoto.crypto.source import Recording
from panzoto.errors import DecryptionFailed, PanzotoError, UnsupportedFormat
from tests.support.vectors import (
    ACCOUNT,
    FAILING,
    KEY_SALT,
    OPENING,
    PASSWORD,
    USER_ID,
    VAULT_KEY,
    Bytes,
    content,
    name_of,
)

UNSUPPORTED = {"v2-flipped-flags", "v2-flipped-reserved"}


def open_case(case: dict[str, Any]) -> tuple[Recording, str]:
    data = content(case)
    if case["format"] == "v2":
        file_key = header.open_file_key(data[: header.HEADER_BYTES], VAULT_KEY)
        return SegmentedRecording(file_key, data[:PREAMBLE], case["s3_key"], Bytes(data)), "v2"
    candidates = single_shot.candidates([direct_keys(PASSWORD, KEY_SALT)])
    accepted = single_shot.authenticate(Bytes(data), candidates)
    if accepted is None:
        raise DecryptionFailed()
    return SingleShotRecording(accepted.key, data[: accepted.iv_length], Bytes(data)), accepted.name


def play(case: dict[str, Any]) -> bytes:
    recording, _ = open_case(case)
    return b"".join(recording.plain(0, recording.length))


@pytest.mark.parametrize("case", OPENING, ids=name_of)
def test_opens_to_the_byte(case: dict[str, Any]) -> None:
    recording, _ = open_case(case)
    plain = b"".join(recording.plain(0, recording.length))
    assert len(plain) == recording.length == case["plain_length"]
    assert hashlib.sha256(plain).hexdigest() == case["plain_sha256"]


@pytest.mark.parametrize("case", FAILING, ids=name_of)
def test_fails_for_the_reason_its_name_says(case: dict[str, Any]) -> None:
    with pytest.raises(PanzotoError) as caught:
        play(case)
    expected = UnsupportedFormat if case["name"] in UNSUPPORTED else DecryptionFailed
    assert type(caught.value) is expected


def test_the_variant_is_told_by_the_tag() -> None:
    named = {case["name"]: open_case(case)[1] for case in OPENING if case["format"] == "single"}
    assert named.pop("single-iv16-counter-wraps") == "single-iv16-raw-salt"
    assert all(name == found for name, found in named.items())
    assert len(named) == 4


@pytest.mark.parametrize("case", OPENING, ids=name_of)
def test_ranges_are_slices_of_the_whole(case: dict[str, Any]) -> None:
    """Together with the other cases this makes more than 10 000 random ranges over both formats."""
    recording, _ = open_case(case)
    plain = b"".join(recording.plain(0, recording.length))
    chance = random.Random(name_of(case))
    for _ in range(1000):
        start = chance.randint(0, recording.length)
        stop = chance.choice((recording.length, chance.randint(start, recording.length), start + 1))
        stop = min(stop, recording.length)
        assert b"".join(recording.plain(start, stop)) == plain[start:stop]


def test_the_vault_opens_with_the_password_and_no_other() -> None:
    permits = HashPermits(1, 1)
    stored = vault.Vault.from_stored(ACCOUNT["vault"])
    assert vault.unwrap(stored, USER_ID, PASSWORD, permits) == VAULT_KEY
    assert stored.to_stored() == ACCOUNT["vault"]
    for user_id, password in ((USER_ID, PASSWORD + " "), (USER_ID.replace("3", "4"), PASSWORD)):
        with pytest.raises(PanzotoError):
            vault.unwrap(stored, user_id, password, permits)


def test_sizes_are_foretold() -> None:
    for case in OPENING:
        if case["format"] == "v2":
            assert encrypted_size(case["plain_length"]) == len(content(case))
