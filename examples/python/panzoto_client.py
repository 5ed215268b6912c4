"""A Panzoto client in one file, with `cryptography` (44 or newer) and the standard library only.

Every function names the section of docs/clients.md that it implements. The file reads from top
to bottom: errors, keys, version 2 recordings, single-shot recordings, titles and notes, transcripts,
the calls, the command line.

    export PANZOTO_PASSWORD=...        (or --password-file, or type it when asked)
    python panzoto_client.py register --server http://127.0.0.1:5000 --email me@example.com --account me.json
    python panzoto_client.py upload --server http://127.0.0.1:5000 --account me.json \
        --s3-url http://127.0.0.1:5566/panzoto-audio-dev talk.3gp
    python panzoto_client.py play --server http://127.0.0.1:5000 --account me.json --file-id ... heard.3gp

5566 is the port of AWS that `make run` prints; where something else has it, it prints another one.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hmac
import json
import mimetypes
import os
import random
import re
import secrets
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeVar

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
except ImportError:
    # A version before 44 has no Argon2id, and whoever runs this for the first time may have none at all.
    sys.exit('The library cryptography is missing or too old: python3 -m pip install "cryptography>=44"')

KEY_SIZE = 32
NONCE_SIZE = 12
TAG_SIZE = 16

# Version 2 recordings, section 3.
MAGIC = b"PNZ2"
SUITE = 0x01
HEADER_SIZE = 128
SEGMENT_SIZE = 65536
STREAM_SALT_SIZE = 32
NONCE_PREFIX_SIZE = 7
STREAM_HEADER_SIZE = 1 + STREAM_SALT_SIZE + NONCE_PREFIX_SIZE
FIRST_SEGMENT_PLAIN = SEGMENT_SIZE - STREAM_HEADER_SIZE - TAG_SIZE
SEGMENT_PLAIN = SEGMENT_SIZE - TAG_SIZE

# Single-shot recordings, section 4.
PBKDF2_ITERATIONS = 100_000
SINGLE_SHOT_VARIANTS = {
    f"single-iv{iv}-{salt}-salt": (iv, salt) for salt in ("raw", "hex") for iv in (12, 16)
}
CHUNK = 256 * 1024

# Transcripts, section 6.3: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM as RFC 9180 numbers them.
HPKE_KEM = b"KEM" + bytes.fromhex("0020")
HPKE_SUITE = b"HPKE" + bytes.fromhex("0020 0001 0002")
LARGEST_DOCUMENT = 16 * 1024 * 1024
DEEPEST_DOCUMENT = 100

# Refuse parameters that would exhaust this machine, and those weak enough to make guessing cheap
# (section 2.1): a client that obeys whatever it is sent can be talked into either.
MOST_MEMORY_KIB = 1024 * 1024
MOST_TIME_COST = 20
MOST_PARALLELISM = 16
LEAST_MEMORY_KIB = {1: 47104, 2: 19456, 3: 12288, 4: 9216}
LEAST_MEMORY_KIB_ABOVE = 7168


class RecordingError(Exception):
    """A recording that does not open. `reason` is the stable word of section 3.4 or 4.

    `code` is what the service would answer for the same object.
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason
        self.code = "unsupported_format" if reason in ("suite", "flags", "reserved") else "decryption_failed"


