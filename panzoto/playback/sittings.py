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
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from contextvars import copy_context
from datetime import timedelta
from typing import Protocol

from panzoto import object_keys
from panzoto.auth.caller import Identity
from panzoto.crypto import header, segments
from panzoto.crypto.keys import AnyKeys
from panzoto.crypto.source import Recording
from panzoto.errors import Busy, ClipsNotJoinable, NeedsPassword, PanzotoError, SittingTooLong
from panzoto.host.sizing import DEMUXERS
from panzoto.media.amr import Track, bare
from panzoto.media.frames import Frames, Marks, NotFrames, adts, amr
from panzoto.media.glimpse import Glimpse
from panzoto.media.media_type import ADTS_TYPE, MP4_TYPES, sniffed
from panzoto.media.parts import Parts
from panzoto.media.remux import Remux
from panzoto.models import AudioFile, User
from panzoto.models.attributes import now
from panzoto.playback.opening import SITTING, OpenedRecording, Playback, Ticket
from panzoto.playback.sitting_plan import Plan
from panzoto.playback.tickets import Clip
from panzoto.storage import Storage

# After so long a plan goes, whoever still plays it; within it all tickets have ended.
PLANS_LIVE = timedelta(days=1)
AMR_TYPE, AMR_WIDE_TYPE = "audio/amr", "audio/amr-wb"
# Of a whole sitting; they are in its plan.
MOST_MARKS = 1024
AHEAD = 8
# As many as the child that reads MP4 takes; a clip of tags between every two frames would have more.
MOST_STRETCHES = 50_000
# Sittings that are opened at one time in each process, and how long the next one waits.
AT_ONCE = DEMUXERS
WAIT_SECONDS = 5.0

Stretch = tuple[int, int, int]
# What opens a recording; with a file key each has its own.
KeysOf = Callable[[AudioFile], AnyKeys]


class Joiner(Protocol):
    """Takes clips of one kind in order, and says how they make one file.

    Both raise `ClipsNotJoinable` and `SittingTooLong`.
    """

    def add(self, clip: Recording) -> None: ...

    def finish(self) -> Parts:
        """Return what the one file is made of."""
        ...


class Sittings:
    """Opens sittings of recordings in one bucket."""

    def __init__(self, storage: Storage, playback: Playback) -> None:
        self._storage = storage
        self._playback = playback
        self._permits = threading.BoundedSemaphore(AT_ONCE)

    def open(
        self, rows: Sequence[AudioFile], keys_of: KeysOf, identity: Identity
    ) -> tuple[Ticket, list[str]]:
        """Authenticate the clips of `rows`; return a ticket for all of them and the format of each.

        Raises what opening one raises, `ClipsNotJoinable`, `SittingTooLong`
        and `Busy`; `file_id` of the error names the clip that is the reason.
        """
        with self._permit():
            plan = self._plan(rows, keys_of)
        s3_key = object_keys.plan_key(identity.user_id, str(uuid.uuid4()))
        # The plan is written like a recording of an account whose vault key nobody keeps.
        once = os.urandom(32)
        sealed = b"".join(segments.encrypt(once, s3_key, plan.pieces()))
        key = header.open_file_key(sealed[: header.HEADER_BYTES], once)
        User.note_plan(identity.user_id, now() + PLANS_LIVE)
        version = self._storage.put(s3_key, sealed)
        seconds = plan.parts.seconds
        clip = Clip(version, SITTING, key, sealed[: segments.PREAMBLE])
        ticket = self._playback.sitting_ticket(clip, seconds, plan.parts.track is not None, identity)
        return ticket, [clip.format for clip in plan.clips]

    @contextmanager
    def _permit(self) -> Iterator[None]:
        if not self._permits.acquire(timeout=WAIT_SECONDS):
            raise Busy()
        try:
            yield
        finally:
            self._permits.release()

    def _plan(self, rows: Sequence[AudioFile], keys_of: KeysOf) -> Plan:
        clips: list[Clip] = []
        with ExitStack() as stack:
            joiners: list[Joiner] = []
            coming = stack.enter_context(closing(opened_in_order(self._playback, rows, keys_of)))
            for row, opened in zip(rows, coming, strict=True):
                with naming(row):
                    if not joiners:
                        joiners.append(stack.enter_context(joiner_for(opened.recording)))
                    joiners[0].add(opened.recording)
                clips.append(opened.clip())
            try:
                return Plan(clips, joiners[0].finish())
            except (ClipsNotJoinable, SittingTooLong) as error:
                if error.clip is not None:
                    error.file_id = rows[error.clip].file_id
                raise


