"""When a part of a segment was said, by the words that the engine heard in it."""

from __future__ import annotations

from collections.abc import Iterator

from panzoto.transcripts.document import Segment, Word
from panzoto.transcripts.words import folded_parts

# So many letters of a segment's text may belong to words that the engine did not list before one is looked
# for no more.
_REACH = 64


class WordTimes:
    """The words of a segment, each beside its place in the text.

    Engines divide words in ways of their own and leave signs out, so the letters and numbers alone are
    compared.
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._placed = list(_placed(segment))

    def start_at(self, offset: int) -> int:
        """Return when what begins at `offset` of the text began; the segment's where no word tells."""
        if not self._placed:
            return self._segment.start_ms
        letter = self._letters_before(offset)
        return next((word.start_ms for word in self._at(letter)), self._segment.start_ms)

    def end_at(self, offset: int) -> int:
        """Return when what ends before `offset` of the text ended; the segment's where no word tells."""
        if not self._placed:
            return self._segment.end_ms
        letter = self._letters_before(offset) - 1
        return next((word.end_ms for word in self._at(letter)), self._segment.end_ms)

    def _letters_before(self, offset: int) -> int:
        return sum(map(len, _letters(self._segment.text[:offset])))

    def _at(self, letter: int) -> Iterator[Word]:
        return (word for start, end, word in self._placed if start <= letter < end)


def _placed(segment: Segment) -> Iterator[tuple[int, int, Word]]:
    """Yield start, end and word, for each whose letters follow, closely, on those of the last one found."""
    words = segment.words
    # A long text without words is not gone through for nothing.
    said, end = letters_of(segment.text) if words else "", 0
    for word in words:
        letters = letters_of(word.text)
        start = said.find(letters, end, end + len(letters) + _REACH) if letters else -1
        if start >= 0:
            end = start + len(letters)
            yield start, end, word


def letters_of(text: str) -> str:
    """Return only the letters and numbers of a text, folded."""
    return "".join(_letters(text))


def _letters(text: str) -> Iterator[str]:
    for part in folded_parts(text):
        yield part if part.isalnum() else "".join(filter(str.isalnum, part))
