"""Long recordings, made and uploaded in constant memory, and readers that measure."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM

from panzoto.crypto import segments, vault
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.permits import HashPermits

MIB = 1024 * 1024
PART = 16 * MIB
READ = 1 * MIB
FORMATS = ("single", "v2")


class Plain:
    """So many bytes of plain text in pieces; no two pieces are equal, and their digest is kept."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.digest = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        noise = os.urandom(MIB)
        for at in range(0, self.size, MIB):
            piece = (at.to_bytes(8, "big") + noise[8:])[: self.size - at]
            self.digest.update(piece)
            yield piece


def encrypted(
    form: str, plain: Iterable[bytes], password: str, account: dict[str, Any], s3_key: str
) -> Iterator[bytes]:
    """Encrypt as a phone would: `single` as those in the field do, `v2` as new ones do.

    `account` is what register returned.
    """
    if form == "single":
        return _single_shot(direct_keys(password, bytes.fromhex(account["key_salt"])).raw_salt, plain)
    stored = vault.Vault.from_stored(account["vault"])
    vault_key = vault.unwrap(stored, account["user_id"], password, HashPermits(1, 60))
    return segments.encrypt(vault_key, s3_key, plain)


def _single_shot(key: bytes, plain: Iterable[bytes]) -> Iterator[bytes]:
    iv = os.urandom(12)
    cipher = Cipher(AES(key), GCM(iv)).encryptor()
    yield iv
    for piece in plain:
        yield cipher.update(piece)
    yield cipher.finalize() + cipher.tag


def upload(s3: Any, bucket: str, s3_key: str, content: Iterable[bytes]) -> int:
    """Upload by parts and return the object's size."""
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key=s3_key)["UploadId"]
    where = {"Bucket": bucket, "Key": s3_key, "UploadId": upload_id}
    parts = []
    size = 0
    for number, body in enumerate(_in_parts(content), 1):
        etag = s3.upload_part(**where, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
        size += len(body)
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    return size


def _in_parts(content: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in content:
        waiting += piece
        while len(waiting) >= PART:
            yield bytes(waiting[:PART])
            del waiting[:PART]
    yield bytes(waiting)


@dataclass(frozen=True)
class Download:
    """One read: bytes, seconds to the first of them and to the last, and their SHA-256 if asked for."""

    size: int
    first: float
    seconds: float
    sha256: str | None


def download(url: str, byte_range: str | None = None, *, digest: bool = False) -> Download:
    """Read an answer to its end through one reused buffer. Raises `RuntimeError` for any other status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=300)
    started = time.perf_counter()
    connection.request(
        "GET", f"{parts.path}?{parts.query}", headers={"Range": byte_range} if byte_range else {}
    )
    response = connection.getresponse()
    if response.status != (206 if byte_range else 200):
        raise RuntimeError(f"status {response.status}: {response.read(400)!r}")
    hasher = hashlib.sha256() if digest else None
    buffer = memoryview(bytearray(READ))
    size, first = 0, 0.0
    while count := response.readinto(buffer):
        first = first or time.perf_counter() - started
        size += count
        if hasher is not None:
            hasher.update(buffer[:count])
    seconds = time.perf_counter() - started
    promised = response.headers.get("Content-Length")
    connection.close()
    if promised is not None and size != int(promised):
        raise RuntimeError(f"{size} of {promised} bytes arrived")
    return Download(size, first, seconds, hasher.hexdigest() if hasher else None)