def opened_in_order(
    playback: Playback, rows: Sequence[AudioFile], keys_of: KeysOf
) -> Generator[OpenedRecording]:
    """Yield the recordings opened, in order, `AHEAD` of them being opened at one time.

    `file_id` of an error names the one that is the reason.
    """

    def open_one(row: AudioFile) -> OpenedRecording:
        with naming(row):
            return playback.open(row.s3_key, keys_of(row), row.format)

    def begin(row: AudioFile) -> Future[OpenedRecording]:
        # For whom it is, permits know by the context.
        return pool.submit(copy_context().run, open_one, row)

    waiting = iter(rows)
    pool = ThreadPoolExecutor(AHEAD)
    try:
        under_way: deque[Future[OpenedRecording]] = deque()
        under_way.extend(begin(row) for row in itertools.islice(waiting, AHEAD))
        while under_way:
            opened = under_way.popleft().result()
            under_way.extend(begin(row) for row in itertools.islice(waiting, 1))
            yield opened
    finally:
        pool.shutdown(cancel_futures=True)


class _FramesJoiner:
    """What is nothing but frames: they follow one another, for AMR (RFC 4867, 5) behind one magic number.

    A clip without a frame says nothing of what the others are.
    """

    def __init__(self, find: Callable[[Recording], Frames]) -> None:
        self._find = find
        self._setup: object = None
        self._stretches: list[Stretch] = []
        self._clips = 0
        self._seconds = 0.0
        self._track = _JoinedTrack()

    def add(self, clip: Recording) -> None:
        try:
            found = self._find(clip)
        except NotFrames as error:
            raise ClipsNotJoinable() from error
        if found.setup is not None and found.setup != (self._setup or found.setup):
            raise ClipsNotJoinable()
        self._setup = self._setup or found.setup
        self._track.add(found)
        self._stretches += [(self._clips, start, stop) for start, stop in found.runs]
        self._clips += 1
        self._seconds += found.seconds
        if len(self._stretches) > MOST_STRETCHES:
            raise SittingTooLong()

    def finish(self) -> Parts:
        if not isinstance(self._setup, bytes):
            return Parts(b"", self._stretches, self._seconds, ADTS_TYPE)
        kind = AMR_WIDE_TYPE if b"WB" in self._setup else AMR_TYPE
        track = self._track.made(kind == AMR_WIDE_TYPE, len(self._setup))
        return Parts(self._setup, self._stretches, self._seconds, kind, track)


class _JoinedTrack:
    """Where the frames of AMR lie once clips follow one another."""

    def __init__(self) -> None:
        self._marks = Marks(MOST_MARKS)
        self._sizes: set[int] = set()
        self._count = self._bytes = 0

    def add(self, found: Frames) -> None:
        """Take the frames of the next clip, if it has any."""
        for begin, stop in found.runs if found.count else ():
            for frame, place in found.marks:
                self._marks.add(self._count + frame, self._bytes + place - begin)
            self._sizes.add(found.size)
            self._bytes += stop - begin
        self._count += found.count

    def made(self, is_wide: bool, begin: int) -> Track | None:
        """Return the track in a file where the first frame lies at `begin`."""
        size = next(iter(self._sizes)) if len(self._sizes) == 1 else 0
        marks = tuple((frame, begin + place) for frame, place in self._marks.kept)
        return bare(is_wide, Frames(None, [], 0, self._count, size, marks))


@contextmanager
def joiner_for(clip: Recording) -> Iterator[Joiner]:
    """Choose by the first clip; a joiner refuses what is not of its kind. Raises `ClipsNotJoinable`."""
    kind = sniffed(Glimpse(clip))
    if kind in (AMR_TYPE, AMR_WIDE_TYPE):
        yield _FramesJoiner(amr)
    elif kind == ADTS_TYPE:
        yield _FramesJoiner(adts)
    elif kind in MP4_TYPES:
        with Remux() as remux:
            yield remux
    else:
        raise ClipsNotJoinable()


@contextmanager
def naming(row: AudioFile) -> Iterator[None]:
    """Let an error say which recording is the reason; none is, when the storage is out of reach."""
    try:
        yield
    except NeedsPassword as error:
        raise NeedsPassword(row.file_id) from error
    except PanzotoError as error:
        if error.status < 500:
            error.file_id = row.file_id
        raise
