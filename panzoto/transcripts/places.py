"""The text of a document divided into words, and the places in it where given words stand."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from panzoto.transcripts.document import Segment
from panzoto.transcripts.word_times import WordTimes
from panzoto.transcripts.words import borders, folded, folded_lengths

CONTEXT = 80

# No word holds a line break, since there is a border on both its sides.
_EDGE = "\n"


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
        self.folded = folded(self._text)

    def divide(self) -> None:
        """Find the words, which costs more than all else, so it waits for a reason. `places` needs it."""
        # Plain numbers in arrays: a text of a million words takes twelve megabytes.
        self._starts, self._ends = array("I"), array("I")
        for start, end in borders(self.folded):
            self._starts.append(start)
            self._ends.append(end)
        # With an edge around each word, finding words that follow each other is finding a string, which takes
        # no longer for a text and a phrase that nearly match everywhere.
        self._line = _EDGE.join(("", *map(self._word, range(len(self._starts))), ""))
        in_line = (end - start + len(_EDGE) for start, end in zip(self._starts, self._ends, strict=True))
        self._line_starts = array("I", accumulate(in_line, initial=0))
        lengths = (len(segment.text) + 1 for segment in self._segments)
        self._segment_starts = list(accumulate(lengths, initial=0))
        self._origins: Sequence[int] = range(len(self._text) + 1)
        if not self._text.isascii():
            self._origins = array("I", accumulate(folded_lengths(self._text), initial=0))
        self._times: dict[int, WordTimes] = {}

    def places(self, words: tuple[str, ...], *, is_open: bool) -> Iterator[tuple[int, int]]:
        """Yield where the folded `words` follow each other, in one segment or two neighbours.

        With `is_open` the last of them may be the beginning of one; the place is the whole word all the same.
        """
        sought = _EDGE.join(("", *words, *(() if is_open else ("",))))
        at = self._line.find(sought)
        while at >= 0:
            first = bisect_left(self._line_starts, at)
            place = self._as_written(self._starts[first], self._ends[first + len(words) - 1])
            if self._segment_at(place[1] - 1) - self._segment_at(place[0]) <= 1:
                yield place
            at = self._line.find(sought, at + 1)

    def _word(self, index: int) -> str:
        return self.folded[self._starts[index] : self._ends[index]]

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
        first, last = bisect_right(self._origins, start) - 1, bisect_right(self._origins, end - 1)
        while last < len(self._text) and self._origins[last] == self._origins[last + 1]:
            last += 1
        return first, last
