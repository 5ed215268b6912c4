"""Key derivation: HKDF (RFC 5869), PBKDF2 (RFC 8018) and Argon2id (RFC 9106)."""

from __future__ import annotations

from argon2.low_level import ARGON2_VERSION, Type, hash_secret_raw
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from panzoto.config import Argon2Parameters
from panzoto.crypto.keys import KEY_BYTES, DirectKeys

DIRECT_KEY_ITERATIONS = 100_000


def hkdf(key: bytes, info: bytes, salt: bytes = b"", length: int = KEY_BYTES) -> bytes:
    """Return `length` bytes of HKDF-SHA256 of `key` (RFC 5869)."""
    return HKDF(SHA256(), length, salt or None, info).derive(key)


def argon2id(password: bytes, salt: bytes, parameters: Argon2Parameters) -> bytes:
    """Return the 32-byte Argon2id tag (RFC 9106, version 0x13)."""
    return hash_secret_raw(
        password,
        salt,
        time_cost=parameters.time_cost,
        memory_cost=parameters.memory_cost_kib,
        parallelism=parameters.parallelism,
        hash_len=KEY_BYTES,
        type=Type.ID,
        version=ARGON2_VERSION,
    )


def direct_keys(password: str, key_salt: bytes) -> DirectKeys:
    """Derive the keys of single-shot recordings from the exact bytes of `password`."""
    secret = password.encode("utf-8")
    return DirectKeys(
        _pbkdf2(secret, key_salt),
        _pbkdf2(secret, key_salt.hex().encode("ascii")),
    )


def _pbkdf2(secret: bytes, salt: bytes) -> bytes:
    # hashlib's, of the OpenSSL that Python was built with, may take nearly twice as long.
    return PBKDF2HMAC(SHA256(), KEY_BYTES, salt, DIRECT_KEY_ITERATIONS).derive(secret)
