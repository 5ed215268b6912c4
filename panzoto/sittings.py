"""Opening a sitting: up to 500 clips that are to be played as one.

Every clip is opened with its owner's keys, a few ahead of the one that is
looked at, and then only what playing needs is kept of it, so that memory does
not grow with the sound.  The plan of the whole goes sealed into the bucket and
its key into the ticket.
"""

from __future__ import annotations

import itertools
import os
import threading
import uuid
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Protocol

from panzoto import object_keys
from panzoto.auth.tokens import Identity
from panzoto.crypto import header, segments
from panzoto.crypto.source import Recording
from panzoto.errors import Busy, ClipsNotJoinable, PanzotoError, SittingTooLong
from panzoto.frames import AMR_MAGIC, NotFrames, adts, amr
from panzoto.joined import ClipValues, Plan
from panzoto.media_type import SNIFFED_BYTES, media_type
from panzoto.models import AudioFile
from panzoto.playback import Keys, OpenedRecording, Playback, Ticket
from panzoto.remux import Remux
from panzoto.storage import Storage

ADTS_TYPE = "audio/aac"
AHEAD = 8
# Sittings that are opened at one time in each process, and how long the next one waits.
AT_ONCE = 2
WAIT_SECONDS = 5.0

Stretch = tuple[int, int, int]


class Joiner(Protocol):
    """Takes clips of one kind in order, and says how they make one file.

    Both raise `ClipsNotJoinable` and `SittingTooLong`.
    """

    def add(self, clip: Recording) -> None: ...

    def finish(self) -> tuple[bytes, list[Stretch]]:
        """Return the head of the file and the stretches of the clips that follow it."""
        ...


class Sittings:
    """Opens sittings of recordings in one bucket."""

    def __init__(self, storage: Storage, playback: Playback) -> None:
        self._storage = storage
        self._playback = playback
        self._permits = threading.BoundedSemaphore(AT_ONCE)

    def open(self, rows: Sequence[AudioFile], keys: Keys, identity: Identity) -> tuple[Ticket, list[str]]:
        """Authenticate the clips of `rows`; return a ticket for all of them and the format of each.

        Raises what opening one raises, `ClipsNotJoinable`, `SittingTooLong`
        and `Busy`; `file_id` of the error names the clip that is the reason.
        """
        with self._permit():
            plan = self._plan(rows, keys)
        s3_key = object_keys.plan_key(identity.user_id, str(uuid.uuid4()))
        # The plan is written like a recording of an account whose vault key nobody keeps.
        once = os.urandom(32)
        sealed = b"".join(segments.encrypt(once, s3_key, [plan.to_bytes()]))
        key = header.open_file_key(sealed[: header.HEADER_BYTES], once)
        version = self._storage.put(s3_key, sealed)
        ticket = self._playback.sitting_ticket(version, key, sealed[: segments.PREAMBLE], identity)
        return ticket, [clip["format"] for clip in plan.clips]

    @contextmanager
    def _permit(self) -> Iterator[None]:
        if not self._permits.acquire(timeout=WAIT_SECONDS):
            raise Busy()
        try:
            yield
        finally:
            self._permits.release()

    def _plan(self, rows: Sequence[AudioFile], keys: Keys) -> Plan:
        clips: list[ClipValues] = []
        with ExitStack() as stack:
            joiners: list[Joiner] = []
            coming = stack.enter_context(closing(self._opened(rows, keys)))
            for row, opened in zip(rows, coming, strict=True):
                with naming(row):
                    if not joiners:
                        joiners.append(stack.enter_context(_joiner(opened)))
                    joiners[0].add(opened.recording)
                clips.append(opened.to_values())
            try:
                head, stretches = joiners[0].finish()
            except (ClipsNotJoinable, SittingTooLong) as error:
                if error.clip is not None:
                    error.file_id = rows[error.clip].file_id
                raise
        # Of the kinds that can be joined only ADTS has no head.
        return Plan(clips, stretches, head, media_type(head[:SNIFFED_BYTES], "") if head else ADTS_TYPE)

    def _opened(self, rows: Sequence[AudioFile], keys: Keys) -> Generator[OpenedRecording]:
        """Yield the clips opened, in order, `AHEAD` of them being opened at one time."""

        def open_one(row: AudioFile) -> OpenedRecording:
            with naming(row):
                return self._playback.open(row.s3_key, keys, row.format)

        waiting = iter(rows)
        pool = ThreadPoolExecutor(AHEAD)
        try:
            under_way: deque[Future[OpenedRecording]] = deque()
            under_way.extend(pool.submit(open_one, row) for row in itertools.islice(waiting, AHEAD))
            while under_way:
                opened = under_way.popleft().result()
                under_way.extend(pool.submit(open_one, row) for row in itertools.islice(waiting, 1))
                yield opened
        finally:
            pool.shutdown(cancel_futures=True)


class _AmrJoiner:
    """AMR (RFC 4867, 5): the magic number once, and the frames of all."""

    def __init__(self) -> None:
        self._magic = b""
        self._stretches: list[Stretch] = []

    def add(self, clip: Recording) -> None:
        try:
            magic, start, stop = amr(clip)
        except NotFrames as error:
            raise ClipsNotJoinable() from error
        if magic != (self._magic or magic):
            raise ClipsNotJoinable()
        self._magic = magic
        self._stretches.append((len(self._stretches), start, stop))

    def finish(self) -> tuple[bytes, list[Stretch]]:
        return self._magic, self._stretches


class _AdtsJoiner:
    """AAC in ADTS: frames that each have a header, so there is nothing before them."""

    def __init__(self) -> None:
        self._setup: tuple[int, ...] | None = None
        self._stretches: list[Stretch] = []

    def add(self, clip: Recording) -> None:
        try:
            setup, stop = adts(clip)
        except NotFrames as error:
            raise ClipsNotJoinable() from error
        if setup != (self._setup or setup):
            raise ClipsNotJoinable()
        self._setup = setup
        self._stretches.append((len(self._stretches), 0, stop))

    def finish(self) -> tuple[bytes, list[Stretch]]:
        return b"", self._stretches


@contextmanager
def _joiner(opened: OpenedRecording) -> Iterator[Joiner]:
    """Choose by the first clip; a joiner refuses what is not of its kind."""
    opening = b"".join(opened.recording.plain(0, min(SNIFFED_BYTES, opened.recording.length)))
    if opening.startswith(tuple(AMR_MAGIC)):
        yield _AmrJoiner()
    elif opening[4:8] == b"ftyp":
        with Remux() as remux:
            yield remux
    elif media_type(opening, "") == ADTS_TYPE:
        yield _AdtsJoiner()
    else:
        raise ClipsNotJoinable()


@contextmanager
def naming(row: AudioFile) -> Iterator[None]:
    """Let an error say which recording is the reason; none is, when the storage is out of reach."""
    try:
        yield
    except PanzotoError as error:
        if error.status < 500:
            error.file_id = row.file_id
        raise