class TranscriptError(Exception):
    """A transcript, a title or a note that does not open. `reason` is a word of section 6.3 or 5.8."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class AccountError(Exception):
    """The vault cannot be opened: a wrong password, or account data that is damaged or unreasonable."""


class UsageError(Exception):
    """The command line is called wrongly; the sentence says how to call it."""


class ServiceError(Exception):
    """An answer other than success. `code` is the service's stable word, or `unreachable`."""

    def __init__(self, status: int, code: str, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.retry_after = retry_after


# ---- Keys: section 2 ------------------------------------------------------------------------------


def hkdf(key: bytes, info: bytes, salt: bytes | None = None) -> bytes:
    """HKDF-SHA256 with an empty salt unless said otherwise; 32 bytes (section 2)."""
    return HKDF(algorithm=SHA256(), length=KEY_SIZE, salt=salt, info=info).derive(key)


def derive_kek(password: str, kdf: dict[str, Any]) -> bytes:
    """The key-encryption key: Argon2id over the password in UTF-8 (section 2.1).

    `kdf` is `vault.kdf` as the service sent it. Raises `AccountError` for parameters beyond reason.
    """
    time_cost, memory, lanes = kdf["time_cost"], kdf["memory_cost_kib"], kdf["parallelism"]
    salt = bytes.fromhex(kdf["salt"])
    least_memory = LEAST_MEMORY_KIB.get(time_cost, LEAST_MEMORY_KIB_ABOVE)
    if (
        kdf["algorithm"] != "argon2id"
        or kdf["version"] != 19
        or not 1 <= time_cost <= MOST_TIME_COST
        or not least_memory <= memory <= MOST_MEMORY_KIB
        or not 1 <= lanes <= MOST_PARALLELISM
        or len(salt) != KEY_SIZE
    ):
        raise AccountError("The account's Argon2id parameters are not ones this client accepts")
    argon2 = Argon2id(salt=salt, length=KEY_SIZE, iterations=time_cost, lanes=lanes, memory_cost=memory)
    return argon2.derive(password.encode())


@dataclass(frozen=True)
class Vault:
    """An opened vault: the vault key and its public name of 16 bytes."""

    key: bytes = field(repr=False)
    key_id: bytes

    @property
    def wrapping_key(self) -> bytes:
        """The key that wraps each recording's file key (section 2.3)."""
        return hkdf(self.key, b"panzoto/v2/wrap")

    @property
    def names_key(self) -> bytes:
        """The key of titles and notes (section 2.3)."""
        return hkdf(self.key, b"panzoto/v2/names")

    @property
    def transcripts_key(self) -> X25519PrivateKey:
        """The private key that opens transcripts (section 2.3)."""
        return X25519PrivateKey.from_private_bytes(hkdf(self.key, b"panzoto/v2/transcripts"))


def open_vault(account: dict[str, Any], password: str) -> Vault:
    """Unwrap the vault key with the password (section 2.2).

    `account` is what register or login returned. Raises `AccountError`.
    """
    if not account.get("vault"):
        raise AccountError("The account has no vault; log in once to get one")
    try:
        vault = account["vault"]
        version, named = vault["version"], bytes.fromhex(vault["key_id"])
        wrapped = base64.b64decode(vault["wrapped_key"], validate=True)
        associated = b"panzoto/v2/vault" + account["user_id"].encode("ascii")
        kek = derive_kek(password, vault["kdf"]) if version == 1 else b""
    except (KeyError, TypeError, ValueError):
        raise AccountError("The account's vault cannot be read") from None
    if version != 1:
        raise AccountError("This client does not know this version of vault; please update it")
    if len(wrapped) != NONCE_SIZE + KEY_SIZE + TAG_SIZE:
        raise AccountError("The account's vault cannot be read")
    try:
        key = AESGCM(kek).decrypt(wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], associated)
    except InvalidTag:
        raise AccountError("The password does not open this account's vault") from None
    key_id = hkdf(key, b"panzoto/v2/key-id")[:16]
    if not hmac.compare_digest(key_id, named):
        raise AccountError("The vault key does not have the name the account gives it")
    opened = Vault(key, key_id)
    told = vault.get("transcripts_public_key")
    if told is not None and told != base64.b64encode(_public(opened.transcripts_key)).decode("ascii"):
        raise AccountError("The account seals transcripts to a key that is not its vault's")
    return opened


def _public(private_key: X25519PrivateKey) -> bytes:
    return private_key.public_key().public_bytes_raw()


def direct_key(account: dict[str, Any], password: str, salt_reading: str = "raw") -> bytes:
    """The key of single-shot recordings (section 2.4).

    `salt_reading` is `raw` for the 32 bytes of `key_salt`, `hex` for its 64 digits as ASCII.
    """
    digits: str = account["key_salt"]
    salt = bytes.fromhex(digits) if salt_reading == "raw" else digits.encode("ascii")
    pbkdf2 = PBKDF2HMAC(algorithm=SHA256(), length=KEY_SIZE, salt=salt, iterations=PBKDF2_ITERATIONS)
    return pbkdf2.derive(password.encode())


# ---- Version 2 recordings: section 3 --------------------------------------------------------------


