"""Queries: what they ask for, where they match, and when that was said."""

from __future__ import annotations

import pytest

from panzoto.transcripts.places import Match
from panzoto.transcripts.search import InvalidQuery, Term, parse_query
from tests.transcripts.support import document, found, matches


class TestQueries:
    @pytest.mark.parametrize(
        ("query", "wanted", "unwanted"),
        [
            ("Two words ", [("two",), ("words",)], []),
            ('"A phrase" -"not this" -nor', [("a", "phrase")], [("not", "this"), ("nor",)]),
            ('word "never closed ', [("word",), ("never", "closed")], []),
            ('word -"never closed', [("word",)], [("never", "closed")]),
            ("co-operate 東京.", [("co", "operate"), ("東", "京")], []),
            ("-co-operate 3.14 ", [("3.14",)], [("co", "operate")]),
            ("a - b -- ", [("a",), ("b",)], []),
            ('a"b c"d ', [("a",), ("b", "c"), ("d",)], []),
            ('a "" -"!" ... ', [("a",)], []),
            ("a a A ", [("a",)], []),
        ],
    )
    def test_what_they_ask_for(
        self, query: str, wanted: list[tuple[str, ...]], unwanted: list[tuple[str, ...]]
    ) -> None:
        parsed = parse_query(query)
        assert parsed.wanted == tuple(map(Term, wanted))
        assert parsed.unwanted == tuple(map(Term, unwanted))

    @pytest.mark.parametrize("query", ["", " ", '"', "-", "?!", "👍", "-a", '-"a b"', '"..."', "_", "-a -b"])
    def test_nothing_wanted_is_invalid(self, query: str) -> None:
        with pytest.raises(InvalidQuery):
            parse_query(query)

    @pytest.mark.parametrize(
        ("query", "is_open"),
        [
            ("bud", True),
            ("a bud", True),
            ("co-op", True),
            ("-a bud", True),
            ("bude\u0301", True),
            ("bud ", False),
            ("bud.", False),
            ("bud-", False),
            ('"bud"', False),
            ('"bud', False),
            ('bud"', False),
            ("bud -a", False),
        ],
    )
    def test_the_last_word_is_a_beginning(self, query: str, is_open: bool) -> None:
        assert [term.is_open for term in parse_query(query).wanted][-1] is is_open


