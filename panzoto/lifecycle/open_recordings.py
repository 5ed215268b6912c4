"""Open a Panzoto export, with the recovery key or the password, without any service.

It lies in the unpacked export, beside account.json, and needs Python 3.9 or newer and one library:

    python3 -m pip install "cryptography>=44"
    python3 open_recordings.py

It asks for the key and writes each recording to a file of its own in the folder `opened`. Beside it stands
what was written of it, if anything was: `.words.txt` has title, note and transcript for reading,
`.transcript.json` the transcript as it is. It sends nothing anywhere.  README.txt says how everything is
computed; each function here names the paragraph that it follows.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import getpass
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
except ImportError:
    # A version before 44 has no Argon2id, and whoever runs this for the first time may have none at all.
    sys.exit('The library cryptography is missing or too old: python3 -m pip install "cryptography>=44"')

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
FORGIVEN = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})
RECOVERY_CHARACTERS = 56
MISSPELT = "The recovery key is not written correctly; please compare it with your copy."
HEADER = 128
STREAM_HEADER = 40
SEGMENT = 65536
TAG = 16
PIECE = 1024 * 1024
LARGEST_TRANSCRIPT = 16 * 1024 * 1024
HPKE_KEM = b"KEM" + bytes.fromhex("0020")
HPKE_SUITE = b"HPKE" + bytes.fromhex("0020 0001 0002")
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
        with draft.open("rb") as plain:
            ending = suffix(plain.read(16), record["s3_key"])
        done = target / (stem(record) + ending)
        draft.replace(done)
        return done
    finally:
        draft.unlink(missing_ok=True)


def stem(record: dict[str, Any]) -> str:
    """Return the beginning of the names of all files of one recording: its time and its id."""
    when = re.sub(r"[^0-9TZ-]", "-", (record.get("recorded_at") or record.get("uploaded_at") or "")[:19])
    return "-".join(filter(None, (when, Path(record["file_id"]).name)))


def suffix(opening: bytes, s3_key: str) -> str:
    """Return the ending by which players know what a recording is."""
    for offset, magic, ending in OPENINGS:
        if opening[offset:].startswith(magic):
            return ending
    named = re.search(r"\.([a-z0-9]{2,4})(?:_encrypted)?$", s3_key)
    return f".{named[1]}" if named else ".bin"


def write_words(record: dict[str, Any], sealed: Path, target: Path, vault_key: bytes) -> list[Path]:
    """Write title, note and transcript of one recording, where there are any; return the files."""
    document = open_transcript(record, sealed.read_bytes(), vault_key) if sealed.exists() else None
    parts = [
        f"{what.title()}: {text}\n" for what in ("title", "note") if (text := name(record, what, vault_key))
    ]
    if document is not None:
        parts.append("".join(lines_of(document)))
    written = {".words.txt": "\n".join(parts).encode("utf-8"), ".transcript.json": document or b""}
    files = []
    for ending, content in written.items():
        if content:
            files.append(target / (stem(record) + ending))
            files[-1].write_bytes(content)
    return files


def name(record: dict[str, Any], what: str, vault_key: bytes) -> str:
    """Return the title or the note of a recording, or nothing where it has none that opens (paragraph 7)."""
    if not record[what]:
        return ""
    bound = f"panzoto/v2/{what}\0{record['file_id']}".encode("ascii")
    try:
        sealed = base64.b64decode(record[what], validate=True)
        key = hkdf(vault_key, b"panzoto/v2/names")
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], bound).decode("utf-8")
    except (InvalidTag, binascii.Error, ValueError):
        # An app of before may have written it in a way of its own, which only that app reads.
        print(
            f"{record['file_id']}: its {what} is not in the common form; see recordings.jsonl",
            file=sys.stderr,
        )
        return ""


def open_transcript(record: dict[str, Any], sealed: bytes, vault_key: bytes) -> bytes:
    """Return the JSON of a sealed transcript (paragraph 6)."""
    private_key = X25519PrivateKey.from_private_bytes(hkdf(vault_key, b"panzoto/v2/transcripts"))
    public_key = private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    info = f"panzoto/v2/transcript\0{record['user_id']}\0{record['file_id']}".encode("ascii")
    try:
        shared = private_key.exchange(X25519PublicKey.from_public_bytes(sealed[:32]))
        key, nonce = hpke_keys(shared, sealed[:32] + public_key, info)
        plain = AESGCM(key).decrypt(nonce, sealed[32:], None)
        return plain[1:] if plain[:1] == b"\0" else inflated(plain[1:])
    except (InvalidTag, ValueError, zlib.error):
        raise Refused("its transcript is damaged") from None


def inflated(deflated: bytes) -> bytes:
    """Return what was put into raw DEFLATE; nobody's transcript is larger than this reads."""
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    document = inflating.decompress(deflated, LARGEST_TRANSCRIPT)
    if not inflating.eof:
        raise Refused("its transcript is damaged")
    return document