def encrypted_size(plain_size: int) -> int:
    """Bytes of the object for a recording of `plain_size` bytes (section 3.2)."""
    segments = max(1, -(-(plain_size + STREAM_HEADER_SIZE) // SEGMENT_PLAIN))
    return HEADER_SIZE + STREAM_HEADER_SIZE + plain_size + segments * TAG_SIZE


def make_header(vault: Vault, file_key: bytes) -> bytes:
    """The 128 bytes before the segment stream (section 3.1)."""
    start = MAGIC + bytes([SUITE, 0]) + vault.key_id
    nonce = secrets.token_bytes(NONCE_SIZE)
    wrapped = start + nonce + AESGCM(vault.wrapping_key).encrypt(nonce, file_key, start)
    commitment = hkdf(file_key, b"panzoto/v2/commit" + wrapped)
    return wrapped + commitment + bytes(14)


def open_header(vault: Vault, header: bytes) -> bytes:
    """Check the header in the order of section 3.4 and return the file key. Raises `RecordingError`."""
    if len(header) < HEADER_SIZE:
        raise RecordingError("length", "The recording is too short to be one")
    if header[:4] != MAGIC or header[4] != SUITE:
        raise RecordingError("suite", "The recording is of a kind this client does not know")
    if header[5] != 0:
        raise RecordingError("flags", "The recording asks for a feature this client does not know")
    if header[114:] != bytes(14):
        raise RecordingError("reserved", "The recording uses header bytes this client does not know")
    if not hmac.compare_digest(header[6:22], vault.key_id):
        raise RecordingError("key_id", "The recording belongs to another vault")
    try:
        file_key = AESGCM(vault.wrapping_key).decrypt(header[22:34], header[34:82], header[:22])
    except InvalidTag:
        raise RecordingError("wrapped_key", "The recording's key is damaged") from None
    commitment = hkdf(file_key, b"panzoto/v2/commit" + header[:82])
    if not hmac.compare_digest(commitment, header[82:114]):
        raise RecordingError("commitment", "The recording's key is not the one it was written with")
    return file_key


class SegmentCipher:
    """Seals and opens single segments of one recording (section 3.2)."""

    def __init__(self, file_key: bytes, header: bytes, s3_key: str, salt: bytes, prefix: bytes) -> None:
        associated = header + s3_key.encode()
        self._aead = AESGCM(hkdf(hkdf(file_key, b"panzoto/v2/stream"), associated, salt))
        self._prefix = prefix

    def _nonce(self, number: int, last: bool) -> bytes:
        return self._prefix + number.to_bytes(4, "big") + bytes([last])

    def seal(self, number: int, last: bool, plain: bytes) -> bytes:
        return self._aead.encrypt(self._nonce(number, last), plain, None)

    def open(self, number: int, last: bool, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(self._nonce(number, last), sealed, None)
        except InvalidTag:
            raise RecordingError("segment", f"Segment {number} of the recording is damaged") from None


def encrypt_recording(vault: Vault, s3_key: str, source: IO[bytes]) -> Iterator[bytes]:
    """Write a version 2 recording, piece by piece, holding two segments at most (section 3.3).

    `source` is read to its end and need not be seekable. Each call makes fresh keys, so a repeated
    upload shares nothing with the first.
    """
    file_key = secrets.token_bytes(KEY_SIZE)
    header = make_header(vault, file_key)
    salt, prefix = secrets.token_bytes(STREAM_SALT_SIZE), secrets.token_bytes(NONCE_PREFIX_SIZE)
    cipher = SegmentCipher(file_key, header, s3_key, salt, prefix)
    yield header + bytes([STREAM_HEADER_SIZE]) + salt + prefix
    number, plain = 0, _read_fully(source, FIRST_SEGMENT_PLAIN)
    while True:
        # Only the next read tells whether this segment is the last, and its nonce says so.
        following = _read_fully(source, SEGMENT_PLAIN)
        yield cipher.seal(number, not following, plain)
        if not following:
            return
        number, plain = number + 1, following


class RecordingReader:
    """Random access to a version 2 recording in a seekable file (sections 3.4 and 3.5).

    Opening authenticates the header and the last segment; after that `length`, in bytes of plain
    audio, is proven. Raises `RecordingError`.
    """

    def __init__(self, vault: Vault, s3_key: str, source: BinaryIO) -> None:
        self._source = source
        stream_size = source.seek(0, os.SEEK_END) - HEADER_SIZE
        header = self._bytes_at(0, HEADER_SIZE)
        file_key = open_header(vault, header)
        if stream_size < STREAM_HEADER_SIZE + TAG_SIZE:
            raise RecordingError("length", "The recording is cut off")
        stream_header = self._bytes_at(HEADER_SIZE, STREAM_HEADER_SIZE)
        if stream_header[0] != STREAM_HEADER_SIZE:
            raise RecordingError("stream_header", "The recording's segment stream does not begin as one")
        salt, prefix = stream_header[1 : 1 + STREAM_SALT_SIZE], stream_header[1 + STREAM_SALT_SIZE :]
        self._cipher = SegmentCipher(file_key, header, s3_key, salt, prefix)
        self._stream_size = stream_size
        self._last = (stream_size - 1) // SEGMENT_SIZE
        if self._last > 0 and stream_size - self._last * SEGMENT_SIZE <= TAG_SIZE:
            raise RecordingError("length", "The recording is cut off")
        self.length = stream_size - STREAM_HEADER_SIZE - TAG_SIZE * (self._last + 1)
        self._open_segment(self._last)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Plain bytes `start` to `stop` (not included), in pieces of authenticated segments only."""
        stop = self.length if stop is None else min(stop, self.length)
        while start < stop:
            # The stream header takes the place of 40 plain bytes in segment 0, so shifting every
            # plain offset by 40 makes all segments equally long.
            number, skip = divmod(start + STREAM_HEADER_SIZE, SEGMENT_PLAIN)
            if number == 0:
                skip = start
            piece = self._open_segment(number)[skip : skip + stop - start]
            yield piece
            start += len(piece)

    def _open_segment(self, number: int) -> bytes:
        start = number * SEGMENT_SIZE if number else STREAM_HEADER_SIZE
        stop = min((number + 1) * SEGMENT_SIZE, self._stream_size)
        sealed = self._bytes_at(HEADER_SIZE + start, stop - start)
        return self._cipher.open(number, number == self._last, sealed)

    def _bytes_at(self, offset: int, count: int) -> bytes:
        self._source.seek(offset)
        return _read_fully(self._source, count)


def _read_fully(source: IO[bytes], count: int) -> bytes:
    """Read exactly `count` bytes, fewer only at the end: a pipe may give less at a time."""
    pieces = []
    while count > 0 and (piece := source.read(count)):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


# ---- Single-shot recordings: section 4 ------------------------------------------------------------


def encrypt_single(key: bytes, source: IO[bytes], iv_size: int = 12) -> Iterator[bytes]:
    """Write a single-shot recording as phones in the field do, in constant memory (section 4)."""
    iv = secrets.token_bytes(iv_size)
    encryptor = Cipher(algorithms.AES256(key), modes.GCM(iv)).encryptor()
    yield iv
    while chunk := source.read(CHUNK):
        yield encryptor.update(chunk)
    yield encryptor.finalize() + encryptor.tag


def _single_pass(key: bytes, iv_size: int, source: BinaryIO) -> Iterator[bytes]:
    """Decrypt in one pass; the bytes mean nothing until the end came without `RecordingError`."""
    size = source.seek(0, os.SEEK_END)
    left = size - iv_size - TAG_SIZE
    source.seek(size - TAG_SIZE)
    tag = _read_fully(source, TAG_SIZE)
    source.seek(0)
    iv = _read_fully(source, iv_size)
    decryptor = Cipher(algorithms.AES256(key), modes.GCM(iv, tag)).decryptor()
    while left > 0 and (chunk := source.read(min(CHUNK, left))):
        left -= len(chunk)
        yield decryptor.update(chunk)
    try:
        decryptor.finalize()
    except InvalidTag:
        raise RecordingError("tag", "The recording is damaged, or was made with another password") from None


def decrypt_single(
    account: dict[str, Any], password: str, source: BinaryIO
) -> tuple[str, Callable[[], Iterator[bytes]]]:
    """Find which of the four variants opens the recording (section 4). Raises `RecordingError`.

    Returns the variant's name and a function that yields the plain bytes. The first pass gives out
    nothing, since the one tag at the end covers everything; memory stays constant.
    """
    size = source.seek(0, os.SEEK_END)
    direct_keys = {reading: direct_key(account, password, reading) for reading in ("raw", "hex")}
    for name, (iv_size, salt_reading) in SINGLE_SHOT_VARIANTS.items():
        if size < iv_size + TAG_SIZE:
            continue
        plain = partial(_single_pass, direct_keys[salt_reading], iv_size, source)
        try:
            for _ in plain():
                pass
        except RecordingError:
            continue
        return name, plain
    raise RecordingError("tag", "The recording is damaged, or was made with another password")


# ---- Titles and notes: section 5.8 ----------------------------------------------------------------


def seal_name(vault: Vault, what: str, file_id: str, text: str) -> str:
    """Write a title or a note, as `what` says, for all clients of the account (section 5.8)."""
    nonce = secrets.token_bytes(NONCE_SIZE)
    sealed = AESGCM(vault.names_key).encrypt(nonce, text.encode(), _name_bound(what, file_id))
    return base64.b64encode(nonce + sealed).decode("ascii")


def open_name(vault: Vault, what: str, file_id: str, value: str) -> str:
    """Read a title or a note (section 5.8). Raises `TranscriptError` for what an app of before wrote."""
    try:
        sealed = base64.b64decode(value, validate=True)
        plain = AESGCM(vault.names_key).decrypt(
            sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], _name_bound(what, file_id)
        )
        return plain.decode()
    except (InvalidTag, ValueError):
        raise TranscriptError("name", f"The {what} is damaged, or was written by another app") from None


def _name_bound(what: str, file_id: str) -> bytes:
    return f"panzoto/v2/{what}\0{file_id}".encode("ascii")


# ---- Transcripts: section 6.3 ---------------------------------------------------------------------


def seal_transcript(vault: Vault, user_id: str, file_id: str, document: bytes) -> bytes:
    """Seal a transcript's JSON to the account (section 6.3), deflated where that is shorter.

    Newer releases of `cryptography` hold the same as `hazmat.primitives.hpke`.
    """
    read_document(b"\0" + document)
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = compressor.compress(document) + compressor.flush()
    plain = b"\1" + deflated if len(deflated) < len(document) else b"\0" + document
    own, public_key = X25519PrivateKey.generate(), _public(vault.transcripts_key)
    shared = own.exchange(X25519PublicKey.from_public_bytes(public_key))
    enc = _public(own)
    key, nonce = _hpke_keys(shared, enc, public_key, _transcript_info(user_id, file_id))
    return enc + AESGCM(key).encrypt(nonce, plain, None)


def open_transcript(vault: Vault, user_id: str, file_id: str, sealed: bytes) -> bytes:
    """Return the JSON of a sealed transcript (section 6.3). Raises `TranscriptError`."""
    enc, ciphertext = sealed[:KEY_SIZE], sealed[KEY_SIZE:]
    private_key = vault.transcripts_key
    try:
        shared = private_key.exchange(X25519PublicKey.from_public_bytes(enc))
        key, nonce = _hpke_keys(shared, enc, _public(private_key), _transcript_info(user_id, file_id))
        plain = AESGCM(key).decrypt(nonce, ciphertext, None)
    except (InvalidTag, ValueError):
        raise TranscriptError("sealed", "The transcript is damaged, or is another recording's") from None
    return read_document(plain)


def read_document(plain: bytes) -> bytes:
    """Return the JSON in what was sealed: as it is, or inflated no further than 16 MiB (section 6.3)."""
    kind, document = plain[:1], plain[1:]
    if kind == b"\1":
        decompressor = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        try:
            document = decompressor.decompress(document, LARGEST_DOCUMENT + 1)
        except zlib.error:
            raise TranscriptError("document", "The transcript cannot be inflated") from None
        whole = decompressor.eof and not decompressor.unused_data
    else:
        whole = kind == b"\0"
    if not whole or len(document) > LARGEST_DOCUMENT or not _is_shallow_object(document):
        raise TranscriptError("document", "What was sealed is no transcript")
    return document


def _is_shallow_object(document: bytes) -> bool:
    try:
        level = [json.loads(document.decode(), parse_constant=_no_constant)]
    except (ValueError, RecursionError):
        return False
    if not isinstance(level[0], dict):
        return False
    for _ in range(DEEPEST_DOCUMENT):
        inside = [outer.values() if isinstance(outer, dict) else outer for outer in level]
        level = [inner for values in inside for inner in values if isinstance(inner, dict | list)]
    return not level


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _transcript_info(user_id: str, file_id: str) -> bytes:
    return f"panzoto/v2/transcript\0{user_id}\0{file_id}".encode("ascii")


def _hpke_keys(shared: bytes, enc: bytes, public_key: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and nonce of a single-shot HPKE in base mode (RFC 9180, 4.1 and 5.1)."""
    prk = _labeled_extract(HPKE_KEM, b"", b"eae_prk", shared)
    secret = _labeled_expand(HPKE_KEM, prk, b"shared_secret", enc + public_key, KEY_SIZE)
    # Mode 0 has no pre-shared key, which stands here as nothing.
    ids = _labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    context = b"\0" + ids + _labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    prk = _labeled_extract(HPKE_SUITE, secret, b"secret", b"")
    key = _labeled_expand(HPKE_SUITE, prk, b"key", context, KEY_SIZE)
    return key, _labeled_expand(HPKE_SUITE, prk, b"base_nonce", context, NONCE_SIZE)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + key, "sha256")


def _labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labeled + b"\1", "sha256")[:length]


# ---- Both formats ---------------------------------------------------------------------------------


class Keys:
    """One account and its password. Derives each key once, when something first needs it."""

    def __init__(self, account: dict[str, Any], password: str) -> None:
        self.account = account
        self.password = password
        self._vault: Vault | None = None

    @property
    def vault(self) -> Vault:
        if self._vault is None:
            self._vault = open_vault(self.account, self.password)
        return self._vault

    @property
    def user_id(self) -> str:
        user_id: str = self.account["user_id"]
        return user_id


def parse_range(text: str | None) -> tuple[int, int | None]:
    """`first-last`, both included as in HTTP, or `first-`; returns start and stop (not included).

    Raises `UsageError` for what is written otherwise.
    """
    if not text:
        return 0, None
    written = re.fullmatch(r"([0-9]+)-([0-9]*)", text)
    start, last = (int(written[1]), written[2]) if written else (0, "")
    stop = int(last) + 1 if last else None
    if not written or (stop is not None and stop <= start):
        raise UsageError("A range is written first-last, such as 0-65535, or first-")
    return start, stop


def decrypt(
    keys: Keys, s3_key: str, source: BinaryIO, start: int = 0, stop: int | None = None
) -> tuple[str, Iterator[bytes]]:
    """Open a recording of either format; returns its format and the plain bytes of the range."""
    source.seek(0)
    if source.read(4) == MAGIC:
        return "v2", RecordingReader(keys.vault, s3_key, source).read(start, stop)
    name, plain = decrypt_single(keys.account, keys.password, source)
    return name, _cut(plain(), start, stop)


def _cut(pieces: Iterable[bytes], start: int, stop: int | None) -> Iterator[bytes]:
    offset = 0
    for piece in pieces:
        end = len(piece) if stop is None else min(len(piece), max(0, stop - offset))
        yield piece[max(0, start - offset) : end]
        offset += len(piece)


# ---- The calls: sections 1, 5 and 6 ---------------------------------------------------------------


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The service never redirects; following one could hand the token to another host."""

    def redirect_request(self, *_: object) -> None:
        return None


Result = TypeVar("Result")
_opener = urllib.request.build_opener(_NoRedirects)


def _open_url(request: urllib.request.Request) -> HTTPResponse:
    """Send over http or https only, raising `ServiceError` for every failure (section 1.1)."""
    parts = urllib.parse.urlsplit(request.full_url)
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ServiceError(0, "insecure_address", "Only https addresses, or http on this machine, are used")
    try:
        response: HTTPResponse = _opener.open(request, timeout=60)
        return response
    except urllib.error.HTTPError as error:
        with error:
            host = parts.netloc.rpartition("@")[2]
            raise _service_error(host, error.code, error.headers, error.read(65536)) from None
    except (OSError, HTTPException) as error:
        raise ServiceError(0, "unreachable", "The service cannot be reached") from error


def _service_error(host: str, status: int, headers: Message, body: bytes) -> ServiceError:
    try:
        answer = json.loads(body)
        sentence, code = str(answer["error"]), str(answer["code"])
    except (ValueError, KeyError, TypeError):
        # A bucket says why in a document of its own.
        why = re.search(rb"<Code>([A-Za-z]{1,64})</Code>", body)
        sentence, code = f"{host} answered {status}" + (f", {why[1].decode()}" if why else ""), "unknown"
    retry_after = headers.get("Retry-After", "")
    return ServiceError(status, code, sentence, float(retry_after) if retry_after.isdigit() else None)


def with_patience(attempt: Callable[[], Result], attempts: int = 6) -> Result:
    """Repeat what may be repeated: lost connections, 429 and 503 (section 1.1).

    `Retry-After` is obeyed where given; otherwise the waits double, with jitter, so that a thousand
    phones do not come back in the same second.
    """
    for number in range(attempts):
        try:
            return attempt()
        except ServiceError as error:
            repeatable = error.code == "unreachable" or error.status in (429, 502, 503, 504)
            if not repeatable or number == attempts - 1:
                raise
            wait = error.retry_after if error.retry_after is not None else 0.5 * 2**number
            time.sleep(min(wait, 120) * random.uniform(1, 1.25))
    raise AssertionError("the loop above returns or raises")


class Service:
    """The calls of the service that a recorder needs."""

    def __init__(self, address: str, token: str | None = None) -> None:
        # Every path here begins with /api; an address that ends with it means the same service.
        self._address = address.rstrip("/").removesuffix("/api")
        self._token = token

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One JSON call, repeated with patience. Raises `ServiceError`."""
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()

        def attempt() -> dict[str, Any]:
            request = urllib.request.Request(self._address + path, data, headers, method=method)
            with _open_url(request) as response:
                try:
                    answer: dict[str, Any] = json.loads(response.read())
                    return answer
                except (OSError, HTTPException, ValueError) as error:
                    raise ServiceError(0, "unreachable", "The answer was cut off") from error

        return with_patience(attempt)

    def register(self, email: str, password: str) -> dict[str, Any]:
        """Make an account; returns the account (section 1.2).

        A repeated register may find the account its own first attempt made, so 409 asks login,
        which answers 401 when the account is in truth somebody else's.
        """
        credentials = {"email": email, "password": password}
        try:
            return self._keep_token(self.call("POST", "/api/register", credentials))
        except ServiceError as taken:
            if taken.status != 409:
                raise
            try:
                return self.login(email, password)
            except ServiceError as error:
                raise (taken if error.status == 401 else error) from None

    def login(self, email: str, password: str) -> dict[str, Any]:
        return self._keep_token(self.call("POST", "/api/login", {"email": email, "password": password}))

    def _keep_token(self, account: dict[str, Any]) -> dict[str, Any]:
        self._token = account["token"]
        return account

    def record_upload(self, s3_key: str, size: int, content_type: str | None = None) -> dict[str, Any]:
        """Tell the service that an object is in the bucket; safe to repeat (section 5)."""
        body = {"s3_key": s3_key, "file_size": size, "content_type": content_type}
        known = {name: value for name, value in body.items() if value is not None}
        audio_file: dict[str, Any] = self.call("POST", "/api/audio-file", known)["audio_file"]
        return audio_file

    def audio_files(self, limit: int = 50) -> list[dict[str, Any]]:
        files: list[dict[str, Any]] = self.call("GET", f"/api/user/audio-files?limit={limit}")["audio_files"]
        return files

    def decrypt_audio(self, password: str, which: dict[str, str]) -> dict[str, Any]:
        """Ask for a `download_url`; `which` holds `file_id` or `s3_key` (section 6)."""
        return self.call("POST", "/api/decrypt-audio", {"password": password, **which})

    def decrypt_audio_by_key(self, file_key: bytes, which: dict[str, str]) -> dict[str, Any]:
        """The same without the password, by the recording's own key (section 6.2)."""
        shown = base64.b64encode(file_key).decode("ascii")
        return self.call("POST", "/api/decrypt-audio", {"file_key": shown, **which})

    def file_key(self, vault: Vault, file_id: str) -> bytes:
        """Fetch a recording's header from the bucket and open it (sections 3.4 and 6.2)."""
        url = self.call("GET", f"/api/audio-file/{file_id}/download")["url"]
        request = urllib.request.Request(url, headers={"Range": f"bytes=0-{HEADER_SIZE - 1}"})
        with with_patience(partial(_open_url, request)) as response:
            return open_header(vault, _read_fully(response, HEADER_SIZE))

    def put_transcript(self, file_id: str, sealed: bytes, revision: str | None = None) -> dict[str, Any]:
        """Keep a sealed transcript; with a `revision` only over that one (section 6.5)."""
        body = {"sealed": base64.b64encode(sealed).decode("ascii"), "revision": revision}
        return self.call("PUT", f"/api/audio-file/{file_id}/transcript", body)

    def get_transcript(self, file_id: str) -> bytes:
        """Fetch a transcript as it is sealed (section 6.5)."""
        return base64.b64decode(self.call("GET", f"/api/audio-file/{file_id}/transcript")["sealed"])


def new_s3_key(user_id: str) -> str:
    """A fresh object key in the shape the phones use (section 5)."""
    now = time.time_ns() // 1_000_000
    digits = secrets.randbelow(10_000)
    return f"audio_upload/{user_id}/audio_{user_id[:8]}_{now}_{digits:04d}.3gp_encrypted"


def put_object(url: str, size: int, body: Callable[[], Iterator[bytes]]) -> None:
    """PUT an object of known size, encrypting while it is sent; a repeat encrypts afresh (section 5)."""
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}

    def attempt() -> None:
        with _open_url(urllib.request.Request(url, body(), headers, method="PUT")) as response:
            response.read()

    with_patience(attempt)


