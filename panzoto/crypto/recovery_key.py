"""The recovery key as a person writes it: 13 groups of Crockford's base 32 and a checksum group.

The 32 bytes, most significant bit first, with zero bits added up to 260, make
52 characters; the 14th group is the first 20 bits of their SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto.derivation import hkdf
from panzoto.crypto.keys import KEY_BYTES

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
GROUP = 4
KEY_CHARACTERS = 52
CHECKSUM_CHARACTERS = 4
PADDING_BITS = KEY_CHARACTERS * 5 - KEY_BYTES * 8
INFO = b"panzoto/v2/recovery"
AD = b"panzoto/v2/recovery"


class Misspelt(Exception):
    """The characters are not a recovery key, or the checksum catches a slip."""


class WrongRecoveryKey(Exception):
    """The recovery key is well written but is not this account's."""


def generate() -> bytes:
    """Return 32 random bytes."""
    return os.urandom(KEY_BYTES)


def write(key: bytes) -> str:
    """Return `key` in 14 groups of four characters joined by hyphens."""
    text = _digits(int.from_bytes(key, "big") << PADDING_BITS, KEY_CHARACTERS) + _checksum(key)
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def parse(text: str) -> bytes:
    """Return the 32 bytes of `text`; case, spaces, hyphens, O, I and L are forgiven. Raises `Misspelt`."""
    characters = text.upper().translate(FORGIVEN)
    if len(characters) != KEY_CHARACTERS + CHECKSUM_CHARACTERS or any(c not in ALPHABET for c in characters):
        raise Misspelt()
    number = 0
    for character in characters[:KEY_CHARACTERS]:
        number = number * 32 + ALPHABET.index(character)
    key, padding = divmod(number, 1 << PADDING_BITS)
    written = key.to_bytes(KEY_BYTES, "big")
    if padding or not hmac.compare_digest(_checksum(written), characters[KEY_CHARACTERS:]):
        raise Misspelt()
    return written


def wrap_vault_key(recovery_key: bytes, user_id: str, vault_key: bytes) -> bytes:
    """Return nonce ‖ AES-GCM(HKDF(recovery key), vault key)."""
    nonce = os.urandom(12)
    return nonce + AESGCM(hkdf(recovery_key, INFO)).encrypt(nonce, vault_key, AD + user_id.encode("ascii"))


def unwrap_vault_key(recovery_key: bytes, user_id: str, wrapped: bytes) -> bytes:
    """Raises `WrongRecoveryKey`."""
    try:
        return AESGCM(hkdf(recovery_key, INFO)).decrypt(
            wrapped[:12], wrapped[12:], AD + user_id.encode("ascii")
        )
    except (InvalidTag, ValueError) as error:
        raise WrongRecoveryKey() from error


def _checksum(key: bytes) -> str:
    return _digits(int.from_bytes(hashlib.sha256(key).digest()[:3], "big") >> 4, CHECKSUM_CHARACTERS)


def _digits(number: int, count: int) -> str:
    return "".join(ALPHABET[number >> (5 * place) & 31] for place in reversed(range(count)))
