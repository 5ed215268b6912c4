"""Joining MP4 and 3GP clips without re-encoding: the frames stay as they are, the tables before them are new.

The joined file is a head and then stretches of the clips' own bytes, so only
the head has to be made and kept.  FFmpeg, through PyAV, reads the clips in a
sandbox (`panzoto.media.demuxing`) that gets them through a pipe: nothing plain
touches a disk, a web worker does not hold the library, and neither a crash
nor a claim of a thousand million frames is its trouble.  What comes back is
checked like anything else from outside.
"""

from __future__ import annotations

import itertools
import json
import logging
from array import array
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from panzoto.crypto.source import Recording
from panzoto.errors import ClipsNotJoinable, SittingTooLong
from panzoto.media.amr import find_in_head
from panzoto.media.confined import Confined, ProgramFailed
from panzoto.media.media_type import by_brand
from panzoto.media.mp4 import BadTemplate, FrameTable, head
from panzoto.media.parts import Parts

PROGRAM = Path(__file__).with_name("demuxing.py")
# A clip is in the child's memory while it is read.
LONGEST_CLIP_BYTES = 64 * 1024 * 1024
# What the child answers at most; it refuses more by itself, unless somebody else speaks through it.
LONGEST_LINE = 1000
MOST_TEMPLATE_BYTES = 256 * 1024
MOST_TABLE_BYTES = 12 * 1024 * 1024
MOST_CHUNKS = 50_000
NUMBERS = ("template", "frames", "runs", "chunks", "timescale")

log = logging.getLogger(__name__)


class Remux:
    """Clips on their way into one file. Use it as a context; leaving it ends the child."""

    def __init__(self, program: Path = PROGRAM) -> None:
        """Start the child. Raises `Busy` when the machine has no room for it."""
        self._child = Confined(program)
        self._lengths: list[int] = []
        self._reads = True

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def add(self, clip: Recording) -> None:
        """Send the next clip. Raises `SittingTooLong`, `Busy`, and what reading the clip raises."""
        if clip.length > LONGEST_CLIP_BYTES:
            raise SittingTooLong()
        self._lengths.append(clip.length)
        pieces = itertools.chain((clip.length.to_bytes(8, "big"),), clip.plain(0, clip.length))
        # A child that has given up says why when it is asked.
        self._reads = self._reads and all(map(self._child.send, pieces))

    def finish(self) -> Parts:
        """Return the head and the stretches that follow it.

        Raises `ClipsNotJoinable`, `SittingTooLong` and `Busy`; `clip` of the first two is the
        number of the clip that is the reason, where that is known.
        """
        self._child.end_input()
        try:
            return self._answer()
        except ProgramFailed as failed:
            log.error("demuxing_failed", extra={"status": failed.status})
            raise ClipsNotJoinable() from failed

    def _answer(self) -> Parts:
        told = self._numbers()
        template = self._child.read(self._at_most(told["template"], MOST_TEMPLATE_BYTES))
        self._at_most(4 * told["frames"] + 8 * told["runs"], MOST_TABLE_BYTES)
        sizes = self._table("I", told["frames"])
        durations = self._table("I", 2 * told["runs"])
        self._at_most(told["chunks"], MOST_CHUNKS)
        table = self._table("Q", 4 * told["chunks"])
        clips, starts, lengths, counts = (table[place::4] for place in range(4))
        stretches = [(clip, at, at + size) for clip, at, size in zip(clips, starts, lengths, strict=True)]
        chunks = list(zip(counts, lengths, strict=True))
        frames = FrameTable(told["timescale"], sizes, durations, chunks)
        if not frames.is_sound() or not all(map(self._has, stretches)):
            raise self._child.failed()
        try:
            made = head(template, frames)
        except BadTemplate as error:
            raise self._child.failed() from error
        track = find_in_head(made, sum(lengths))
        return Parts(made, stretches, frames.duration / frames.timescale, by_brand(made[8:12]), track)

    def _numbers(self) -> dict[str, int]:
        """Return what the child's first line tells of the rest. Raises what it refuses the clips with."""
        try:
            values = json.loads(self._child.read_line(LONGEST_LINE))
            if values.get("why") is not None:
                _refuse(values["why"], range(len(self._lengths))[values["refused"]])
            return {name: self._at_most(values[name], 2**32) for name in NUMBERS}
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise self._child.failed() from error

    def _table(self, kind: str, count: int) -> array[int]:
        table = array(kind)
        table.frombytes(self._child.read(count * table.itemsize))
        return table

    def _at_most(self, count: object, most: int) -> int:
        if not isinstance(count, int) or not 0 <= count <= most:
            raise self._child.failed()
        return count

    def _has(self, stretch: tuple[int, int, int]) -> bool:
        clip, start, stop = stretch
        return clip < len(self._lengths) and start < stop <= self._lengths[clip]


def _refuse(why: str, clip: int) -> NoReturn:
    refusal = SittingTooLong() if why == "too_long" else ClipsNotJoinable()
    refusal.clip = clip
    raise refusal
