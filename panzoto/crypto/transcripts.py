"""Transcripts are sealed to their account: anybody may seal to the public key, the vault alone opens.

    vault key ──HKDF "panzoto/v2/transcripts"──> X25519 private key ──> public key

A sealed transcript is HPKE (RFC 9180) in base mode, single shot, with DHKEM(X25519, HKDF-SHA256),
HKDF-SHA256 and AES-256-GCM: the encapsulated key (32 bytes) and the ciphertext, with no associated data. What
is sealed for one recording of one account opens as nothing else, since both are in `info`.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from panzoto.crypto.derivation import hkdf
from panzoto.crypto.keys import KEY_BYTES
from panzoto.errors import DecryptionFailed

KEY_INFO = b"panzoto/v2/transcripts"
SEAL_INFO = b"panzoto/v2/transcript"
# The encapsulated key, one byte and a tag.
SHORTEST_BYTES = KEY_BYTES + 1 + 16

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

MARK_INFO = b"panzoto/v1/transcripts-key"


@dataclass(frozen=True, slots=True)
class VouchedKey:
    """A public key as an account's row holds it; `mark` says that this service took it from the vault."""

    public_key: bytes
    mark: bytes


class Voucher:
    """Tells a public key that was taken from the vault from one that somebody else has put into the row.

    A login proves the password without opening the vault, so it asks the mark: an HMAC (RFC 2104) under a key
    of `SECRET_KEY`, over account, vault and public key.
    """

    def __init__(self, secret: str, fallbacks: tuple[str, ...]) -> None:
        secrets = (secret, *fallbacks)
        self._keys = [hkdf(one.encode("utf-8", "surrogateescape"), MARK_INFO) for one in secrets]

    def vouch(self, user_id: str, key_id: bytes, vault_key: bytes) -> VouchedKey:
        """Return the public key of the vault that has this id."""
        public_key = public_key_of(private_key_of(vault_key))
        return VouchedKey(public_key, _mark(self._keys[0], user_id, key_id, public_key))

    def renewed(self, user_id: str, key_id: bytes, known: VouchedKey) -> VouchedKey | None:
        """Return a key that one of the secrets knows with today's mark; None where it has that already.

        Who stays signed in may not show a password before the secret of the mark is forgotten.
        """
        mark = _mark(self._keys[0], user_id, key_id, known.public_key)
        return None if hmac.compare_digest(mark, known.mark) else VouchedKey(known.public_key, mark)

    def knows(self, user_id: str, key_id: bytes, known: VouchedKey | None) -> bool:
        """Whether the public key is that of the vault with this id, as one of the secrets says."""
        return known is not None and any(
            hmac.compare_digest(_mark(key, user_id, key_id, known.public_key), known.mark)
            for key in self._keys
        )


def _mark(key: bytes, user_id: str, key_id: bytes, public_key: bytes) -> bytes:
    return hmac.digest(key, b"\x00".join((user_id.encode("utf-8"), key_id + public_key)), hashlib.sha256)


def private_key_of(vault_key: bytes) -> bytes:
    """Return the 32 bytes that open the transcripts of an account, as X25519 takes them (RFC 7748, 5)."""
    return hkdf(vault_key, KEY_INFO)


def public_key_of(private_key: bytes) -> bytes:
    """Return the 32 bytes to which transcripts are sealed (RFC 7748, 6.1)."""
    public = X25519PrivateKey.from_private_bytes(private_key).public_key()
    return public.public_bytes(Encoding.Raw, PublicFormat.Raw)


def is_pair(private_key: bytes, public_key: bytes) -> bool:
    """Whether the private key is that of the public one."""
    return hmac.compare_digest(public_key_of(private_key), public_key)


def seal(plain: bytes, public_key: bytes, user_id: str, file_id: str) -> bytes:
    """Return `plain` sealed to an account, for one of its recordings."""
    return _SUITE.encrypt(plain, X25519PublicKey.from_public_bytes(public_key), _info(user_id, file_id))


def open_sealed(sealed: bytes, private_key: bytes, user_id: str, file_id: str) -> bytes:
    """Return what was sealed. Raises `DecryptionFailed`."""
    try:
        return _SUITE.decrypt(
            sealed, X25519PrivateKey.from_private_bytes(private_key), _info(user_id, file_id)
        )
    except (InvalidTag, ValueError) as error:
        raise DecryptionFailed() from error


def _info(user_id: str, file_id: str) -> bytes:
    return b"\x00".join((SEAL_INFO, user_id.encode("utf-8"), file_id.encode("utf-8")))
