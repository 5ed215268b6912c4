"""What a worker is told of a job: the keys of its recordings, sealed, which stand nowhere else.

A version 2 recording has its own file key in it and a single-shot one its direct key; never the vault key.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.models.transcription import Transcription

# SQS takes 256 KiB; the keys of 500 recordings are about 90.
LONGEST_ERRAND = 240 * 1024


@dataclass(frozen=True, slots=True)
class ClipKey:
    """What opens one recording, as it was when the job was asked for."""

    file_id: str
    etag: str
    format: str
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Whose job a message is about; it stands in the clear, and opens nothing."""

    user_id: str
    transcription_id: str


@dataclass(frozen=True, slots=True)
class Errand:
    """What is sealed: the recordings in order, the names that may be heard in them, and what to seal to.

    The public key travels here since whoever writes to tables could exchange it in a row. A message of
    1.4.1 and before has none.
    """

    clips: tuple[ClipKey, ...]
    vocabulary: tuple[str, ...] = field(repr=False)
    public_key: bytes | None = None

    @property
    def file_ids(self) -> list[str]:
        """The recordings in the order in which they are heard."""
        return [clip.file_id for clip in self.clips]


class NoErrand(Exception):
    """The message is none of ours."""


class Messages:
    """Writes messages and reads them, sealed under one secret."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def write(
        self, job: Transcription, clips: Sequence[ClipKey], vocabulary: Sequence[str], public_key: bytes
    ) -> str:
        """Return the body of a message that is good for as long as the job may go on."""
        sealed = {
            "job": job.transcription_id,
            "clips": [
                [clip.file_id, clip.etag, clip.format, base64.b64encode(clip.key).decode("ascii")]
                for clip in clips
            ],
            "vocabulary": list(vocabulary),
            "public_key": base64.b64encode(public_key).decode("ascii"),
        }
        body = {
            "user_id": job.user_id,
            "transcription_id": job.transcription_id,
            "sealed": self._sealer.seal(sealed, int(time.time() + job.seconds_left())),
        }
        return json.dumps(body)

    def open(self, body: str) -> Errand | None:
        """Return what is sealed in a message; None when its time is over. Raises `NoErrand`."""
        try:
            values = self._sealer.open(_fields(body)["sealed"], time.time())
        except NotSealedHere as error:
            raise NoErrand() from error
        except SealExpired:
            return None
        if values["job"] != address_of(body).transcription_id:
            raise NoErrand()
        clips = tuple(
            ClipKey(file_id, etag, kind, base64.b64decode(key))
            for file_id, etag, kind, key in values["clips"]
        )
        known = values.get("public_key")
        public_key = None if known is None else base64.b64decode(known)
        return Errand(clips, tuple(values["vocabulary"]), public_key)


def address_of(body: str) -> Address:
    """Return whose job a message is about. Raises `NoErrand`."""
    values = _fields(body)
    return Address(values["user_id"], values["transcription_id"])


def _fields(body: str) -> dict[str, Any]:
    try:
        values = json.loads(body)
        found = {name: values[name] for name in ("user_id", "transcription_id", "sealed")}
    except (ValueError, KeyError, TypeError) as error:
        raise NoErrand() from error
    if not all(isinstance(value, str) for value in found.values()):
        raise NoErrand()
    return found
