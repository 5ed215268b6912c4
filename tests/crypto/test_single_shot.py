"""Single-shot recordings of accounts with a long history of passwords."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto import single_shot
from panzoto.crypto.keys import DirectKeys
from tests.support.vectors import Bytes

PASSWORDS = 40


class Counted(Bytes):
    """Bytes that count how many of them were given out."""

    given = 0

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        for data in super().pieces(start, stop, piece):
            self.given += len(data)
            yield data


def generations() -> list[DirectKeys]:
    return [DirectKeys(os.urandom(32), os.urandom(32)) for _ in range(PASSWORDS)]


def test_the_oldest_password_costs_one_reading() -> None:
    keys = generations()
    iv, plain = os.urandom(16), os.urandom(1_000_000)
    source = Counted(iv + AESGCM(keys[-1].hex_salt).encrypt(iv, plain, None))
    accepted = single_shot.authenticate(source, single_shot.candidates(keys))
    assert accepted is not None
    assert (accepted.key, accepted.name) == (keys[-1].hex_salt, "single-iv16-hex-salt")
    assert source.given == source.size


def test_noise_costs_one_reading() -> None:
    source = Counted(os.urandom(1_000_000))
    assert single_shot.authenticate(source, single_shot.candidates(generations())) is None
    assert source.given == source.size
