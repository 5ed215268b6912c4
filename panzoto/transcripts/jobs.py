"""Asking for transcripts: what is refused and why, the job's row, the recordings' rows, and the message.

The job and the first recordings' rows are written in one transaction, which also sees to it that nobody else
asks at the same moment; then come the other rows and the message, and last the event, with the note that the
message was sent. What fails in between, or dies with the process, is done when the job is asked for again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from panzoto.accounts.vaults import Vaults
from panzoto.auth.caller import Caller
from panzoto.crypto.keys import FileKey, Keys
from panzoto.errors import (
    AudioFileNotFound,
    Finished,
    NotAudio,
    PanzotoError,
    TranscriptExists,
    TranscriptionNotFound,
    TranscriptionRunning,
    TranscriptionUnavailable,
    Unavailable,
    VaultNeeded,
)
from panzoto.media.glimpse import Glimpse
from panzoto.media.media_type import sniffed
from panzoto.models import AudioFile, Event, Transcription, User
from panzoto.models.credentials import encoded
from panzoto.models.transcription import CANCELED, QUEUED, overlapping
from panzoto.playback.decryption import keys_of
from panzoto.playback.opening import Playback
from panzoto.playback.sittings import naming, opened_in_order
from panzoto.queues.queue import LazyQueue, QueueUnavailable
from panzoto.recordings.edits import Edit
from panzoto.recordings.ledger import CHANGED_PER_TRANSACTION, edit_all
from panzoto.recordings.ownership import note_all_opened
from panzoto.recordings.transcript_state import known_of, setting
from panzoto.transcripts.job_states import expire, expire_all, mark_waiting, put_back, queued
from panzoto.transcripts.messages import ClipKey, Messages

HOUR = 3600

log = logging.getLogger(__name__)

ShownKeys = Keys | FileKey | Mapping[str, FileKey]


@dataclass(frozen=True, slots=True)
class Counting:
    """Counts a job, and takes that back; whoever asks again for one that was counted may have to."""

    count: Callable[[], None]
    uncount: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for; `file_ids` in the order of the conversation."""

    file_ids: list[str]
    language: str | None = None
    vocabulary: Sequence[str] = field(default=(), repr=False)
    replace: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody shows to open the recordings; `needs_key`, where that cannot make the account's key."""

    needs_key: bool
    keys: Callable[[], ShownKeys]


class _AskedMeanwhile(Exception):
    """Somebody has just asked for the very same."""

    def __init__(self, job: Transcription) -> None:
        super().__init__()
        self.job = job


