"""Passwords in three verbs: hash, verify or raise, needs rehash. Argon2id (RFC 9106)."""

from __future__ import annotations

import base64
import binascii
import os
import re
from functools import cache
from pathlib import Path
from typing import NoReturn

from argon2 import PasswordHasher, Type, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError
from argon2.low_level import hash_secret_raw

from panzoto.config import Argon2Parameters
from panzoto.crypto.permits import HashPermits
from panzoto.errors import AccountNeedsRecovery, DamagedRecord, InvalidPassword

MIN_CHARACTERS = 8
MAX_CHARACTERS = 256
SALT_BYTES = 16
HASH_BYTES = 32
# An encoded hash as the reference implementation reads it (its encoding.c): numbers without leading
# zeros, base64 without padding; `v` may be absent, which means 16.
ENCODED = re.compile(
    r"\$argon2(?:id|i|d)(?:\$v=(?P<v>[0-9]+))?"
    r"\$m=(?P<m>[0-9]{1,10}),t=(?P<t>[0-9]{1,10}),p=(?P<p>[0-9]{1,10})"
    r"\$(?P<salt>[A-Za-z0-9+/]*)\$(?P<digest>[A-Za-z0-9+/]*)"
)
VERSIONS = (None, "16", "19")
LEAST_SALT_BYTES = 8
LEAST_DIGEST_BYTES = 4
# RFC 9106, 3.1: lanes, passes, and KiB of memory, of which each lane needs eight.
MOST_LANES = 2**24 - 1
MOST_OF_OTHERS = 2**32 - 1
MEMORY_PER_LANE = 8


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
        """Raises `InvalidPassword`, or for a hash that no password opens `AccountNeedsRecovery`.

        `DamagedRecord` for one that must not be computed, or is of another kind.
        """
        _refuse_unbearable(encoded)
        with self._permits.one():
            try:
                self._hasher.verify(encoded, password.encode("utf-8"))
            except VerifyMismatchError as error:
                if digest_seems_cut(encoded):
                    raise AccountNeedsRecovery() from error
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


def is_argon2(encoded: str) -> bool:
    """Whether `encoded` was meant as an Argon2 hash, whole or not."""
    return encoded.startswith("$argon2")


def flaw_of(encoded: str) -> str | None:  # noqa: PLR0911 - one return for each rule
    """Return why no password can be verified by the Argon2 hash `encoded`, or None for one that can."""
    found = ENCODED.fullmatch(encoded)
    if found is None:
        return "it is cut or has characters that no Argon2 hash has"
    if found["v"] not in VERSIONS:
        return "its version is neither 16 nor 19"
    if any(found[name] != str(int(found[name])) for name in "mtp"):
        return "its costs are written with leading zeros"
    memory, passes, lanes = (int(found[name]) for name in "mtp")
    if not 1 <= passes <= MOST_OF_OTHERS:
        return "its number of passes (t) is none that Argon2 computes"
    if not 1 <= lanes <= MOST_LANES:
        return "its number of lanes (p) is none that Argon2 computes"
    if not MEMORY_PER_LANE * lanes <= memory <= MOST_OF_OTHERS:
        return f"its memory (m) is none that Argon2 computes: it must be {MEMORY_PER_LANE} times p at least"
    salt, digest = _unpadded(found["salt"]), _unpadded(found["digest"])
    if salt is None or len(salt) < LEAST_SALT_BYTES:
        return "its salt is cut or is not base64"
    if digest is None or len(digest) < LEAST_DIGEST_BYTES:
        return "its digest is cut or is not base64"
    return None


def digest_seems_cut(encoded: str) -> bool:
    """Whether the digest has a length that nobody chooses, so that no password gives it."""
    found = ENCODED.fullmatch(encoded)
    digest = None if found is None else _unpadded(found["digest"])
    return digest is None or len(digest) < SALT_BYTES or len(digest) % 8 != 0


def opens_to_nobody(encoded: str) -> bool:
    """Whether an Argon2 hash is broken, or cut, in such a way that no password can be right."""
    return is_argon2(encoded) and (flaw_of(encoded) is not None or digest_seems_cut(encoded))


def _unpadded(text: str) -> bytes | None:
    """Return what base64 without padding stands for, None where bits are left over or missing."""
    try:
        value = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        return None
    return value if base64.b64encode(value).rstrip(b"=").decode("ascii") == text else None


def _refuse_unbearable(encoded: str) -> None:
    if is_argon2(encoded) and flaw_of(encoded) is not None:
        raise AccountNeedsRecovery()
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
