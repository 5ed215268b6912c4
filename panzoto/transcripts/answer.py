"""What a speech engine answers for one piece of sound, made of the verbose JSON that engines agreed on.

They agreed in outline: times may be missing or strings, words may stand in their segments, beside them or
nowhere, and numbers may be nonsense. Text is never given up for that; what cannot be a time is filled from
its neighbours and kept within the piece. Source: OpenAI's API reference, "The transcription object (Verbose
JSON)".
"""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from panzoto.transcripts.document import Word
from panzoto.transcripts.languages import code_of

# Above the one and below the other, Whisper's own program takes a segment for no speech.
NO_SPEECH_PROBABILITY = 0.6
NO_SPEECH_LOG_PROBABILITY = -1.0
# C0 and C1 without tab and line feed: nobody speaks them, and XML, terminals and SRT choke on them.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class NotAnAnswer(ValueError):
    """What came is not the JSON of a transcription. It quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence or so, in whole milliseconds from the start of the piece; `words` is None for none."""

    start_ms: int
    end_ms: int
    text: str
    words: tuple[Word, ...] | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What was heard in one piece, in order of time, and its language by ISO 639-1 where the engine tells."""

    language: str | None
    segments: tuple[Segment, ...]


@dataclass(slots=True)
class _Span:
    """A word or a segment on its way, its times as far as they are known."""

    start_ms: int | None
    end_ms: int | None
    text: str

    @property
    def start(self) -> int:
        return self.start_ms or 0

    @property
    def end(self) -> int:
        return self.end_ms or 0


@dataclass(slots=True)
class _Draft(_Span):
    words: list[_Span] = field(default_factory=list)
    is_speech: bool = True
    speaker: str | None = None


def read_answer(body: bytes, duration_ms: int) -> Answer:
    """Read an engine's answer for a piece of that length. Raises `NotAnAnswer`."""
    said = _object(body)
    drafts = _drafts(said, duration_ms)
    beside = [] if any(draft.words for draft in drafts) else _words(said.get("words"), duration_ms)
    _place(drafts, beside)
    kept = [_segment(draft) for draft in drafts if draft.is_speech and draft.text]
    kept.sort(key=lambda segment: segment.start_ms)
    return Answer(code_of(said.get("language")), tuple(kept))


def clean(text: str) -> str:
    """Return `text` trimmed, as what UTF-8 can hold: no halves of characters, and no control characters."""
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return CONTROLS.sub(" ", whole).strip()


