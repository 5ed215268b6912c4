"""Where the frames of AMR lie in a recording, bare (RFC 4867, 5) or in 3GP (3GPP TS 26.244).

A frame of AMR is 20 ms, whatever it holds, so who knows how many there are knows how many samples they make.
`find` counts them once.  What it returns is small, goes into a ticket, and finds any frame again without a
look at all before it:

- Bare AMR tells the length of a frame in its first byte alone, so it is read from end to end, in one read and
  in little memory.  Where all frames are of one length, that length is enough to find each of them; where
  they differ, places on the way are remembered, from which the first bytes are followed.
- In 3GP the tables tell lengths and places (`panzoto.media.amr_boxes`), and the sound is not read, unless a
  sample seems to hold several frames.
"""

from __future__ import annotations

import bisect
import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from panzoto.crypto.source import Recording
from panzoto.errors import DecryptionFailed
from panzoto.media.amr_boxes import NotTables, Run, Sound, fragments, sound_of
from panzoto.media.forward import Forward
from panzoto.media.frames import (
    AMR_MAGIC,
    AMR_NARROW,
    AMR_WIDE,
    Frames,
    Mark,
    Marks,
    NotFrames,
    amr,
    amr_frames,
)
from panzoto.media.glimpse import Glimpse
from panzoto.media.media_type import MP4_TYPES, after_tags, sniffed

