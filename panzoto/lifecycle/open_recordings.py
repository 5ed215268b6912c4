"""Open the recordings of a Panzoto export, with the recovery key or the password, without any service.

It lies in the unpacked export, beside account.json, and needs Python 3.9 or newer and one library:

    python3 -m pip install "cryptography>=44"
    python3 open_recordings.py

It asks for the key and writes each recording to a file of its own in the folder `opened`. It sends nothing
anywhere.  README.txt says how everything is computed; each function here names the paragraph that it follows.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import hashlib
import hmac
import json
import os
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
RECOVERY_CHARACTERS = 56
MISSPELT = "The recovery key is not written correctly; please compare it with your copy."
HEADER = 128
STREAM_HEADER = 40
SEGMENT = 65536
TAG = 16
PIECE = 1024 * 1024
OPENINGS = (
    (0, b"#!AMR", ".amr"),
    (4, b"ftyp3g", ".3gp"),
    (4, b"ftyp", ".m4a"),
    (0, b"RIFF", ".wav"),
    (0, b"OggS", ".ogg"),
    (0, b"fLaC", ".flac"),
    (0, b"ID3", ".mp3"),
    (0, b"\x1a\x45\xdf\xa3", ".webm"),
    (0, b"\xff\xf1", ".aac"),
    (0, b"\xff\xf9", ".aac"),
)


class Refused(Exception):
    """Something does not open; the text is the one sentence that says why."""


class Keys(NamedTuple):
    """What opens this export: the vault key, if there is one, and the keys of single-shot recordings."""

    vault_key: bytes | None
    direct_keys: list[bytes]


def hkdf(key: bytes, info: bytes, salt: bytes = b"") -> bytes:
    """Return 32 bytes of HKDF-SHA256."""
    return HKDF(SHA256(), 32, salt or None, info).derive(key)


def read_recovery_key(text: str) -> bytes | None:
    """Return the 32 bytes of a recovery key, or None for what is none (paragraph 2)."""
    characters = text.strip().upper().translate(FORGIVEN)
    if len(characters) != RECOVERY_CHARACTERS or set(characters) - set(ALPHABET):
        if re.fullmatch(r"(?:[0-9A-Za-z]{3,5}[- ]+){9,}[0-9A-Za-z]{3,5}", text.strip()):
            raise Refused(MISSPELT)
        return None
    number = 0
    for character in characters[:52]:
        number = number * 32 + ALPHABET.index(character)
    key = (number >> 4).to_bytes(32, "big")
    checksum = int.from_bytes(hashlib.sha256(key).digest()[:3], "big") >> 4
    written = "".join(ALPHABET[checksum >> place & 31] for place in (15, 10, 5, 0))
    if number & 15 or written != characters[52:]:
        raise Refused(MISSPELT)
    return key


def open_keys(account: dict[str, Any], secret: str) -> Keys:
    """Return what `secret`, a recovery key or the password, opens (paragraphs 1 to 3 and 5)."""
    recovery_key = read_recovery_key(secret)
    if recovery_key is not None:
        vault_key = open_with_recovery_key(account, recovery_key)
        return Keys(vault_key, earlier_keys(account, vault_key))
    salt = bytes.fromhex(account["key_salt"])
    own = [direct_key(secret, salt), direct_key(secret, salt.hex().encode("ascii"))]
    if not account["vault"]:
        return Keys(None, own)
    vault_key = open_with_password(account, secret)
    return Keys(vault_key, own + earlier_keys(account, vault_key))


def open_with_password(account: dict[str, Any], password: str) -> bytes:
    """Return the vault key (paragraph 1)."""
    kdf = account["vault"]["kdf"]
    kek = Argon2id(
        salt=bytes.fromhex(kdf["salt"]),
        length=32,
        iterations=int(kdf["time_cost"]),
        lanes=int(kdf["parallelism"]),
        memory_cost=int(kdf["memory_cost_kib"]),
    ).derive(password.encode("utf-8"))
    return unwrap(kek, account["vault"]["wrapped_key"], b"panzoto/v2/vault", account)


def open_with_recovery_key(account: dict[str, Any], recovery_key: bytes) -> bytes:
    """Return the vault key (paragraph 2)."""
    if not account["recovery"]:
        raise Refused("This export was made before there was a recovery key; please use the password.")
    kek = hkdf(recovery_key, b"panzoto/v2/recovery")
    return unwrap(kek, account["recovery"]["wrapped_key"], b"panzoto/v2/recovery", account)


def unwrap(kek: bytes, wrapped: str, name: bytes, account: dict[str, Any]) -> bytes:
    """Open a wrapped key."""
    sealed = base64.b64decode(wrapped)
    try:
        return AESGCM(kek).decrypt(sealed[:12], sealed[12:], name + account["user_id"].encode("ascii"))
    except InvalidTag:
        raise Refused("This is neither the recovery key nor the password of this account.") from None


def direct_key(password: str, salt: bytes) -> bytes:
    """Return the key of single-shot recordings for one reading of the salt (paragraph 5)."""
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8"), salt, 100_000)


def earlier_keys(account: dict[str, Any], vault_key: bytes) -> list[bytes]:
    """Return the keys of single-shot recordings that are kept under the vault key (paragraph 5)."""
    kek = hkdf(vault_key, b"panzoto/v2/direct")
    kept: list[bytes] = []
    for entry in account["earlier_direct_keys"]:
        both = unwrap(kek, entry["keys"], b"panzoto/v2/direct", account)
        kept += [both[:32], both[32:]]
    return kept


def decrypted(source: IO[bytes], size: int, s3_key: str, keys: Keys) -> Iterator[bytes]:
    """Yield the plain recording (paragraphs 4 and 5). Raises `Refused`, for single-shot ones at the end."""
    header = source.read(HEADER)
    if header[:4] == b"PNZ2" and keys.vault_key is not None:
        try:
            key = file_key(header, keys.vault_key)
        except Refused:
            # One in four thousand million single-shot recordings begins like that by chance.
            if not keys.direct_keys:
                raise
        else:
            yield from segments(source, size, header, s3_key, key)
            return
    yield from single_shot(source, size, keys)


def file_key(header: bytes, vault_key: bytes) -> bytes:
    """Return the key of one version 2 recording (paragraph 4)."""
    try:
        key = AESGCM(hkdf(vault_key, b"panzoto/v2/wrap")).decrypt(header[22:34], header[34:82], header[:22])
    except (InvalidTag, ValueError):
        raise Refused("it was encrypted with another key, or is damaged") from None
    if not hmac.compare_digest(header[82:114], hkdf(key, b"panzoto/v2/commit" + header[:82])):
        raise Refused("it is damaged")
    return key


def segments(source: IO[bytes], size: int, header: bytes, s3_key: str, key: bytes) -> Iterator[bytes]:
    """Yield the segments of one version 2 recording, each checked before it is given out (paragraph 4)."""
    stream_header = source.read(STREAM_HEADER)
    if len(stream_header) != STREAM_HEADER or stream_header[0] != STREAM_HEADER:
        raise Refused("it is damaged")
    bound = header + s3_key.encode("utf-8")
    cipher = AESGCM(hkdf(hkdf(key, b"panzoto/v2/stream"), bound, stream_header[1:33]))
    count = max(1, -(-(size - HEADER) // SEGMENT))
    for number in range(count):
        sealed = source.read(SEGMENT - (STREAM_HEADER if number == 0 else 0))
        nonce = stream_header[33:] + struct.pack(">IB", number, number == count - 1)
        try:
            yield cipher.decrypt(nonce, sealed, None)
        except InvalidTag:
            raise Refused("it is damaged") from None


def single_shot(source: IO[bytes], size: int, keys: Keys) -> Iterator[bytes]:
    """Yield what the earlier phones wrote: first the whole is checked, then it is given out (paragraph 5)."""
    for key in keys.direct_keys:
        for iv_size in (12, 16):
            if size >= iv_size + TAG and all(
                piece is not None for piece in one_pass(source, size, key, iv_size)
            ):
                yield from (piece or b"" for piece in one_pass(source, size, key, iv_size))
                return
    raise Refused("none of the keys opens it, or it is damaged")


def one_pass(source: IO[bytes], size: int, key: bytes, iv_size: int) -> Iterator[bytes | None]:
    """Yield the recording under one key, and None at the end where the tag does not fit."""
    source.seek(size - TAG)
    tag = source.read(TAG)
    source.seek(0)
    opening = Cipher(algorithms.AES(key), modes.GCM(source.read(iv_size), tag)).decryptor()
    left = size - iv_size - TAG
    while left:
        piece = source.read(min(PIECE, left))
        if not piece:
            raise Refused("it is damaged")
        left -= len(piece)
        yield opening.update(piece)
    try:
        yield opening.finalize()
    except InvalidTag:
        yield None


def write(record: dict[str, Any], encrypted: Path, target: Path, keys: Keys) -> Path:
    """Write one recording to a file of its own, which appears only when it is whole; return it."""
    draft = target / f".{encrypted.name}.part"
    try:
        with encrypted.open("rb") as source, draft.open("wb") as out:
            size = os.fstat(source.fileno()).st_size
            for piece in decrypted(source, size, record["s3_key"], keys):
                out.write(piece)
        when = re.sub(r"[^0-9TZ-]", "-", (record.get("recorded_at") or record.get("uploaded_at") or "")[:19])
        with draft.open("rb") as plain:
            ending = suffix(plain.read(16), record["s3_key"])
        done = target / "-".join(filter(None, (when, encrypted.name + ending)))
        draft.replace(done)
        return done
    finally:
        draft.unlink(missing_ok=True)


def suffix(opening: bytes, s3_key: str) -> str:
    """Return the ending by which players know what a recording is."""
    for offset, magic, ending in OPENINGS:
        if opening[offset:].startswith(magic):
            return ending
    named = re.search(r"\.([a-z0-9]{2,4})(?:_encrypted)?$", s3_key)
    return f".{named[1]}" if named else ".bin"


def open_all(folder: Path, target: Path, secret: str) -> int:
    """Open every recording of the export in `folder`; return how many did not open."""
    account = json.loads((folder / "account.json").read_text("utf-8"))
    keys = open_keys(account, secret)
    target.mkdir(exist_ok=True)
    failed = 0
    with (folder / "recordings.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            encrypted = folder / "objects" / record["file_id"]
            try:
                print(write(record, encrypted, target, keys))
            except FileNotFoundError:
                failed += 1
                print(f"{record['file_id']} was not there when the export was made", file=sys.stderr)
            except Refused as reason:
                failed += 1
                print(f"{record['file_id']} does not open: {reason}", file=sys.stderr)
    return failed


def ask() -> str:
    """Return the recovery key or the password, from the terminal or from standard input's first line."""
    if sys.stdin.isatty():
        return getpass.getpass("Recovery key or password: ")
    return sys.stdin.readline().rstrip("\r\n")


def main() -> int:
    """Run the command line; 1 when something did not open."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Open the recordings of a Panzoto export.")
    parser.add_argument("--export", type=Path, default=here, help="the unpacked export (where this file is)")
    parser.add_argument("--to", type=Path, help="folder for the opened recordings (`opened` in the export)")
    options = parser.parse_args()
    try:
        return 1 if open_all(options.export, options.to or options.export / "opened", ask()) else 0
    except Refused as reason:
        print(reason, file=sys.stderr)
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
