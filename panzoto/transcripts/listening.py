"""Listening to the recordings of one job: their sound goes to the engine piece by piece, its words come back.

Sound and words are in this process's memory alone, and no more of the sound than a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from panzoto.crypto.source import Recording
from panzoto.errors import ObjectChanged
from panzoto.media import durations
from panzoto.media.glimpse import Glimpse
from panzoto.media.sound import LONGEST_GAP_MS, Clip, Piece, SoundOfClips
from panzoto.models import AudioFile
from panzoto.playback.opening import Playback
from panzoto.transcripts.answer import Answer
from panzoto.transcripts.messages import ClipKey
from panzoto.transcripts.times import Heard, Stretch

MILLISECOND = timedelta(milliseconds=1)
# What is told before the end is known, at most.
ALMOST = 0.99

# Asks the engine about one piece.
Ask = Callable[[Piece], Answer]
# Is told the share of the sound that has been answered.
Tell = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class HeardClips:
    """All that was heard, and where each recording lies on the line of time."""

    answers: list[Heard] = field(repr=False)
    borders: list[tuple[int, int]]


@dataclass(slots=True)
class Listening:
    """One job's recordings. `check` raises when nobody waits for them any more."""

    playback: Playback
    clips: Sequence[ClipKey]
    rows: Mapping[str, AudioFile]
    check: Callable[[], None]
    # What the lengths of the recordings so far were taken for, in ms, before they were decoded.
    _expected: list[float] = field(default_factory=list)

    def run(self, max_bytes: int, ask: Ask, tell: Tell) -> HeardClips:
        """Ask about every piece that is not silent.

        Raises `NotAudio`, `ObjectChanged`, `Busy`, `Unavailable`, and what `ask` and `check` raise.
        """
        answers: list[Heard] = []
        with SoundOfClips() as sound:
            for piece in sound.pieces(self._coming(sound), max_bytes):
                self.check()
                if not piece.is_silent:
                    answers.append((Stretch(piece.start_ms, piece.duration_ms), ask(piece)))
                tell(self._share(piece.start_ms + piece.duration_ms))
            return HeardClips(answers, sound.borders)

    def _coming(self, sound: SoundOfClips) -> Iterator[Clip]:
        """Yield the recordings, each opened when its turn comes and the one before has been decoded."""
        before: AudioFile | None = None
        for clip in self.clips:
            self.check()
            row = self.rows.get(clip.file_id)
            if row is None:
                raise ObjectChanged()
            recording = self.playback.reopen(row.s3_key, clip.etag, clip.format, clip.key)
            self._expected.append(1000 * durations.seconds(Glimpse(recording), row.duration_ms))
            yield Clip(_Checked(recording, self.check), gap_ms(before, row, sound.borders))
            before = row

    def _share(self, reached_ms: int) -> float:
        """Return how much has been answered; what is not opened yet is taken to last as its bytes tell."""
        opened = [self.rows[clip.file_id].size_in_bytes for clip in self.clips[: len(self._expected)]]
        size = sum(self.rows[clip.file_id].size_in_bytes for clip in self.clips)
        expected = sum(self._expected) * (size / sum(opened) if sum(opened) else 1)
        return min(ALMOST, reached_ms / max(expected, reached_ms, 1))


class _Checked:
    """A recording that is read only as long as somebody waits for it."""

    def __init__(self, recording: Recording, check: Callable[[], None]) -> None:
        self._recording = recording
        self._check = check

    @property
    def length(self) -> int:
        return self._recording.length

    def plain(self, start: int, stop: int) -> Iterator[bytes]:
        for piece in self._recording.plain(start, stop):
            self._check()
            yield piece


def gap_ms(before: AudioFile | None, row: AudioFile, borders: Sequence[tuple[int, int]]) -> int:
    """Return the silence between two recordings: what it was, at most a second; 0 where it is not known."""
    began = row.value("recorded_at")
    began_before = None if before is None else before.value("recorded_at")
    if began is None or began_before is None or not borders:
        return 0
    ended = began_before + borders[-1][1] * MILLISECOND
    gap: int = (began - ended) // MILLISECOND
    return min(max(0, gap), LONGEST_GAP_MS)
