"""From the answers for the pieces of a sound to the documents of the recordings that it was made of.

All recordings of a conversation lie on one line of time, with the gaps between them, and the pieces that an
engine was sent were cut from it. Whole milliseconds throughout. Nothing is computed here but times and texts:
no keys, no bucket.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from panzoto.transcripts.answer import Answer, Segment
from panzoto.transcripts.document import Word

VERSION = 1


class Span(Protocol):
    """A stretch of the line; a piece of sound is one."""

    @property
    def start_ms(self) -> int: ...

    @property
    def duration_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span without sound: what remains of a piece once it has been answered."""

    start_ms: int
    duration_ms: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Who heard it and when; `language` is the one that was asked for, where one was."""

    engine: str
    model: str | None
    created_at: str
    language: str | None = None


Heard = tuple[Span, Answer]


@dataclass(slots=True)
class _Clip:
    """A recording on the line, and what fell to it, in times of the line."""

    start: int
    end: int
    segments: list[Segment] = field(default_factory=list)
    languages: Counter[str] = field(default_factory=Counter)

    def within(self, moment: int) -> int:
        return min(max(moment, self.start), self.end) - self.start


def documents(
    answers: Iterable[Heard], borders: Sequence[tuple[int, int]], file_ids: Sequence[str], origin: Origin
) -> list[dict[str, Any]]:
    """Return the document of each recording; `borders` are their starts and durations, in order.

    `answers` are those of the pieces, with where each lay; pieces that were silent may be left out.
    """
    clips = [_Clip(start, start + duration) for start, duration in borders]
    line = _Line(clips)
    for span, answer in answers if clips else ():
        line.note_language(span, answer.language)
        for segment in answer.segments:
            for clip, part in line.shares(_moved(segment, span.start_ms)):
                clip.segments.append(part)
    return [_document(clip, file_id, origin) for clip, file_id in zip(clips, file_ids, strict=True)]


def detected(answers: Iterable[Heard]) -> str | None:
    """Return the language of most of the sound, by ISO 639-1; None where the engine told none."""
    languages: Counter[str] = Counter()
    for span, answer in answers:
        if answer.language is not None:
            languages[answer.language] += span.duration_ms
    return most(languages)


def most(languages: Counter[str]) -> str | None:
    """Return the language that was counted highest, None where none was."""
    return max(languages, key=lambda name: languages[name], default=None)


class _Line:
    """Tells to which recording a stretch of the line belongs."""

    def __init__(self, clips: Sequence[_Clip]) -> None:
        self._clips = clips
        self._starts = [clip.start for clip in clips]

    def note_language(self, span: Span, language: str | None) -> None:
        if language is None:
            return
        start, end = span.start_ms, span.start_ms + span.duration_ms
        for clip in map(self._clips.__getitem__, self._around(start, end)):
            if (common := _common(clip, start, end)) > 0:
                clip.languages[language] += common

    def shares(self, segment: Segment) -> list[tuple[_Clip, Segment]]:
        """Return each recording that has a part of the segment, with that part."""
        if not segment.words:
            return [(self._clips[self._home(segment.start_ms, segment.end_ms)], segment)]
        homes = [self._home(word.start_ms, word.end_ms) for word in segment.words]
        order = sorted(set(homes))
        if len(order) == 1:
            return [(self._clips[order[0]], segment)]
        parts = _parts(segment, [order.index(home) for home in homes], len(order))
        return [(self._clips[home], part) for home, part in zip(order, parts, strict=True)]

    def _home(self, start: int, end: int) -> int:
        """The recording that has most of it; in a gap the nearest; of equals the first."""
        return max(self._around(start, end), key=lambda number: _common(self._clips[number], start, end))

    def _around(self, start: int, end: int) -> range:
        """The recordings from the last that has begun at `start` to the first that begins after `end`."""
        first = max(bisect_right(self._starts, start) - 1, 0)
        last = max(bisect_left(self._starts, end), first)
        return range(first, min(last + 1, len(self._clips)))


def _common(clip: _Clip, start: int, end: int) -> int:
    """How much of a stretch lies in a recording; below zero, how far it is from it."""
    return min(end, clip.end) - max(start, clip.start)


def _moved(segment: Segment, by: int) -> Segment:
    words = segment.words and tuple(Word(w.start_ms + by, w.end_ms + by, w.text) for w in segment.words)
    return replace(segment, start_ms=segment.start_ms + by, end_ms=segment.end_ms + by, words=words)


def _parts(segment: Segment, places: Sequence[int], count: int) -> list[Segment]:
    """Split a segment by the places of its words, each from 0 to `count` less one and every one taken."""
    words = segment.words or ()
    groups = [tuple(w for w, at in zip(words, places, strict=True) if at == place) for place in range(count)]
    texts = _cut(segment.text, words, places, count)
    if not all(texts):
        texts = [" ".join(word.text for word in group) for group in groups]
    return [
        replace(
            segment,
            start_ms=segment.start_ms if place == 0 else group[0].start_ms,
            end_ms=segment.end_ms if place == count - 1 else max(word.end_ms for word in group),
            text=texts[place],
            words=group,
        )
        for place, group in enumerate(groups)
    ]


def _cut(text: str, words: Sequence[Word], places: Sequence[int], count: int) -> list[str]:
    """Cut the text where words of another place begin, so that marks between words are kept.

    Empty strings tell that it cannot be cut so: the words are not those of the text, or not in its order.
    """
    texts, begun, read = [""] * count, 0, 0
    current = places[0]
    if list(places) != sorted(places):
        return texts
    for word, place in zip(words, places, strict=True):
        found = text.find(word.text, read)
        if place != current:
            cut = _cut_before(text, read, found)
            texts[current] = text[begun:cut].strip()
            begun, current = cut, place
            read = max(read, cut)
        if found >= 0:
            read = found + len(word.text)
    texts[current] = text[begun:].strip()
    return texts


def _cut_before(text: str, read: int, found: int) -> int:
    """Return where the word at `found` begins, with the marks before it; if it is nowhere, what is next."""
    if found < 0:
        space = text.find(" ", read)
        return len(text) if space < 0 else space
    space = text.rfind(" ", read, found)
    return found if space < 0 else space


def _document(clip: _Clip, file_id: str, origin: Origin) -> dict[str, Any]:
    segments = [_told_segment(clip, segment) for segment in clip.segments]
    segments.sort(key=lambda segment: segment["start_ms"])
    return {
        "version": VERSION,
        "file_id": file_id,
        "language": (most(clip.languages) or origin.language) if segments else None,
        "duration_ms": clip.end - clip.start,
        "engine": origin.engine,
        "model": origin.model,
        "created_at": origin.created_at,
        "source": "engine",
        "segments": segments,
    }


def _told_segment(clip: _Clip, segment: Segment) -> dict[str, Any]:
    told: dict[str, Any] = _told(clip, segment)
    if segment.speaker is not None:
        told["speaker"] = segment.speaker
    if segment.words:
        told["words"] = [_told(clip, word) for word in segment.words]
    return told


def _told(clip: _Clip, spoken: Segment | Word) -> dict[str, Any]:
    return {
        "start_ms": clip.within(spoken.start_ms),
        "end_ms": clip.within(spoken.end_ms),
        "text": spoken.text,
    }
