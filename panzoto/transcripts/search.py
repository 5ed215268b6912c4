"""Finding words and phrases in a transcript: what a query means, and where a recording holds it.

Most transcripts are no hit, and for most of those it is enough to look for the letters of the words anywhere
in the text. Only where all are found is the text divided into words, as far as that is of use.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from panzoto.transcripts.document import Document
from panzoto.transcripts.places import DividedText, Match
from panzoto.transcripts.words import borders, folded

MOST_MATCHES = 5

# A minus counts where something begins, so that `co-operate` excludes nothing. A quote that is not closed
# reaches to the end.
_PARTS = re.compile(r'(?P<minus>(?<!\S)-)?(?:"(?P<quoted>[^"]*)(?:"|\Z)|(?P<plain>[^\s"]+))')


class InvalidQuery(ValueError):
    """A query wants no word: it is blank, holds only signs, or only says what must not occur."""


@dataclass(frozen=True, slots=True)
class Term:
    """Folded words that follow each other; with `is_open` the last one may be the beginning of one."""

    words: tuple[str, ...]
    is_open: bool = False

    def may_stand_in(self, text: DividedText) -> bool:
        """Whether the letters of each word occur."""
        return all(map(text.holds, self.words))

    def places(self, text: DividedText) -> Iterator[tuple[int, int]]:
        """Yield where the term stands."""
        return text.places(self.words, is_open=self.is_open)

    def stands_in(self, text: DividedText) -> bool:
        """Whether there is such a place."""
        return text.stands(self.words, is_open=self.is_open)


@dataclass(frozen=True, slots=True)
class Query:
    """What must occur, in any order and any segment of a recording, and what must not."""

    wanted: tuple[Term, ...]
    unwanted: tuple[Term, ...]

    def matches(self, document: Document) -> list[Match]:
        """Return up to five places in their order, none over another; none unless the whole query holds.

        Each wanted term is shown before any is shown again, and phrases go before words.
        """
        text = DividedText(document.segments)
        if not all(term.may_stand_in(text) for term in self.wanted):
            return []
        if not all(term.stands_in(text) for term in self.wanted):
            return []
        if any(term.stands_in(text) for term in self.unwanted if term.may_stand_in(text)):
            return []
        longest_first = sorted(self.wanted, key=lambda term: len(term.words), reverse=True)
        return [text.match(*place) for place in _chosen(term.places(text) for term in longest_first)]


def parse_query(text: str) -> Query:
    """Return what `text` asks for; raise InvalidQuery when it wants no word.

    All words are wanted, in quotes as a phrase; a minus before one says that it must not occur. What stands
    without a space and falls into several words is a phrase. A word at the very end, outside quotes, may be a
    beginning. The caller limits the length.
    """
    wanted: dict[Term, None] = {}
    unwanted: dict[Term, None] = {}
    for part in _PARTS.finditer(text):
        if (term := _term(part)) is not None:
            (unwanted if part["minus"] else wanted)[term] = None
    if not wanted:
        raise InvalidQuery("Nothing is looked for: at least one word or phrase is needed that must occur")
    return Query(tuple(wanted), tuple(unwanted))


def _term(part: re.Match[str]) -> Term | None:
    quoted, plain = part["quoted"], part["plain"]
    letters = folded(plain if quoted is None else quoted)
    found = list(borders(letters))
    if not found:
        return None
    ends_query = part.end() == len(part.string) and found[-1][1] == len(letters)
    return Term(
        tuple(letters[start:end] for start, end in found),
        is_open=ends_query and quoted is None and part["minus"] is None,
    )


def _chosen(terms: Iterable[Iterator[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Return the first places that do not overlap, one of each term in turn, in the order of the text."""
    chosen: list[tuple[int, int]] = []
    waiting = deque(terms)
    while waiting and len(chosen) < MOST_MATCHES:
        places = waiting.popleft()
        if (place := _next_beside(places, chosen)) is not None:
            chosen.append(place)
            waiting.append(places)
    return sorted(chosen)


def _next_beside(places: Iterator[tuple[int, int]], chosen: list[tuple[int, int]]) -> tuple[int, int] | None:
    return next(
        (
            (start, end)
            for start, end in places
            if all(end <= other_start or other_end <= start for other_start, other_end in chosen)
        ),
        None,
    )
