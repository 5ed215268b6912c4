"""Recordings as a speech engine takes them: pieces of 16 kHz mono FLAC, cut at quiet places, made in memory.

The clips of one conversation, of whatever kinds and rates, are one sound.  FFmpeg, through PyAV, decodes them
in a sandbox (`panzoto.media.cutting`) that asks for the bytes it wants next, so a recording of any length
passes through and no more than a piece of it is held here, and nothing on a disk.  What the child says is
checked like anything else from outside.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from panzoto.crypto.source import Recording
from panzoto.errors import Busy, NotAudio
from panzoto.media.confined import Confined, ProgramFailed

PROGRAM = Path(__file__).with_name("cutting.py")
RATE = 16000
SAMPLES_PER_MS = RATE // 1000
MAX_SECONDS = 1200
# A piece holds one frame of FLAC at least, whatever is in it.
LEAST_BYTES = 4096
LONGEST_GAP_MS = 1000
# As the child asks for them, and as it is told that there is no further clip.
BLOCK_BYTES = 64 * 1024
NONE = 2**64 - 1
# What is skipped rather than asked for again from another place.
SKIPPED_BYTES = 256 * 1024
# How much of a clip the child may ask for: a demuxer that goes to and fro reads some of it again.
MOST_TIMES = 4
MOST_BESIDES = 64 * 1024 * 1024
# Processor time of the child, for a second of sound, and at most: a job is over when it is a day old.
CPU_PER_SECOND = 0.1
CPU_SECONDS = 24 * 3600

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clip:
    """An opened recording and the silence before it, at most a second of it."""

    sound: Recording
    gap_ms: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of the time line of all clips with their gaps; `flac` is empty where it is silent."""

    flac: bytes
    start_ms: int
    duration_ms: int
    is_silent: bool


class SoundOfClips:
    """Clips on their way to an engine. Use it as a context; leaving it ends the child."""

    def __init__(self, program: Path = PROGRAM) -> None:
        """Start the child. Raises `Busy` when the machine has no room for it."""
        self._child = Confined(program, cpu_seconds=CPU_SECONDS)
        # Samples until now: of the time line, and of the pieces.
        self._line = 0
        self._given = 0
        self._clip = -1
        self._is_all = False
        # Of each clip its beginning and duration on the time line; complete when there are no more pieces.
        self.borders: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        self._child.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    @property
    def pid(self) -> int:
        return self._child.pid

    def pieces(
        self, clips: Iterable[Clip], max_bytes: int, max_seconds: int = MAX_SECONDS
    ) -> Iterator[Piece]:
        """Yield the sound of `clips`, in pieces of at most so many bytes of FLAC and so many seconds.

        Once only; a clip is read when its turn comes. Raises `NotAudio`, whose `clip` is the number of the
        recording that is the reason, `Busy`, and what reading a clip raises.
        """
        if max_bytes < LEAST_BYTES or not 0 < max_seconds <= MAX_SECONDS:
            raise ValueError((max_bytes, max_seconds))
        try:
            yield from self._conversation(iter(clips), max_bytes, max_seconds * RATE)
        except ProgramFailed as failed:
            log.error("decoding_failed", extra={"status": failed.status})
            if self._clip < 0:
                # It has not seen a byte of anybody's.
                raise Busy() from failed
            raise self._not_audio() from failed

    def _conversation(self, clips: Iterator[Clip], most_bytes: int, most_samples: int) -> Iterator[Piece]:
        self._child.send(_numbers(most_bytes, most_samples))
        self._child.go_on(MAX_SECONDS * CPU_PER_SECOND)
        reading = _Reading.of_nothing()
        while (letter := self._child.read(1)) != b"E":
            match letter:
                case b"C":
                    reading = self._begin(next(clips, None))
                case b"R":
                    self._child.send(self._read(reading, self._number(reading.length)))
                case b"B":
                    self._end(self._number(NONE))
                case b"P":
                    yield self._piece(most_bytes, most_samples)
                case b"N":
                    raise self._not_audio()
                case _:
                    raise self._child.failed()
            # Its time begins anew, since nobody may have waited for it meanwhile.
            self._child.go_on()
        if not self._is_all or self._given != self._line:
            raise self._child.failed()

    def _begin(self, clip: Clip | None) -> _Reading:
        """Tell of the next clip, or that there is none."""
        self._clip += 1
        if self._is_all or len(self.borders) != self._clip:
            raise self._child.failed()
        if clip is None:
            self._is_all = True
            self._child.send(_numbers(0, NONE))
            return _Reading.of_nothing()
        gap = SAMPLES_PER_MS * max(0, min(clip.gap_ms, LONGEST_GAP_MS))
        self._line += gap
        self._child.send(_numbers(gap, clip.sound.length))
        return _Reading(clip.sound)

    def _end(self, samples: int) -> None:
        """Note where a clip lies on the time line."""
        begin, self._line = self._line, self._line + samples
        self.borders.append(_stretch(begin, self._line))

    def _read(self, reading: _Reading, offset: int) -> bytes:
        if reading.is_over:
            log.error("decoding_failed", extra={"status": 0})
            raise self._not_audio()
        return reading.block(offset)

    def _piece(self, most_bytes: int, most_samples: int) -> Piece:
        samples, is_silent = self._number(most_samples), bool(self._number(1))
        size = self._number(0 if is_silent else most_bytes)
        flac = self._child.read(size)
        if not samples or flac.startswith(b"fLaC") == is_silent:
            raise self._child.failed()
        begin, self._given = self._given, self._given + samples
        self._child.go_on(samples / RATE * CPU_PER_SECOND)
        return Piece(flac, *_stretch(begin, self._given), is_silent)

    def _number(self, most: int) -> int:
        number = int.from_bytes(self._child.read(8), "big")
        if number > most:
            raise self._child.failed()
        return number

    def _not_audio(self) -> NotAudio:
        refusal = NotAudio()
        refusal.clip = max(0, self._clip)
        return refusal