def _object(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        # The error of the library holds the whole document.
        raise NotAnAnswer("not JSON") from None
    if not isinstance(said, dict):
        raise NotAnAnswer("not an object")
    if said.get("text") is None and said.get("segments") is None:
        raise NotAnAnswer("neither text nor segments")
    return said


def _drafts(said: dict[str, object], duration_ms: int) -> list[_Draft]:
    """Return the segments in order of time; a single one over the whole piece where times are missing."""
    whole, told = _text(said.get("text")), said.get("segments")
    if not isinstance(told, list | None):
        raise NotAnAnswer("segments that are no list")
    drafts = [_draft(one, duration_ms) for one in told or ()]
    if not any(draft.text for draft in drafts):
        return [_Draft(0, duration_ms, whole)]
    if all(draft.start_ms is None and draft.end_ms is None for draft in drafts):
        return [_joined([draft for draft in drafts if draft.is_speech], duration_ms)]
    _fill(drafts, 0, duration_ms)
    # In this order the segment of a word is found; its words may still have it begin earlier.
    return sorted(drafts, key=lambda draft: draft.start)


def _joined(drafts: Sequence[_Draft], duration_ms: int) -> _Draft:
    text = " ".join(draft.text for draft in drafts if draft.text)
    return _Draft(0, duration_ms, text, [word for draft in drafts for word in draft.words])


def _draft(told: object, duration_ms: int) -> _Draft:
    if isinstance(told, str):
        return _Draft(None, None, clean(told))
    if not isinstance(told, dict):
        raise NotAnAnswer("a segment that is no object")
    words = _words(told.get("words"), duration_ms)
    return _Draft(
        start_ms=_milliseconds(told.get("start"), duration_ms),
        end_ms=_milliseconds(told.get("end"), duration_ms),
        text=_text(told.get("text")) or " ".join(word.text for word in words),
        words=words,
        is_speech=not _is_no_speech(told),
        speaker=_label(told.get("speaker")),
    )


def _is_no_speech(told: dict[str, object]) -> bool:
    probability, certainty = _number(told.get("no_speech_prob")), _number(told.get("avg_logprob"))
    if probability is None or certainty is None:
        return False
    return probability > NO_SPEECH_PROBABILITY and certainty < NO_SPEECH_LOG_PROBABILITY


def _text(told: object) -> str:
    if not isinstance(told, str | None):
        raise NotAnAnswer("a text that is none")
    return clean(told or "")


def _label(told: object) -> str | None:
    return (clean(told) or None) if isinstance(told, str) else None


def _words(told: object, duration_ms: int) -> list[_Span]:
    """Return words in order of time; none where none of them has a time, since its text says the same."""
    if not isinstance(told, list):
        return []
    words = [_word(one, duration_ms) for one in told if isinstance(one, dict)]
    words = [word for word in words if word.text]
    known = [time for word in words for time in (word.start_ms, word.end_ms) if time is not None]
    if not known:
        return []
    _fill(words, min(known), max(known))
    return sorted(words, key=lambda word: word.start)


def _word(told: dict[str, object], duration_ms: int) -> _Span:
    text = told.get("word", told.get("text"))
    return _Span(
        _milliseconds(told.get("start"), duration_ms),
        _milliseconds(told.get("end"), duration_ms),
        clean(text) if isinstance(text, str) else "",
    )


def _milliseconds(told: object, most_ms: int) -> int | None:
    """Return seconds, a number or one in a string, as milliseconds within the piece; None for none."""
    seconds = _number(told)
    return None if seconds is None else round(min(max(seconds, 0.0), most_ms / 1000) * 1000)


def _number(told: object) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        number = float(told)
    except (ValueError, OverflowError):
        return None
    return None if math.isnan(number) else number


def _fill(spans: Sequence[_Span], first_ms: int, last_ms: int) -> None:
    """Give a start where none is known, the end before it, and an end, the start that is known next."""
    following = last_ms
    for span in reversed(spans):
        if span.end_ms is None:
            span.end_ms = following
        following = span.start_ms if span.start_ms is not None else following
    clock = first_ms
    for span in spans:
        span.start_ms = min(clock, span.end) if span.start_ms is None else span.start_ms
        span.end_ms = clock = max(span.start, span.end)


def _place(drafts: list[_Draft], beside: Sequence[_Span]) -> None:
    """Give each word to the segment in which it begins; a segment reaches to where its words begin."""
    owners = _Owners(drafts)
    nested = [(word, draft) for draft in drafts for word in draft.words]
    placed = [(word, owners.of(word.start, home)) for word, home in nested]
    placed += [(word, owners.of(word.start, None)) for word in beside]
    for draft in drafts:
        draft.words = []
    for word, draft in placed:
        draft.words.append(word)
    for draft in drafts:
        _reach_words(draft)


def _reach_words(draft: _Draft) -> None:
    if not draft.words:
        return
    draft.words.sort(key=lambda word: word.start)
    draft.start_ms = min(draft.start, draft.words[0].start)
    draft.end_ms = max(draft.end, draft.words[-1].start)
    draft.text = draft.text or " ".join(word.text for word in draft.words)


class _Owners:
    """Finds the segment of a word by the time at which it begins."""

    def __init__(self, drafts: Sequence[_Draft]) -> None:
        self._drafts = drafts
        self._starts = [draft.start for draft in drafts]
        self._ends = [draft.end for draft in drafts]
        self._latest_ends = list(accumulate(self._ends, max))

    def of(self, moment: int, home: _Draft | None) -> _Draft:
        """Return the segment that holds that moment, `home` if it does, else `home` or the nearest."""
        # A segment that ends before it begins has no length, and its first word begins in it all the same.
        if home is not None and (moment == home.start or home.start <= moment < home.end):
            return home
        last = bisect_right(self._starts, moment) - 1
        at = last
        while at >= 0 and self._latest_ends[at] > moment:
            if self._ends[at] > moment:
                return self._drafts[at]
            at -= 1
        return home or self._nearest(moment, last)

    def _nearest(self, moment: int, last: int) -> _Draft:
        if last < 0:
            return self._drafts[0]
        if last + 1 == len(self._drafts):
            return self._drafts[last]
        # No segment that has begun goes on, so the distance to all of them is that to the latest end.
        is_earlier = moment - self._ends[last] < self._starts[last + 1] - moment
        return self._drafts[last if is_earlier else last + 1]


def _segment(draft: _Draft) -> Segment:
    words = tuple(Word(word.start, word.end, word.text) for word in draft.words)
    return Segment(draft.start, draft.end, draft.text, words or None, draft.speaker)
