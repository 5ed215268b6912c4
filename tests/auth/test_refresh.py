"""Refresh tokens: only what was written here is read, whatever else was tried."""

from __future__ import annotations

import base64
import random
import uuid

import pytest

from panzoto.auth.refresh import FIXED_BYTES, LONGEST_TOKEN, MAC_BYTES, RefreshClaim, RefreshTokens
from panzoto.errors import InvalidRefreshToken

SECRET, OLDER, OTHER = "s" * 40, "o" * 40, "x" * 40
CLAIM = RefreshClaim("2f1c7a52-6a0e-4f0e-9d53-0d6f5f0a1b2c", "6d5b3c1e-8f6f-4f2b-8e57-9a3d2b1c0f4e", 7)
IDS = ("u", "test-user", "9b2f1d6e-3c47-4a80-8f15-d0e6a7b4c392", "ü" * 20, "x" * 64)


def tokens(secret: str = SECRET, *fallbacks: str) -> RefreshTokens:
    return RefreshTokens(secret, fallbacks)


def raw(token: str) -> bytearray:
    return bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))


def spelt(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def refused(reader: RefreshTokens, token: str) -> bool:
    try:
        reader.read(token)
    except InvalidRefreshToken:
        return True
    return False


@pytest.mark.parametrize("user_id", IDS)
@pytest.mark.parametrize("generation", [1, 2, 255, 256, 65_536, 2**32 - 1])
def test_what_was_written_is_read(user_id: str, generation: int) -> None:
    claim = RefreshClaim(user_id, str(uuid.uuid4()), generation)
    token = tokens().write(claim)
    assert tokens().read(token) == claim
    assert len(token) <= LONGEST_TOKEN


def test_a_generation_has_one_token_so_a_repeat_gets_the_same() -> None:
    assert tokens().write(CLAIM) == tokens().write(CLAIM)


def test_every_session_user_and_generation_has_a_token_of_its_own() -> None:
    written = {
        tokens().write(RefreshClaim(user_id, session_id, generation))
        for user_id in ("u", "v", "uu")
        for session_id in (str(uuid.UUID(int=1)), str(uuid.UUID(int=2)), str(uuid.UUID(int=1 << 120)))
        for generation in (1, 2, 3)
    }
    assert len(written) == 27


def test_a_token_of_one_account_cannot_be_read_as_one_of_another() -> None:
    """The parts before the user's id have fixed lengths, so no part can lend bytes to its neighbour."""
    data = raw(tokens().write(CLAIM))
    assert data[FIXED_BYTES:-MAC_BYTES].decode() == CLAIM.user_id


def test_every_changed_bit_is_noticed() -> None:
    data = raw(tokens().write(CLAIM))
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        assert refused(tokens(), spelt(changed)), bit


def test_every_cut_is_noticed() -> None:
    token = tokens().write(CLAIM)
    assert all(refused(tokens(), token[:end]) for end in range(len(token)))
    assert all(refused(tokens(), token[start:]) for start in range(1, len(token)))


@pytest.mark.parametrize("more", ["A", "AAAA", ".", "\n", " ", "\x00", "é", "%3D", "===="], ids=ascii)
def test_every_addition_is_noticed(more: str) -> None:
    token = tokens().write(CLAIM)
    assert refused(tokens(), token + more)
    assert refused(tokens(), more + token)
    assert refused(tokens(), token[:30] + more + token[30:])


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "A",
        "AA",
        "A" * 42,
        "A" * 43,
        "A" * 44,
        "A" * LONGEST_TOKEN,
        "A" * 60_000,
        "\ud800" * 8,
        "é" * 43,
        "a.b.c",
    ],
    ids=lambda text: ascii(text[:12]) + str(len(text)),
)
def test_nonsense_is_refused(nonsense: str) -> None:
    assert refused(tokens(), nonsense)


def test_noise_of_every_length_is_refused() -> None:
    source = random.Random(7)
    assert all(refused(tokens(), spelt(source.randbytes(size))) for size in range(200))


def test_another_secret_writes_nothing_that_is_read() -> None:
    assert refused(tokens(), tokens(OTHER).write(CLAIM))
    assert refused(tokens(SECRET, OLDER), tokens(OTHER).write(CLAIM))


def test_a_secret_can_be_rotated() -> None:
    old, new = tokens(OLDER), tokens(SECRET, OLDER)
    assert new.read(old.write(CLAIM)) == CLAIM
    assert tokens(SECRET).read(new.write(CLAIM)) == CLAIM
    assert refused(old, new.write(CLAIM))