def _numbers(first: int, second: int) -> bytes:
    return first.to_bytes(8, "big") + second.to_bytes(8, "big")


def _stretch(begin: int, end: int) -> tuple[int, int]:
    """Return beginning and duration in milliseconds; it is moments that are rounded, so nothing overlaps."""
    start_ms, end_ms = (round(moment / SAMPLES_PER_MS) for moment in (begin, end))
    return start_ms, end_ms - start_ms


class _Nothing:
    """No clip."""

    length = 0

    def plain(self, start: int, stop: int) -> Iterator[bytes]:  # noqa: ARG002 - as recordings have it
        return iter(())


class _Reading:
    """Blocks of one clip, read on where the last one ended as long as they follow each other."""

    def __init__(self, sound: Recording) -> None:
        self._sound, self.length = sound, sound.length
        self._pieces: Iterator[bytes] = iter(())
        self._held = bytearray()
        # Where what is held begins.
        self._at = self.length
        self._left = MOST_TIMES * self.length + MOST_BESIDES

    @classmethod
    def of_nothing(cls) -> _Reading:
        return cls(_Nothing())

    @property
    def is_over(self) -> bool:
        """Whether more of the clip was asked for than any demuxer needs."""
        return self._left <= 0

    def block(self, offset: int) -> bytes:
        """Return the block that begins at `offset`, or what there is of it."""
        self._left -= BLOCK_BYTES
        if not self._at <= offset <= self._at + SKIPPED_BYTES:
            self._pieces = self._sound.plain(offset, self.length)
            self._held, self._at = bytearray(), offset
        stop = min(offset + BLOCK_BYTES, self.length)
        while self._at + len(self._held) < stop:
            self._held += next(self._pieces)
        data = bytes(self._held[offset - self._at : stop - self._at])
        del self._held[: stop - self._at]
        self._at = stop
        return data
