"""Languages as engines tell them."""

from __future__ import annotations

import pytest

from panzoto.transcripts.languages import CODES, OTHER_CODES, WORDS, code_of


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("english", "en"),
        (" English ", "en"),
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("zh_Hans_CN", "zh"),
        ("haitian creole", "ht"),
        ("jw", "jv"),
        ("nynorsk", "nn"),
        ("hawaiian", None),
        ("yue", None),
        ("klingon", None),
        ("xx", None),
        ("", None),
        ("auto", None),
        (None, None),
        (5, None),
        (["en"], None),
    ],
)
def test_words_and_codes_become_two_letters(told: object, code: str | None) -> None:
    assert code_of(told) == code


def test_every_word_stands_for_a_code_of_the_standard() -> None:
    assert {*WORDS.values(), *OTHER_CODES.values()} <= CODES
    assert not OTHER_CODES.keys() & CODES
    assert {len(code) for code in CODES} == {2}
