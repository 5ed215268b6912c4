"""Passwords in three verbs: hash, verify or raise, needs rehash. Argon2id (RFC 9106)."""

from __future__ import annotations

import base64
import os
from functools import cache
from pathlib import Path
from typing import NoReturn

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import hash_secret_raw

from panzoto.config import Argon2Parameters
from panzoto.crypto.permits import HashPermits
from panzoto.errors import DamagedRecord, InvalidPassword

MIN_CHARACTERS = 8
MAX_CHARACTERS = 256
SALT_BYTES = 16
HASH_BYTES = 32


class Passwords:
    """Hashes with the settings' parameters, each computation under a permit.

    `hash` and `verify` cost one computation each and raise `Busy` when no
    permit comes free in time.
    """

    def __init__(self, parameters: Argon2Parameters, permits: HashPermits) -> None:
        self._hasher = PasswordHasher(
            time_cost=parameters.time_cost,
            memory_cost=parameters.memory_cost_kib,
            parallelism=parameters.parallelism,
            hash_len=HASH_BYTES,
            salt_len=SALT_BYTES,
        )
        self._nobody = _hash_of_nobody(parameters)
        self._permits = permits

    def hash(self, password: str) -> str:
        """Return the encoded Argon2id hash of the exact UTF-8 bytes of `password`."""
        with self._permits.one():
            return self._hasher.hash(password.encode("utf-8"))

    def verify(self, password: str, encoded: str) -> None:
        """Raises `InvalidPassword`, or `DamagedRecord` for a hash that cannot or must not be computed."""
        _refuse_unbearable(encoded)
        with self._permits.one():
            try:
                self._hasher.verify(encoded, password.encode("utf-8"))
            except VerifyMismatchError as error:
                raise InvalidPassword() from error
            except (InvalidHashError, VerificationError) as error:
                raise DamagedRecord() from error

    def verify_nobody(self, password: str) -> NoReturn:
        """Do the work of `verify` for an account that does not exist, and raise `InvalidPassword`."""
        self.verify(password, self._nobody)
        raise InvalidPassword()

    def make_up_for(self, encoded: str) -> None:
        """Do the work by which verifying `encoded` was cheaper than verifying with today's parameters.

        So a refusal takes as long for an account whose hash is of older parameters
        as for one that does not exist. One computation, or none where the hash was
        no cheaper; Argon2's work is passes times memory (RFC 9106, 3.2).
        """
        stored = extract_parameters(encoded)
        missing = self._hasher.time_cost * self._hasher.memory_cost - stored.time_cost * stored.memory_cost
        memory = missing // self._hasher.time_cost
        if memory < 8 * self._hasher.parallelism:
            return
        with self._permits.one():
            hash_secret_raw(
                secret=b"nobody's",
                salt=bytes(SALT_BYTES),
                time_cost=self._hasher.time_cost,
                memory_cost=memory,
                parallelism=self._hasher.parallelism,
                hash_len=HASH_BYTES,
                type=Type.ID,
            )

    def needs_rehash(self, encoded: str) -> bool:
        """Whether `encoded` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)


def _refuse_unbearable(encoded: str) -> None:
    try:
        stored = extract_parameters(encoded)
    except (InvalidHashError, ValueError) as error:
        raise DamagedRecord() from error
    if not Argon2Parameters(stored.time_cost, stored.memory_cost, stored.parallelism).within_ceiling():
        raise DamagedRecord()


def _hash_of_nobody(parameters: Argon2Parameters) -> str:
    """Return an encoded hash that no password has, with random salt and tag and today's parameters."""
    salt, tag = (
        base64.b64encode(os.urandom(size)).rstrip(b"=").decode("ascii") for size in (SALT_BYTES, HASH_BYTES)
    )
    costs = f"m={parameters.memory_cost_kib},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${tag}"


@cache
def _common() -> frozenset[str]:
    listing = Path(__file__).with_name("common_passwords.txt").read_text("utf-8")
    return frozenset(listing.split("\n"))


def is_common(password: str) -> bool:
    """Whether `password`, in any letter case, is among the 3 000 most common of at least 8 characters."""
    return password.lower() in _common()
