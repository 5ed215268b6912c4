"""Conversations whose bursts lie at known places: clips of several kinds, with and without gaps."""

from __future__ import annotations

import base64
import random
import uuid
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from panzoto.crypto import header
from panzoto.models.attributes import EPOCH, rfc3339
from tests.support.bursts import bursts, encoded
from tests.support.phone import Keys
from tests.support.service import PASSWORD
from tests.support.transcripts import Owner

# How far from where it is a burst may be heard.
NEAR_MS = 200
KINDS = {
    "amr": ("amr", "libopencore_amrnb", 8000),
    "aac": ("adts", "aac", 44100),
    "opus": ("ogg", "libopus", 48000),
    "wav": ("wav", "pcm_s16le", 16000),
}
# Of 32768: far below what is silence, and yet FLAC needs some bytes for it.
RUSTLE = 30
# What each byte becomes in it.
_AS_RUSTLE = bytes((byte % (2 * RUSTLE) - RUSTLE) % 256 for byte in range(256))
FIRST = EPOCH + timedelta(days=20_000)


@dataclass(frozen=True)
class Clip:
    """A recording, where its bursts begin, in ms, and when it was recorded, if that is known."""

    sound: bytes = field(repr=False)
    places: tuple[int, ...]
    recorded_at: datetime | None = None


@dataclass(frozen=True)
class Recorded:
    """A clip that its owner has stored; `key` is its file key in base64."""

    owner: Owner
    file_id: str
    key: str
    places: tuple[int, ...]


@dataclass
class Person:
    """An account whose keys were derived once."""

    owner: Owner
    _keys: Keys = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keys = Keys(self.owner.account, PASSWORD)

    def record(self, clip: Clip) -> Recorded:
        owner = self.owner
        s3_key = f"users/{owner.user_id}/{uuid.uuid4()}"
        data = self._keys.version_2(clip.sound).content(s3_key).read(0, 2**40)
        key = header.open_file_key(data[: header.HEADER_BYTES], self._keys.vault_key)
        more = {} if clip.recorded_at is None else {"recorded_at": rfc3339(clip.recorded_at)}
        owner.service.put_object(s3_key, data)
        body = {"s3_key": s3_key, "file_size": len(data), **more}
        answer = owner.call("POST", "/api/audio-file", json=body)
        # A call that is repeated finds what it made the first time.
        assert answer.status_code in (200, 201), answer.text
        file_id = answer.json()["audio_file"]["file_id"]
        return Recorded(owner, file_id, base64.b64encode(key).decode(), clip.places)


def asking(clips: Iterable[Recorded], **more: Any) -> dict[str, Any]:
    """Return the body that asks for the transcripts of a conversation."""
    keys = {clip.file_id: clip.key for clip in clips}
    return {"file_ids": list(keys), "file_keys": keys, **more}


def rustling(rate: int, seconds: float, places: Sequence[int]) -> array[int]:
    """Return bursts at those places in a room that is not quite silent."""
    made = bursts(rate, seconds, places)
    noise = array("b", random.Random(11).randbytes(len(made)).translate(_AS_RUSTLE))
    return array("h", (sample or rustle for sample, rustle in zip(made, noise, strict=True)))


def clip(kind: str, seconds: float, places: Sequence[int], recorded_at: datetime | None = None) -> Clip:
    container, codec, rate = KINDS[kind]
    sound = encoded(rustling(rate, seconds, places), container, codec, rate)
    return Clip(sound, tuple(places), recorded_at)


def conversation(seconds: float, gaps: Sequence[float | None]) -> list[Clip]:
    """Return a clip of each kind in turn, and between two of them the gap; None where nothing tells it.

    Bursts lie near both ends of each, and in between where no cut can be foreseen.
    """
    made: list[Clip] = []
    moment = FIRST
    kinds = sorted(KINDS)
    for number in range(len(gaps) + 1):
        gap = gaps[number - 1] if number else 0.0
        moment += timedelta(seconds=gap or 0.0)
        end = round(1000 * seconds)
        places = [100, *range(900 + 70 * number, end - 700, 1370), end - 220]
        made.append(clip(kinds[number % len(kinds)], seconds, places, None if gap is None else moment))
        moment += timedelta(seconds=seconds)
    return made


def listened(document: dict[str, Any]) -> list[int]:
    """Return where the words of a document begin, in ms."""
    return [word["start_ms"] for segment in document["segments"] for word in segment["words"]]


def furthest_off(document: dict[str, Any], places: Sequence[int]) -> float:
    """Return how far, in ms, the worst word is from its burst; infinite where their numbers differ."""
    heard = listened(document)
    if len(heard) != len(places):
        return float("inf")
    return max((abs(at - place) for at, place in zip(heard, places, strict=True)), default=0)
