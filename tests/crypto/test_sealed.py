"""Sealed values: nothing but the same purpose and secret opens one, and no changed bit or spelling passes."""

from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest

from panzoto.crypto.sealed import LONGEST, NONCE_BYTES, SECRET_ID_BYTES, NotSealedHere, Sealer, SealExpired

SECRET, OLDER, OTHER = "s" * 40, "o" * 40, "x" * 40
PURPOSES = ("ticket", "cursor", "mail", "upload")
VALUES: dict[str, Any] = {"user": "u", "n": 5, "text": "größer 🎤", "none": None, "list": [1, {"a": "b"}]}
NOW = 1_800_000_000
TAG_BYTES = 16
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def sealer(secret: str = SECRET, *fallbacks: str, purpose: str = "ticket") -> Sealer:
    return Sealer(secret, fallbacks, purpose)


def raw(value: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))


def spelt(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def test_what_was_sealed_comes_back() -> None:
    one = sealer()
    assert one.open(one.seal(VALUES, NOW + 1), NOW) == VALUES
    assert one.open(one.seal({}, NOW + 1), NOW) == {}


def test_the_same_value_never_looks_the_same() -> None:
    one = sealer()
    sealed = {one.seal(VALUES, NOW) for _ in range(200)}
    assert len(sealed) == 200
    nonces = {bytes(raw(value)[SECRET_ID_BYTES:][:NONCE_BYTES]) for value in sealed}
    assert len(nonces) == 200


def test_it_stands_in_a_url_and_tells_nothing() -> None:
    value = sealer().seal({"object": "users/canary/audio-1.3gp"}, NOW)
    assert set(value) <= set(ALPHABET)
    assert b"canary" not in raw(value)


def test_its_time_ends_it() -> None:
    one = sealer()
    value = one.seal(VALUES, NOW)
    assert one.open(value, NOW - 0.001) == VALUES
    for moment in (NOW, NOW + 0.5, NOW + 10**9):
        with pytest.raises(SealExpired):
            one.open(value, moment)


def test_the_time_cannot_be_given_by_the_values() -> None:
    one = sealer()
    with pytest.raises(SealExpired):
        one.open(one.seal({"exp": NOW + 1000}, NOW - 1), NOW)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_no_purpose_passes_as_another(purpose: str) -> None:
    value = sealer(purpose=purpose).seal(VALUES, NOW + 1)
    for other in PURPOSES:
        if other == purpose:
            assert sealer(purpose=other).open(value, NOW) == VALUES
            continue
        with pytest.raises(NotSealedHere):
            sealer(purpose=other).open(value, NOW)


def test_a_secret_can_be_rotated() -> None:
    old, new = sealer(OLDER), sealer(SECRET, OLDER)
    assert new.open(old.seal(VALUES, NOW + 1), NOW) == VALUES
    assert new.open(new.seal(VALUES, NOW + 1), NOW) == VALUES
    # New values are sealed with the newest secret, so the older one can be taken away in time.
    assert sealer(SECRET).open(new.seal(VALUES, NOW + 1), NOW) == VALUES
    with pytest.raises(NotSealedHere):
        old.open(new.seal(VALUES, NOW + 1), NOW)


def test_another_secret_opens_nothing() -> None:
    value = sealer().seal(VALUES, NOW + 1)
    with pytest.raises(NotSealedHere):
        sealer(OTHER).open(value, NOW)
    # Nor when the forger copies the name of the secret in front.
    forged = raw(sealer(OTHER).seal(VALUES, NOW + 1))
    forged[:SECRET_ID_BYTES] = raw(value)[:SECRET_ID_BYTES]
    with pytest.raises(NotSealedHere):
        sealer().open(spelt(forged), NOW)


def test_every_changed_bit_is_noticed() -> None:
    one = sealer()
    data = raw(one.seal(VALUES, NOW + 1))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(NotSealedHere):
            one.open(spelt(changed), NOW)


def test_every_cut_and_every_addition_is_noticed() -> None:
    one = sealer()
    value = one.seal(VALUES, NOW + 1)
    for end in range(len(value)):
        with pytest.raises(NotSealedHere):
            one.open(value[:end], NOW)
    for more in ("A", "AA", "AAAA", "=", "==", "\n", " ", "%00", "é"):
        for changed in (value + more, more + value, value[:40] + more + value[40:]):
            with pytest.raises(NotSealedHere):
                one.open(changed, NOW)


def test_a_value_has_one_spelling() -> None:
    one = sealer()
    # Three of four lengths leave bits of the last character unused.
    for length in range(4):
        value = one.seal({"a": "b" * length}, NOW + 1)
        accepted = []
        for last in ALPHABET:
            try:
                one.open(value[:-1] + last, NOW)
            except NotSealedHere:
                continue
            accepted.append(value[:-1] + last)
        assert accepted == [value]
    value = next(v for v in (one.seal(VALUES, NOW + 1) for _ in range(500)) if "-" in v or "_" in v)
    with pytest.raises(NotSealedHere):
        one.open(value.replace("-", "+").replace("_", "/"), NOW)


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "A",
        "AAAA",
        ".",
        "..",
        "a.b.c",
        "\x00",
        "🎤",
        "null",
        "{}",
        "A" * 22,
        "A" * 40,
        "A" * (LONGEST + 1),
    ],
    ids=ascii,
)
def test_nonsense_is_not_sealed_here(nonsense: str) -> None:
    with pytest.raises(NotSealedHere):
        sealer().open(nonsense, NOW)


def test_the_right_name_before_noise_is_not_sealed_here() -> None:
    one = sealer()
    name = bytes(raw(one.seal({}, NOW))[:SECRET_ID_BYTES])
    source = random.Random(5)
    for size in (0, 1, 7, 8, 11, 12, 13, 27, 28, 29, 200):
        with pytest.raises(NotSealedHere):
            one.open(spelt(name + source.randbytes(size)), NOW)


def test_a_value_of_the_greatest_length_that_fits_comes_back() -> None:
    one = sealer()
    around = len(json.dumps({"a": "", "exp": NOW + 1}, separators=(",", ":")))
    overhead = around + SECRET_ID_BYTES + NONCE_BYTES + TAG_BYTES
    fits = {"a": "b" * (LONGEST * 3 // 4 - overhead)}
    value = one.seal(fits, NOW + 1)
    assert len(value) == LONGEST
    assert one.open(value, NOW) == fits
