"""The vault: one random key per user, wrapped under what only the user knows.

password ──Argon2id──> KEK ──AES-GCM──> vault key.  Changing the password wraps
the same vault key again, so no recording is ever re-encrypted.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.config import Argon2Parameters
from panzoto.crypto.derivation import argon2id, hkdf
from panzoto.crypto.keys import KEY_BYTES, DirectKeys
from panzoto.crypto.permits import HashPermits
from panzoto.crypto.transcripts import VouchedKey
from panzoto.errors import DamagedRecord, InvalidPassword

VERSION = 1
NONCE_BYTES = 12
SALT_BYTES = 32
KEY_ID_BYTES = 16
VAULT_AD = b"panzoto/v2/vault"
DIRECT_AD = b"panzoto/v2/direct"
KEY_ID_INFO = b"panzoto/v2/key-id"
DIRECT_INFO = b"panzoto/v2/direct"


@dataclass(frozen=True, slots=True)
class Vault:
    """A vault key as it is stored: wrapped under the KEK of one password.

    `transcripts` is the public key that goes with it, which rows hold beside it.
    """

    key_id: bytes
    parameters: Argon2Parameters
    salt: bytes
    wrapped_key: bytes
    transcripts: VouchedKey | None = field(default=None, compare=False)

    def to_public(self) -> dict[str, Any]:
        """Return the JSON object that clients get."""
        known = self.transcripts
        public_key = None if known is None else base64.b64encode(known.public_key).decode("ascii")
        return {**self.to_stored(), "transcripts_public_key": public_key}

    def to_stored(self) -> dict[str, Any]:
        """Return the JSON object that rows hold."""
        return {
            "version": VERSION,
            "key_id": self.key_id.hex(),
            "kdf": {
                "algorithm": "argon2id",
                "version": 19,
                "time_cost": self.parameters.time_cost,
                "memory_cost_kib": self.parameters.memory_cost_kib,
                "parallelism": self.parameters.parallelism,
                "salt": self.salt.hex(),
            },
            "wrapped_key": base64.b64encode(self.wrapped_key).decode("ascii"),
        }

    @classmethod
    def from_stored(cls, stored: Any, transcripts: VouchedKey | None = None) -> Vault:
        """Read the stored form. Raises `DamagedRecord` for parameters beyond reason."""
        try:
            kdf = stored["kdf"]
            parameters = Argon2Parameters(
                int(kdf["time_cost"]), int(kdf["memory_cost_kib"]), int(kdf["parallelism"])
            )
            vault = cls(
                key_id=bytes.fromhex(stored["key_id"]),
                parameters=parameters,
                salt=bytes.fromhex(kdf["salt"]),
                wrapped_key=base64.b64decode(stored["wrapped_key"], validate=True),
                transcripts=transcripts,
            )
            known = stored["version"] == VERSION and kdf["algorithm"] == "argon2id" and kdf["version"] == 19
        except (KeyError, TypeError, ValueError, ArithmeticError, binascii.Error) as error:
            raise DamagedRecord() from error
        sizes = (len(vault.key_id), len(vault.salt), len(vault.wrapped_key))
        if not known or sizes != (KEY_ID_BYTES, SALT_BYTES, NONCE_BYTES + KEY_BYTES + 16):
            raise DamagedRecord()
        if not parameters.reasonable():
            raise DamagedRecord()
        return vault


def key_id_of(vault_key: bytes) -> bytes:
    """Return the 16 bytes by which recordings name their vault key."""
    return hkdf(vault_key, KEY_ID_INFO)[:KEY_ID_BYTES]


def wrap(
    vault_key: bytes, user_id: str, password: str, parameters: Argon2Parameters, permits: HashPermits
) -> Vault:
    """Wrap `vault_key` under a fresh salt and the KEK of `password`; costs one Argon2 computation."""
    salt = os.urandom(SALT_BYTES)
    with permits.one():
        kek = argon2id(password.encode("utf-8"), salt, parameters)
    wrapped = _encrypt(kek, vault_key, VAULT_AD + user_id.encode("ascii"))
    return Vault(key_id_of(vault_key), parameters, salt, wrapped)


def unwrap(vault: Vault, user_id: str, password: str, permits: HashPermits) -> bytes:
    """Return the vault key; that it unwraps proves the password.

    Costs one Argon2 computation. Raises `InvalidPassword`.
    """
    with permits.one():
        kek = argon2id(password.encode("utf-8"), vault.salt, vault.parameters)
    try:
        vault_key = _decrypt(kek, vault.wrapped_key, VAULT_AD + user_id.encode("ascii"))
    except InvalidTag as error:
        raise InvalidPassword() from error
    if key_id_of(vault_key) != vault.key_id:
        raise DamagedRecord()
    return vault_key


def wrap_direct_keys(vault_key: bytes, user_id: str, keys: DirectKeys) -> bytes:
    """Keep the direct keys of a password that is about to be replaced."""
    return _encrypt(hkdf(vault_key, DIRECT_INFO), keys.to_bytes(), DIRECT_AD + user_id.encode("ascii"))


def unwrap_direct_keys(vault_key: bytes, user_id: str, wrapped: bytes) -> DirectKeys:
    """Raises `DamagedRecord` when the stored bytes are not what was wrapped."""
    try:
        return DirectKeys.from_bytes(
            _decrypt(hkdf(vault_key, DIRECT_INFO), wrapped, DIRECT_AD + user_id.encode("ascii"))
        )
    except (InvalidTag, ValueError) as error:
        raise DamagedRecord() from error


def new_vault_key() -> bytes:
    """Return 32 random bytes."""
    return os.urandom(KEY_BYTES)


def _encrypt(key: bytes, plain: bytes, associated: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plain, associated)


def _decrypt(key: bytes, wrapped: bytes, associated: bytes) -> bytes:
    return AESGCM(key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], associated)
