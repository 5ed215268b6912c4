"""Where the whole frames of a clip lie, in the two formats that are nothing but frames.

AMR (RFC 4867, 5) is a magic number and then frames whose first byte tells
their length; ADTS (ISO/IEC 14496-3, 1.A.3) is frames with a header each.  A
phone that was stopped in the middle of a frame leaves a part of one at the
end, which would put everything joined behind it out of step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

# Bytes of a frame, its first byte included, by frame type; 0 where the type is not assigned.
AMR_NARROW = (13, 14, 16, 18, 20, 21, 27, 32, 6, 7, 6, 6, 0, 0, 0, 1)
AMR_WIDE = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)
AMR_MAGIC = {b"#!AMR\n": AMR_NARROW, b"#!AMR-WB\n": AMR_WIDE}
LONGEST_MAGIC = 9
ADTS_HEADER = 7
# What one frame's length is read from, or None when more bytes are needed for that.
Measure = Callable[[bytes, int], int | None]


class NotFrames(Exception):
    """The clip is not what its first bytes promise."""


class Plain(Protocol):
    """The part of a recording that is needed here (see `panzoto.crypto.source.Recording`)."""

    @property
    def length(self) -> int: ...

    def plain(self, start: int, stop: int) -> Iterator[bytes]: ...


def amr(clip: Plain) -> tuple[bytes, int, int]:
    """Return (magic, start, stop): which AMR it is and where its whole frames lie. Raises `NotFrames`."""
    opening = b"".join(clip.plain(0, min(LONGEST_MAGIC, clip.length)))
    magic = next((magic for magic in AMR_MAGIC if opening.startswith(magic)), None)
    if magic is None:
        raise NotFrames()
    sizes = AMR_MAGIC[magic]

    def measure(data: bytes, at: int) -> int:
        return sizes[data[at] >> 3 & 15]

    start = len(magic)
    return magic, start, start + _whole(clip.plain(start, clip.length), measure)


def adts(clip: Plain) -> tuple[tuple[int, ...], int]:
    """Return (what a decoder is set up by, where the whole frames end). Raises `NotFrames`."""
    seen: set[tuple[int, ...]] = set()

    def measure(data: bytes, at: int) -> int | None:
        if len(data) - at < ADTS_HEADER:
            return None
        if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
            raise NotFrames()
        # Version; profile and sampling frequency; channels: none of them may change on the way.
        seen.add((data[at + 1] & 0x08, data[at + 2] & 0xFD, data[at + 3] & 0xC0))
        length = (data[at + 3] & 0x03) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        return length if length > ADTS_HEADER else 0

    stop = _whole(clip.plain(0, clip.length), measure)
    if len(seen) != 1:
        raise NotFrames()
    return seen.pop(), stop


def _whole(pieces: Iterator[bytes], measure: Measure) -> int:
    """Return how many bytes whole frames take, reading a piece at a time."""
    total, rest = 0, b""
    for piece in pieces:
        data, at = rest + piece, 0
        while at < len(data):
            size = measure(data, at)
            if size == 0:
                raise NotFrames()
            if size is None or at + size > len(data):
                break
            at += size
        total, rest = total + at, data[at:]
    return total
