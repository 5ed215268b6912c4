"""Folding and word borders, against Unicode's own cases and in a dozen scripts."""

from __future__ import annotations

import itertools
import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from panzoto.transcripts import words as words_module
from panzoto.transcripts.words import borders, folded, folded_lengths, words

CASES = Path(__file__).resolve().parents[1] / "vectors" / "word-break-test-15.0.txt"
# A scissors blade, a picture in that version's data and in none of today's.
NO_LONGER_A_PICTURE = "\u2701"


def unicode_cases() -> Iterator[list[str]]:
    for line in CASES.read_text("utf-8").splitlines():
        if line.startswith("÷"):
            pieces = line.replace("×", " ").split("÷")
            yield ["".join(chr(int(code, 16)) for code in piece.split()) for piece in pieces if piece.strip()]


def test_borders_are_those_of_unicode() -> None:
    cases = [case for case in unicode_cases() if NO_LONGER_A_PICTURE not in case[-1]]
    assert len(cases) > 1800
    wrong = [
        case
        for case in cases
        if words("".join(case)) != [piece for piece in case if regex.search(r"[\p{L}\p{N}]", piece)]
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop, it's 3.14 or 1,000!", ["don't", "stop", "it's", "3.14", "or", "1,000"]),
        ("snake_case _ __ a_", ["snake_case", "a_"]),
        ("Crème brûlée, naïve", ["creme", "brulee", "naive"]),
        ("STRAẞE Straße STRASSE", ["strasse", "strasse", "strasse"]),
        ("İstanbul Iğdır ılık", ["istanbul", "igdır", "ılık"]),
        ("ΟΔΥΣΣΕΥΣ Ὀδυσσεύς", ["οδυσσευσ", "οδυσσευσ"]),
        ("ᾳ ΑΙ", ["αι", "αι"]),
        ("Ещё ЁЛКА й", ["еще", "елка", "и"]),
        ("שָׁלוֹם צה\"ל ג'", ["שלום", 'צה"ל', "ג'"]),
        ("كِتَابٌ ﷺ", ["كتاب", "صلى", "الله", "عليه", "وسلم"]),
        ("नमस्ते दुनिया", ["नमसत", "दनय"]),
        ("กำลัง", ["ก", "า", "ล", "ง"]),
        ("東京へ行く", ["東", "京", "へ", "行", "く"]),
        ("カタカナ ｶﾀｶﾅ コーヒー ガ", ["カタカナ", "カタカナ", "コーヒー", "カ"]),
        ("한국어", [unicodedata.normalize("NFKD", "한국어")]),
        ("👍🏽 ok 👨\u200d👩\u200d👧 🇩🇪", ["ok"]),
        ("ＡＢＣ ﬁne 5㎏ m²", ["abc", "fine", "5kg", "m2"]),
        ("fun🅰ction 🅰", ["fun🅰ction"]),
        ("", []),
        ("… — ?!", []),
    ],
)
def test_words_of_many_scripts(text: str, expected: list[str]) -> None:
    assert words(folded(text)) == expected
    assert words(folded(unicodedata.normalize("NFD", text))) == expected


def test_kinds_are_divided_as_another_engine_divides_them() -> None:
    """Not every release of Python 3.11 has the same engine for `re`; `regex` brings its own."""
    other = regex.compile(words_module._PIECE.pattern)
    every = "AHNKXlnbqdEZPO."
    short = ("".join(kinds) for length in range(4) for kinds in itertools.product(every, repeat=length))
    chance = random.Random(29)
    longer = ("".join(chance.choices(every, k=chance.randint(4, 12))) for _ in range(20_000))
    for kinds in itertools.chain(short, longer):
        found = [piece.span() for piece in words_module._PIECE.finditer(kinds)]
        assert found == [piece.span() for piece in other.finditer(kinds)], kinds


def folded_at_once(text: str) -> str:
    """The rule as it is written."""
    decomposed = unicodedata.normalize("NFKD", text).casefold()
    letters = unicodedata.normalize("NFKD", decomposed)
    return "".join(letter for letter in letters if unicodedata.category(letter)[0] != "M")


@settings(deadline=None)  # A busy machine is no fault.
@given(st.text() | st.text(st.sampled_from("aA\u0345\u0316\u0301\u0344\uff9eᾳßİﬃ각ﷺ\ud800")))
def test_folding_each_character_is_folding_the_text(text: str) -> None:
    assert folded(text) == folded_at_once(text)
    assert sum(folded_lengths(text)) == len(folded(text))


@settings(deadline=None)  # A busy machine is no fault.
@given(st.text(st.sampled_from("aא1カ_東.,:'\" \n\u0301\u200d\u00ad👍🅰")))
def test_words_lie_in_order_and_apart(text: str) -> None:
    ends = 0
    for start, end in borders(text):
        assert ends <= start < end
        ends = end
    assert ends <= len(text)


def test_a_text_of_every_character_is_not_remembered_for_ever() -> None:
    every = "".join(map(chr, range(0x20, 0x30000)))
    assert folded(every) == "".join(map(folded, every))
    assert words(folded("Ещё")) == ["еще"]