@dataclass(frozen=True, slots=True)
class Engine:
    """Which engine would listen, as clients are told before they ask; `is_local`, on a network of ours."""

    host: str
    model: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class Jobs:
    """The jobs of all accounts. Without an `engine` none is taken."""

    engine: Engine | None
    playback: Playback
    messages: Messages
    queue: LazyQueue
    vaults: Vaults

    def ask(
        self, user: User, wish: Wish, shown: Shown, counting: Counting, by: Caller
    ) -> tuple[Transcription, bool]:
        """Return the job of these recordings, and whether it is a new one.

        What opens the recordings is asked for late, since a password costs time and counts. Raises, in this
        order, `AudioFileNotFound`, `TranscriptionUnavailable`, `TranscriptionRunning`, `TranscriptExists`,
        `VaultNeeded`, `TooManyRequests`, what showing keys raises, `ObjectNotFound`, `DecryptionFailed`,
        `NotAudio`, `QueueUnavailable`.
        """
        rows = AudioFile.all_owned(wish.file_ids, user.user_id)
        if self.engine is None:
            raise TranscriptionUnavailable(retry_after=HOUR)
        there = _same_or_refused(user.user_id, wish, rows)
        if there is not None and there.sent:
            return there, False
        if shown.needs_key and self.vaults.transcripts_key(user) is None:
            raise VaultNeeded()
        if there is None:
            counting.count()
        uncount = counting.uncount if there is None else _nothing
        try:
            clips = self._opened(rows, shown.keys())
            public_key = self._public_key_of(user)
            job = there or self._begun(user, wish, public_key)
        except _AskedMeanwhile as other:
            uncount()
            return other.job, False
        except PanzotoError:
            uncount()
            raise
        # From here on the job is there and counts: what fails is done by who asks again.
        mark_waiting(job, wish.file_ids[0 if there else CHANGED_PER_TRANSACTION :])
        body = self.messages.write(job, clips, wish.vocabulary, public_key)
        self._send(job, body, counting)
        job.note_sent(Event.by(by, "transcription_started", file_ids=job.file_ids, engine=job.engine))
        return job, there is None

    def ask_unless_there(
        self, row: AudioFile, user: User, wish: Wish, shown: Shown, how: tuple[Counting, Caller]
    ) -> Transcription | None:
        """Ask as `ask` does, but where a transcript or a job is there; return the job, if there is one."""
        known = known_of(row)
        is_written = known.get("revision") is not None
        there = _job_of(row) if is_written or known.get("status") == QUEUED else None
        if is_written or (there is not None and _goes_on_without(there, wish)):
            return there
        return self.ask(user, wish, shown, *how)[0]

    def told(self) -> dict[str, object]:
        """Return what a client can say of where the sound will go, before it asks."""
        engine = self.engine
        if engine is None:
            return {"available": False, "engine": None, "model": None, "local": False}
        return {"available": True, "engine": engine.host, "model": engine.model, "local": engine.is_local}

    def find_and_expire(self, user_id: str, transcription_id: str) -> Transcription:
        """Return a job, which ends now where it should be over. Raises `TranscriptionNotFound`."""
        job = Transcription.of(user_id, transcription_id)
        if job is None:
            raise TranscriptionNotFound()
        return expire(job)

    def page_and_expire(
        self, user_id: str, limit: int, before: str | None, status: str | None
    ) -> list[Transcription]:
        """Return up to `limit` jobs, newest first, behind the job `before`; what should be over ends now."""
        return expire_all(Transcription.page(user_id, limit, before, status))

    def cancel(self, user_id: str, transcription_id: str) -> None:
        """Let a job be over before it has written anything; one that was canceled before stays so.

        Raises `TranscriptionNotFound` and `Finished`.
        """
        job = self.find_and_expire(user_id, transcription_id)
        if job.is_active:
            job.end(CANCELED)
            job = self.find_and_expire(user_id, transcription_id)
        if job.status != CANCELED:
            raise Finished()
        put_back(job)

    def _opened(self, rows: Sequence[AudioFile], keys: ShownKeys) -> list[ClipKey]:
        """Open the recordings, a few ahead of the one that is looked at, and return what opens them again."""
        clips: list[ClipKey] = []
        keys_for_row = keys_of(_by_file_id(rows, keys))
        with closing(opened_in_order(self.playback, rows, keys_for_row)) as coming:
            for row, opened in zip(rows, coming, strict=True):
                with naming(row):
                    if sniffed(Glimpse(opened.recording)) is None:
                        raise NotAudio()
                clips.append(ClipKey(row.file_id, opened.version.etag, opened.format, opened.key))
        note_all_opened(rows, [clip.format for clip in clips])
        return clips

    def _public_key_of(self, user: User) -> bytes:
        """Return what is sealed to; a password that opened the recordings has made it, or put it right."""
        user.reload()
        public_key = self.vaults.transcripts_key(user)
        if public_key is None:
            raise VaultNeeded()
        return public_key

    def _begun(self, user: User, wish: Wish, public_key: bytes) -> Transcription:
        """Write the job and let the first recordings' rows say that they wait for it.

        Raises what `_same_or_refused` raises, for who asked at the same moment.
        """
        if self.engine is None:
            raise TranscriptionUnavailable(retry_after=HOUR)
        how = {"language": wish.language, "engine": self.engine.host, "model": self.engine.model}
        job = Transcription.new(user.user_id, wish.file_ids, encoded(public_key), **how)

        def plan(rows: list[AudioFile], _: User) -> dict[str, Edit]:
            other = _same_or_refused(user.user_id, wish, rows)
            if other is not None and other.transcription_id == job.transcription_id:
                # It was written by an attempt whose answer was lost, and the account was changed since.
                return {}
            if other is not None:
                raise _AskedMeanwhile(other)
            return {
                row.file_id: Edit(
                    [setting(queued(known_of(row), job.transcription_id))],
                    also=job.add_to if row is rows[0] else None,
                )
                for row in rows
            }

        # Two wishes may share what is beyond the first rows, so that the second must see the first one's job.
        first = wish.file_ids[:CHANGED_PER_TRANSACTION]
        try:
            if not edit_all(user.user_id, first, plan, rests_on="jobs"):
                raise AudioFileNotFound()
        except Unavailable:
            # The answer may have been lost of what was written.
            if Transcription.of(user.user_id, job.transcription_id) is None:
                raise
        return job

    def _send(self, job: Transcription, body: str, counting: Counting) -> None:
        """Send the message; a job of which nobody can be told is undone, and does not count."""
        try:
            self.queue.send(body, job.user_id)
        except QueueUnavailable as error:
            told = {"transcription_id": job.transcription_id, "code": error.reason}
            log.warning("transcription_not_queued", extra=told)
            if job.end(CANCELED, only_unsent=True):
                counting.uncount()
                put_back(job)
            raise


def _job_of(row: AudioFile) -> Transcription | None:
    """Return the job that a recording's row names, which ends now where it should be over."""
    named = known_of(row).get("transcription_id")
    job = None if named is None else Transcription.of(row.user_id, named)
    return None if job is None else expire(job)


def _goes_on_without(job: Transcription, wish: Wish) -> bool:
    """Whether a job needs nothing of who makes this wish: it was sent, or takes more keys than they have."""
    return job.is_active and (job.sent or set(job.file_ids) != set(wish.file_ids))


def _same_or_refused(user_id: str, wish: Wish, rows: Sequence[AudioFile]) -> Transcription | None:
    """Return the job of the very same recordings that is not over, if there is one.

    Raises `TranscriptionRunning` and `TranscriptExists`.
    """
    other = overlapping(Transcription.active_of(user_id), wish.file_ids)
    if other is not None:
        if set(other.file_ids) == set(wish.file_ids):
            return other
        shared = next(file_id for file_id in wish.file_ids if file_id in other.file_ids)
        raise TranscriptionRunning(other.transcription_id, shared)
    for row in rows:
        if known_of(row).get("revision") is not None and not wish.replace:
            exists = TranscriptExists()
            exists.file_id = row.file_id
            raise exists
    return None


def _by_file_id(rows: Sequence[AudioFile], keys: ShownKeys) -> Keys | Mapping[str, FileKey]:
    return {rows[0].file_id: keys} if isinstance(keys, FileKey) else keys


def _nothing() -> None:
    """There was nothing to take back."""
