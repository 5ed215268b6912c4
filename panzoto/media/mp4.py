"""The head of an MP4 or 3GP file that plays frames of several clips as one (ISO/IEC 14496-12).

A file of one audio track is `ftyp`, `moov` and `mdat`.  Everything that
describes the sound is taken from a template that FFmpeg wrote; the tables of
its frames and the durations are written here.  `moov` comes first, so that a
player can seek before it has all.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from panzoto.errors import SittingTooLong

CONTAINERS = {b"trak", b"mdia", b"minf", b"stbl"}
KEPT = {b"hdlr", b"smhd", b"dinf", b"stsd"}
# The durations of version 0 boxes, and with them chunk offsets of the short kind, are 32 bits.
MOST = 2**32 - 1
BOX = struct.Struct(">I4s")


@dataclass(frozen=True, slots=True)
class FrameTable:
    """The frames of a track in order.

    `sizes` in bytes; `durations` as runs of (how many frames, units of
    1/`timescale` s each); `chunks`, frames that lie together, as (how many
    frames, bytes).
    """

    timescale: int
    sizes: array[int]
    durations: list[tuple[int, int]]
    chunks: list[tuple[int, int]]

    @property
    def duration(self) -> int:
        return sum(count * each for count, each in self.durations)


def head(template: bytes, frames: FrameTable) -> bytes:
    """Return everything that comes before the frames' own bytes. Raises `SittingTooLong`."""
    boxes = dict(_boxes(template))
    ftyp = _box(b"ftyp", boxes[b"ftyp"])
    content = sum(size for _, size in frames.chunks)
    if frames.duration > MOST:
        raise SittingTooLong()
    mdat = _mdat(content)
    # Offsets are of one width whatever their values, so a first attempt tells where the frames will begin.
    length = len(ftyp) + len(_moov(boxes[b"moov"], frames, 0, content)) + len(mdat)
    return ftyp + _moov(boxes[b"moov"], frames, length, content) + mdat


def _mdat(content: int) -> bytes:
    if content + BOX.size <= MOST:
        return BOX.pack(content + BOX.size, b"mdat")
    return BOX.pack(1, b"mdat") + struct.pack(">Q", content + BOX.size + 8)


def _moov(template: bytes, frames: FrameTable, start: int, content: int) -> bytes:
    # The head is a few bytes for each frame, far below this margin.
    wide = content > MOST - 2**28
    return _box(b"moov", b"".join(_rewritten(template, frames, _offsets(frames, start, wide))))


def _rewritten(boxes: bytes, frames: FrameTable, offsets: bytes) -> Iterator[bytes]:
    for kind, payload in _boxes(boxes):
        if kind in CONTAINERS:
            inner = b"".join(_rewritten(payload, frames, offsets))
            tables = _tables(frames) + offsets if kind == b"stbl" else b""
            yield _box(kind, inner + tables)
        elif kind in KEPT:
            yield _box(kind, payload)
        elif kind == b"mvhd":
            movie_scale = int.from_bytes(payload[12:16], "big")
            yield _box(kind, _patched(payload, 16, _scaled(frames, movie_scale)))
        elif kind == b"tkhd":
            # FFmpeg counts a movie in milliseconds.
            yield _box(kind, _patched(payload, 20, _scaled(frames, 1000)))
        elif kind == b"mdhd":
            yield _box(kind, _patched(payload, 12, frames.timescale, frames.duration))


def _scaled(frames: FrameTable, scale: int) -> int:
    return min(MOST, -(-frames.duration * scale // frames.timescale))


def _patched(payload: bytes, at: int, *values: int) -> bytes:
    new = struct.pack(f">{len(values)}I", *values)
    return payload[:at] + new + payload[at + len(new) :]


def _tables(frames: FrameTable) -> bytes:
    durations = [number for run in frames.durations for number in run]
    return (
        _full(b"stts", struct.pack(">I", len(frames.durations)) + _numbers(durations))
        + _full(b"stsc", _chunk_counts(frames.chunks))
        + _full(b"stsz", _sizes(frames.sizes))
    )


def _chunk_counts(chunks: list[tuple[int, int]]) -> bytes:
    """Return how many frames each chunk has, told where that changes."""
    told: list[int] = []
    before = 0
    for number, (count, _) in enumerate(chunks, 1):
        if count != before:
            told += (number, count, 1)
            before = count
    return struct.pack(">I", len(told) // 3) + _numbers(told)


def _sizes(sizes: array[int]) -> bytes:
    if sizes.count(sizes[0]) == len(sizes):
        return struct.pack(">II", sizes[0], len(sizes))
    return struct.pack(">II", 0, len(sizes)) + _big_endian(sizes)


def _offsets(frames: FrameTable, start: int, wide: bool) -> bytes:
    offsets = array("Q" if wide else "I")
    for _, size in frames.chunks:
        offsets.append(start)
        start += size
    return _full(b"co64" if wide else b"stco", struct.pack(">I", len(offsets)) + _big_endian(offsets))


def _numbers(values: Iterable[int]) -> bytes:
    return _big_endian(array("I", values))


def _big_endian(values: array[int]) -> bytes:
    if sys.byteorder == "little":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def _full(kind: bytes, payload: bytes) -> bytes:
    """Return a box with version and flags of zero."""
    return _box(kind, bytes(4) + payload)


def _box(kind: bytes, payload: bytes) -> bytes:
    return BOX.pack(BOX.size + len(payload), kind) + payload


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size, kind = BOX.unpack_from(data, at)
        yield kind, data[at + BOX.size : at + size]
        at += size
