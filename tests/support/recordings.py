"""Recordings as phones make them, from nothing but the standard library and `cryptography`."""

from __future__ import annotations

import functools
import hashlib
import os
from typing import Any

import requests
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from panzoto.crypto import segments, vault
from panzoto.crypto.permits import HashPermits
from tests.support.service import Service


def single_shot(
    password: str, key_salt: str, plain: bytes, iv_length: int = 12, hex_salt: bool = False
) -> bytes:
    """Return a recording as a phone in the field encrypts it; `key_salt` is the 64 hex digits."""
    salt = key_salt.encode() if hex_salt else bytes.fromhex(key_salt)
    key = direct_key(password, salt)
    iv = os.urandom(iv_length)
    return iv + AESGCM(key).encrypt(iv, plain, None)


@functools.cache
def direct_key(password: str, salt: bytes) -> bytes:
    """Return the key of an account's recordings; who makes many of them derives it once, as a phone does."""
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 100_000, 32)


def version_2(account: dict[str, Any], password: str, s3_key: str, plain: bytes) -> bytes:
    """Return a version 2 recording of the account that register or login returned."""
    stored = vault.Vault.from_stored(account["vault"])
    vault_key = vault.unwrap(stored, account["user_id"], password, HashPermits(1, 5))
    return b"".join(segments.encrypt(vault_key, s3_key, [plain]))


def store(service: Service, account: dict[str, Any], s3_key: str, data: bytes, **more: Any) -> str:
    """Put an object into the bucket, record it with what `more` says of it, and return its file_id."""
    service.put_object(s3_key, data)
    body = {"s3_key": s3_key, "file_size": len(data), **more}
    answer = service.call("POST", "/api/audio-file", account["token"], json=body)
    assert answer.status_code == 201, answer.text
    file_id: str = answer.json()["audio_file"]["file_id"]
    return file_id


def decrypt(service: Service, token: str, file_id: str, password: str) -> requests.Response:
    body = {"password": password, "file_id": file_id}
    return service.call("POST", "/api/decrypt-audio", token, json=body)


def hear(service: Service, token: str, file_id: str, password: str) -> bytes:
    """Return the plain recording, or fail with the answer that refused it."""
    answer = decrypt(service, token, file_id, password)
    assert answer.status_code == 200, answer.text
    return requests.get(answer.json()["download_url"], timeout=60).content