def hpke_keys(shared: bytes, both_public: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return key and nonce of HPKE in base mode (RFC 9180, 5.1), which older libraries do not have."""
    secret = labeled_extract(HPKE_KEM, b"", b"eae_prk", shared)
    secret = labeled_expand(HPKE_KEM, secret, b"shared_secret", both_public, 32)
    ids = labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    context = b"\0" + ids + labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    secret = labeled_extract(HPKE_SUITE, secret, b"secret", b"")
    key = labeled_expand(HPKE_SUITE, secret, b"key", context, 32)
    return key, labeled_expand(HPKE_SUITE, secret, b"base_nonce", context, 12)


def labeled_extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    """Return HPKE's LabeledExtract."""
    return hmac.digest(salt, b"HPKE-v1" + suite + label + key, "sha256")


def labeled_expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """Return HPKE's LabeledExpand, of 32 bytes at most."""
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labeled + b"\1", "sha256")[:length]


def lines_of(document: bytes) -> Iterator[str]:
    """Yield a transcript for reading: a line for each segment, with its time, and who speaks."""
    try:
        segments = json.loads(document)["segments"]
        for segment in segments:
            minutes, milliseconds = divmod(int(segment.get("start_ms") or 0), 60_000)
            speaker = f"{segment['speaker']}: " if segment.get("speaker") else ""
            text = " ".join(str(segment.get("text") or "").split())
            if text:
                yield f"{minutes}:{milliseconds // 1000:02}  {speaker}{text}\n"
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise Refused("its transcript is none that this program knows") from None


def opens(file_id: str, work: Callable[[], list[Path]]) -> bool:
    """Tell which files `work` has written, or why it does not; return whether it has."""
    try:
        for file in work():
            print(file)
    except FileNotFoundError:
        print(f"{file_id} was not there when the export was made", file=sys.stderr)
        return False
    except Refused as reason:
        print(f"{file_id} does not open: {reason}", file=sys.stderr)
        return False
    return True


def open_one(folder: Path, target: Path, record: dict[str, Any], keys: Keys) -> bool:
    """Open one recording and what is written of it; return whether everything opened."""
    file_id, vault_key = record["file_id"], keys.vault_key
    encrypted, sealed = folder / "objects" / file_id, folder / "transcripts" / f"{file_id}.hpke"
    sound = opens(file_id, lambda: [write(record, encrypted, target, keys)])
    if vault_key is None:
        return sound
    return opens(file_id, lambda: write_words(record, sealed, target, vault_key)) and sound


def open_all(folder: Path, target: Path, secret: str) -> int:
    """Open everything in the export in `folder`; return how many recordings did not open as a whole."""
    account = json.loads((folder / "account.json").read_text("utf-8"))
    keys = open_keys(account, secret)
    target.mkdir(exist_ok=True)
    with (folder / "recordings.jsonl").open(encoding="utf-8") as lines:
        return sum(not open_one(folder, target, json.loads(line), keys) for line in lines)


def ask() -> str:
    """Return the recovery key or the password, from the terminal or from standard input's first line."""
    if sys.stdin.isatty():
        return getpass.getpass("Recovery key or password: ")
    return sys.stdin.readline().rstrip("\r\n")


def main() -> int:
    """Run the command line; 1 when something did not open."""
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="Open a Panzoto export.")
    parser.add_argument("--export", type=Path, default=here, help="the unpacked export (where this file is)")
    parser.add_argument("--to", type=Path, help="folder for what is opened (`opened` in the export)")
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
