"""The head of an MP4 or 3GP file that plays frames of several clips as one (ISO/IEC 14496-12).

A file of one audio track is `ftyp`, `moov` and `mdat`.  Everything that
describes the sound is taken from a template that FFmpeg wrote; the tables of
its frames and the durations are written here.  `moov` comes first, so that a
player can seek before it has all.
"""

from __future__ import annotations

import operator
import struct
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

from panzoto.errors import SittingTooLong

CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
KEPT = {b"hdlr", b"smhd", b"dinf", b"stsd"}
# The durations of version 0 boxes, and with them chunk offsets of the short kind, are 32 bits.
MOST = 2**32 - 1
BOX = struct.Struct(">I4s")

# Bytes of the file that is made; tables are not copied on their way into it.
Piece = bytes | memoryview


class BadTemplate(ValueError):
    """A template that is no file of one track."""


@dataclass(frozen=True, slots=True)
class FrameTable:
    """The frames of a track in order.

    `sizes` in bytes; `durations` as runs of how many frames and units of
    1/`timescale` s each, in turn; `chunks`, frames that lie together, as (how
    many frames, bytes).
    """

    timescale: int
    sizes: array[int]
    durations: array[int]
    chunks: list[tuple[int, int]]

    @property
    def duration(self) -> int:
        return sum(map(operator.mul, self.durations[::2], self.durations[1::2]))

    def is_sound(self) -> bool:
        """Whether its parts tell of the same frames, and of one at least."""
        frames = len(self.sizes)
        return (
            0 < self.timescale <= MOST
            and 0 < frames == sum(self.durations[::2]) == sum(count for count, _ in self.chunks)
            and sum(self.sizes) == sum(size for _, size in self.chunks)
            and all(count for count, _ in self.chunks)
        )


@dataclass(frozen=True, slots=True)
class _Track:
    """What is written anew of a track: its timescale, its duration in that, and its tables."""

    timescale: int
    duration: int
    tables: tuple[Piece, ...]


def head(template: bytes, frames: FrameTable) -> bytes:
    """Return what comes before the frames' own bytes. Raises `SittingTooLong` and `BadTemplate`."""
    boxes = dict(_boxes(template))
    if not {b"ftyp", b"moov"} <= boxes.keys():
        raise BadTemplate
    ftyp = _box(b"ftyp", boxes[b"ftyp"])
    content = sum(size for _, size in frames.chunks)
    track = _Track(frames.timescale, frames.duration, tuple(_tables(frames)))
    if track.duration > MOST:
        raise SittingTooLong()
    mdat = _mdat(content)
    # Offsets are of one width whatever their values, so a first attempt tells where the frames will begin.
    first = _moov(boxes[b"moov"], track, _offsets(frames, 0, content))
    length = len(ftyp) + sum(map(len, first)) + len(mdat)
    return b"".join((ftyp, *_moov(boxes[b"moov"], track, _offsets(frames, length, content)), mdat))


def _mdat(content: int) -> bytes:
    if content + BOX.size <= MOST:
        return BOX.pack(content + BOX.size, b"mdat")
    return BOX.pack(1, b"mdat") + struct.pack(">Q", content + BOX.size + 8)


def _moov(template: bytes, track: _Track, offsets: Piece) -> list[Piece]:
    written = list(_container(template, 0, track, offsets))
    if sum(piece is offsets for piece in written) != 1:
        raise BadTemplate
    return written


def _container(boxes: bytes, depth: int, track: _Track, offsets: Piece) -> Iterator[Piece]:
    """Yield a container of `CONTAINERS` with what is in it."""
    inner: list[Piece] = []
    for kind, payload in _boxes(boxes):
        if CONTAINERS[depth + 1 : depth + 2] == (kind,):
            inner += _container(payload, depth + 1, track, offsets)
        elif kind in KEPT:
            inner.append(_box(kind, payload))
        elif kind in DURATIONS:
            inner.append(_box(kind, _with_duration(kind, payload, track)))
    if CONTAINERS[depth] == b"stbl":
        inner += (*track.tables, offsets)
    yield BOX.pack(BOX.size + sum(map(len, inner)), CONTAINERS[depth])
    yield from inner


# Where these boxes have their duration.
DURATIONS = {b"mvhd": 16, b"tkhd": 20, b"mdhd": 16}


def _with_duration(kind: bytes, payload: bytes, track: _Track) -> bytes:
    at = DURATIONS[kind]
    if len(payload) < at + 4:
        raise BadTemplate
    if kind == b"mdhd":
        return _patched(payload, at - 4, track.timescale, track.duration)
    # FFmpeg counts a movie in milliseconds, and a track in what the movie is counted in.
    scale = int.from_bytes(payload[12:16], "big") if kind == b"mvhd" else 1000
    return _patched(payload, at, min(MOST, -(-track.duration * scale // track.timescale)))


def _patched(payload: bytes, at: int, *values: int) -> bytes:
    new = struct.pack(f">{len(values)}I", *values)
    return payload[:at] + new + payload[at + len(new) :]


def _tables(frames: FrameTable) -> Iterator[Piece]:
    yield from _full(b"stts", (len(frames.durations) // 2,), frames.durations)
    counts = array("I", _chunk_counts(frames.chunks))
    yield from _full(b"stsc", (len(counts) // 3,), counts)
    sizes, count = frames.sizes, len(frames.sizes)
    if sizes.count(sizes[0]) == count:
        yield from _full(b"stsz", (sizes[0], count), array("I"))
    else:
        yield from _full(b"stsz", (0, count), sizes)


def _chunk_counts(chunks: list[tuple[int, int]]) -> Iterator[int]:
    """Yield how many frames each chunk has, told where that changes."""
    before = 0
    for number, (count, _) in enumerate(chunks, 1):
        if count != before:
            yield from (number, count, 1)
            before = count


def _offsets(frames: FrameTable, start: int, content: int) -> bytes:
    # The head is a few bytes for each frame, far below this margin.
    wide = content > MOST - 2**28
    offsets = array("Q" if wide else "I")
    for _, size in frames.chunks:
        offsets.append(start)
        start += size
    return b"".join(_full(b"co64" if wide else b"stco", (len(offsets),), offsets))


def _full(kind: bytes, fields: tuple[int, ...], table: array[int]) -> tuple[Piece, Piece]:
    """Return a box with version and flags of zero: its beginning with `fields`, and `table`."""
    if sys.byteorder == "little":
        table = table[:]
        table.byteswap()
    values = memoryview(table).cast("B")
    start = struct.pack(f">{1 + len(fields)}I", 0, *fields)
    return BOX.pack(BOX.size + len(start) + len(values), kind) + start, values


def _box(kind: bytes, payload: bytes) -> bytes:
    return BOX.pack(BOX.size + len(payload), kind) + payload


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + BOX.size <= len(data):
        size, kind = BOX.unpack_from(data, at)
        if size < BOX.size:
            raise BadTemplate
        yield kind, data[at + BOX.size : at + size]
        at += size
