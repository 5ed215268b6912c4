"""The worker: one message, one job, from the sealed keys to sealed transcripts.

It holds the job's row for half a minute at a time, so that the job of a worker that died goes on within a
minute, and finds out soon when its own was canceled. Only the end of a job changes a transcript.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from panzoto.crypto.transcripts import seal
from panzoto.errors import (
    AudioFileNotFound,
    Busy,
    DecryptionFailed,
    EngineRefused,
    EngineUnavailable,
    NotAudio,
    ObjectChanged,
    PanzotoError,
    Unavailable,
)
from panzoto.media.sound import Piece
from panzoto.models import AudioFile, Event, Transcription, User
from panzoto.models.attributes import now, rfc3339
from panzoto.models.credentials import decoded
from panzoto.models.transcription import CANCELED, FAILED, SUCCEEDED
from panzoto.playback.opening import Playback
from panzoto.queues.consumer import Later, PutAside
from panzoto.queues.queue import Message
from panzoto.recordings.transcript_state import known_of
from panzoto.transcripts.answer import Answer
from panzoto.transcripts.document import packed
from panzoto.transcripts.engine import Abandoned, Engine
from panzoto.transcripts.job_states import expire, is_of, mark_failed, put_back
from panzoto.transcripts.listening import HeardClips, Listening
from panzoto.transcripts.messages import Errand, Messages, NoErrand, address_of
from panzoto.transcripts.patience import Patience
from panzoto.transcripts.records import ENGINE, Transcripts
from panzoto.transcripts.times import Origin, detected, documents, most

HOLD_SECONDS = 30.0
RENEW_SECONDS = 10.0
# How long a message waits whose account has enough jobs running, or whose job somebody else holds.
TURN_SECONDS = 5.0
# After a failure that is not the recording's or the engine's.
PAUSE_SECONDS = 15.0
# Between attempts at what the storage refuses while everything that was heard is in memory.
STORAGE_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
# A job that was begun so often without coming to any end has ended its workers.
MOST_BEGINNINGS = 100
# What ends a job for good, by the codes of the same name.
FINAL = (EngineRefused, EngineUnavailable, NotAudio, ObjectChanged, DecryptionFailed)

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class _Lost(Exception):
    """The job is over, or somebody else's."""


class _Stopped(Exception):
    """The worker shall end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a piece of sound may be, how often an engine may fail, how many jobs an account may have."""

    max_bytes: int
    attempts: int
    per_user: int


