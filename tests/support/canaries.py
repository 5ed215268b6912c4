"""Every secret that the tests send or are given, looked for wherever the service leaves anything.

Passwords, tokens, recovery keys, codes and tickets belong nowhere: not into logs, files or tables. Addresses
belong into the tables of accounts and claims, and with codes into the letters that development writes.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.contents import contents

SECRET_FIELDS = {
    "password",
    "new_password",
    "token",
    "refresh_token",
    "recovery_key",
    "code",
    "file_key",
    "transcripts_key",
    "ticket",
}
ADDRESS_TABLES = {"panzoto-users", "panzoto-claims"}
PLAYBACK = "/api/playback/"
LETTERS = "mail"
# A password of few or repeated characters would be found in any text.
SHORTEST = 8
FEWEST_CHARACTERS = 6
# What tokens, keys and addresses consist of; whatever else there is stands between two of them.
WORDS = re.compile(r"[\w.+@~-]{8,}")

_secrets: dict[str, str] = {}
_sentences: dict[str, str] = {}
_addresses: set[str] = set()


def note(sent: Any, received: Any) -> None:
    """Remember what a request that succeeded sent and received, two decoded JSON values.

    An OpenAPI document has none but those of its examples, which everybody may read.
    """
    if isinstance(received, dict) and "openapi" in received:
        return
    for body in (sent, received):
        for name, value in _fields(body):
            if name in SECRET_FIELDS:
                _note_secret(name, value)
            elif name == "email":
                _addresses.add(value.strip().lower())
            elif name == "download_url":
                _note_secret("ticket", urlsplit(value).path.removeprefix(PLAYBACK))


def _note_secret(name: str, value: str) -> None:
    if len(value) < SHORTEST or len(set(value)) < FEWEST_CHARACTERS:
        return
    if WORDS.fullmatch(value):
        _secrets[value] = name
    else:
        _sentences[value] = name


def _fields(body: Any) -> Iterator[tuple[str, str]]:
    if isinstance(body, dict):
        for name, value in body.items():
            if name == "code" and "error" in body:
                # Of an error's code it is known what it is: the contract lists them.
                continue
            if isinstance(value, str):
                yield name, value
            else:
                yield from _fields(value)


def secrets_in(text: str) -> list[str]:
    """Return the kinds of the secrets that `text` holds."""
    words = {word.strip(".") for word in WORDS.findall(text)}
    found = [_secrets[word] for word in words if word in _secrets]
    return found + [name for sentence, name in _sentences.items() if sentence in text]


def addresses_in(text: str) -> list[str]:
    """Return the kinds of what `text` holds of addresses."""
    words = {word.strip(".").lower() for word in WORDS.findall(text)}
    return ["address" for word in words if word in _addresses]


def check_files(log: str, data_dir: Path) -> None:
    """Fail when a secret or an address is in a service's log or in its files."""
    assert secrets_in(log) + addresses_in(log) == [], "in the log"
    for path, content in contents(data_dir).items():
        if path.relative_to(data_dir).parts[0] != LETTERS:
            text = content.decode(errors="replace")
            assert secrets_in(text) + addresses_in(text) == [], f"in {path.name}"


def check_table(name: str, items: list[dict[str, Any]]) -> None:
    """Fail when a secret is in a table, or an address in one where none belongs."""
    found = list(itertools.chain.from_iterable(_found_in(name, item) for item in items))
    assert not found, f"in {name}: {found[:20]}"


def _found_in(table: str, item: dict[str, Any]) -> Iterator[str]:
    for attribute, value in item.items():
        text = json.dumps(value, default=repr, ensure_ascii=False)
        found = secrets_in(text) + ([] if table in ADDRESS_TABLES else addresses_in(text))
        yield from (f"{kind} in {attribute}" for kind in found)
