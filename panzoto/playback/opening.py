"""Opening a recording with its owner's keys, and playing it back by a sealed ticket.

decrypt-audio opens once and seals what playing needs, one file key and the
object's identity, into a ticket; every later request unseals it, so no key is
kept in the service's memory or storage.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from panzoto.accounts.sessions import Sessions
from panzoto.auth.caller import Identity
from panzoto.crypto import header, single_shot
from panzoto.crypto.header import V2
from panzoto.crypto.keys import AnyKeys, FileKey, Keys
from panzoto.crypto.permits import Permits, visiting_apart
from panzoto.crypto.sealed import NotSealedHere, Sealer, SealExpired
from panzoto.crypto.segments import PREAMBLE, SegmentedRecording
from panzoto.crypto.single_shot import Candidate, SingleShotRecording
from panzoto.crypto.source import Recording
from panzoto.errors import (
    DecryptionFailed,
    InvalidRequest,
    NeedsPassword,
    ObjectChanged,
    ObjectNotFound,
    PlaybackExpired,
    PlaybackNotFound,
    TokenInvalid,
    UnsupportedFormat,
)
from panzoto.media import amr, durations
from panzoto.media.glimpse import Glimpse
from panzoto.media.media_type import BY_ENDING, media_type, sniffed
from panzoto.media.wav import RENDERING, WAV_TYPE, Renderers, WavRecording
from panzoto.playback.sitting_plan import JoinedRecording
from panzoto.playback.tickets import Clip, TicketContent
from panzoto.removal import Removal
from panzoto.storage import ObjectVersion, Storage, StoredObject

# What a ticket calls the plan of several recordings that are played as one.
SITTING = "sitting"
NO_WAV = "This recording cannot be had as WAV"
# Up to this size a version 2 object is authenticated whole when it is opened,
# so that damage is told at once; beyond, only its end is, and playback
# authenticates the segments it touches.
WHOLE_UP_TO_BYTES = 4 * 1024 * 1024
# What a single-shot recording would begin with is looked at before all of it is authenticated.
GUESSED_BY_BYTES = 512
MOST_LIKELY = 4
# So many of the keys of earlier passwords are tried without a permit.
FREELY_TRIED = 4 * single_shot.CANDIDATES_OF_ONE
# In one process, where a name has half of them; who waits for longer than that is told `busy`.
ATTEMPTS_AT_ONCE = 2
WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class OpenedRecording:
    """A recording whose key is known: how it is read and what it is."""

    recording: Recording
    format: str
    key: bytes = field(repr=False)
    preamble: bytes
    version: ObjectVersion

    def clip(self) -> Clip:
        """Return what opening the recording again needs."""
        return Clip(self.version, self.format, self.key, self.preamble)


@dataclass(frozen=True, slots=True)
class Playable:
    """What the holder of a ticket hears; `first` is the object that its first bytes come from.

    It belongs to `user_id`, and `opened_as` is the same for every request with one ticket.
    `name` is what a file of it is called, without the ending that fits its type, and `track` the AMR in it,
    where that can be had as WAV.
    """

    recording: Recording
    content_type: str
    name: str
    etag: str
    first: ObjectVersion
    user_id: str
    opened_as: str
    track: amr.Track | None


@dataclass(frozen=True, slots=True)
class Ticket:
    """A sealed ticket, when it ends, in epoch seconds, and whether it plays as WAV too."""

    value: str
    expires_at: int
    has_wav: bool


class Playback:
    """Opens objects of one bucket and seals tickets under one secret."""

    def __init__(
        self,
        storage: Storage,
        removal: Removal,
        sealer: Sealer,
        sessions: Sessions,
        ttl_seconds: int,
        *,
        attempts: Permits,
    ) -> None:
        self._storage = storage
        self._removal = removal
        self._sessions = sessions
        self._sealer = sealer
        self._ttl_seconds = ttl_seconds
        self._attempts = attempts
        self._renderers = Renderers()

    def open(self, s3_key: str, keys: AnyKeys, remembered_format: str | None) -> OpenedRecording:
        """Authenticate the object with `keys`.

        What is known as version 2 opens as nothing else, whoever put something
        older in its place. Raises `ObjectNotFound`, `DecryptionFailed`,
        `UnsupportedFormat`, `ObjectChanged` and `Unavailable`; with a file key
        also `NeedsPassword`, and `Busy` where many passwords must be tried.
        """
        stored = self._opened(s3_key)
        if isinstance(keys, FileKey):
            return _open_with_file_key(stored, keys, remembered_format)
        if keys.vault_key is None or not header.looks_like(stored.head):
            if remembered_format == V2:
                raise DecryptionFailed()
            return self._open_single_shot(stored, keys, remembered_format)
        try:
            file_key = header.open_file_key(stored.head[: header.HEADER_BYTES], keys.vault_key)
        except (DecryptionFailed, UnsupportedFormat):
            if remembered_format == V2:
                raise
            # An IV is random, so once in four thousand million recordings a
            # single-shot one begins like a version 2 header.
            try:
                return self._open_single_shot(stored, keys, remembered_format)
            except DecryptionFailed:
                pass
            raise
        return _open_segmented(stored, file_key)

    def _open_single_shot(self, stored: StoredObject, keys: Keys, remembered: str | None) -> OpenedRecording:
        candidates = single_shot.candidates(keys.generations)
        todays = candidates[: single_shot.CANDIDATES_OF_ONE]
        # What opened it before is tried without the others; an object may have been replaced since.
        likely = _likely(stored.head[:GUESSED_BY_BYTES], candidates)
        likely += [one for one in todays if one.name == remembered and one not in likely]
        accepted = single_shot.authenticate(stored, likely)
        if accepted is None:
            accepted = single_shot.authenticate(stored, [one for one in todays if one not in likely])
        if accepted is None:
            tried = {*likely, *todays}
            accepted = self._by_earlier([one for one in candidates if one not in tried], stored, remembered)
        if accepted is None:
            raise DecryptionFailed()
        iv = stored.head[: accepted.iv_length]
        recording = SingleShotRecording(accepted.key, iv, stored)
        return OpenedRecording(recording, accepted.name, accepted.key, iv, stored.version)

    def _by_earlier(
        self, among: Sequence[Candidate], stored: StoredObject, remembered: str | None
    ) -> Candidate | None:
        """Authenticate what is no sound that we know, or damaged, with the keys of all earlier passwords.

        That costs as many passes over the object as there were passwords, so beyond a few of them a process
        does it for few at a time. Raises `Busy`.
        """
        if len(among) <= FREELY_TRIED:
            return single_shot.authenticate(stored, among)
        alike = [one for one in among if one.name == remembered]
        others = [one for one in among if one.name != remembered]
        with visiting_apart(), self._attempts.one():
            return single_shot.authenticate(stored, alike) or single_shot.authenticate(stored, others)

    def reopen(self, s3_key: str, etag: str, name: str, key: bytes) -> Recording:
        """Return a recording that was opened before, as `name` and with its own key; nothing else will do.

        Raises `ObjectChanged` where another object is there, or none, and `Unavailable`.
        """
        try:
            stored = self._storage.open(s3_key)
        except ObjectNotFound as error:
            raise ObjectChanged() from error
        if stored.version.etag != etag:
            raise ObjectChanged()
        if name == V2:
            header.prove_file_key(stored.head[: header.HEADER_BYTES], FileKey(key))
            return SegmentedRecording(key, stored.head[:PREAMBLE], s3_key, stored)
        return SingleShotRecording(key, stored.head[: single_shot.iv_length_of(name)], stored)

    def _opened(self, s3_key: str) -> StoredObject:
        """Open the object; one that was moved aside before it was recorded is brought back first."""
        try:
            return self._storage.open(s3_key)
        except ObjectNotFound:
            try:
                if not self._removal.bring_back(s3_key):
                    raise
            except ObjectChanged:
                # Somebody else has brought it back, or put it again.
                pass
        return self._storage.open(s3_key)

    def ticket(
        self, opened: OpenedRecording, declared: str | None, duration_ms: float | None, identity: Identity
    ) -> Ticket:
        """Seal what playing `opened` needs: a credential for this one recording, bound to a session.

        `declared` and `duration_ms` are the media type and the duration that
        its client told, if it did. Raises what reading the recording raises.
        """
        clip = Glimpse(opened.recording)
        content_type = media_type(clip, declared, opened.version.s3_key)
        seconds = durations.seconds(clip, duration_ms)
        track = amr.find(opened.recording, clip)
        content = TicketContent(identity, opened.clip(), content_type, track)
        return self._ticket(content, seconds, track is not None)

    def sitting_ticket(self, plan: Clip, seconds: float, has_wav: bool, identity: Identity) -> Ticket:
        """Seal what playing a sitting of `seconds` needs: where its plan is, and that object's file key."""
        return self._ticket(TicketContent(identity, plan), seconds, has_wav)

    def _ticket(self, content: TicketContent, seconds: float, has_wav: bool) -> Ticket:
        # To the end of it a player asks for ranges, whenever somebody seeks or its memory runs dry.
        lasting = math.ceil(min(seconds, durations.LONGEST_SECONDS))
        expires_at = int(time.time()) + lasting + self._ttl_seconds
        return Ticket(self._sealer.seal(content.to_json(), expires_at), expires_at, has_wav)

    def redeem(self, ticket: str) -> Playable:
        """Return what `ticket` is for: one recording, or a sitting, whose plan is read now.

        Raises `PlaybackNotFound`, and `PlaybackExpired` also when the session
        that asked has ended or a sweep has removed the plan.
        """
        try:
            content = TicketContent.from_json(self._sealer.open(ticket, time.time()))
        except NotSealedHere as error:
            raise PlaybackNotFound() from error
        except SealExpired as error:
            raise PlaybackExpired() from error
        try:
            self._sessions.check(content.identity)
        except TokenInvalid as error:
            raise PlaybackExpired() from error
        clip, user_id = content.clip, content.identity.user_id
        opened_as = hashlib.sha256(ticket.encode()).hexdigest()
        if clip.format == SITTING:
            return self._sitting(clip, user_id, opened_as)
        name, etag = _name(clip.version.s3_key), _etag(clip.version)
        recording = self._reopened(clip)
        return Playable(
            recording, content.content_type, name, etag, clip.version, user_id, opened_as, content.track
        )

    def as_wav(self, playable: Playable) -> Playable:
        """Return `playable` as WAV. Raises `InvalidRequest` when it is no AMR that can be had so."""
        track = playable.track
        if track is None:
            raise InvalidRequest(NO_WAV, {"as": NO_WAV})
        recording = WavRecording(playable.recording, track, self._renderers)
        etag = _quoted(f"{playable.etag}\n{RENDERING}")
        return replace(playable, recording=recording, content_type=WAV_TYPE, etag=etag)

    def check_unchanged(self, playable: Playable) -> None:
        """Raises what reading would raise first, without reading."""
        if playable.first.size:
            self._storage.check_unchanged(playable.first)

    def _sitting(self, plan: Clip, user_id: str, opened_as: str) -> Playable:
        version = plan.version
        try:
            # Unlike a pinned object, this one is read from its beginning, and often has no more than that.
            stored = self._storage.open(version.s3_key)
        except ObjectNotFound as error:
            raise PlaybackExpired() from error
        if stored.version != version:
            raise ObjectChanged()
        opened = SegmentedRecording(plan.key, plan.preamble, version.s3_key, stored)
        joined = JoinedRecording(opened, self._reopened)
        first = joined.clips[0].version
        return Playable(
            joined, joined.content_type, SITTING, joined.etag, first, user_id, opened_as, joined.track
        )

    def _reopened(self, clip: Clip) -> Recording:
        source = self._storage.pinned(clip.version)
        if clip.format == V2:
            return SegmentedRecording(clip.key, clip.preamble, clip.version.s3_key, source)
        return SingleShotRecording(clip.key, clip.preamble, source)