class Worker:
    """Works on the messages of the queue; threads may share it."""

    def __init__(
        self, engine: Engine, playback: Playback, transcripts: Transcripts, messages: Messages, limits: Limits
    ) -> None:
        self._engine = engine
        self._playback = playback
        self._transcripts = transcripts
        self._messages = messages
        self._limits = limits
        # Set when the worker shall end; the consumer's own.
        self.stopping = threading.Event()

    def handle(self, message: Message) -> None:
        """Bring the job of a message to its end. Raises `Later`, `PutAside` and `Unavailable`."""
        try:
            address = address_of(message.body)
            job = Transcription.of(address.user_id, address.transcription_id)
            if job is None:
                # Of an account that was deleted.
                return
            job = expire(job)
            if not job.is_active:
                _tidy(job)
                return
            errand = self._messages.open(message.body)
        except NoErrand:
            log.error("transcription_message_unreadable", extra={"message_id": message.message_id})
            raise PutAside from None
        if errand is not None:
            self._take_up(job, errand)

    def _take_up(self, job: Transcription, errand: Errand) -> None:
        if job.is_held or self._running(job) >= self._limits.per_user:
            raise _in_turn()
        hold = _Hold(job, self.stopping)
        if not job.take(hold.holder, HOLD_SECONDS):
            raise _in_turn()
        if self._running(job) > self._limits.per_user:
            # Another worker has taken one at the same moment.
            job.give_back(hold.holder, unbegun=True)
            raise _in_turn()
        with hold.kept():
            try:
                self._finish(job, errand, hold)
            except _Lost:
                self._leave(job)
            except (_Stopped, Abandoned):
                self._give_back_or_leave(job, hold)
            except FINAL as error:
                self._fail(job, hold, error)
            except (Unavailable, Busy):
                job.give_back(hold.holder)
                raise Later(PAUSE_SECONDS) from None
            except Exception as error:  # noqa: BLE001 - one recording must not end the worker
                self._fail_or_try_again(job, hold, error)

    @staticmethod
    def _running(job: Transcription) -> int:
        """Return how many jobs of the account are running."""
        return sum(one.is_held for one in Transcription.active_of(job.user_id))

    def _finish(self, job: Transcription, errand: Errand, hold: _Hold) -> None:
        rows = AudioFile.rows(job.file_ids)
        if all(_is_written(rows.get(file_id), job) for file_id in job.file_ids):
            # Another worker died between the last transcript and the end of the job.
            self._succeed(job, hold, job.value("language") or _language_of(rows))
            return
        if job.attempts > MOST_BEGINNINGS:
            raise RuntimeError("begun too often")
        _require_as_asked(rows, job)
        heard = self._listen(job, errand, rows, hold)
        public_key = errand.public_key or decoded(job.public_key)
        written = self._sealed(job, errand, heard, public_key)
        language = job.value("language") or detected(heard.answers)
        del heard
        # With patience, as all that follows: the engine is not asked again for what the storage refuses.
        if hold.patiently(lambda: self._may_write(job, public_key, hold)):
            self._write(job, written, language, hold)

    def _listen(
        self, job: Transcription, errand: Errand, rows: dict[str, AudioFile], hold: _Hold
    ) -> HeardClips:
        patience = Patience(
            self._limits.attempts,
            hold.sleep,
            lambda _: hold.patiently(lambda: hold.require(job.begin_again(hold.holder, HOLD_SECONDS))),
            made=int(job.value("failures") or 0) + 1,
        )
        prompt = ", ".join(errand.vocabulary) or None

        def ask(piece: Piece) -> Answer:
            return patience.run(
                lambda: self._engine.transcribe(
                    piece.flac,
                    job.value("language"),
                    prompt,
                    duration_ms=piece.duration_ms,
                    is_given_up=hold.is_given_up,
                )
            )

        def tell(share: float) -> None:
            # Whoever takes up another's job listens again to what that one has told as answered.
            told = max(round(share, 4), float(job.progress))
            try:
                hold.require(job.go_on(hold.holder, HOLD_SECONDS, told))
            except Unavailable:
                # What was heard is worth more than telling how much it is.
                log.warning("progress_not_told", extra={"transcription_id": job.transcription_id})

        listening = Listening(self._playback, errand.clips, rows, hold.check)
        return listening.run(self._limits.max_bytes, ask, tell)

    def _sealed(
        self, job: Transcription, errand: Errand, heard: HeardClips, public_key: bytes
    ) -> list[tuple[str, str | None, bytes]]:
        """Return (file_id, language, sealed) of each recording's document."""
        origin = Origin(self._engine.host, self._engine.model, rfc3339(now()), job.value("language"))
        return [
            (
                document["file_id"],
                document["language"],
                seal(packed(document), public_key, job.user_id, document["file_id"]),
            )
            for document in documents(heard.answers, heard.borders, errand.file_ids, origin)
        ]

    def _write(
        self,
        job: Transcription,
        written: list[tuple[str, str | None, bytes]],
        language: str | None,
        hold: _Hold,
    ) -> None:
        """Write what was heard, one recording after the other, and end the job."""
        for file_id, of_one, sealed in written:
            hold.check()
            hold.patiently(partial(self._write_one, job, file_id, of_one, sealed))
        hold.patiently(lambda: self._succeed(job, hold, language))

    def _may_write(self, job: Transcription, public_key: bytes, hold: _Hold) -> bool:
        """Note that from here on transcripts are written; False when it is over instead."""
        user = User.find(job.user_id)
        if user is None or user.being_deleted:
            raise _Lost
        if user.transcripts_key() != public_key:
            # Whoever could open what is sealed to the key of before is not there any more; or somebody else
            # has put theirs into the row.
            job.end(CANCELED, holder=hold.holder)
            self._leave(job)
            return False
        _require_as_asked(AudioFile.rows(job.file_ids), job)
        hold.require(job.begin_writing(hold.holder, HOLD_SECONDS))
        return True

    def _succeed(self, job: Transcription, hold: _Hold, language: str | None) -> None:
        if not job.end(SUCCEEDED, holder=hold.holder, language=language):
            # The message must not go while another worker may need it.
            self._leave(job)

    def _write_one(self, job: Transcription, file_id: str, language: str | None, sealed: bytes) -> None:
        """Write one recording's transcript, unless something was written since the job was asked for."""

        def may(known: dict[str, Any]) -> bool:
            return is_of(known, job.transcription_id)

        how = {"language": language, "transcription_id": job.transcription_id}
        event = Event.of(job.user_id, "transcript_written", None, None, file_id=file_id)
        # One that is gone was erased while the others were written.
        with suppress(AudioFileNotFound):
            self._transcripts.write(file_id, sealed, may, event, source=ENGINE, **how)

    def _fail_or_try_again(self, job: Transcription, hold: _Hold, error: Exception) -> None:
        """A fault of ours: another attempt may do, for as often as an engine's failures may be borne."""
        log.error("transcription_failed", exc_info=error, extra={"transcription_id": job.transcription_id})
        if int(job.value("failures") or 0) + 1 >= self._limits.attempts or job.attempts > MOST_BEGINNINGS:
            self._fail(job, hold, PanzotoError())
            return
        if job.begin_again(hold.holder, HOLD_SECONDS):
            job.give_back(hold.holder)
        raise Later(PAUSE_SECONDS)

    def _fail(self, job: Transcription, hold: _Hold, error: PanzotoError) -> None:
        """End the job with what the error says. Raises `PutAside`, and `Later` for somebody else's."""
        told = {"code": error.code, "error": error.sentence}
        log.warning("transcription_ended", extra={"transcription_id": job.transcription_id, **told})
        # The rows first: who sees that the job is over sees it there, too.
        mark_failed(job)
        job.end(FAILED, holder=hold.holder, error=told)
        self._leave(job)

    @staticmethod
    def _leave(job: Transcription) -> None:
        """Let a job be that is not this worker's any more: somebody else's, or over, whoever ended it.

        What the row says counts and not what a write has answered, since that may be lost and the write be
        repeated, then in vain. Raises `Later` and `PutAside`.
        """
        there = Transcription.of(job.user_id, job.transcription_id)
        if there is None:
            return
        if there.is_active:
            raise Later(TURN_SECONDS)
        _tidy(there)

    def _give_back_or_leave(self, job: Transcription, hold: _Hold) -> None:
        if not hold.is_lost and job.give_back(hold.holder):
            raise Later(0)
        self._leave(job)


