"""Words in a line: found alike however the text came, and in little memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from panzoto.transcripts import word_line, words
from panzoto.transcripts.search import parse_query
from panzoto.transcripts.word_line import WordLine
from panzoto.transcripts.words import borders
from tests.transcripts.support import found, matches, said

LETTERS = "ab1א東カ_.,:' \u200d\u00ad👍"


@settings(deadline=None)  # A busy machine is no fault.
@given(st.lists(st.text(st.sampled_from(LETTERS), max_size=9), max_size=9), st.integers(1, 4))
def test_words_are_those_of_the_whole_text_wherever_it_is_parted(parts: list[str], block: int) -> None:
    text = "".join(parts)
    expected = list(borders(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_line, "BLOCK_WORDS", block)
        line = WordLine(parts)
        for count in (1, 2, 3):
            for first in range(len(expected) - count + 1):
                some = expected[first : first + count]
                sought = tuple(text[start:end] for start, end in some)
                place = some[0][0], some[-1][1]
                assert place in list(line.places(sought, is_open=False))
                beginning = (*sought[:-1], sought[-1][:1])
                assert place in list(line.places(beginning, is_open=True))
        every = {place for word in set(text) for place in line.places((word,), is_open=True)}
    assert every <= set(expected)


@pytest.mark.parametrize("part", [1, 2, 5])
def test_places_are_told_as_they_are_written_wherever_a_text_is_parted(
    part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "PART", part)
    monkeypatch.setattr("panzoto.transcripts.places.PART", part)
    assert found('creme "brulee et" strasse', "Une cre\u0300me bru\u0302le\u0301e", "et la Straße 東") == [
        "cre\u0300me",
        "bru\u0302le\u0301e et",
        "Straße",
    ]
    assert found("会社 ", "の㍿だ") == ["㍿"]
    (match,) = matches("here ", "x" * 100, "right here,", "y" * 100)
    assert (match.before, match.after) == ("x" * 73 + " right ", ", " + "y" * 78)


@pytest.mark.parametrize(
    ("text", "query"), [("ab " * 500_000, "b"), ("東" * 500_000, "京"), ("\ufdfa" * 100_000, "سلم")]
)
def test_no_word_is_an_object_of_its_own(text: str, query: str) -> None:
    """A few kilobytes that are sealed inflate to millions of words."""
    whole = said(text, query)
    tracemalloc.start()
    try:
        (match,) = parse_query(f'"{query}"').matches(whole)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert match.text == query
    assert peak < 20_000_000