def upload(
    service: Service, keys: Keys, bucket_url: str, source: Path, single_shot: bool = False
) -> dict[str, Any]:
    """Encrypt, put and record one recording; returns its `audio_file` (section 5)."""
    s3_key = new_s3_key(keys.user_id)
    plain_size = source.stat().st_size
    if single_shot:
        key = direct_key(keys.account, keys.password)
        size = 12 + plain_size + TAG_SIZE
    else:
        vault = keys.vault
        size = encrypted_size(plain_size)

    def body() -> Iterator[bytes]:
        with source.open("rb") as plain:
            yield from encrypt_single(key, plain) if single_shot else encrypt_recording(vault, s3_key, plain)

    put_object(f"{bucket_url.rstrip('/')}/{urllib.parse.quote(s3_key)}", size, body)
    content_type = mimetypes.guess_type(source.name)[0]
    return service.record_upload(s3_key, size, content_type)


def download(url: str, byte_range: str | None, attempts: int = 5) -> Iterator[bytes]:
    """GET a `download_url`, going on where a broken connection stopped (section 6).

    `If-Range` carries the ETag of the first answer, so that a changed recording cannot be mixed
    with the beginning of another.
    """
    start, stop = parse_range(byte_range)
    wanted = byte_range is not None
    etag: str | None = None
    for _ in range(attempts):
        headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if wanted else {}
        if etag is not None:
            headers["If-Range"] = etag
        request = urllib.request.Request(url, headers=headers)
        with with_patience(partial(_open_url, request)) as response:
            if wanted and response.status != 206:
                raise ServiceError(response.status, "changed", "The recording changed; ask to play it again")
            etag = response.headers["ETag"]
            left = int(response.headers["Content-Length"])
            while left > 0 and (piece := _read_some(response, min(CHUNK, left))):
                left -= len(piece)
                start += len(piece)
                yield piece
        if left == 0:
            return
        wanted = True
    raise ServiceError(0, "unreachable", "The connection broke too often")


