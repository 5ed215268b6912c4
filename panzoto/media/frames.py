"""Where the whole frames of a clip lie, in the two formats that are nothing but frames.

AMR (RFC 4867, 5) is a magic number and then frames whose first byte tells
their length; ADTS (ISO/IEC 14496-3, 1.A.3) is frames with a header each.  A
phone that was stopped in the middle of a frame leaves a part of one at the
end, which would put everything joined behind it out of step; ID3 and APE tags
and padding around ADTS would do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from panzoto.media.mpeg import (
    ADTS_SAMPLING,
    APE_BYTES,
    ID3_1_BYTES,
    TOLD_BY,
    adts_samples,
    adts_sampling_is_assigned,
    adts_size,
    id3_size,
    trailing_bytes,
)

# Bytes of a frame, its first byte included, by frame type; 0 where the type is not assigned.
AMR_NARROW = (13, 14, 16, 18, 20, 21, 27, 32, 6, 7, 6, 6, 0, 0, 0, 1)
AMR_WIDE = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)
AMR_MAGIC = {b"#!AMR\n": AMR_NARROW, b"#!AMR-WB\n": AMR_WIDE}
AMR_SECONDS = 0.02
LONGEST_MAGIC = 9
PADDING_BYTES = 4096
TAIL_BYTES = ID3_1_BYTES + APE_BYTES
# Of AMR so many frames of one kind are looked at in one step.
ALIKE = 64
# A place is remembered each ten seconds at the densest, and so many of them are.
MARKED_FRAMES, MOST_MARKS = 500, 64
# A frame's number and where it lies.
Mark = tuple[int, int]


class NotFrames(Exception):
    """The clip is not what its first bytes promise."""


class Plain(Protocol):
    """The part of a recording that is needed here (see `panzoto.crypto.source.Recording`)."""

    @property
    def length(self) -> int: ...

    def plain(self, start: int, stop: int) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Frames:
    """The whole frames of a clip: what a decoder is set up by, where they lie, and how long they last.

    `setup` is None of a clip that has no frame, `runs` are (start, stop).  Of AMR, `count` is how many frames
    there are, `size` the length of each, 0 where they differ, and `marks` where some of them lie.
    """

    setup: object
    runs: list[tuple[int, int]]
    seconds: float
    count: int = 0
    size: int = 0
    marks: tuple[Mark, ...] = ()


class Marks:
    """Remembers where some frames lie, evenly, and so many at most."""

    def __init__(self, most: int = MOST_MARKS) -> None:
        self._most, self._step = most, MARKED_FRAMES
        self._kept: list[Mark] = []

    def add(self, frame: int, place: int) -> None:
        """Remember a frame behind those before, if it is far enough from the last that is remembered."""
        if self._kept and frame < self._kept[-1][0] + self._step:
            return
        self._kept.append((frame, place))
        if len(self._kept) > self._most:
            del self._kept[1::2]
            self._step *= 2

    @property
    def kept(self) -> tuple[Mark, ...]:
        return tuple(self._kept)


def amr(clip: Plain) -> Frames:
    """Find the frames of AMR, whose setup is its magic number. Raises `NotFrames`."""
    opening = b"".join(clip.plain(0, min(LONGEST_MAGIC, clip.length)))
    magic = next((magic for magic in AMR_MAGIC if opening.startswith(magic)), None)
    if magic is None:
        raise NotFrames()
    start = len(magic)
    walk = _AmrWalk(AMR_MAGIC[magic], start, clip.length)
    for piece in clip.plain(start, clip.length):
        walk.go_on(piece)
    return Frames(magic, [(start, walk.at)], walk.count * AMR_SECONDS, walk.count, walk.size, walk.marks.kept)


class _AmrWalk:
    """Goes through the frames of AMR from `at` on, by the first byte of each, a piece at a time.

    What cannot be a frame is as good as a part of one, where the clip ends before a whole one could.
    """

    def __init__(self, sizes: tuple[int, ...], at: int, length: int) -> None:
        self.at, self.count, self.marks = at, 0, Marks()
        self._sizes, self._length = sizes, length
        self._seen: set[int] = set()
        self._rest = b""

    @property
    def size(self) -> int:
        """The length of every frame, or 0."""
        return next(iter(self._seen)) if len(self._seen) == 1 else 0

    def go_on(self, piece: bytes) -> None:
        """Take the next piece. Raises `NotFrames`."""
        data, begin = self._rest + piece, self.at
        for at, size, count in amr_frames(data, self._sizes):
            if not size and self._length - begin - at >= max(self._sizes):
                raise NotFrames()
            if size:
                self.marks.add(self.count, begin + at)
                self._seen.add(size)
                self.count += count
                self.at = begin + at + size * count
        self._rest = data[self.at - begin :]


def amr_frames(data: bytes, sizes: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
    """Yield where frames of one kind begin in `data`, the length of each, and how many follow one another.

    Ends before a frame that `data` cuts; at a type that is not assigned, with a length and a number of 0.
    """
    at = 0
    while at < len(data):
        size = sizes[data[at] >> 3 & 15]
        whole = min((len(data) - at) // size, ALIKE) if size else 0
        if not whole:
            if not size:
                yield at, 0, 0
            return
        heads = data[at : at + whole * size : size]
        count = whole - len(heads.lstrip(heads[:1]))
        yield at, size, count
        at += size * count


def adts(clip: Plain) -> Frames:
    """Find the frames of ADTS; tags and padding are left out. Raises `NotFrames`."""
    seen: set[tuple[int, int]] = set()
    runs: list[tuple[int, int]] = []
    samples = 0
    window = _Window(clip, _sound_ends(clip))
    while head := window.see(TOLD_BY):
        if skipped := id3_size(head) or _zeros(window):
            window.skip(skipped)
            continue
        size = adts_size(head, 0)
        if not size and not _may_be_cut(head):
            raise NotFrames()
        # Profile and sampling frequency; channels: none of them may change on the way.
        seen.add((head[2] & 0xFD, head[3] & 0xC0))
        if not size or window.at + size > window.stop:
            break
        if not runs or runs[-1][1] != window.at:
            runs.append((window.at, window.at))
        runs[-1] = (runs[-1][0], window.at + size)
        samples += adts_samples(head)
        window.skip(size)
    if len(seen) > 1:
        raise NotFrames()
    if not seen:
        return Frames(None, [], 0)
    setup = seen.pop()
    return Frames(setup, runs, samples / ADTS_SAMPLING[setup[0] >> 2 & 15])


def _zeros(window: _Window) -> int:
    """Return how many bytes of padding begin here, as far as one look goes."""
    seen = window.see(1)
    if seen != b"\0":
        return 0
    seen = window.see(PADDING_BYTES)
    return len(seen) - len(seen.lstrip(b"\0"))


def _may_be_cut(head: bytes) -> bool:
    """Whether a frame begins here that the end of the clip cuts before its length is told."""
    begins = 4 <= len(head) < TOLD_BY and head[0] == 0xFF and head[1] & 0xF6 == 0xF0
    return begins and adts_sampling_is_assigned(head, 0)


def _sound_ends(clip: Plain) -> int:
    tail = b"".join(clip.plain(max(0, clip.length - TAIL_BYTES), clip.length)) if clip.length else b""
    return max(0, clip.length - trailing_bytes(tail))


class _Window:
    """Reads a clip once from its beginning to `stop`, a few bytes at a time."""

    def __init__(self, clip: Plain, stop: int) -> None:
        self.at, self.stop = 0, stop
        self._pieces = clip.plain(0, stop) if stop else iter(())
        self._data, self._offset = b"", 0

    def see(self, size: int) -> bytes:
        """Return up to `size` bytes of what comes next; fewer only at the end."""
        while len(self._data) - self._offset < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._data, self._offset = (
                self._data[self._offset :] + piece,
                max(0, self._offset - len(self._data)),
            )
        return self._data[self._offset : self._offset + size]

    def skip(self, size: int) -> None:
        self.at += size
        self._offset += size