class TestPlaces:
    @pytest.mark.parametrize(
        ("query", "text", "expected"),
        [
            ("creme", "Une Crème brûlée", ["Crème"]),
            ("CRÈME ", "une cre\u0300me", ["cre\u0300me"]),
            ("strasse ", "Die Straße, die STRAẞE", ["Straße", "STRAẞE"]),
            ("istanbul", "İstanbul'da", ["İstanbul'da"]),
            ("οδυσσευς ", "Ὁ ὈΔΥΣΣΕΎΣ, Ὀδυσσεύς", ["ὈΔΥΣΣΕΎΣ", "Ὀδυσσεύς"]),
            ("еще ", "Ещё раз", ["Ещё"]),
            ("שלום ", "אמר שָׁלוֹם!", ["שָׁלוֹם"]),
            ("كتاب ", "هذا كِتَابٌ.", ["كِتَابٌ"]),
            ("नमस्ते ", "वह नमस्ते बोला", ["नमस्ते"]),
            ("ลัง ", "กำลังกิน", ["ลัง"]),
            ("東京", "私は東京へ", ["東京"]),
            ("カナ", "カナダ と ｶﾅ", ["カナダ", "ｶﾅ"]),
            ("한국", "여기 한국어로", ["한국어로"]),
            ("하", "한국", ["한국"]),
            ("ok", "👍🏽ok👍🏽", ["ok"]),
            ("5kg ", "nur 5㎏ bitte", ["5㎏"]),
            ("会社 ", "の㍿だ", ["㍿"]),
            ("cat ", "concatenate cats cat's cat", ["cat"]),
            ("cat", "concatenate cats cat's", ["cats", "cat's"]),
            ("co-operate ", "cooperate, co operate; co-operate", ["co operate", "co-operate"]),
            ("operat", "co-operating", ["operating"]),
            ("3.14 ", "3,14 or 3.14 or 3.141", ["3.14"]),
        ],
    )
    def test_in_many_scripts(self, query: str, text: str, expected: list[str]) -> None:
        assert found(query, text) == expected

    def test_all_words_are_wanted_anywhere(self) -> None:
        assert found("three one ", "one two", "and three") == ["one", "three"]
        assert found("three four ", "one two", "and three") == []

    def test_what_must_not_occur_does_not(self) -> None:
        assert found("one -three ", "one two", "and three") == []
        assert found("one -thre ", "one two", "and three") == ["one"]
        assert found('one -"two and"', "one two", "and three") == []
        assert found('one -"one three"', "one two", "and three") == ["one"]

    def test_a_phrase_crosses_one_border(self) -> None:
        assert found('"two and three"', "one two", "and three") == ["two and three"]
        assert found('"two, and"', "one two", " ", "and three") == ["two and"]
        assert found('"two and three"', "one two", "and", "three") == []
        assert found('"two and"', "one two", "♪", "and three") == []

    def test_a_word_does_not_cross_one(self) -> None:
        assert found("together ", "to", "gether") == []

    def test_five_at_most_each_term_first_and_none_over_another(self) -> None:
        assert found("a ", *["a"] * 9) == ["a"] * 5
        assert found("end a ", "a a a a a a a a end") == ["a"] * 4 + ["end"]
        assert found('"new york" york ', "york, new york") == ["york", "new york"]
        assert found('"ha ha"', "ha ha ha ha ha") == ["ha ha", "ha ha"]

    def test_a_phrase_that_nearly_stands_everywhere_is_soon_sought(self) -> None:
        nearly = " ".join(["a b"] * 100)
        assert found(f'"{nearly} b"', "a b " * 200_000, "b") == [f"{nearly} b"]

    def test_what_stands_around_reaches_into_neighbours(self) -> None:
        (match,) = matches("here ", "x" * 100, "right here,", "y" * 100)
        assert (match.before, match.after) == ("x" * 73 + " right ", ", " + "y" * 78)
        assert matches("here ", "here") == [Match(0, 1000, "", "here", "")]


class TestTimes:
    WORDS = (
        {"start_ms": 100, "end_ms": 200, "text": " Don"},
        {"start_ms": 200, "end_ms": 300, "text": "'t"},
        {"start_ms": 300, "end_ms": 400, "text": "über-\u0065\u0301tude,"},
        {"start_ms": 500, "end_ms": 600, "text": "ﬁn"},
    )

    def times(self, query: str, *words: object) -> list[tuple[int, int]]:
        written = document(
            {"start_ms": 0, "end_ms": 1000, "text": "DON'T über-étude fin", "words": list(words)},
            {"start_ms": 1000, "end_ms": 2000, "text": "and then"},
        )
        return [(match.start_ms, match.end_ms) for match in parse_query(query).matches(written)]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("don't ", (100, 300)),
            ("uber ", (300, 400)),
            ('"uber etude fin"', (300, 600)),
            ("fi", (500, 600)),
            ('"fin and"', (500, 2000)),
            ("then ", (1000, 2000)),
        ],
    )
    def test_they_are_those_of_the_words(self, query: str, expected: tuple[int, int]) -> None:
        assert self.times(query, *self.WORDS) == [expected]

    def test_a_missing_word_gives_the_segment_and_moves_no_other(self) -> None:
        assert self.times("etude ", *self.WORDS[:2], self.WORDS[3]) == [(0, 1000)]
        assert self.times('"etude fin"', *self.WORDS[:2], self.WORDS[3]) == [(0, 600)]
        assert self.times("fin ", *self.WORDS[:2], self.WORDS[3]) == [(500, 600)]

    def test_words_of_another_text_tell_nothing(self) -> None:
        assert self.times("fin ", {"start_ms": 5, "end_ms": 6, "text": "elsewhere"}) == [(0, 1000)]