class _Hold:
    """One worker's hold on a job, renewed by a thread of its own."""

    def __init__(self, job: Transcription, stopping: threading.Event) -> None:
        self.holder = secrets.token_hex(8)
        self._job = job
        self._stopping = stopping
        self._lost = threading.Event()
        self._over = threading.Event()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Hold on while the block runs."""
        renewing = threading.Thread(target=self._renew, name="holding", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._over.set()
            renewing.join()

    def _renew(self) -> None:
        # The row that the work uses is not changed from another thread.
        mine = Transcription(self._job.user_id, self._job.transcription_id)
        while not self._over.wait(RENEW_SECONDS):
            try:
                if not mine.go_on(self.holder, HOLD_SECONDS):
                    self._lost.set()
                    return
            except Unavailable:
                # Held for longer than the next time.
                continue

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    def is_given_up(self) -> bool:
        """Whether nobody waits for this work any more."""
        return self._lost.is_set() or self._stopping.is_set()

    def check(self) -> None:
        """Raises `_Lost` and `_Stopped`."""
        if self._lost.is_set():
            raise _Lost
        if self._stopping.is_set():
            raise _Stopped

    def require(self, held: bool) -> None:
        """Raises `_Lost` unless a change of the job went well."""
        if not held:
            self._lost.set()
            raise _Lost

    def patiently(self, do: Callable[[], Result]) -> Result:
        """Return what `do` does, which may be done twice, tried again while the storage cannot be reached.

        Raises the last `Unavailable`, and as `check` does.
        """
        for pause in STORAGE_PAUSES_SECONDS:
            try:
                return do()
            except Unavailable:
                self.sleep(pause)
        return do()

    def sleep(self, seconds: float) -> None:
        """Wait, and raise as `check` does as soon as there is a reason."""
        waited = threading.Event()
        left = seconds
        while left > 0:
            self.check()
            step = min(0.25, left)
            waited.wait(step)
            left -= step
        self.check()


def _tidy(job: Transcription) -> None:
    """Do what is left of a job that is over, again if another worker died before it could.

    Raises `PutAside` for one that failed: its message waits where an operator may try it again.
    """
    if job.status == CANCELED:
        put_back(job)
    if job.status == FAILED:
        mark_failed(job)
        raise PutAside


def _in_turn() -> Later:
    """Return what lets a message come again after a while, not all of them at once."""
    return Later(TURN_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - no secret


def _is_written(row: AudioFile | None, job: Transcription) -> bool:
    """Whether this very job has written the recording's transcript."""
    known = {} if row is None else known_of(row)
    return known.get("transcription_id") == job.transcription_id and known.get("status") == SUCCEEDED


def _language_of(rows: dict[str, AudioFile]) -> str | None:
    """Return the language of most of the sound, as the rows tell it of their transcripts."""
    languages: Counter[str] = Counter()
    for row in rows.values():
        language = known_of(row).get("language")
        if language is not None:
            languages[language] += int(row.value("duration_ms") or 1)
    return most(languages)


def _require_as_asked(rows: dict[str, AudioFile], job: Transcription) -> None:
    """Raises `ObjectChanged` when a recording is gone."""
    for file_id in job.file_ids:
        row = rows.get(file_id)
        if row is None or not row.is_there_for(job.user_id):
            raise ObjectChanged()
