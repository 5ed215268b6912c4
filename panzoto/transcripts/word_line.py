"""The words of a folded text in one line, an edge around each, divided only as far as somebody looks.

With edges, finding words that follow each other is finding a string, which takes no longer for a text and a
phrase that nearly match everywhere. A word is an object of its own only while it is put into the line: some
kilobytes that were sealed may inflate to millions of words.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, islice

from panzoto.transcripts.words import is_word, pieces

# No word holds a line break, since there is a border on both its sides.
EDGE = "\n"
BLOCK_WORDS = 16_384


@dataclass(frozen=True, slots=True)
class _Block:
    """Words that follow each other, each with an edge before it, and where in the text they start."""

    line: str = field(repr=False)
    starts: array[int] = field(repr=False)


class WordLine:
    """The words of a text that comes in `parts`; places are pairs of start and end in all of it."""

    def __init__(self, parts: Sequence[str]) -> None:
        self._coming = _blocks(parts)
        self._blocks: list[_Block] = []

    def places(self, words: tuple[str, ...], *, is_open: bool) -> Iterator[tuple[int, int]]:
        """Yield where `words` follow each other, in order.

        With `is_open` the last of them may be the beginning of one; the place is the whole word all the same.
        """
        sought = EDGE + EDGE.join(words) + ("" if is_open else EDGE)
        last_word = 1 + sum(len(word) + 1 for word in words[:-1])
        for number in count():
            if (block := self._block(number)) is None:
                return
            # What begins in this block may end in another one.
            line = block.line + self._behind(number, len(sought))
            most = len(block.line) - 1 + len(sought)
            index = counted = 0
            at = line.find(sought, 0, most)
            while at >= 0:
                index += line.count(EDGE, counted, at)
                counted = at
                yield block.starts[index], self._end(number, at + last_word, index + len(words) - 1)
                at = line.find(sought, at + 1, most)

    def _block(self, number: int) -> _Block | None:
        if number == len(self._blocks):
            self._blocks += islice(self._coming, 1)
        return self._blocks[number] if number < len(self._blocks) else None

    def _behind(self, number: int, length: int) -> str:
        """Return so much of the line behind a block; at the end of the text there is an edge too."""
        behind = ""
        while len(behind) < length:
            number += 1
            if (block := self._block(number)) is None:
                return behind + EDGE
            behind += block.line[: length - len(behind)]
        return behind

    def _end(self, number: int, at: int, index: int) -> int:
        """Return where in the text a word ends, told by its place in the line and among the words."""
        while at >= len(self._blocks[number].line):
            at -= len(self._blocks[number].line)
            index -= len(self._blocks[number].starts)
            number += 1
        block = self._blocks[number]
        edge = block.line.find(EDGE, at)
        return block.starts[index] + (len(block.line) if edge < 0 else edge) - at


def _blocks(parts: Sequence[str]) -> Iterator[_Block]:
    words = _words(parts)
    while some := list(islice(words, BLOCK_WORDS)):
        yield _Block(
            EDGE + EDGE.join([word for _, word in some]),
            # Plain numbers in an array: a million of them takes four megabytes.
            array("I", [start for start, _ in some]),
        )


def _words(parts: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield each word and where it starts.

    How a piece ends is certain where another one follows, since no rule of borders looks beyond the next
    letter. The last of what has come so far is looked at again together with what follows.
    """
    text, start, fresh = "", 0, []
    for number, part in enumerate(parts, 1):
        fresh.append(part)
        # A piece that goes on and on is looked at again only when it may have become twice as long.
        if number < len(parts) and sum(map(len, fresh)) < len(text):
            continue
        text, fresh = text + "".join(fresh), []
        last = None
        for piece in pieces(text):
            if last is not None and is_word(text, *last):
                yield start + last[0], text[slice(*last)]
            last = piece
        if number == len(parts) and last is not None and is_word(text, *last):
            yield start + last[0], text[slice(*last)]
        certain = len(text) if last is None else last[0]
        text, start = text[certain:], start + certain
