"""The vectors under tests/vectors: one account and 29 objects of it, each with what must become of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "vectors"
ACCOUNT: dict[str, Any] = json.loads((FOLDER / "vectors.json").read_text("utf-8"))
CASES: list[dict[str, Any]] = ACCOUNT["cases"]
USER_ID: str = ACCOUNT["user_id"]
PASSWORD: str = ACCOUNT["password"]
KEY_SALT = bytes.fromhex(ACCOUNT["key_salt"])
VAULT_KEY = bytes.fromhex(ACCOUNT["vault_key"])
OPENING = [case for case in CASES if case["expect"] == "opens"]
FAILING = [case for case in CASES if case["expect"] == "fails"]


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def content(case: dict[str, Any]) -> bytes:
    """Return the bytes of the case's object."""
    return (FOLDER / case["file"]).read_bytes()


@dataclass(frozen=True)
class Bytes:
    """An object in memory as a `panzoto.crypto.source.ByteSource`."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def pieces(self, start: int, stop: int, piece: int) -> Iterator[bytes]:
        for at in range(start, stop, piece):
            yield self.data[at : min(at + piece, stop)]
