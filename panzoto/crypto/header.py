"""The 128-byte header of a version 2 recording: which vault key, and the file key wrapped under it.

| offset | bytes | field                                            |
|-------:|------:|--------------------------------------------------|
|      0 |     4 | magic `PNZ2`                                     |
|      4 |     1 | suite, 0x01                                      |
|      5 |     1 | flags, 0                                         |
|      6 |    16 | key_id of the vault key                          |
|     22 |    12 | nonce                                            |
|     34 |    48 | AES-GCM of the file key, AD = bytes 0-21         |
|     82 |    32 | commitment to the file key                       |
|    114 |    14 | zero                                             |
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto.derivation import hkdf
from panzoto.crypto.keys import FileKey
from panzoto.crypto.vault import key_id_of
from panzoto.errors import DecryptionFailed, UnsupportedFormat

# What rows and tickets call the format.
V2 = "v2"
HEADER_BYTES = 128
MAGIC = b"PNZ2"
SUITE_AND_FLAGS = b"\x01\x00"
WRAP_INFO = b"panzoto/v2/wrap"
COMMIT_INFO = b"panzoto/v2/commit"
RESERVED = bytes(14)


def looks_like(head: bytes) -> bool:
    """Whether an object that begins with `head` claims to be version 2."""
    return head[: len(MAGIC)] == MAGIC


def create(vault_key: bytes, file_key: bytes) -> bytes:
    """Return the 128 header bytes that wrap `file_key` under `vault_key`."""
    bound = MAGIC + SUITE_AND_FLAGS + key_id_of(vault_key)
    nonce = os.urandom(12)
    wrapped = AESGCM(hkdf(vault_key, WRAP_INFO)).encrypt(nonce, file_key, bound)
    opening = bound + nonce + wrapped
    return opening + _commitment(file_key, opening) + RESERVED


def open_file_key(head: bytes, vault_key: bytes) -> bytes:
    """Return the file key, having checked the header in the order that the format sets.

    Raises `UnsupportedFormat` for an unknown suite, flags or reserved bytes and
    `DecryptionFailed` for everything else that is wrong.
    """
    _check_form(head)
    if head[6:22] != key_id_of(vault_key):
        raise DecryptionFailed()
    try:
        file_key = AESGCM(hkdf(vault_key, WRAP_INFO)).decrypt(head[22:34], head[34:82], head[:22])
    except InvalidTag as error:
        raise DecryptionFailed() from error
    _check_commitment(head, file_key)
    return file_key


def prove_file_key(head: bytes, file_key: FileKey) -> None:
    """Check the header against the file key that a client has unwrapped by itself. Raises as above."""
    _check_form(head)
    if file_key.key_id is not None and head[6:22] != file_key.key_id:
        raise DecryptionFailed()
    _check_commitment(head, file_key.key)


def _check_form(head: bytes) -> None:
    if len(head) != HEADER_BYTES or not looks_like(head):
        raise DecryptionFailed()
    if head[4:6] != SUITE_AND_FLAGS or head[114:] != RESERVED:
        raise UnsupportedFormat()


def _check_commitment(head: bytes, file_key: bytes) -> None:
    if not hmac.compare_digest(head[82:114], _commitment(file_key, head[:82])):
        raise DecryptionFailed()


def _commitment(file_key: bytes, opening: bytes) -> bytes:
    return hkdf(file_key, COMMIT_INFO + opening)