# How many samples a frame of 20 ms is at 8 kHz and at 16 kHz.
NARROW_SAMPLES, WIDE_SAMPLES = 160, 320
# A WAV tells its length in 32 bits; before its samples, of 2 bytes each, there are so many others.
MOST_WAV_BYTES = 2**32
WAV_HEAD_BYTES = 44
BARE, TABLES, FRAGMENTS = "bare", "tables", "fragments"
AMR_TYPES = ("audio/amr", "audio/amr-wb")
NARROW_MAGIC, WIDE_MAGIC = b"#!AMR\n", b"#!AMR-WB\n"
LONGEST = max(AMR_WIDE)
# What is looked at in one step, and the longest sample that is looked into.
STEP_BYTES = 16 * 1024
MOST_SAMPLE_BYTES = 64 * 1024
# Lengths of samples; real ones have some ten, or are not read.
MOST_LENGTHS = 10_000
# What files that are no files of AMR end in, and counting where a long recording is damaged: that plays up to
# there all the same.
BROKEN = (DecryptionFailed, NotFrames, NotTables, LookupError, ValueError, struct.error, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Track:
    """The frames of a recording: how many, and how each of them is found again.

    `size` is the length of every frame of bare AMR, 0 where they differ.  `marks` are frames and where a walk
    to them begins, and `is_split` tells that a sample of 3GP may hold several frames.
    """

    kind: str
    is_wide: bool
    frames: int
    size: int = 0
    is_split: bool = False
    marks: tuple[Mark, ...] = ()

    @property
    def frame_samples(self) -> int:
        return WIDE_SAMPLES if self.is_wide else NARROW_SAMPLES

    def to_json(self) -> list[Any]:
        """Return the track as a short array of JSON, of marks the ways from one to the next."""
        pairs = zip(self.marks, ((0, 0), *self.marks), strict=False)
        ways = [way for mark, before in pairs for way in (mark[0] - before[0], mark[1] - before[1])]
        return [self.kind, self.is_wide + 2 * self.is_split, self.frames, self.size, *ways]

    @classmethod
    def from_json(cls, values: list[Any]) -> Track:
        """Return the track that `to_json` wrote."""
        kind, flags, frames, size, *ways = values
        marks: list[Mark] = []
        frame = place = 0
        for further, on in zip(ways[::2], ways[1::2], strict=True):
            frame, place = frame + further, place + on
            marks.append((frame, place))
        return cls(kind, bool(flags & 1), frames, size, bool(flags & 2), tuple(marks))


def most_frames(is_wide: bool) -> int:
    """Return how many frames a WAV may have."""
    return (MOST_WAV_BYTES - WAV_HEAD_BYTES) // (2 * (WIDE_SAMPLES if is_wide else NARROW_SAMPLES))


def find(recording: Recording, glimpse: Glimpse, *, may_split: bool = True) -> Track | None:
    """Return the AMR of a recording, or None when it is no AMR, or too long, or its frames cannot be counted.

    `may_split` is whether samples of 3GP may hold several frames. Raises what reading the recording raises.
    """
    kind = sniffed(glimpse)
    try:
        if kind in AMR_TYPES:
            return _bare(recording)
        return _in_boxes(recording, glimpse, may_split) if kind in MP4_TYPES else None
    except BROKEN:
        return None


def find_in_head(head: bytes, content: int) -> Track | None:
    """Return the AMR of a file of `head` and so many bytes of samples, each of one frame. See `find`."""
    recording = _Head(head, len(head) + content)
    return find(recording, Glimpse(recording), may_split=False)


@dataclass(frozen=True, slots=True)
class _Head:
    """The beginning of a recording, as far as it is known."""

    data: bytes
    length: int

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        yield self.data[start:stop]


def frames(recording: Recording, track: Track, first: int) -> Iterator[bytes]:
    """Yield the frames from number `first` on, `LONGEST` bytes of each at most.

    Raises what reading the recording raises.
    """
    forward = Forward(recording)
    frame, runs = _runs_to(recording, forward, track, first)
    for _, begin, sizes in runs:
        for place, size in zip(itertools.accumulate(sizes, initial=begin), sizes, strict=False):
            if frame >= track.frames:
                return
            if frame >= first:
                yield forward.read(place, min(size, LONGEST))
            frame += 1


def _runs_to(recording: Recording, forward: Forward, track: Track, first: int) -> tuple[int, Iterator[Run]]:
    """Return a frame that is not behind `first`, and the runs from it on."""
    known = bisect.bisect_right(track.marks, (first, MOST_WAV_BYTES * LONGEST)) - 1
    frame, place = track.marks[known] if known >= 0 else (0, 0)
    if track.kind == BARE:
        magic = WIDE_MAGIC if track.is_wide else NARROW_MAGIC
        if track.size:
            frame, place = first, len(magic) + first * track.size
        return frame, _bare_runs(forward, max(place, len(magic)), AMR_MAGIC[magic])
    glimpse = Glimpse(recording)
    sound = sound_of(glimpse, after_tags(glimpse))
    if track.kind == TABLES and not track.is_split:
        frame = place = first
    runs = _box_runs(recording, glimpse, sound, place)
    return frame, _split(runs, forward, sound.is_wide) if track.is_split else runs


def _bare(recording: Recording) -> Track | None:
    opening = b"".join(recording.plain(0, min(len(WIDE_MAGIC), recording.length)))
    is_wide = opening == WIDE_MAGIC
    if recording.length // max(AMR_WIDE if is_wide else AMR_NARROW) > most_frames(is_wide):
        return None
    return bare(is_wide, amr(recording))


def bare(is_wide: bool, found: Frames) -> Track | None:
    """Return the track of bare AMR whose frames are `found`, or None when they are too many."""
    if found.count > most_frames(is_wide):
        return None
    # Frames of one length need no marks.
    return Track(BARE, is_wide, found.count, found.size, False, () if found.size else found.marks)


def _bare_runs(forward: Forward, at: int, sizes: tuple[int, ...]) -> Iterator[Run]:
    end = -1
    while at != end:
        end = at
        for begin, size, count in amr_frames(forward.read(at, STEP_BYTES), sizes):
            yield end + begin, end + begin, [size] * count
            at = end + begin + size * count


def _in_boxes(recording: Recording, glimpse: Glimpse, may_split: bool) -> Track:
    sound = sound_of(glimpse, after_tags(glimpse))
    kind = FRAGMENTS if sound.is_fragmented else TABLES
    if sound.samples > most_frames(sound.is_wide):
        raise NotTables
    if not (may_split and sound.is_split):
        count, marks, is_odd = _counted(_box_runs(recording, glimpse, sound, 0), sound.is_wide)
        if not (may_split and is_odd):
            return Track(kind, sound.is_wide, count, marks=marks if sound.is_fragmented else ())
    runs = _split(_box_runs(recording, glimpse, sound, 0), Forward(recording), sound.is_wide)
    count, marks, _ = _counted(runs, sound.is_wide)
    return Track(kind, sound.is_wide, count, 0, True, marks)


def _box_runs(recording: Recording, glimpse: Glimpse, sound: Sound, place: int) -> Iterator[Run]:
    """Yield runs from where a walk may begin again, to the last sample that the recording has whole."""
    runs: Iterable[Run] = sound.runs(recording, glimpse, 0 if sound.is_fragmented else place)
    if sound.is_fragmented:
        # What is before the first fragment is walked through from its beginning.
        before = ((0, at, sizes) for _, at, sizes in runs) if place == 0 else ()
        runs = itertools.chain(before, fragments(sound, recording, place))
    for where, at, sizes in runs:
        if at < 0 or at + sum(sizes) > recording.length:
            ends = itertools.accumulate(sizes, initial=at)
            whole = sum(end <= recording.length for end in ends) - 1
            if at >= 0 and whole > 0:
                yield where, at, sizes[:whole]
            return
        yield where, at, sizes


def _counted(runs: Iterable[Run], is_wide: bool) -> tuple[int, tuple[Mark, ...], bool]:
    """Return how many frames there are, marks, and whether one is of no length that a frame has.

    Raises `NotTables` when they are too many.
    """
    table = AMR_WIDE if is_wide else AMR_NARROW
    seen: set[int] = set()
    marks, count, before = Marks(), 0, -1
    for where, _, sizes in runs:
        if where != before:
            marks.add(count, where)
            before = where
        count += len(sizes)
        seen.update(sizes)
        if count > most_frames(is_wide) or len(seen) > MOST_LENGTHS:
            raise NotTables
    return count, marks.kept, not seen <= {0, *table}


def _split(runs: Iterable[Run], forward: Forward, is_wide: bool) -> Iterator[Run]:
    """Yield the frames in samples that may hold several; what is no row of frames is a damaged one."""
    table = AMR_WIDE if is_wide else AMR_NARROW
    for where, at, sizes in runs:
        place, found = at, list[int]()
        for size in sizes:
            found += _frames_in(forward.read(place, size), table) if size <= MOST_SAMPLE_BYTES else [size]
            place += size
        yield where, at, found


def _frames_in(sample: bytes, table: tuple[int, ...]) -> list[int]:
    sizes = [size for _, size, count in amr_frames(sample, table) for _ in range(count)]
    return sizes if sample and sum(sizes) == len(sample) else [len(sample)]