def _read_some(response: HTTPResponse, count: int) -> bytes:
    """What has arrived, at most `count` bytes; nothing once the connection broke or ended."""
    try:
        return response.read1(count)
    except (OSError, HTTPException):
        return b""


# ---- The command line -----------------------------------------------------------------------------


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file that appears under its name only when it is complete, readable by its owner only."""
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} for {path.name}")
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as out:
            for piece in pieces:
                out.write(piece)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink()
        raise


def read_password(options: argparse.Namespace) -> str:
    """From --password-file (its first line), PANZOTO_PASSWORD or a prompt, never from the arguments.

    Other users of a machine can see its processes' arguments.
    """
    if options.password_file:
        first_line: str = Path(options.password_file).read_text("utf-8").split("\n")[0]
        return first_line.removesuffix("\r")
    if password := os.environ.get("PANZOTO_PASSWORD"):
        return password
    if not sys.stdin.isatty():
        raise UsageError("Give the password with --password-file, in PANZOTO_PASSWORD or on a terminal")
    return getpass.getpass("Password: ")


def read_account(options: argparse.Namespace) -> dict[str, Any]:
    """Read what register or login returned. Raises `UsageError` for a file that holds something else."""
    try:
        account = json.loads(Path(options.account).read_text("utf-8"))
    except ValueError:
        account = None
    # All but the calls to the service do without a token.
    needed = {"user_id", "key_salt"} | ({"token"} if hasattr(options, "server") else set())
    if not isinstance(account, dict) or not needed <= account.keys():
        raise UsageError(f"{options.account} does not hold what register or login returned; log in anew")
    return account


def read_keys(options: argparse.Namespace) -> Keys:
    return Keys(read_account(options), read_password(options))


def do_account(options: argparse.Namespace) -> None:
    service = Service(options.server)
    call = service.register if options.verb == "register" else service.login
    account = call(options.email, read_password(options))
    write_whole(Path(options.account), [json.dumps(account, indent=2).encode()])
    print(json.dumps({"user_id": account["user_id"], "account": str(options.account)}))


def do_file(options: argparse.Namespace) -> None:
    """A verb that reads a file and writes another: one job of the batch, its words from the options."""
    names = (getattr(options, name, None) for name in ("s3_key", "file_id", "format"))
    second = next(filter(None, names), "")
    words = [options.verb, second, options.input, options.output, getattr(options, "range", None) or ""]
    print(f"{run_job(read_keys(options), words)}\t{options.output}")


def do_batch(options: argparse.Namespace) -> None:
    """Run many jobs for one derivation of the keys; one line of result for each."""
    keys = read_keys(options)
    # Not splitlines(): it also breaks at characters that an object key may hold.
    for line in filter(None, Path(options.manifest).read_text("utf-8").split("\n")):
        words = line.split("\t")
        try:
            print(f"ok\t{words[3]}\t{run_job(keys, words)}")
        except (RecordingError, TranscriptError) as error:
            print(f"refused\t{words[3]}\t{error.reason}")


def run_job(keys: Keys, words: list[str]) -> str:
    """One line of a manifest: verb, object key or variant, input, output and perhaps a range.

    Returns the format that was written or read. Raises `RecordingError`.
    """
    verb, second, source_name, target_name = words[:4]
    target = Path(target_name)
    with Path(source_name).open("rb") as source:
        if verb in OF_WORDS:
            write_whole(target, [OF_WORDS[verb](keys, second, source.read())])
            return verb.partition("-")[2]
        if verb == "file-key":
            header = _read_fully(source, HEADER_SIZE)
            write_whole(target, [base64.b64encode(open_header(keys.vault, header))])
            return verb
        if verb == "encrypt":
            write_whole(target, encrypt_recording(keys.vault, second, source))
            return "v2"
        if verb == "encrypt-single":
            name = second
            iv_size, salt_reading = SINGLE_SHOT_VARIANTS[name]
            key = direct_key(keys.account, keys.password, salt_reading)
            write_whole(target, encrypt_single(key, source, iv_size))
            return name
        start, stop = parse_range(words[4] if len(words) > 4 else None)
        name, plain = decrypt(keys, second, source, start, stop)
        write_whole(target, plain)
        return name


# What the command line does with transcripts, titles and notes: a file in, a file out.
OF_WORDS: dict[str, Callable[[Keys, str, bytes], bytes]] = {
    "seal-transcript": lambda keys, file_id, text: seal_transcript(keys.vault, keys.user_id, file_id, text),
    "open-transcript": lambda keys, file_id, text: open_transcript(keys.vault, keys.user_id, file_id, text),
    "seal-title": lambda keys, file_id, text: seal_name(keys.vault, "title", file_id, text.decode()).encode(),
    "open-title": lambda keys, file_id, text: open_name(keys.vault, "title", file_id, text.decode()).encode(),
    "seal-note": lambda keys, file_id, text: seal_name(keys.vault, "note", file_id, text.decode()).encode(),
    "open-note": lambda keys, file_id, text: open_name(keys.vault, "note", file_id, text.decode()).encode(),
}


def do_upload(options: argparse.Namespace) -> None:
    keys = read_keys(options)
    service = Service(options.server, keys.account["token"])
    print(json.dumps(upload(service, keys, options.s3_url, Path(options.input), options.single_shot)))


def do_list(options: argparse.Namespace) -> None:
    account = read_account(options)
    for audio_file in Service(options.server, account["token"]).audio_files():
        print(json.dumps(audio_file))


def do_play(options: argparse.Namespace) -> None:
    keys = read_keys(options)
    which = {"file_id": options.file_id} if options.file_id else {"s3_key": options.s3_key}
    if options.by_file_key and not options.file_id:
        raise UsageError("--by-file-key needs --file-id")
    service = Service(options.server, keys.account["token"])
    if options.by_file_key:
        answer = service.decrypt_audio_by_key(service.file_key(keys.vault, options.file_id), which)
    else:
        answer = service.decrypt_audio(keys.password, which)
    write_whole(Path(options.output), download(answer["download_url"], options.range))
    print(json.dumps({"file_id": answer["file_info"]["file_id"], "output": options.output}))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Record, upload and play with Panzoto.")
    verbs = parser.add_subparsers(dest="verb", required=True)

    def verb(name: str, what: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=what, description=what)
        command.add_argument("--account", required=True, help="file with what register or login returned")
        command.add_argument("--password-file", help="file whose first line is the password")
        command.set_defaults(run=run)
        return command

    def add_server(command: argparse.ArgumentParser) -> None:
        command.add_argument("--server", required=True, help="address of the service")

    for name, what in (("register", "Make an account."), ("login", "Sign in.")):
        command = verb(name, what, do_account)
        add_server(command)
        command.add_argument("--email", required=True)

    command = verb("encrypt", "Encrypt a file as a version 2 recording.", do_file)
    command.add_argument("--s3-key", required=True, help="object key the recording will have in the bucket")
    _add_files(command)
    command = verb("decrypt", "Decrypt a recording of either format, whole or a range.", do_file)
    command.add_argument("--s3-key", required=True, help="object key the recording has in the bucket")
    command.add_argument("--range", help="first-last, both included, or first-")
    _add_files(command)
    command = verb("encrypt-single", "Encrypt a file as phones in the field did.", do_file)
    command.add_argument("--format", choices=list(SINGLE_SHOT_VARIANTS), default="single-iv12-raw-salt")
    _add_files(command)
    for name in OF_WORDS:
        deed, _, what = name.partition("-")
        command = verb(name, f"{deed.capitalize()} the {what} of a recording.", do_file)
        command.add_argument("--file-id", required=True, help="the recording's")
        _add_files(command)
    command = verb("file-key", "Write the own key of a version 2 recording, as base64.", do_file)
    _add_files(command)
    command = verb("batch", "Run the jobs of a manifest, one line each, words separated by tabs.", do_batch)
    command.add_argument("manifest")

    command = verb("upload", "Encrypt a file into the bucket and record it.", do_upload)
    add_server(command)
    command.add_argument("--s3-url", required=True, help="address of the bucket")
    command.add_argument("--single-shot", action="store_true", help="write what phones in the field wrote")
    command.add_argument("input")
    command = verb("list", "List the newest recordings.", do_list)
    add_server(command)
    command = verb("play", "Let the service decrypt a recording and fetch it.", do_play)
    add_server(command)
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("--file-id")
    which.add_argument("--s3-key")
    command.add_argument("--by-file-key", action="store_true", help="send no password; needs --file-id")
    command.add_argument("--range", help="first-last, both included, or first-")
    command.add_argument("output")
    return parser


def _add_files(command: argparse.ArgumentParser) -> None:
    command.add_argument("input")
    command.add_argument("output")


def _sentence(error: Exception) -> str:
    """Return what to tell a person; an error of the system names a number first that says nothing to them."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.strerror}: {error.filename}"
    return str(error)


def main() -> int:
    options = build_parser().parse_args()
    try:
        options.run(options)
    except (RecordingError, TranscriptError, AccountError, ServiceError, UsageError, OSError) as error:
        print(f"panzoto: {_sentence(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
