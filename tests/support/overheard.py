"""What only the owners of accounts may know, looked for in every request that left a browser of the tests.

Tests that set up accounts, titles and transcripts tell of them here, and so do the pages, of what is typed
into them. Nothing is remembered but while somebody listens: between `listen` and `judge`.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from panzoto.crypto import vault
from panzoto.crypto.derivation import direct_keys
from panzoto.crypto.permits import HashPermits
from tests.support.recording_proxy import Sent

INFOS = ("wrap", "names", "transcripts")
# A text of fewer bytes may stand in any ciphertext by accident.
SHORTEST = 8
# No more groups than a key has: one of many codes of letters has neither `-` nor `_`, and is longer.
RECOVERY_KEY = re.compile(r"(?:[0-9A-Za-z]{4}[- ]?){6,14}[0-9A-Za-z]{0,4}")
# The calls that ask for a password, and those that ask for a recovery key: docs/clients.md, 1 and 6.
PASSWORD_CALLS = re.compile(
    r"POST /api/(register|login|recover|password/reset|user/(password|email|recovery-key|recover)"
    r"|decrypt-audio|transcriptions|audio-file/[^/]+/upgrade)|DELETE /api/user"
)
# And those that ask for a code that a letter brought.
CODE_CALLS = re.compile(r"POST /api/(verify-email|email/undo|password/reset)")
RECOVERY_CALLS = re.compile(r"POST /api/(recover|user/recover|password/reset)")
# Where browsers ask of their own accord, though told not to, for newer parts of themselves.
OWN_HOSTS = re.compile(r"https?://[^/]*\.(googleapis|google|mozilla)\.(com|org|net)[/:]", re.ASCII)
NOWHERE = re.compile(r"(?!)")


@dataclass
class _Known:
    accounts: list[tuple[dict[str, Any], str]] = field(default_factory=list)
    passwords: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)


_known: _Known | None = None


def listen() -> None:
    global _known  # noqa: PLW0603 - one test runs at a time
    _known = _Known()


def account(made: dict[str, Any], password: str) -> None:
    """Tell of an account, as `register` answered it."""
    if _known is not None:
        _known.accounts.append((made, password))
        _known.passwords.add(password)


def texts(said: Iterable[str]) -> None:
    """Tell of titles, notes and what was spoken."""
    if _known is not None:
        _known.texts.update(said)


def transcript(plain: bytes) -> None:
    """Tell of a transcript's document, as it is sealed: a byte for how it is packed, and JSON."""
    if _known is None:
        return
    try:
        document = json.loads(plain[1:] if plain[0] == 0 else zlib.decompress(plain[1:], -zlib.MAX_WBITS))
        texts(segment["text"] for segment in document["segments"])
    except (ValueError, KeyError, TypeError, zlib.error, IndexError):
        # One that tests damage on purpose says nothing.
        return


def typed(value: str, kind: str) -> None:
    """Tell of what somebody typed into a field of this `type`; an address of the service is no secret."""
    if _known is None or kind == "email" or value.startswith(("http://", "https://")):
        return
    (_known.passwords if kind == "password" else _known.texts).add(value)


def judge(sent: Iterable[Sent]) -> list[str]:
    """Return which requests hold what they may not, and remember nothing any more."""
    global _known
    known, _known = _known, None
    if known is None:
        return []
    requests = [(one, whole(one)) for one in sent if not OWN_HOSTS.match(one.url)]
    return [
        f"{kind} in {one.method} {one.path}"
        for kind, needles, allowed in _needles(known)
        for one, text in requests
        if any(needle in text for needle in needles) and not _is_allowed(one, needles, allowed)
    ]


def whole(sent: Sent) -> bytes:
    """A request as one text, but for headers that scripts cannot set: Fetch (2.2.2)."""
    headers = [(name, value) for name, value in sent.headers if not name.lower().startswith("sec-")]
    head = "\n".join([sent.url, *(f"{name}: {value}" for name, value in headers)])
    return head.encode("utf-8", "replace") + b"\n" + sent.body


def spelled(secret: bytes) -> set[bytes]:
    """The ways in which bytes may stand in a request, within others too."""
    found = {secret, secret.hex().encode(), secret.hex().upper().encode(), quote(secret).encode()}
    # As it stands within a text of JSON.
    found.add(json.dumps(secret.decode("latin-1"))[1:-1].encode("latin-1"))
    try:
        found.add(json.dumps(secret.decode())[1:-1].encode())
        found.add(json.dumps(secret.decode(), ensure_ascii=False)[1:-1].encode())
    except UnicodeDecodeError:
        pass
    for before in range(3):
        # What follows and what stands before changes the characters at the ends.
        coded = base64.b64encode(bytes(before) + secret)
        own = coded[(before * 8 + 5) // 6 : (before + len(secret)) * 8 // 6]
        found |= {own, own.replace(b"+", b"-").replace(b"/", b"_")}
    return found


def _is_allowed(sent: Sent, needles: set[bytes], allowed: re.Pattern[str]) -> bool:
    """Whether the call asks for it, and it stands in the body and nowhere else."""
    head = Sent(sent.method, sent.url, sent.headers, b"")
    return bool(allowed.fullmatch(f"{sent.method} {sent.path}")) and not any(
        map(whole(head).__contains__, needles)
    )


def _needles(known: _Known) -> Iterator[tuple[str, set[bytes], re.Pattern[str]]]:
    for password in known.passwords:
        if len(password.encode()) >= SHORTEST:
            yield "a password", spelled(password.encode()), PASSWORD_CALLS
    for text in known.texts - known.passwords:
        if RECOVERY_KEY.fullmatch(text.strip()):
            yield "a recovery key", spelled(text.strip().encode()), RECOVERY_CALLS
        elif len(text.strip().encode()) >= SHORTEST:
            yield "a text", spelled(text.strip().encode()), CODE_CALLS
    for made, password in known.accounts:
        for name, key in _keys(json.dumps(made, sort_keys=True), password).items():
            yield name, spelled(key), NOWHERE


@cache
def _keys(made: str, password: str) -> dict[str, bytes]:
    """The vault key, what is derived from it, and the keys of single-shot recordings."""
    account = json.loads(made)
    direct = direct_keys(password, bytes.fromhex(account["key_salt"]))
    found = {"a direct key": direct.raw_salt, "another direct key": direct.hex_salt}
    if account.get("vault"):
        stored = vault.Vault.from_stored(account["vault"])
        key = vault.unwrap(stored, account["user_id"], password, HashPermits(1, 5))
        found["the vault key"] = key
        for info in INFOS:
            derived = HKDF(hashes.SHA256(), 32, bytes(32), f"panzoto/v2/{info}".encode())
            found[f"the vault's {info} key"] = derived.derive(key)
    return found
