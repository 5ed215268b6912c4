"""The text of a document divided into words, and the places in it where given words stand."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from panzoto.transcripts.document import Segment
from panzoto.transcripts.word_line import WordLine
from panzoto.transcripts.word_times import WordTimes
from panzoto.transcripts.words import PART, folded_lengths, folded_parts

CONTEXT = 80
# What is known of how long characters become is forgotten again, so that not all of a text is at one time.
_MOST_REMEMBERED_PARTS = 8


@dataclass(frozen=True, slots=True)
class Match:
    """One place: `text` as it stands there, times in milliseconds, up to 80 code points on either side."""

    start_ms: int
    end_ms: int
    before: str
    text: str
    after: str


class DividedText:
    """What was said in a document, its segments a space apart.

    Places are pairs of start and end in that text as it was written; what is searched is its folded form.
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        self._text = " ".join(segment.text for segment in segments)
        self._parts = list(folded_parts(self._text))
        self._part_starts = array("I", accumulate(map(len, self._parts), initial=0))
        self._segment_starts = array("I", accumulate(map(_length, segments), initial=0))
        # The rest is found out where somebody asks for it, since most texts are no hit.
        self._folded_segment_starts: array[int] | None = None
        self._line = WordLine(self._parts)
        self._origins_of: dict[int, Sequence[int]] = {}
        self._times: dict[int, WordTimes] = {}

    def holds(self, letters: str) -> bool:
        """Whether folded letters occur anywhere, which costs next to nothing to know."""
        before = ""
        for part in self._parts:
            text = before + part
            if letters in text:
                return True
            before = text[len(text) + 1 - len(letters) :] if len(text) >= len(letters) else text
        return False

    def stands(self, words: tuple[str, ...], *, is_open: bool) -> bool:
        """Whether there is a place of `words`."""
        return next(self._folded_places(words, is_open=is_open), None) is not None

    def places(self, words: tuple[str, ...], *, is_open: bool) -> Iterator[tuple[int, int]]:
        """Yield where the folded `words` follow each other, in one segment or two neighbours.

        With `is_open` the last of them may be the beginning of one; the place is the whole word all the same.
        """
        return (self._as_written(*place) for place in self._folded_places(words, is_open=is_open))

    def _folded_places(self, words: tuple[str, ...], *, is_open: bool) -> Iterator[tuple[int, int]]:
        places = self._line.places(words, is_open=is_open)
        # A word is always in one segment.
        return places if len(words) == 1 else filter(self._is_in_neighbours, places)

    def _is_in_neighbours(self, place: tuple[int, int]) -> bool:
        if self._folded_segment_starts is None:
            lengths = (sum(map(len, folded_parts(one.text))) + 1 for one in self._segments)
            self._folded_segment_starts = array("Q", accumulate(lengths, initial=0))
        starts = self._folded_segment_starts
        return bisect_right(starts, place[1] - 1) - bisect_right(starts, place[0]) <= 1

    def match(self, start: int, end: int) -> Match:
        """Return what stands at a place, when it was said, and what stands around it."""
        first, last = self._segment_at(start), self._segment_at(end - 1)
        start_ms = self._times_of(first).start_at(start - self._segment_starts[first])
        end_ms = self._times_of(last).end_at(end - self._segment_starts[last])
        return Match(
            start_ms=start_ms,
            end_ms=max(start_ms, end_ms),
            before=self._text[max(0, start - CONTEXT) : start],
            text=self._text[start:end],
            after=self._text[end : end + CONTEXT],
        )

    def _times_of(self, segment: int) -> WordTimes:
        if segment not in self._times:
            self._times[segment] = WordTimes(self._segments[segment])
        return self._times[segment]

    def _segment_at(self, index: int) -> int:
        return bisect_right(self._segment_starts, index) - 1

    def _as_written(self, start: int, end: int) -> tuple[int, int]:
        """Return the place of a part of the folded text, with the marks behind its last letter.

        A character that becomes several (㍿) belongs to it as a whole.
        """
        first, last = self._origin(start), self._origin(end - 1) + 1
        while last < len(self._text) and not any(folded_lengths(self._text[last])):
            last += 1
        return first, last

    def _origin(self, index: int) -> int:
        """Return which character as it was written has become the one at a place of the folded text."""
        part = bisect_right(self._part_starts, index) - 1
        return part * PART + bisect_right(self._origins(part), index - self._part_starts[part]) - 1

    def _origins(self, part: int) -> Sequence[int]:
        """Return where in a folded part each of its characters begins."""
        if part not in self._origins_of:
            if len(self._origins_of) == _MOST_REMEMBERED_PARTS:
                self._origins_of.clear()
            written = self._text[part * PART : (part + 1) * PART]
            self._origins_of[part] = array("I", accumulate(folded_lengths(written), initial=0))
        return self._origins_of[part]


def _length(segment: Segment) -> int:
    return len(segment.text) + 1
