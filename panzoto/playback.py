"""Opening a recording with its owner's keys, and playing it back by a sealed ticket.

decrypt-audio opens once and seals what playing needs, one file key and the
object's identity, into a ticket; every later request unseals it, so no key is
kept in the service's memory or storage.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

from panzoto.auth.tokens import Identity
from panzoto.crypto import header, single_shot
from panzoto.crypto.derivation import DirectKeys
from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.crypto.segments import PREAMBLE, SegmentedRecording
from panzoto.crypto.single_shot import SingleShotRecording
from panzoto.crypto.source import Recording
from panzoto.errors import (
    DamagedRecord,
    DecryptionFailed,
    PlaybackExpired,
    PlaybackNotFound,
    TokenInvalid,
    UnsupportedFormat,
)
from panzoto.media_type import SNIFFED_BYTES, media_type
from panzoto.sessions import Sessions
from panzoto.storage import ObjectVersion, Storage, StoredObject

V2 = "v2"
# Up to this size a version 2 object is authenticated whole when it is opened,
# so that damage is told at once; beyond, only its end is, and playback
# authenticates the segments it touches.
WHOLE_UP_TO_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class OpenedRecording:
    """A recording whose key is known: how it is read and what it is."""

    recording: Recording
    format: str
    key: bytes = field(repr=False)
    preamble: bytes
    version: ObjectVersion
    content_type: str

    @property
    def etag(self) -> str:
        """The entity tag of the plain recording, as strong as the object's own."""
        digest = hashlib.sha256(f"{self.version.etag}\n{self.version.s3_key}".encode()).hexdigest()
        return f'"{digest[:32]}"'


@dataclass(frozen=True, slots=True)
class Ticket:
    """A sealed ticket and when it ends, in epoch seconds."""

    value: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Keys:
    """What a password opens: the vault key, and the direct keys of every password so far, newest first.

    There is no vault key while an account that has no vault is only looked at.
    """

    vault_key: bytes | None = field(repr=False)
    generations: tuple[DirectKeys, ...] = field(repr=False)

    def the_vault_key(self) -> bytes:
        """Return the vault key where there must be one. Raises `DamagedRecord`."""
        if self.vault_key is None:
            raise DamagedRecord()
        return self.vault_key


class Playback:
    """Opens objects of one bucket and seals tickets under one secret."""

    def __init__(self, storage: Storage, sealer: Sealer, sessions: Sessions, ttl_seconds: int) -> None:
        self._storage = storage
        self._sessions = sessions
        self._sealer = sealer
        self._ttl_seconds = ttl_seconds

    def open(self, s3_key: str, keys: Keys, remembered_format: str | None) -> OpenedRecording:
        """Authenticate the object with `keys`.

        Raises `ObjectNotFound`, `DecryptionFailed`, `UnsupportedFormat`,
        `ObjectChanged` and `Unavailable`.
        """
        stored = self._storage.open(s3_key)
        if keys.vault_key is None or not header.looks_like(stored.head):
            return _open_single_shot(stored, keys, remembered_format)
        try:
            file_key = header.open_file_key(stored.head[: header.HEADER_BYTES], keys.vault_key)
        except (DecryptionFailed, UnsupportedFormat):
            # An IV is random, so once in four thousand million recordings a
            # single-shot one begins like a version 2 header.
            try:
                return _open_single_shot(stored, keys, remembered_format)
            except DecryptionFailed:
                pass
            raise
        return _open_segmented(stored, file_key)

    def ticket(self, opened: OpenedRecording, identity: Identity) -> Ticket:
        """Seal what playing `opened` needs: a credential for this one recording, bound to a session."""
        expires_at = int(time.time()) + self._ttl_seconds
        values = {
            "user": identity.user_id,
            "session": identity.session_id,
            "issued": identity.issued_at,
            "object": opened.version.s3_key,
            "etag": opened.version.etag,
            "size": opened.version.size,
            "format": opened.format,
            "type": opened.content_type,
            "key": _text(opened.key),
            "preamble": _text(opened.preamble),
        }
        return Ticket(self._sealer.seal(values, expires_at), expires_at)

    def redeem(self, ticket: str) -> OpenedRecording:
        """Return the recording that `ticket` is for.

        Raises `PlaybackNotFound`, and `PlaybackExpired` also when the session that asked has ended.
        """
        try:
            values = self._sealer.open(ticket, time.time())
        except NotSealedHere as error:
            raise PlaybackNotFound() from error
        except SealExpired as error:
            raise PlaybackExpired() from error
        try:
            self._sessions.check(Identity(values["user"], values["issued"], values["session"]))
        except TokenInvalid as error:
            raise PlaybackExpired() from error
        return self._recording(values)

    def check_unchanged(self, opened: OpenedRecording) -> None:
        """Raises what reading would raise first, without reading."""
        if opened.version.size:
            self._storage.check_unchanged(opened.version)

    def _recording(self, values: dict[str, Any]) -> OpenedRecording:
        version = ObjectVersion(values["object"], values["etag"], values["size"])
        source = self._storage.pinned(version)
        key, preamble = _bytes(values["key"]), _bytes(values["preamble"])
        recording: Recording
        if values["format"] == V2:
            recording = SegmentedRecording(key, preamble, version.s3_key, source)
        else:
            recording = SingleShotRecording(key, preamble, source)
        return OpenedRecording(recording, values["format"], key, preamble, version, values["type"])


def _open_single_shot(stored: StoredObject, keys: Keys, remembered: str | None) -> OpenedRecording:
    candidates = single_shot.candidates(keys.generations)
    # What opened it before is tried alone first; an object may have been replaced since.
    likely = [candidate for candidate in candidates if candidate.name == remembered]
    others = [candidate for candidate in candidates if candidate.name != remembered]
    accepted = single_shot.authenticate(stored, likely) or single_shot.authenticate(stored, others)
    if accepted is None:
        raise DecryptionFailed()
    iv = stored.head[: accepted.iv_length]
    recording = SingleShotRecording(accepted.key, iv, stored)
    return _opened(stored, recording, accepted.name, accepted.key, iv)


def _open_segmented(stored: StoredObject, file_key: bytes) -> OpenedRecording:
    preamble = stored.head[:PREAMBLE]
    recording = SegmentedRecording(file_key, preamble, stored.version.s3_key, stored)
    recording.prove_length()
    if stored.size <= WHOLE_UP_TO_BYTES:
        for _ in recording.plain(0, recording.length):
            pass
    return _opened(stored, recording, V2, file_key, preamble)


def _opened(
    stored: StoredObject, recording: Recording, name: str, key: bytes, preamble: bytes
) -> OpenedRecording:
    opening = b"".join(recording.plain(0, min(SNIFFED_BYTES, recording.length)))
    content_type = media_type(opening, stored.version.s3_key)
    return OpenedRecording(recording, name, key, preamble, stored.version, content_type)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(value: str) -> bytes:
    return base64.b64decode(value)