def _likely(opening: bytes, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return those candidates with which an object begins like sound, as nearly nothing does by chance."""
    possible = (one for one in candidates if len(opening) > one.iv_length + single_shot.TAG)
    found = (one for one in possible if sniffed(Glimpse(single_shot.trial(opening, one))) is not None)
    return list(itertools.islice(found, MOST_LIKELY))


def _open_with_file_key(
    stored: StoredObject, file_key: FileKey, remembered_format: str | None
) -> OpenedRecording:
    if not header.looks_like(stored.head):
        raise DecryptionFailed() if remembered_format == V2 else NeedsPassword()
    header.prove_file_key(stored.head[: header.HEADER_BYTES], file_key)
    return _open_segmented(stored, file_key.key)


def _open_segmented(stored: StoredObject, file_key: bytes) -> OpenedRecording:
    preamble = stored.head[:PREAMBLE]
    recording = SegmentedRecording(file_key, preamble, stored.version.s3_key, stored)
    if stored.size <= WHOLE_UP_TO_BYTES:
        for _ in recording.plain(0, recording.length):
            pass
    else:
        recording.prove_length()
    return OpenedRecording(recording, V2, file_key, preamble, stored.version)


def _name(s3_key: str) -> str:
    """Return what a file of the recording is called: the last part of its key, without an ending."""
    name = s3_key.rpartition("/")[2]
    stem, _, ending = name.rpartition(".")
    return stem if ending.removesuffix("_encrypted").lower() in BY_ENDING | {"v2": ""} else name


def _etag(version: ObjectVersion) -> str:
    """Return the entity tag of a plain recording, as strong as its object's own."""
    return _quoted(f"{version.etag}\n{version.s3_key}")


def _quoted(what: str) -> str:
    return f'"{hashlib.sha256(what.encode()).hexdigest()[:32]}"'
